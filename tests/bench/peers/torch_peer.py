"""torch_peer.py WORKLOAD DATA THREADS VARIANT: the bench's workloads in PyTorch.

Trains one step, prints {"ready": ...}, then for each number N on stdin trains N steps and prints {"ms", "objective", "rss"}.

Variants:  eager     as a user writes it: modules, torch.distributions where they have it, torch.optim.Adam
           fused     the same without compiling, as an expert: Adam(fused=True), bits by comparison, densities written out
           compiled  torch.compile of minibatch, forward and loss; fused Adam
"""
import json, math, sys, time
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

def dense(n, *widths, bias=None, linear=False):
  """A layer with Glorot's uniform weights; several widths are heads side by side, each with its own range."""
  layer = nn.Linear(n, sum(widths), bias=not linear)
  with torch.no_grad():
    for w in layer.weight.split(widths): nn.init.xavier_uniform_(w)
    if not linear: layer.bias.zero_() if bias is None else layer.bias.copy_(bias)
  return layer

def mlp(n, *widths):
  layers = []
  for m in widths: layers += [dense(n, m), nn.Tanh()]; n = m
  return nn.Sequential(*layers)

def mlp_bn(n, *widths):
  layers = []
  for m in widths: layers += [dense(n, m, linear=True), nn.BatchNorm1d(m, eps=1e-3, momentum=0.1), nn.LeakyReLU(0.01)]; n = m
  return nn.Sequential(*layers)

def log_bernoulli(x, logit): return -F.binary_cross_entropy_with_logits(logit, x, reduction="none").sum(-1)

class Images(nn.Module):
  """What the models of images share: `grey` bytes or numbers in [0, 1], of all rows, and a minibatch's fresh bits."""
  def __init__(self, grey, batch):
    super().__init__()
    grey = grey.reshape(len(grey), -1)
    self.grey, self.batch, self.rows = torch.from_numpy(np.ascontiguousarray(grey)), batch, len(grey)
    mean = torch.from_numpy(grey.mean(0, dtype=np.float64) / (255 if grey.dtype == np.uint8 else 1)).float().clamp(0.001, 0.999)
    self.start = torch.log(mean / (1 - mean))
  def data(self, idx):
    grey = self.grey[idx]
    if grey.dtype == torch.uint8: grey = grey.float() / 255
    if self.simple: return torch.bernoulli(grey)
    return (torch.rand_like(grey) < grey).float()
  def forward(self, idx): return self.objective(self.data(idx))

class Vae(Images):
  def __init__(self, grey, batch, widths, latent, logit_mean):
    super().__init__(grey, batch)
    n = self.grey.shape[1]
    self.enc  = mlp(n, *widths)
    self.head = dense(widths[-1], latent, latent)
    self.dec  = nn.Sequential(mlp(latent, *widths), dense(widths[-1], n, bias=self.start if logit_mean else None))
  def objective(self, x):
    mean, log_scale = self.head(self.enc(x)).chunk(2, -1)
    scale = log_scale.exp()
    z = mean + scale * torch.randn_like(mean)
    kl = (0.5 * (scale * scale + mean * mean - 1) - log_scale).sum(-1)
    return (log_bernoulli(x, self.dec(z)) - kl).mean()

class Iwae(Vae):
  def __init__(self, *a, k): super().__init__(*a); self.k = k
  def objective(self, x):
    mean, log_scale = self.head(self.enc(x)).chunk(2, -1)
    e = torch.randn(self.k, *mean.shape)
    z = mean + log_scale.exp() * e
    logit = self.dec(z)
    w = log_bernoulli(x.expand_as(logit), logit) + (0.5 * (e * e - z * z) + log_scale).sum(-1)
    return (torch.logsumexp(w, 0) - math.log(self.k)).mean()

class Lvae(Images):
  def __init__(self, grey, batch, units, width):
    super().__init__(grey, batch)
    ins = [self.grey.shape[1]] + width
    self.up   = nn.ModuleList(mlp_bn(ins[l], w, w) for l, w in enumerate(width))
    self.own  = nn.ModuleList(dense(w, u, u) for w, u in zip(width, units))
    self.down = nn.ModuleList(mlp_bn(u, w, w) for w, u in zip(width, units))                  # from z[l] to what is below it
    self.prior = nn.ModuleList(dense(w, u, u) for w, u in zip(width[1:], units))
    self.out  = dense(width[0], self.grey.shape[1])
  def objective(self, x):
    own, d = [], x
    for up, head in zip(self.up, self.own):
      d = up(d)
      m, v = head(d).chunk(2, -1)
      own.append((m, F.softplus(v)))
    m, v = own[-1]
    kl = 0.5 * (m * m + v - 1 - v.log()).sum(-1)
    z = m + v.sqrt() * torch.randn_like(m)
    for l in range(len(own) - 2, -1, -1):
      pm, pv = self.prior[l](self.down[l + 1](z)).chunk(2, -1)
      pv = F.softplus(pv)
      om, ov = own[l]
      m, v = (om * pv + pm * ov) / (ov + pv), ov * pv / (ov + pv)
      kl = kl + 0.5 * ((v + (m - pm) ** 2) / pv - 1 - (v / pv).log()).sum(-1)
      z = m + v.sqrt() * torch.randn_like(m)
    return (log_bernoulli(x, self.out(self.down[0](z))) - kl).mean()

class Sbn(Images):
  def __init__(self, grey, batch, hidden):
    super().__init__(grey, batch)
    n = self.grey.shape[1]
    self.enc, self.dec = dense(n, hidden), dense(hidden, n, bias=self.start)
    self.prior = nn.Parameter(torch.zeros(hidden))
    self.register_buffer("base", torch.zeros(2))               # decayed sum of signals and of weights
  def objective(self, x):
    a = self.enc(x)
    q = torch.sigmoid(a)
    h = torch.bernoulli(q.detach()) if self.simple else (torch.rand_like(a) < q).float()
    log_px = log_bernoulli(x, self.dec(h))
    kl = (q * (a - self.prior) - F.softplus(a) + F.softplus(self.prior)).sum(-1)
    signal = log_px.detach()
    base = self.base[0] / self.base[1].clamp_min(1e-8)
    with torch.no_grad(): self.base.copy_(0.95 * self.base + 0.05 * torch.stack([signal.mean(), torch.ones(())]))
    score = (signal - base) * log_bernoulli(h, a)
    return (log_px - kl + score - score.detach()).mean()

class Darn(Images):
  def __init__(self, grey, batch, hidden):
    super().__init__(grey, batch)
    n = self.grey.shape[1]
    self.enc, self.skip = dense(n, hidden), dense(hidden, n, linear=True)
    self.prior, self.pixel = dense(hidden, hidden), dense(n, n, bias=self.start)
  def causal(self, layer, v):
    return F.linear(v, layer.weight.tril(-1), layer.bias)                                     # output j sees inputs before it
  def objective(self, x):
    a = self.enc(x)
    q = torch.sigmoid(a)
    h = torch.bernoulli(q.detach()) if self.simple else (torch.rand_like(a) < q).float()
    h = h + (q - q.detach()) / (2 * torch.where(h > 0, q, 1 - q).detach())
    log_h = lambda logit: (h * logit - F.softplus(logit)).sum(-1)
    return (log_bernoulli(x, self.causal(self.pixel, x) + self.skip(h)) + log_h(self.causal(self.prior, h)) - log_h(a)).mean()

def positive(start, *shape): return nn.Parameter(torch.full(shape, math.log(math.expm1(start))))

class Def(nn.Module):
  rows, batch = 320, 320
  def __init__(self, x, units):
    super().__init__()
    self.x = torch.from_numpy(x.astype(np.float32))
    self.log_factorial = torch.lgamma(self.x + 1).sum()
    below = [x.shape[1]] + units
    self.w = nn.ParameterList(positive(s, units[l], below[l]) for l in range(len(units)) for s in (0.5, 0.3))
    self.z = nn.ParameterList(positive(s, len(x), u) for u in units for s in (0.5, 1))
  def objective(self, x):
    L = len(self.z) // 2
    draw = lambda p, l: torch.distributions.Gamma(s := F.softplus(p[2 * l]) + 1e-18, s / (F.softplus(p[2 * l + 1]) + 1e-18))
    q, total, rate = draw(self.z, L - 1), 0, None
    for l in range(L - 1, -1, -1):
      w, q = draw(self.w, l), draw(self.z, l)
      total = total - self.kl(w, 0.1, 0.3) - self.kl(q, 0.3, 0.3 if rate is None else 0.3 / rate)
      rate = q.rsample() @ w.rsample()
    return (total + (torch.xlogy(x, rate) - rate).sum() - self.log_factorial) / len(x)
  def kl(self, q, a, rate):
    """of two gamma distributions; torch.distributions.kl_divergence is the same, with more passes"""
    if self.simple: return torch.distributions.kl_divergence(q, torch.distributions.Gamma(torch.tensor(a), torch.as_tensor(rate))).sum()
    s, r = q.concentration, q.rate
    rate = torch.as_tensor(rate)
    return ((s - a) * torch.digamma(s) - torch.lgamma(s) + math.lgamma(a) + a * (r.log() - rate.log()) + s * (rate / r - 1)).sum()
  def forward(self, idx): return self.objective(self.x)

WORKLOADS = {                              # model, of the data; learning rate
  "a":  (lambda g: Vae(g, 100, [200, 200], 50, True), 1e-3),
  "b":  (lambda g: Iwae(g, 20, [200, 200], 50, True, k=50), 1e-3),
  "c":  (lambda g: Lvae(g, 256, [64, 32, 16, 8, 4], [512, 256, 128, 64, 32]), 1e-3),
  "d":  (lambda g: Vae(g, 32, [32], 2, False), 1e-3),
  "e":  (lambda x: Def(x, [100, 30, 15]), 1e-2),
  "f1": (lambda g: Sbn(g, 100, 200), 1e-3),
  "f2": (lambda g: Darn(g, 100, 500), 1e-3),
}

def main(workload, path, threads, variant):
  torch.set_num_threads(int(threads))
  torch.manual_seed(1)
  make, lr = WORKLOADS[workload]
  model = make(np.load(path)["x" if workload == "e" else "grey"])
  for m in model.modules(): m.simple = variant == "eager"
  opt = torch.optim.Adam(model.parameters(), lr=lr, **({} if variant == "eager" else {"fused": True}))
  objective = model if variant in ("eager", "fused") else torch.compile(model)
  def step(idx):
    value = objective(idx)
    opt.zero_grad(set_to_none=True)
    (-value).backward()
    opt.step()
    return value.detach()
  def minibatches():
    while True: yield from torch.randperm(model.rows)[:model.rows // model.batch * model.batch].split(model.batch)
  idx = minibatches()
  def train(n):
    t = time.perf_counter()
    values = torch.stack([step(next(idx)).clone() for _ in range(n)])
    return (time.perf_counter() - t) * 1e3 / n, values
  _, first = train(1)
  print(json.dumps({"ready": True, "version": torch.__version__, "objective": first.tolist()}), flush=True)
  for line in sys.stdin:
    ms, values = train(int(line))
    means = [v.mean().item() for v in values.tensor_split(10)]            # the first step is not among them, as in ours
    rss = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))
    print(json.dumps({"ms": ms, "steps": int(line), "objective": means, "rss": rss * 1024}), flush=True)

main(*sys.argv[1:5])
