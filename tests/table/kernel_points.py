#!/usr/bin/env python3
"""Writes kernel_points.h: values of functions that libm lacks, at points exact in single precision.
Needs mpmath:  python3 kernel_points.py > kernel_points.h"""
import struct
from mpmath import mp, mpf
import mpmath as m

mp.dps = 80


def f32(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def table(name, f, xs):
    print("static const Point %s_points[] = {" % name)
    for x in sorted(set(map(f32, xs))):
        print("  { %s, %sL }," % (float(x).hex(), m.nstr(f(mpf(x)), 25)))
    print("};\n")


positive = [1e-30, 1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.75, 0.9, 0.999, 1 - 2.0**-24, 1 + 2.0**-23,
    1.001, 1.1, 1.3, 1.46, 1.4616321, 1.4616322, 1.462, 1.5, 1.7, 1.9, 1.9999, 2 - 2.0**-23, 2 +
    2.0**-22, 2.001, 2.3, 2.7, 2.9999, 3.0001, 3.5, 5, 7.5, 9.99, 10.01, 11.9, 12.1, 20, 33.3, 100,
    1234.5, 1e5, 1e10, 1e20, 1e30]
odd = [1e-30, 1e-10, 1e-4, 0.01, 0.1, 0.25, 0.3, 0.49, 0.5, 0.51, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995,
    0.998, 0.9999, 0.99999, 1 - 2.0**-20, 1 - 2.0**-24]
prob = [1e-37, 1e-30, 1e-20, 1e-12, 1e-7, 1e-5, 1e-4, 1e-3, 0.0017, 0.002, 0.01, 0.05, 0.1, 0.2, 0.24,
    0.26, 0.3, 0.4, 0.49, 0.4999, 0.5001, 0.6, 0.74, 0.76, 0.9, 0.99, 0.999, 0.99999, 1 - 2.0**-24]


def ndtri(p):
    """by Newton on log Q of the smaller tail"""
    q, sign = (p, -1) if p < 0.5 else (1 - p, 1)
    z = m.sqrt(2) * m.erfinv(1 - 2 * q) if q > mpf("1e-3") else m.sqrt(-2 * m.log(q)) - mpf("0.3")
    for _ in range(50):
        Q = m.erfc(z / m.sqrt(2)) / 2
        z += (m.log(Q) - m.log(q)) * Q / m.npdf(z)
    return sign * z


def gamma_grad(a, x):
    """-(dF/da) / pdf, F the regularised lower incomplete gamma function, by a central difference"""
    a, x = mpf(a), mpf(x)
    with mp.workdps(160):
        h = mpf(10) ** -40 * a

        def F(a, upper):
            if upper:     # the smaller of the two tails keeps its digits
                return -m.gammainc(a, x, m.inf, regularized=True)
            t, s, n = mpf(1), mpf(0), 0
            while t > s * mpf(10) ** -150 or n < x:
                s += t
                n += 1
                t *= x / (a + n)
            return m.exp(a * m.log(x) - x - m.loggamma(a + 1)) * s
        upper = x > 3 * a + 30
        d = (F(a + h, upper) - F(a - h, upper)) / (2 * h)
        return -d / m.exp((a - 1) * m.log(x) - x - m.loggamma(a))


def gamma_table():
    print("static const GradPoint gamma_grad_points[] = {")
    for a in (1e-3, 0.03, 0.4, 1, 1.7, 2.4, 2.6, 4, 11.9, 12.1, 30, 100, 1e3, 1e4):
        a = f32(a)
        sd = a**-0.5
        ratios = [1e-8, 0.1, 0.13, 0.5, 1 - min(sd, 0.4), 1.0001, 1 + sd, 1 + 3 * sd, 7, 8]
        for x in sorted(set(f32(a * r) for r in ratios) | ({1e-30, 0.5, 1.5, 4.0} if a < 4 else set())):
            x = f32(x)
            if x > 60 and x > 10 * a:
                continue
            print("  { %s, %s, %sL }," % (float(a).hex(), float(x).hex(), m.nstr(gamma_grad(a, x), 20)))
    print("};")


print("/* Made by kernel_points.py; values to 25 digits (20 for the last table). */\n")
print("typedef struct { float x; long double y; } Point;")
print("typedef struct { float alpha, x; long double y; } GradPoint;\n")
table("lgamma", m.loggamma, positive)
table("digamma", lambda x: m.psi(0, x), positive)
table("trigamma", lambda x: m.psi(1, x), positive)
table("erfinv", lambda x: ndtri((1 + x) / 2) / m.sqrt(2), odd + [-x for x in odd[2:6]])
table("ndtri", ndtri, prob)
gamma_table()
