#!/usr/bin/env python3
"""Writes the wrong data files of this folder.  expected.txt says, file by file, what svi_file_open says.

Needs nothing but Python.  Zip files are called .zip: their content says what they are."""
import gzip, io, os, struct, zipfile

os.chdir(os.path.dirname(os.path.abspath(__file__)))

def save(name, data):
    with open(name, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())

def npy(text, data=b"", version=1):
    text = text.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data

def header(descr="'<f4'", order="False", shape="(2,)"):
    return "{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n" % (descr, order, shape)

# ---- npy ----
save("empty.npy", b"")
save("beginning.npy", b"NUMPY? no")
save("short.npy", b"\x93NUMPY\1\0")
save("version.npy", npy(header(), bytes(8), 1).replace(b"NUMPY\1", b"NUMPY\7"))
save("header.npy", npy(header(), bytes(8))[:30])
save("truncated.npy", npy(header(shape="(60000, 28, 28)", descr="'|u1'"), bytes(1000)))
save("longer.npy", npy(header(), bytes(20)))
save("text.npy", npy(header(descr="'<U5'"), bytes(40)))
save("objects.npy", npy(header(descr="'|O'"), bytes(16)))
save("complex.npy", npy(header(descr="'<c8'"), bytes(16)))
save("long-double.npy", npy(header(descr="'<f16'"), bytes(32)))
save("records.npy", npy(header(descr="[('x', '<f4'), ('y', '<f4')]"), bytes(16)))
save("no-shape.npy", npy("{'descr': '<f4', 'fortran_order': False}", bytes(8)))
save("no-order.npy", npy("{'descr': '<f4', 'shape': (2,)}", bytes(8)))
save("negative.npy", npy(header(shape="(-2,)"), bytes(8)))
save("order.npy", npy(header(order="Maybe"), bytes(8)))
save("unknown-key.npy", npy("{'dtype': '<f4', 'shape': (2,)}", bytes(8)))
save("rank.npy", npy(header(shape="(1, 1, 1, 1, 1, 1, 1, 1, 1)"), bytes(4)))
save("overflow.npy", npy(header(shape="(4294967296, 4294967296, 0)"), b""))

# ---- zip ----
def archive(*members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()

good = npy(header(), bytes(8))
save("truncated.zip", archive(("a.npy", good))[:-30])
save("nothing.zip", archive(("readme.txt", b"no arrays here")))
save("lzma.zip", archive(("a.npy", good), method=zipfile.ZIP_LZMA))
save("checksum.zip", archive(("a.npy", npy(header(), b"12345678")), method=zipfile.ZIP_DEFLATED)
     .replace(struct.pack("<I", __import__("zlib").crc32(npy(header(), b"12345678"))), b"\1\2\3\4"))
save("inner.zip", archive(("image.npy", good[:-3])))
both = archive(("a.npy", good), ("b.npy", good))
save("twice.zip", both.replace(b"b.npy", b"a.npy"))
locked = bytearray(archive(("a.npy", good)))
locked[locked.index(b"PK\1\2") + 8] |= 1
save("locked.zip", bytes(locked))
moved = bytearray(archive(("a.npy", good)))
moved[moved.index(b"PK\1\2") + 42] = 7
save("moved.zip", bytes(moved))

# ---- idx ----
save("truncated-idx3-ubyte", bytes([0, 0, 8, 3]) + struct.pack(">3I", 60000, 28, 28) + bytes(100))
save("longer-idx1-ubyte", bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + bytes(5))
save("header-idx3-ubyte", bytes([0, 0, 8, 3, 0, 0]))
save("type-idx1-ubyte", bytes([0, 0, 7, 1]) + struct.pack(">I", 2) + bytes(2))
save("rank-idx9-ubyte", bytes([0, 0, 8, 9]) + struct.pack(">9I", *[1] * 9) + bytes(1))

# ---- text ----
save("fields.csv", "a,b,c,d,e,f\n" + "1,2,3,4,5,6\n" * 10 + "1,2,3,4,5\n")
save("more.csv", "1,2\n3,4,5\n")
save("word.csv", "age,height\n31,1.80\nunknown,1.75\n")
save("missing.csv", "age,height\n31,\n")
save("blank.csv", "a,b\n1,2\n\n3,4\n")
save("quote.csv", 'a,b\n1,"2\n3",4\n')
save("after-quote.csv", 'a,b\n1,"2"3\n')
save("index.csv", ",a,b\n0,1,2\n")
save("gap.csv", "px[0],px[1],px[3]\n1,2,3\n")
save("same-index.csv", "px[0],px[1],px[1]\n1,2,3\n")
save("same.csv", "a,b,a\n1,2,3\n")
save("no-rows.csv", "a,b\n")
save("spaces.csv", "\n \n")
save("tabs.csv", "a\tb\n1\t2\n")
save("semicolons.csv", "a;b\n1,5;2,5\n")
save("utf16.csv", "a,b\n1,2\n".encode("utf-16"))
save("large.csv", "a\n1e400\n")
save("hex.csv", "a\n0x10\n")
save("comma.tsv", "a\tb\n1,5\t2\n")
save("control.csv", "a\n\x1b[31mred\x07\n")

# ---- safetensors ----
def tensors(text, data=b""):
    return struct.pack("<Q", len(text)) + text.encode() + data

def tensor(name="w", dtype="F32", shape="[2]", offsets="[0,8]"):
    return '"%s":{"dtype":"%s","shape":%s,"data_offsets":%s}' % (name, dtype, shape, offsets)

save("short.safetensors", b"1234")
save("picture.safetensors", b"\x89PNG\r\n\x1a\n" + bytes(20))
save("header.safetensors", tensors("{%s}" % tensor())[:40])
save("syntax.safetensors", tensors("{%s" % tensor(), bytes(8)))
save("after.safetensors", tensors("{%s}x" % tensor(), bytes(8)))
save("half.safetensors", tensors("{%s}" % tensor(dtype="BF16", offsets="[0,4]"), bytes(4)))
save("keys.safetensors", tensors('{"w":{"dtype":"F32","shape":[2]}}', bytes(8)))
save("dimension.safetensors", tensors("{%s}" % tensor(shape="[-2]"), bytes(8)))
save("backwards.safetensors", tensors("{%s}" % tensor(offsets="[8,0]"), bytes(8)))
save("truncated.safetensors", tensors("{%s}" % tensor(), bytes(7)))
save("size.safetensors", tensors("{%s}" % tensor(shape="[3]"), bytes(8)))
save("gap.safetensors", tensors("{%s,%s}" % (tensor(), tensor("v", offsets="[12,20]")), bytes(20)))
save("overlap.safetensors", tensors("{%s,%s}" % (tensor(), tensor("v", offsets="[4,12]")), bytes(12)))
save("rest.safetensors", tensors("{%s}" % tensor(), bytes(9)))
save("same.safetensors", tensors("{%s,%s}" % (tensor(), tensor(offsets="[8,16]")), bytes(16)))
save("metadata.safetensors", tensors('{"__metadata__":{"step":500},%s}' % tensor(), bytes(8)))

# ---- gz, and none of these ----
packed = gzip.compress(b"a,b\n1,2\n", mtime=0)
save("truncated.csv.gz", packed[:-9])
save("damaged.csv.gz", packed[:12] + b"\xff\xff" + packed[14:])
save("plain.csv.gz", b"a,b\n1,2\n")
save("twice.csv.gz", gzip.compress(packed, mtime=0))
save("word.csv.gz", gzip.compress(b"a\nx\n", mtime=0))
save("notes.dat", b'{"not": "data"}')
