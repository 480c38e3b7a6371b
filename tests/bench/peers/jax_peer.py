"""jax_peer.py WORKLOAD DATA THREADS VARIANT: the bench's workloads in JAX with optax; the protocol is that of torch_peer.py.

Variants:  step   jit of one whole step with donated buffers, as a user writes it; random numbers of the default kind
           rbg    the same, with random numbers by XLA's own generator
           scan   rbg, and lax.scan over many steps in one jit
JAX takes as many threads as processors it is allowed (affinity)."""
import json, math, sys, time
from functools import partial
import jax, jax.numpy as jnp, numpy as np, optax
from jax import lax, random
from jax.nn import sigmoid, softplus
from jax.scipy.special import digamma, gammaln, logsumexp, xlogy

def glorot(key, n, m): return random.uniform(key, (n, m), minval=-1) * math.sqrt(6 / (n + m))
class Keys:
  def __init__(self, key): self.key = key
  def __call__(self):
    self.key, k = random.split(self.key)
    return k

def make_dense(key, n, *widths, bias=None):
  return {"w": jnp.concatenate([glorot(key(), n, m) for m in widths], 1), "b": jnp.zeros(sum(widths)) if bias is None else bias}
def make_mlp(key, n, *widths): return [make_dense(key, a, b) for a, b in zip((n,) + widths, widths)]
def dense(p, x): return x @ p["w"] + p["b"]
def mlp(p, x):
  for layer in p: x = jnp.tanh(dense(layer, x))
  return x
def make_mlp_bn(key, n, *widths):
  return [{"w": glorot(key(), a, b), "scale": jnp.ones(b), "shift": jnp.zeros(b)} for a, b in zip((n,) + widths, widths)]
def state_bn(widths): return [{"mean": jnp.zeros(m), "var": jnp.ones(m)} for m in widths]
def mlp_bn(p, state, x):
  """the layers, and the running averages after them"""
  after = []
  for layer, s in zip(p, state):
    x = x @ layer["w"]
    m, v = x.mean(0), x.var(0)
    after.append({"mean": 0.9 * s["mean"] + 0.1 * m, "var": 0.9 * s["var"] + 0.1 * v})
    x = layer["scale"] * (x - m) * lax.rsqrt(v + 1e-3) + layer["shift"]
    x = jnp.where(x > 0, x, 0.01 * x)
  return x, after
def log_bernoulli(x, logit): return (x * logit - softplus(logit)).sum(-1)
def bits(key, p): return (random.uniform(key, p.shape) < p).astype(jnp.float32)

# ---- a model is a class with make(key) -> params, state and objective(params, state, x, key) -> mean, state
class Images:
  def __init__(self, grey, batch):
    grey = grey.reshape(len(grey), -1)
    mean = np.clip(grey.mean(0, dtype=np.float64) / (255 if grey.dtype == np.uint8 else 1), 0.001, 0.999)
    self.start, self.rows, self.batch, self.n = jnp.asarray(np.log(mean / (1 - mean)), jnp.float32), len(grey), batch, grey.shape[1]
    self.all = jnp.asarray(grey)
  def data(self, grey, idx, key):
    grey = grey[idx]
    return bits(key, grey / 255 if grey.dtype == jnp.uint8 else grey)

class Vae(Images):
  def __init__(self, grey, batch, widths, latent, logit_mean):
    super().__init__(grey, batch)
    self.widths, self.latent, self.bias = widths, latent, self.start if logit_mean else None
  def make(self, key):
    return {"enc": make_mlp(key, self.n, *self.widths), "head": make_dense(key, self.widths[-1], self.latent, self.latent),
            "dec": make_mlp(key, self.latent, *self.widths), "out": make_dense(key, self.widths[-1], self.n, bias=self.bias)}, ()
  def objective(self, p, state, x, key):
    mean, log_scale = jnp.split(dense(p["head"], mlp(p["enc"], x)), 2, -1)
    scale = jnp.exp(log_scale)
    z = mean + scale * random.normal(key, mean.shape)
    kl = (0.5 * (scale * scale + mean * mean - 1) - log_scale).sum(-1)
    return (log_bernoulli(x, dense(p["out"], mlp(p["dec"], z))) - kl).mean(), state

class Iwae(Vae):
  k = 50
  def objective(self, p, state, x, key):
    mean, log_scale = jnp.split(dense(p["head"], mlp(p["enc"], x)), 2, -1)
    e = random.normal(key, (self.k,) + mean.shape)
    z = mean + jnp.exp(log_scale) * e
    logit = dense(p["out"], mlp(p["dec"], z.reshape(-1, self.latent))).reshape(self.k, len(x), self.n)
    w = log_bernoulli(x, logit) + (0.5 * (e * e - z * z) + log_scale).sum(-1)
    return (logsumexp(w, 0) - math.log(self.k)).mean(), state

class Lvae(Images):
  units, width = (64, 32, 16, 8, 4), (512, 256, 128, 64, 32)
  def make(self, key):
    ins, W, U = (self.n,) + self.width, self.width, self.units
    p = {"up": [make_mlp_bn(key, ins[l], w, w) for l, w in enumerate(W)], "own": [make_dense(key, w, u, u) for w, u in zip(W, U)],
         "down": [make_mlp_bn(key, u, w, w) for w, u in zip(W, U)], "prior": [make_dense(key, w, u, u) for w, u in zip(W[1:], U)],
         "out": make_dense(key, W[0], self.n)}
    return p, {"up": [state_bn((w, w)) for w in W], "down": [state_bn((w, w)) for w in W]}
  def objective(self, p, state, x, key):
    keys, own, d, L = random.split(key, 5), [], x, len(self.units)
    state = {"up": list(state["up"]), "down": list(state["down"])}
    for l in range(L):
      d, state["up"][l] = mlp_bn(p["up"][l], state["up"][l], d)
      m, v = jnp.split(dense(p["own"][l], d), 2, -1)
      own.append((m, softplus(v)))
    m, v = own[-1]
    kl = 0.5 * (m * m + v - 1 - jnp.log(v)).sum(-1)
    z = m + jnp.sqrt(v) * random.normal(keys[L - 1], m.shape)
    for l in range(L - 2, -1, -1):
      h, state["down"][l + 1] = mlp_bn(p["down"][l + 1], state["down"][l + 1], z)
      pm, pv = jnp.split(dense(p["prior"][l], h), 2, -1)
      pv, (om, ov) = softplus(pv), own[l]
      m, v = (om * pv + pm * ov) / (ov + pv), ov * pv / (ov + pv)
      kl += 0.5 * ((v + (m - pm) ** 2) / pv - 1 - jnp.log(v / pv)).sum(-1)
      z = m + jnp.sqrt(v) * random.normal(keys[l], m.shape)
    h, state["down"][0] = mlp_bn(p["down"][0], state["down"][0], z)
    return (log_bernoulli(x, dense(p["out"], h)) - kl).mean(), state

class Sbn(Images):
  hidden = 200
  def make(self, key):
    return {"enc": make_dense(key, self.n, self.hidden), "dec": make_dense(key, self.hidden, self.n, bias=self.start),
            "prior": jnp.zeros(self.hidden)}, (jnp.zeros(()), jnp.zeros(()))
  def objective(self, p, state, x, key):
    a = dense(p["enc"], x)
    q = sigmoid(a)
    h = bits(key, lax.stop_gradient(q))
    log_px = log_bernoulli(x, dense(p["dec"], h))
    kl = (q * (a - p["prior"]) - softplus(a) + softplus(p["prior"])).sum(-1)
    signal = lax.stop_gradient(log_px)
    base = state[0] / jnp.maximum(state[1], 1e-8)
    score = (signal - base) * log_bernoulli(h, a)
    return (log_px - kl + score - lax.stop_gradient(score)).mean(), (0.95 * state[0] + 0.05 * signal.mean(), 0.95 * state[1] + 0.05)

class Darn(Images):
  hidden = 500
  def make(self, key):
    return {"enc": make_dense(key, self.n, self.hidden), "skip": glorot(key(), self.hidden, self.n),
            "prior": make_dense(key, self.hidden, self.hidden), "pixel": make_dense(key, self.n, self.n, bias=self.start)}, ()
  def objective(self, p, state, x, key):
    causal = lambda layer, v: v @ jnp.triu(layer["w"], 1) + layer["b"]                        # output j sees inputs before it
    a = dense(p["enc"], x)
    q = sigmoid(a)
    stop = lax.stop_gradient
    h = bits(key, stop(q))
    h = h + (q - stop(q)) / (2 * stop(jnp.where(h > 0, q, 1 - q)))
    log_px = log_bernoulli(x, causal(p["pixel"], x) + h @ p["skip"])
    return (log_px + log_bernoulli(h, causal(p["prior"], h)) - log_bernoulli(h, a)).mean(), state

class Def:
  rows = batch = 320
  def __init__(self, x, units):
    self.all, self.units, self.words = jnp.asarray(x, jnp.float32), units, x.shape[1]
    self.log_factorial = float(gammaln(self.all + 1).sum())
  def make(self, key):
    u = lambda start, *shape: jnp.full(shape, math.log(math.expm1(start)))
    below = (self.words,) + self.units
    return {"w": [(u(0.5, a, b), u(0.3, a, b)) for a, b in zip(self.units, below)],
            "z": [(u(0.5, self.rows, a), u(1, self.rows, a)) for a in self.units]}, ()
  def data(self, x, idx, key): return x
  def objective(self, p, state, x, key):
    L, total, rate = len(self.units), 0, None
    keys = random.split(key, 2 * L)
    def site(u, key):
      s, mean = softplus(u[0]) + 1e-18, softplus(u[1]) + 1e-18
      r = s / mean
      return s, r, gamma(key, s) / r
    def kl(s, r, a, b):
      return ((s - a) * digamma(s) - gammaln(s) + math.lgamma(a) + a * (jnp.log(r) - jnp.log(b)) + s * (b / r - 1)).sum()
    for l in range(L - 1, -1, -1):
      (ws, wr, w), (zs, zr, z) = site(p["w"][l], keys[2 * l]), site(p["z"][l], keys[2 * l + 1])
      total -= kl(ws, wr, 0.1, 0.3) + kl(zs, zr, 0.3, 0.3 if rate is None else 0.3 / rate)
      rate = z @ w
    return (total + (xlogy(x, rate) - rate).sum() - self.log_factorial) / len(x), state

def gamma_library(key, s): return jnp.maximum(random.gamma(key, s), 1e-37)

@jax.custom_jvp
def gamma_whole(key, s):
  """Marsaglia, Tsang 2000 on whole arrays: again until all are accepted.  On a CPU JAX's own works on one element after the other."""
  d = s + jnp.where(s < 1, 1, 0) - 1 / 3
  c = lax.rsqrt(9 * d)
  def again(carry):
    key, y, done = carry
    key, kn, ku = random.split(key, 3)
    n, u = random.normal(kn, s.shape), random.uniform(ku, s.shape, minval=1e-37)
    v = (1 + c * n) ** 3
    ok = (v > 0) & (jnp.log(u) < 0.5 * n * n + d * (1 - v + jnp.log(jnp.maximum(v, 1e-37))))
    return key, jnp.where(ok & ~done, d * v, y), done | ok
  key, k = random.split(key)
  _, y, _ = lax.while_loop(lambda c: ~c[2].all(), again, (key, d, jnp.zeros(s.shape, bool)))
  boost = jnp.where(s < 1, random.uniform(k, s.shape, minval=1e-37) ** (1 / s), 1)
  return jnp.maximum(y * boost, 1e-37)
@gamma_whole.defjvp
def _(primals, tangents):
  y = gamma_whole(*primals)
  return y, gamma_gradient(primals[1], y) * tangents[1]
gamma = gamma_library

def gamma_gradient(a, x):
  """d x / d a at a draw x, by the three approximations of PyTorch's standard_gamma_grad, chosen by element; lax.random_gamma_grad
  iterates on the whole array until its slowest element is exact."""
  n, d, first, second = 1., a, 1 / a, 1 / (a * a)                                             # x < 0.8: Taylor
  for i in range(1, 6):
    n, d = n * -x / i, d + 1
    first, second = first + n / d, second + n / (d * d)
  small = -x * jnp.exp(x) * ((jnp.log(x) - digamma(a)) * first - second)
  u, v = jnp.log(x / a), jnp.log(a)                                                           # a < 8: rational
  c = [p + u * (q + u * r) for p, q, r in zip(
    (0.16009398, -0.094634809, 0.025146376, -0.0030648343, 1, 0.32668115, 0.10406089, 0.0014179084),
    (0.53487893, 0.1298071, 0.065735949, -0.0015649758, 0.16639465, 0.020070113, -0.0035938915, -0.00058392623),
    (0.040121004, -0.0065914022, -0.0026286047, -0.0013441777, 0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07))]
  middle = jnp.exp((c[0] + v * (c[1] + v * (c[2] + v * c[3]))) / (c[4] + v * (c[5] + v * (c[6] + v * c[7]))))
  b = jnp.maximum(a, 8)                                                                       # else: saddle point (Rice)
  near = jnp.abs(x / b - 1) <= 0.1
  close = ((1 + 24 * b * (1 + 12 * b)) * (1440 * b * b + 6 * x * (53 - 120 * x) - 65 * x * x / b + b * (107 + 3600 * x)) /
           (1244160 * b * b * b * b))
  y = jnp.where(near, 1.5 * b, x)
  root, w = jnp.sqrt(8 * b), jnp.log(y / b)
  t2, t3 = root / (b - y), (y - b - b * w) ** -1.5
  t1 = w * jnp.where(y < b, t2 - t3, t2 + t3) - jnp.sqrt(2 / b) * (b + y) / ((b - y) * (b - y))
  far = -(1 + 1 / (12 * b) * (1 + 1 / (24 * b))) * y * t1 / root
  return jnp.where(x < 0.8, small, jnp.where(a > 8, jnp.where(near, close, far), middle))

WORKLOADS = {                              # model, of the data; learning rate; steps in a scan
  "a":  (lambda g: Vae(g, 100, (200, 200), 50, True), 1e-3, 20),
  "b":  (lambda g: Iwae(g, 20, (200, 200), 50, True), 1e-3, 10),
  "c":  (lambda g: Lvae(g, 256), 1e-3, 10),
  "d":  (lambda g: Vae(g, 32, (32,), 2, False), 1e-3, 100),
  "e":  (lambda x: Def(x, (100, 30, 15)), 1e-2, 5),
  "f1": (lambda g: Sbn(g, 100), 1e-3, 20),
  "f2": (lambda g: Darn(g, 100), 1e-3, 10),
}

def main(workload, path, threads, variant):
  global gamma
  if variant != "step":
    jax.config.update("jax_default_prng_impl", "unsafe_rbg")
    gamma = gamma_whole
  make, lr, block = WORKLOADS[workload]
  if variant != "scan": block = 1
  model = make(np.load(path)["x" if workload == "e" else "grey"])
  opt = optax.adam(lr, eps=1e-8)
  def step(data, carry, idx):
    params, state, moments, key = carry
    key, kx, kz = random.split(key, 3)
    def loss(p):
      value, after = model.objective(p, state, model.data(data, idx, kx), kz)
      return -value, after
    (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params)
    moves, moments = opt.update(grads, moments, params)
    return (optax.apply_updates(params, moves), state, moments, key), -value
  one = jax.jit(lambda data, carry, idx: step(data, carry, idx), donate_argnums=1)
  many = jax.jit(lambda data, carry, idx: lax.scan(partial(step, data), carry, idx), donate_argnums=1)
  params, state = model.make(Keys(random.key(1)))
  carry = (params, state, opt.init(params), random.key(2))
  rng = np.random.default_rng(1)
  def minibatches():
    while True:
      order = rng.permutation(model.rows).astype(np.int32)
      yield from order[:model.rows // model.batch * model.batch].reshape(-1, model.batch)
  idx = minibatches()
  def train(n):
    nonlocal carry
    blocks, values, t = -(-n // block), [], time.perf_counter()
    for _ in range(blocks):
      carry, v = one(model.all, carry, next(idx)) if block == 1 else many(model.all, carry, np.stack([next(idx) for _ in range(block)]))
      values.append(v)
    values = np.concatenate([np.atleast_1d(v) for v in jax.device_get(values)])
    return (time.perf_counter() - t) * 1e3 / len(values), values
  _, first = train(1)
  print(json.dumps({"ready": True, "version": jax.__version__, "first_steps": len(first), "objective": [float(first[0])]}), flush=True)
  for line in sys.stdin:
    ms, values = train(int(line))
    values, first = np.concatenate([first[1:], values]), first[:0]        # the curve: all steps but the first, as ours
    rss = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
    print(json.dumps({"ms": ms, "steps": len(values), "objective": [float(v.mean()) for v in np.array_split(values, min(10, len(values)))],
                      "rss": rss * 1024}), flush=True)

main(*sys.argv[1:5])
