"""The bench's data, as npz without compression, with the standard library alone."""
import ast, io, random, struct, zipfile

def read(path, column):
  """shape, bytes of one column of an npz"""
  with zipfile.ZipFile(path) as z: raw = z.read(column + ".npy")
  n = struct.unpack("<H", raw[8:10])[0]
  return ast.literal_eval(raw[10:10 + n].decode())["shape"], raw[10 + n:]

def write(path, column, kind, shape, content):
  head = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
  head += b" " * (-(len(head) + 11) % 64) + b"\n"
  with zipfile.ZipFile(path, "w") as z:
    z.writestr(column + ".npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content)

def digits(mnist, path):
  """8 x 8 digits: the central 24 x 24 pixels of MNIST, means of blocks of 3 x 3, in [0, 1]"""
  (rows, _, _), grey = read(mnist, "grey")
  pixel = lambda r, c: grey[28 * r + c::784]                 # of all images
  cells = []
  for r in range(2, 26, 3):
    for c in range(2, 26, 3):
      block = [pixel(r + i, c + j) for i in range(3) for j in range(3)]
      cells.append([sum(nine) / 2295 for nine in zip(*block)])
  packer = struct.Struct("<64f")
  out = io.BytesIO()
  for row in zip(*cells): out.write(packer.pack(*row))
  write(path, "grey", "<f4", (rows, 64), out.getvalue())

def counts(path, docs=320, words=4096, topics=30, length=100):
  """Word counts of documents made by sparse topics: Poisson rates theta @ topic, about `length` words a document.  A Poisson's total is
  drawn first, then each word's topic and itself, which is the same distribution."""
  rnd = random.Random(1)
  common = sorted(1 / (w + 10) for w in range(words))                       # as words of a text are: few often, many rarely
  rnd.shuffle(common)
  topic = []
  for _ in range(topics):
    total, sums = 0, []
    for w in range(words): total += common[w] * rnd.gammavariate(0.1, 1); sums.append(total)
    topic.append(sums)
  x = bytearray(docs * words)
  for d in range(docs):
    theta = [rnd.gammavariate(0.3, 1) + 1e-6 for _ in range(topics)]
    n = round(rnd.gammavariate(10, length / 10))
    for t in rnd.choices(range(topics), theta, k=n):
      at = d * words + rnd.choices(range(words), cum_weights=topic[t])[0]
      x[at] = min(x[at] + 1, 255)
  write(path, "x", "|u1", (docs, words), bytes(x))
