#!/usr/bin/env python3
"""Makes arrays/: one .npy for each dtype, byte order and version, written by numpy.

    pip install numpy && python3 arrays.py

All hold the values of np.arange(-3, 9).reshape(2, 3, 2) (plus 3 where the type
is unsigned), in C order or in Fortran's.
"""
import os

import numpy as np

os.makedirs("arrays", exist_ok=True)
base = np.arange(-3, 9).reshape(2, 3, 2)
for code in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
    x = base + (3 if code[0] == "u" else 0)
    for order in "<>":
        if code[1] == "1" and order == ">":
            continue
        a = x.astype(order + code)
        name = "arrays/%s-%s" % (code, "le" if order == "<" else "be")
        np.save(name + ".npy", a)
        np.save(name + "-f.npy", np.asfortranarray(a))
np.save("arrays/b1-le.npy", base % 2 == 1)
for version in [(1, 0), (2, 0), (3, 0)]:
    with open("arrays/version%d.npy" % version[0], "wb") as f:
        np.lib.format.write_array(f, base.astype("f4"), version=version)
np.savez("arrays/stored.npz", image=base.astype("f4"), other=np.arange(2))
np.savez_compressed("arrays/packed.npz", image=base.astype("f4"))
np.save("arrays/objects.npy", np.array([{}, 1], dtype=object))
np.save("arrays/records.npy", np.zeros(3, dtype=[("a", "f4"), ("b", "i4")]))
np.save("arrays/strings.npy", np.array(["a", "b"]))
np.save("arrays/complex.npy", np.zeros(3, "c8"))
np.save("arrays/scalar.npy", np.float32(3))
