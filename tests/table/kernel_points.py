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


def bessel_tail(x, what):
    """asymptotic series for x >= 300, where 40 terms leave nothing: I_v(x) exp(-x) sqrt(2 pi x)"""
    def series(v):
        t, s = mpf(1), mpf(1)
        for k in range(1, 40):
            t *= -(4 * v * v - (2 * k - 1) ** 2) / (8 * k * x)
            s += t
        return s
    with mp.workdps(160):
        if what == "log":
            return m.log(series(0)) - m.log(2 * m.pi * x) / 2
        r = series(1) / series(0)
        return 1 - r if what == "gap" else 1 - r / x - r * r


def log_i0e(x):
    return bessel_tail(x, "log") if x > 300 else m.log(m.besseli(0, x)) - x


def gap(x):
    return bessel_tail(x, "gap") if x > 300 else 1 - m.besseli(1, x) / m.besseli(0, x)


def slope(x):
    if x > 300:
        return bessel_tail(x, "slope")
    r = m.besseli(1, x) / m.besseli(0, x)
    return 1 - (r / x if x else mpf(1) / 2) - r * r


def log_tail(t):
    """log Q(t), by the asymptotic series where erfc is too small"""
    if t < 1000:
        with mp.workdps(120):
            return m.log(m.erfc(t / m.sqrt(2)) / 2)
    s, k = mpf(1), mpf(1)
    for n in range(1, 12):
        k *= -(2 * n - 1) / (t * t)
        s += k
    return m.log(s) - t * t / 2 - m.log(t) - m.log(2 * m.pi) / 2


def log_ndtr(x):
    with mp.workdps(120):
        return log_tail(-x) if x < 0 else m.log1p(-m.erfc(x / m.sqrt(2)) / 2)


def log_ndtr_grad(x):
    with mp.workdps(200):
        return m.exp(-x * x / 2 - m.log(2 * m.pi) / 2 - log_ndtr(x)) if x > -1000 else -x - 1 / x + 2 / x**3


def log_ndtri(y):
    """by Newton's rule on log_ndtr, or its mirror image where that is flat"""
    if y > -0.1:
        with mp.workdps(120):
            return -log_ndtri(m.log(-m.expm1(y)))
    x = -m.sqrt(-2 * y) if y < -3 else mpf(0)
    for _ in range(60):
        d = (log_ndtr(x) - y) / log_ndtr_grad(x)
        x -= d
        if abs(d) < mpf(10) ** -45 * (1 + abs(x)):
            break
    return x


def vonmises_grad(k, x):
    """-(dF/dkappa) / pdf by quadrature"""
    k, x = mpf(k), mpf(x)
    with mp.workdps(40):
        r = 1 - gap(k)
        f = lambda t: (m.cos(t) - r) * m.exp(k * (m.cos(t) - m.cos(x)))
        y, turn = abs(x), m.acos(r)
        parts = lambda a, b, n: [a + (b - a) * i / n for i in range(n + 1)]
        if y < turn:
            v = -m.quad(f, parts(mpf(0), y, 4))
        else:
            width = min(m.pi - y, 60 / (k * m.sin(y) + m.sqrt(k) / 4 + 1))
            v = m.quad(f, parts(y, y + width, 12) + ([m.pi] if width < m.pi - y else []))
        return v * m.sign(x)


def vonmises_table():
    print("static const GradPoint vonmises_grad_points[] = {")
    for k in (0, 1e-6, 0.01, 0.3, 1, 2.7, 10, 29.9, 30.1, 200, 1e4, 1e8):
        k = f32(k)
        sd = min(1.0, (1e-9 + k) ** -0.5)
        for x in (1e-6, 0.1 * sd, -0.5 * sd, 0.9 * sd, 1.1 * sd, -1.5 * sd, 2 * sd, 3 * sd, 5 * sd, 2.0, -3.0, 3.14):
            x = f32(x)
            if abs(x) > min(12 * sd, 3.1415):
                continue
            print("  { %s, %s, %sL }," % (float(k).hex(), float(x).hex(), m.nstr(vonmises_grad(k, x), 20)))
    print("};")


kappas = [0, 1e-30, 1e-6, 1e-3, 0.1, 0.5, 0.99, 1.01, 2, 3.3, 5, 7.9, 8.1, 10, 15, 20, 25, 29.9, 30.1, 50,
    100, 250, 350, 1e3, 1e5, 1e9, 1e18]
tails = [-1e18, -1e9, -1e5, -2e3, -100, -40, -37.5, -20, -10, -7, -5, -3, -2.01, -1.99, -1.2, -0.7, -0.3, -1e-3,
    -1e-30, 0, 1e-20, 1e-3, 0.3, 0.7, 1.2, 1.99, 2.01, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
logs = [-1e30, -1e18, -1e9, -1e5, -5e3, -800, -200, -100, -81, -79, -50, -30, -20, -10, -5, -3, -2, -1.5, -1.4, -1.3,
    -1, -0.8, -0.7, -0.69, -0.693147, -0.6, -0.4, -0.3, -0.28, -0.2, -0.1, -0.01, -1e-4, -1e-8, -1e-15, -1e-20, -1e-30]

print("/* Made by kernel_points.py; values to 25 digits (20 for the last two tables). */\n")
print("typedef struct { float x; long double y; } Point;")
print("typedef struct { float alpha, x; long double y; } GradPoint;\n")
table("lgamma", m.loggamma, positive)
table("digamma", lambda x: m.psi(0, x), positive)
table("trigamma", lambda x: m.psi(1, x), positive)
table("erfinv", lambda x: ndtri((1 + x) / 2) / m.sqrt(2), odd + [-x for x in odd[2:6]])
table("ndtri", ndtri, prob)
table("log_i0e", log_i0e, kappas)
table("bessel_gap", gap, kappas)
table("bessel_slope", slope, kappas)
table("log_ndtr", log_ndtr, tails)
table("log_ndtr_grad", log_ndtr_grad, tails)
table("log_ndtri", log_ndtri, logs)
gamma_table()
print()
vonmises_table()
