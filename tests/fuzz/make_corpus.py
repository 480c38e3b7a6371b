#!/usr/bin/env python3
"""Writes the seeds of the data readers' fuzz targets: corpus/NAME/*, tiny files of each kind.

Needs nothing but Python.  The files are kept in the repository; run this after adding one here."""
import gzip, io, os, struct, zipfile, zlib

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(data)

def npy(descr, shape, data, order=False, version=1):
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)
    width = 2 if version == 1 else 4
    text += " " * (-(len(text) + 7 + width) % 16) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + data

def archive(members, method=zipfile.ZIP_STORED, zip64=False):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            with z.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) as f:
                f.write(data)
    return out.getvalue()

def deflated(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()

def tensors(header, data):
    text = header.encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data

small = npy("|u1", "(2, 3)", bytes(range(6)))
reals = npy("<f8", "(2,)", struct.pack("<2d", 1, 2))

save("npy", "u1", small)
save("npy", "f8", reals)
save("npy", "f2", npy("<f2", "(2,)", b"\x00\x3c\x00\xc0"))
save("npy", "scalar", npy("<f4", "()", struct.pack("<f", 3)))
save("npy", "big", npy(">i4", "(3,)", struct.pack(">3i", 1, -2, 3)))
save("npy", "fortran", npy(">i2", "(2, 3)", struct.pack(">6h", *range(6)), order=True))
save("npy", "version2", npy("|b1", "(2,)", b"\0\1", version=2))
save("npy", "empty", npy("<i8", "(0, 4)", b""))

save("npz", "stored", archive([("a.npy", small), ("b.npy", reals)]))
save("npz", "deflated", deflated([("a.npy", small), ("readme.txt", b"hello")]))
save("npz", "zip64", archive([("a.npy", small)], zip64=True))

save("idx", "u8", bytes([0, 0, 8, 2]) + struct.pack(">2I", 2, 3) + bytes(range(6)))
save("idx", "i16", bytes([0, 0, 11, 1]) + struct.pack(">I2h", 2, 1, -2))
save("idx", "f64", bytes([0, 0, 14, 1]) + struct.pack(">Id", 1, 0.5))
save("idx", "gz", gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 3) + b"abc", mtime=0))

save("csv", "plain", b",x,y\n1,2\n3.5,-4e2\n")
save("csv", "bare", b",1,2\n3,4\n")
save("csv", "quoted", b',"a ""b""",\'c\'\r\n"1",2\r\n\r\n')
save("csv", "groups", b",v[0],v[1],w.0,w.1,z.1\n1,2,3,4,5\n")
save("csv", "tabs", b"\tx\ty\nnan\tinf\n")
save("csv", "mark", b",\xef\xbb\xbfx\n123456789012345678901234567890e-5\n")

save("safetensors", "two", tensors(
    '{"__metadata__":{"step":"500"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    '"n":{"dtype":"U8","shape":[1,3],"data_offsets":[8,11]}}', bytes(11)))
save("safetensors", "none", tensors("{}", b""))
save("safetensors", "scalar", tensors('{"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}', bytes(8)))
