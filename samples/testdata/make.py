#!/usr/bin/env python3
"""Makes the images of this folder and what PIL makes of them.

    pip install pillow numpy
    python3 make.py

Each NAME.ext has a NAME.ext.npy: PIL's Image.open(...).convert("RGB"), and
some a NAME.ext.resized.npy: the same, resized by the bilinear filter to the
size that the array has. Written with Pillow 13.0.
"""
import numpy as np
from PIL import Image

rng = np.random.default_rng(7)


def picture(h, w):
    """Colourful, with hard edges and slopes: what interpolation gets wrong."""
    y, x = np.mgrid[0:h, 0:w]
    img = np.stack([
        128 + 100 * np.sin(x / 5.0) * np.cos(y / 9.0),
        255.0 * x / w,
        128 + 90 * np.cos((x + 2 * y) / 7.0)], 2)
    img[h // 4:h // 2, w // 5:w // 2] = (250, 20, 30)
    img[h // 2:, w // 2:w // 2 + 5] = (10, 240, 40)
    img[(x - w * 3 // 4) ** 2 + (y - h // 3) ** 2 < h * h // 30] = (20, 40, 250)
    img += rng.normal(0, 4, img.shape)
    return Image.fromarray(img.clip(0, 255).astype(np.uint8))


def save(name, img, resize=None, **how):
    img.save(name, **how)
    rgb = Image.open(name).convert("RGB")
    np.save(name + ".npy", np.asarray(rgb))
    if resize:
        w, h = resize
        np.save(name + ".resized.npy", np.asarray(rgb.resize((w, h), Image.Resampling.BILINEAR)))


p = picture(45, 61)
save("420.jpg", p, resize=(40, 29), quality=90, subsampling="4:2:0")
save("422.jpg", p, quality=90, subsampling="4:2:2")
save("444.jpg", p, quality=90, subsampling="4:4:4", resize=(97, 80))
save("progressive.jpg", picture(32, 48), quality=85, progressive=True)
save("grey.jpg", p.convert("L"), quality=90, resize=(17, 70))
save("cmyk.jpg", p.convert("CMYK"), quality=95, subsampling="4:4:4")
save("narrow.jpg", picture(20, 3), quality=90, subsampling="4:2:0")

# Pillow does not write 4:4:0. A 4:2:2 file of 32 x 32 has as many units, so that
# its sampling factors can be swapped: another picture, but a valid one.
picture(32, 32).save("440.jpg", quality=90, subsampling="4:2:2")
data = bytearray(open("440.jpg", "rb").read())
sof = data.index(b"\xff\xc0")
assert data[sof + 11] == 0x21
data[sof + 11] = 0x12
open("440.jpg", "wb").write(data)
np.save("440.jpg.npy", np.asarray(Image.open("440.jpg").convert("RGB")))

# Blocks of one colour decode without rounding, so interpolation shows alone.
tiles = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
for sampling in ["4:2:0", "4:2:2"]:
    save("blocks%s.jpg" % sampling.replace(":", ""), Image.fromarray(tiles), quality=100, subsampling=sampling)

rgba = p.convert("RGBA")
rgba.putalpha(Image.fromarray((np.arange(45 * 61) % 256).astype(np.uint8).reshape(45, 61)))
save("rgba.png", rgba, resize=(13, 9))
save("palette.png", p.convert("P", palette=Image.Palette.ADAPTIVE, colors=20))
save("greyalpha.png", p.convert("LA"))
save("screen.gif", p.convert("P", palette=Image.Palette.ADAPTIVE, colors=64))
save("plain.bmp", picture(9, 13))
save("lossy.webp", p, quality=80)
save("lossless.webp", picture(16, 16), lossless=True)
save("alpha.webp", rgba, quality=80)
