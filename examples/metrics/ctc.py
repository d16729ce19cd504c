#!/usr/bin/env python3
"""The character error rate of a recognizer that is trained with CTC (text, speech), for narrow's --metric.

    narrow test ... --lower-is-better --metric "python3 examples/metrics/ctc.py"
    narrow test ... --lower-is-better --metric "python3 examples/metrics/ctc.py --truth text.csv --characters dict.txt"

The output is [N, steps, classes] of scores or logits. The truth is a CSV with the columns name,text: the sample's name as in
samples.csv (or its index); the characters are a file of one a line, that of class 1 first (of class 0 where the blank is last).
Without a truth the float network's text takes its place. Needs numpy alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def main() -> None:
    """Read the command line and print the figures."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="what narrow gives: one array an output, samples.csv, outputs.json")
    p.add_argument("--output", help="name of the output (default: the first one)")
    p.add_argument("--blank", type=int, default=0, help="class of the blank (-1 for the last one)")
    p.add_argument("--truth", type=Path, help="CSV of true texts")
    p.add_argument("--characters", type=Path, help="file of characters, for --truth")
    a = p.parse_args()

    got = [decode(x, a.blank) for x in load(a.folder, a.output)]
    if a.truth:
        if not a.characters:
            sys.exit("--truth needs --characters")
        want, got = texts(a, got)
    elif (a.folder / "float").exists():
        want = [decode(x, a.blank) for x in load(a.folder / "float", a.output)]
    else:  # the float network compared with itself
        want = got
    wrong = sum(distance(w, g) for w, g in zip(want, got))
    exact = sum(list(w) == list(g) for w, g in zip(want, got))
    json.dump({"cer": wrong / max(sum(map(len, want)), 1), "exact": exact / max(len(want), 1)}, sys.stdout)


def load(folder: Path, name: str | None) -> list[np.ndarray]:
    """Return the output of each sample; those of other lengths lie in an .npz."""
    outputs = json.loads((folder / "outputs.json").read_text())
    output = next((o for o in outputs if name in (None, o["name"])), None)
    if output is None:
        sys.exit(f"there is no output {name!r}: there are {[o['name'] for o in outputs]}")
    arrays = np.load(folder / output["file"])
    return [arrays[str(i)] for i in range(len(arrays))] if output["file"].endswith(".npz") else list(arrays)


def decode(x: np.ndarray, blank: int) -> list[int]:
    """Take the best class of each step, without repetitions and blanks (Graves et al. 2006)."""
    x = x.reshape(-1, x.shape[-1])
    blank %= x.shape[-1]
    best = x.argmax(1)
    first = np.concatenate([[True], best[1:] != best[:-1]])
    return [int(c) for c in best[first] if c != blank]


def texts(a: argparse.Namespace, got: list[list[int]]) -> tuple[list[str], list[str]]:
    """Return the true texts, and those of the classes in got, of the samples that have one."""
    characters = a.characters.read_text(encoding="utf-8").split("\n")
    shift = 0 if a.blank == -1 else 1
    with a.truth.open(newline="", encoding="utf-8") as f:
        known = {r["name"]: r["text"] for r in csv.DictReader(f)}
    want, have = [], []
    with (a.folder / "samples.csv").open(newline="", encoding="utf-8") as f:
        for s, g in zip(csv.DictReader(f), got):
            text = known.get(s["name"], known.get(Path(s["name"]).name, known.get(s["index"])))
            if text is None:
                continue
            want.append(text)
            have.append("".join(characters[c - shift] if 0 <= c - shift < len(characters) else "?" for c in g))
    if not want:
        sys.exit(f"{a.truth} has no text of any sample: its names are {list(known)[:3]}")
    return want, have


def distance(a: Sequence[object], b: Sequence[object]) -> int:
    """Count the characters to insert, delete and replace (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


if __name__ == "__main__":
    main()
