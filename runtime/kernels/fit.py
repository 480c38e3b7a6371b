#!/usr/bin/env python3
"""Polynomials of the kernels: prints the coefficient arrays that kernels_f32.c, kernels_f64.c, gamma.c and
vonmises.c hold, each with its largest error.  Needs mpmath.

    python3 fit.py            all of them
    python3 fit.py exp erf    those whose name starts so

A fit is weighted least squares at Chebyshev points, which is close to minimax.  Coefficients are
rounded to the width of the kernel one by one, the lowest power first, and those that remain are fitted
again, so that the later ones absorb the rounding of the earlier ones.
Arrays are written highest power first, the order Horner's rule reads them in."""
import struct, sys
from mpmath import mp, mpf
import mpmath as m

mp.dps = 60


def f32(x):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def f64(x):
    return mpf(float(x))


def horner(c, x):
    s = mpf(0)
    for k in reversed(c):
        s = s * x + k
    return s


def solve(xs, ys, ws, known, n):
    """coefficients len(known)..n-1 of the best polynomial whose lower ones are known"""
    k0 = len(known)
    rows = [[w * x**j for j in range(k0, n)] for x, w in zip(xs, ws)]
    rhs = [w * (y - horner(known, x)) for x, y, w in zip(xs, ys, ws)]
    k = n - k0
    A, b = m.matrix(k, k), m.matrix(k, 1)
    for i in range(k):
        b[i] = m.fsum(r[i] * t for r, t in zip(rows, rhs))
        for j in range(i, k):
            A[i, j] = A[j, i] = m.fsum(r[i] * r[j] for r in rows)
    return list(m.lu_solve(A, b))


def fit(name, f, a, b, n, weight=None, cut=f32, note=""):
    """f ~ polynomial of n coefficients on [a, b]; weight(x): the error's scale (default relative)"""
    a, b = mpf(a), mpf(b)
    pts = max(6 * n, 60)
    xs = [(a + b) / 2 + (b - a) / 2 * m.cos(m.pi * (2 * i + 1) / (2 * pts)) for i in range(pts)]
    ys = [f(x) for x in xs]
    ws = [1 / abs(weight(x, y) if weight else y) for x, y in zip(xs, ys)]
    coef = []
    while len(coef) < n:
        coef.append(cut(solve(xs, ys, ws, coef, n)[0]))
    err = max(abs(w * (horner(coef, x) - y)) for x, y, w in zip(xs, ys, ws))
    wide = cut is f64
    print("/* %s: error %s%s */" % (name, m.nstr(err, 2), note and ", " + note))
    print("static const %s %s[] = {" % ("double" if wide else "float", name))
    per = 4
    text = [m.nstr(c, 17 if wide else 9, strip_zeros=False) + ("" if wide else "f") for c in reversed(coef)]
    for i in range(0, n, per):
        print("  " + ", ".join(text[i : i + per]) + ("," if i + per < n else ""))
    print("};")


def part(z, small, f):
    """f(z), or its limit where z is too small for it"""
    return f(z) if abs(z) > mpf(10) ** -18 else mpf(small)


# --- elementwise, f32 -------------------------------------------------------------------------------
LN2 = m.log(2)


def exp_c():
    fit("exp_c", lambda r: part(r, 0.5, lambda r: (m.expm1(r) - r) / r**2), -LN2 / 2, LN2 / 2, 5,
        lambda r, y: 1 / (r * r + mpf("1e-4")), note="(exp(r) - 1 - r) / r^2 on +-ln2/2, weighted by r^2")


def expm1_c():
    fit("expm1_c", lambda r: part(r, 0.5, lambda r: (m.expm1(r) - r) / r**2), -LN2 / 2, LN2 / 2, 6,
        lambda r, y: 1 / (abs(r) + mpf("1e-2")), note="the same, relative to expm1(r)")


def log_c():
    lo, hi = 1 / m.sqrt(2) - 1, m.sqrt(2) - 1
    fit("log_c", lambda f: part(f, mpf(1) / 3, lambda f: (m.log1p(f) - f + f * f / 2) / f**3), lo, hi, 9,
        lambda f, y: 1 / (f * f + mpf("1e-4")), note="(log(1+f) - f + f^2/2) / f^3, weighted by f^2")


def sin_c():
    fit("sin_c", lambda z: part(z, mpf(-1) / 6, lambda z: (m.sin(m.sqrt(z)) / m.sqrt(z) - 1) / z),
        0, (m.pi / 4) ** 2, 3, lambda z, y: 1 / (z + mpf("1e-3")), note="(sin(r)/r - 1) / r^2 in r^2")


def cos_c():
    fit("cos_c", lambda z: part(z, mpf(1) / 24, lambda z: (m.cos(m.sqrt(z)) - 1 + z / 2) / z**2),
        0, (m.pi / 4) ** 2, 3, lambda z, y: 1 / (z * z + mpf("1e-3")),
        note="(cos(r) - 1 + r^2/2) / r^4 in r^2")


def sinpi_c():
    fit("sinpi_c", lambda z: part(z, m.pi, lambda z: m.sin(m.pi * m.sqrt(z)) / m.sqrt(z)), 0, mpf(1) / 4, 6,
        lambda z, y: y, note="sin(pi v)/v in v^2, |v| <= 1/2")


def erf_c():
    fit("erf_small", lambda z: part(z, 2 / m.sqrt(m.pi) - 1, lambda z: m.erf(m.sqrt(z)) / m.sqrt(z) - 1),
        0, 1, 7, lambda z, y: 1 + y, note="erf(x)/x - 1 in x^2, |x| <= 1")
    fit("erf_large", lambda x: -m.log(m.erfc(x)), 1, mpf("4.0"), 7,
        lambda x, y: m.erf(x) / m.erfc(x), note="-log(erfc x) on [1, 4], weighted by erfc")


def ndtri_c():
    def quantile(w):  # the normal quantile whose 4 q (1-q) is exp(-w), divided by y = 1/2 - q
        y = m.sqrt(-m.expm1(-w)) / 2
        if y == 0:
            return m.sqrt(2 * m.pi)
        return m.sqrt(2) * m.erfinv(2 * y) / y
    fit("ndtri_near", lambda t: quantile(t + mpf("2.5")) if t > mpf("-2.5") else quantile(mpf(0)),
        mpf("-2.5"), mpf("2.5"), 11, note="quantile/y in w - 2.5, w = -log(4q(1-q)) in [0, 5]")

    def tail(s):  # same for large w = s^2, by Newton on log Q
        w = s * s
        q = (1 - m.sqrt(-m.expm1(-w))) / 2 if w < 40 else m.exp(-w) / 4 * (1 + m.exp(-w) / 4)
        z = m.sqrt(-2 * m.log(q)) - 1 if q < mpf("1e-2") else mpf(2)
        for _ in range(60):
            Q = m.erfc(z / m.sqrt(2)) / 2
            d = (m.log(Q) - m.log(q)) / (m.exp(-z * z / 2) / m.sqrt(2 * m.pi) / Q)
            z += d
            if abs(d) < mpf("1e-40"):
                break
        return z
    fit("ndtri_far", lambda t: tail(t + 4), m.sqrt(5) - 4, mpf("10.3") - 4, 14,
        note="quantile in sqrt(w) - 4, w in [5, 106]")


# --- gamma family, f32: w = x - 2 in [-1, 1], and Stirling's corrections for x > 3 ---------------------
def lgamma_c():
    def mid(w):
        if abs(w) < mpf("1e-25"):
            return m.psi(0, 2)
        if abs(w + 1) < mpf("1e-25"):
            return -m.psi(0, 1)
        return m.loggamma(2 + w) / (w * (1 + w))
    fit("lgamma_mid", mid, -1, 1, 12, note="lgamma(2+w) / (w (1+w))")

    def far(t):
        if t < mpf("1e-20"):
            return mpf(1) / 12
        x = 1 / m.sqrt(t)
        return x * (m.loggamma(x) - (x - mpf(1) / 2) * m.log(x) + x - m.log(2 * m.pi) / 2)
    fit("lgamma_far", far, 0, mpf(1) / 9, 4, lambda t, y: 10,
        note="Stirling's correction times x, in 1/x^2, /10")


X0 = m.findroot(lambda x: m.psi(0, x), mpf("1.4616"))


def digamma_mid(w):
    d = 2 + w - X0
    return m.psi(1, X0) if abs(d) < mpf("1e-25") else m.psi(0, 2 + w) / d


def digamma_c():
    hi = f32(X0 - 2)
    print("/* the zero minus 2: %s + %s */" % (m.nstr(hi, 9), m.nstr(f32(X0 - 2 - hi), 9)))
    fit("digamma_mid", digamma_mid, -1, 1, 14, note="digamma(2+w) / (w - w0)")

    def far(t):
        if t < mpf("1e-20"):
            return mpf(1) / 12
        x = 1 / m.sqrt(t)
        return (m.log(x) - 1 / (2 * x) - m.psi(0, x)) / t
    fit("digamma_far", far, 0, mpf(1) / 9, 4, lambda t, y: 10,
        note="(log x - 1/2x - digamma x) x^2 in 1/x^2, /10")


def trigamma_c():
    fit("trigamma_mid", lambda w: m.psi(1, 2 + w), -1, 1, 16, note="trigamma(2+w)")

    def far(t):
        if t < mpf("1e-20"):
            return mpf(1) / 6
        x = 1 / m.sqrt(t)
        return (m.psi(1, x) - 1 / x - t / 2) * x / t
    fit("trigamma_far", far, 0, mpf(1) / 9, 5, lambda t, y: 10,
        note="(trigamma x - 1/x - 1/2x^2) x^3 in 1/x^2, /10")


# --- pow in double, good enough for f32 ---------------------------------------------------------------
def pow_c():
    s1 = (m.sqrt(2) - 1) / (m.sqrt(2) + 1)
    fit("log2_c", lambda z: part(z, 2 / LN2, lambda z: 2 * m.atanh(m.sqrt(z)) / m.sqrt(z) / LN2),
        0, s1**2, 6, cut=f64, note="log2(m)/s in s^2, s = (m-1)/(m+1)")
    fit("exp2_c", lambda r: m.mpf(2) ** r, mpf(-1) / 2, mpf(1) / 2, 8, cut=f64, note="2^r on +-1/2")


# --- Bessel functions and the normal tail: in double, good enough for f32 --------------------------------
def bessel_ratio(x):
    return m.besseli(1, x) / m.besseli(0, x)


def bessel_c():
    q = lambda f: lambda q: f(2 * m.sqrt(q) if q > mpf(10) ** -30 else mpf(10) ** -15)
    fit("i0_c", q(lambda x: (m.besseli(0, x) - 1) / (x * x / 4)), 0, 16, 13, cut=f64,
        note="(I0(x) - 1) / q in q = x^2/4, x <= 8")
    fit("i1_c", q(lambda x: m.besseli(1, x) / (x / 2)), 0, 16, 13, cut=f64, note="I1(x) / (x/2)")
    r = lambda f, limit: lambda r: f(1 / r) if r > mpf("1e-7") else mpf(limit)
    fit("log_i0e_far", r(lambda x: m.log(m.besseli(0, x)) - x + m.log(x) / 2, -m.log(2 * m.pi) / 2),
        0, mpf(1) / 8, 7, lambda r, y: 1, f64, "log I0(x) - x + log(x)/2 in 1/x")
    fit("gap_far", r(lambda x: x * (1 - bessel_ratio(x)), 0.5), 0, mpf(1) / 8, 9, cut=f64,
        note="x (1 - I1/I0) in 1/x")
    fit("slope_far", r(lambda x: x * x * (1 - bessel_ratio(x) / x - bessel_ratio(x) ** 2), 0.5), 0, mpf(1) / 8,
        10, cut=f64, note="x^2 (I1/I0)' in 1/x")


def mills_c():
    mills = lambda t: m.erfc(t / m.sqrt(2)) / 2 / m.npdf(t)
    fit("mills_far", lambda z: mills(3 * (1 / z - 1)) / z if z > mpf("1e-9") else mpf(1) / 3, 0, 1, 14, cut=f64,
        note="Mills ratio over z in z = 1 / (1 + t/3)")


# --- f64 -----------------------------------------------------------------------------------------------
def digamma64_c():
    hi = f64(X0)
    print("/* the zero: %s + %s */" % (m.nstr(hi, 17), m.nstr(f64(X0 - hi), 17)))
    fit("digamma_mid", lambda w: digamma_mid(w - mpf(1) / 2), mpf(-1) / 2, mpf(1) / 2, 22, cut=f64,
        note="digamma(3/2+w) / (3/2 + w - x0)")


def gamma_grad_c():
    """v = v0 + v1/a + v2/a^2 + ... in s = log(x/a); see gamma.c"""
    N = 60
    lam = [1 / m.factorial(k) for k in range(N + 1)]          # exp(s)
    lam1 = [1 / m.factorial(k + 1) for k in range(N + 1)]     # (exp(s) - 1) / s

    def divide(num, den):
        out = []
        for k in range(len(num)):
            out.append((num[k] - m.fsum(out[j] * den[k - j] for j in range(k))) / den[0])
        return out
    v = divide(lam[: N + 1], lam1)                            # s e^s / (e^s - 1)
    c = [None, mpf(-1) / 2, mpf(-1) / 12, mpf(0), mpf(1) / 120]
    for k in range(1, 5):
        n = len(v) - 1
        r = [(j + 1) * v[j + 1] - v[j] - c[k] * lam[j] for j in range(n)]
        assert abs(r[0]) < mpf("1e-40")
        v = divide(r[1:], lam1[: n - 1])
        w = list(v)
        fit("grad_v%d" % k, lambda s: horner(w, s), -2, 2, {1: 13, 2: 12, 3: 10, 4: 8}[k],
            lambda s, y: 1, f64, "absolute, |log(x/a)| <= 2")


def gamma_nodes():
    """nodes and weights of the trapezoid rule in t, u = exp(t - exp(-t)), for integrals of u over (0, inf)"""
    h, t, out = mpf(1) / 4, mpf(-3), []
    while True:
        u = m.exp(t - m.exp(-t))
        if u > 22:
            break
        out.append((u, h * u * (1 + m.exp(-t))))
        t += h
    print("static const double node[][2] = {   /* %d */" % len(out))
    for u, w in out:
        print("  { %s, %s }," % (m.nstr(u, 17), m.nstr(w, 17)))
    print("};")


def bessel_nodes():
    """1 - cos at the midpoints of 56 equal arcs of the circle, half of them"""
    print("static const double bessel_node[] = {")
    for j in range(28):
        print("  %s," % m.nstr(2 * m.sin(m.pi * (2 * j + 1) / 112) ** 2, 17))
    print("};")


def bessel_series():
    """1 - I1/I0 = g1/x + g2/x^2 + ...: r = I1/I0 solves r' = 1 - r/x - r^2;
    log(I0(x) exp(-x) sqrt(2 pi x)) = l1/x + l2/x^2 + ...: its derivative is r - 1 + 1/2x"""
    n = 20
    g = [mpf(0), mpf(1) / 2]
    for k in range(2, n + 1):      # of x^-k: (k-1) g[k-1] = 2 g[k] - sum g[i] g[k-i] + g[k-1]
        g.append(((k - 2) * g[k - 1] + m.fsum(g[i] * g[k - i] for i in range(1, k))) / 2)
    for name, c in (("gap_c", g[1:]), ("log_i0e_c", [g[k + 1] / k for k in range(1, n)])):
        print("static const double %s[] = {" % name)
        for x in reversed(c):
            print("  %s," % m.nstr(x, 17))
        print("};")


def mills_nodes():
    """s and its weight: the Mills ratio of t >= 2 is the sum of w / (t + s^2/t)"""
    h = mpf(3) / 10
    print("static const double mills_node[][2] = {")
    for k in range(29):
        s = (k + mpf(1) / 2) * h
        print("  { %s, %s }," % (m.nstr(s * s, 17), m.nstr(2 * h / m.sqrt(2 * m.pi) * m.exp(-s * s / 2), 17)))
    print("};")


def legendre_nodes():
    """nodes on (0, 1) and weights of Gauss and Legendre"""
    n = 16
    out = []
    for i in range(n):
        x = m.cos(m.pi * (i + mpf(3) / 4) / (n + mpf(1) / 2))
        for _ in range(8):
            d = n * (m.legendre(n - 1, x) - x * m.legendre(n, x)) / (1 - x * x)
            x -= m.legendre(n, x) / d
        out.append(((1 - x) / 2, 1 / ((1 - x * x) * d * d)))
    print("static const double node[][2] = {")
    for x, w in out:
        print("  { %s, %s }," % (m.nstr(x, 17), m.nstr(w, 17)))
    print("};")


if __name__ == "__main__":
    jobs = [k for k in list(globals()) if k.endswith(("_c", "_nodes", "_series"))]
    for k in jobs:
        if len(sys.argv) < 2 or any(k.startswith(a) for a in sys.argv[1:]):
            globals()[k]()
