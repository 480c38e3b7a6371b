#!/usr/bin/env python3
"""Writes the files of this folder with the libraries whose formats they are: needs numpy and safetensors.

Every array is 0, 1, 2, ... minus 3 (or plus 0, 10, 20 for `w`), so check_data.c knows what to expect.
The .npz files are called .zip: their content says what they are."""
import os, numpy as np
from safetensors.numpy import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
x = np.arange(24).reshape(2, 3, 4) - 3
for d in ["|i1", "<i2", ">i2", ">u4", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]:
    for order in "CF":
        name = d.replace("<", "little-").replace(">", "big-").replace("|", "")
        np.save("%s-%s.npy" % (name, order), x.astype(d, order=order))
np.save("b1.npy", x > 0)
np.save("scalar.npy", np.float32(-3))
np.save("none.npy", np.zeros((0, 5), "f4"))
for version in (2, 3):
    with open("version%d.npy" % version, "wb") as f:
        np.lib.format.write_array(f, x.astype("<i4"), version=(version, 0))
parts = dict(x=x.astype("i1"), w=np.arange(5) * 10.0, f=np.asfortranarray(x.astype(">f4")))
for save, name in ((np.savez, "stored"), (np.savez_compressed, "deflated")):
    save(name + ".npz", **parts)
    os.rename(name + ".npz", name + ".zip")
save_file(dict(x=x.astype("f4"), i=x.astype("i8"), b=x.astype("i1")), "library.safetensors", dict(step="500", note='"q" \u00e9'))
