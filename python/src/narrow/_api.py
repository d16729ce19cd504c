"""The library: lint, calibrate, Session, evaluate, sensitivity, search, report."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from . import _data, _run
from ._client import Array, Client
from ._data import Data
from ._errors import Finding, NarrowError, UsageError, findings_of
from ._progress import Bar

Path = Union[str, "os.PathLike[str]"]
#: A function that scores a batch: f(outputs, first). ``outputs`` are the network's outputs in its order, arrays of the shape
#: [N, ...] whose first axis counts the N samples of the batch; ``first`` is the index of the first of them among all samples,
#: from 0. It returns N scores, or one for all of them; higher is better.
Metric = Callable[["list[np.ndarray]", int], Any]


def lint(text_or_path: Path, model: Path | None = None) -> list[Finding]:
    """Return everything that is wrong with a strategy file, warnings and notes too; an empty list where nothing is.

    Args:
        text_or_path: the file, or its text (which begins with "{").
        model: an ONNX model, to check the file's layer rules against too.

    Returns:
        The findings in the order of the file, each with severity, code, line and column (from 1), message and fix.

    Raises:
        NarrowError: the file or the model cannot be read.

    """
    text = os.fspath(text_or_path)
    args = ["lint", "--json"]
    stdin = None
    if text.lstrip().startswith("{") or "\n" in text:
        args, stdin = [*args, "-"], text
    else:
        args.append(text)
    if model is not None:
        args += ["--model", os.fspath(model)]
    client = Client()
    try:
        result, _ = client.request("command", {"args": args, "stdin": stdin or ""})
    finally:
        client.close()
    if not result["stdout"]:
        raise NarrowError(result["stderr"].strip().removeprefix("narrow: "))
    return findings_of(json.loads(result["stdout"])["findings"])


@dataclass(frozen=True)
class Calibration:
    """What a calibration came to.

    ``folder`` holds it (quant_info.json and the files beside it), ``model`` is the ONNX model's path; ``samples`` in
    ``batches`` were seen, ``tensors`` are quantized; ``propagate`` is "float" or "progressive".
    """

    folder: str
    model: str
    samples: int
    batches: int
    tensors: int
    propagate: str

    def session(self) -> Session:
        """Load the quantized network, ready to run."""
        return Session(self.folder, self.model)


def calibrate(
    model: Path | bytes,
    data: Data,
    config: Path | None = None,
    *,
    accuracy: str | None = None,
    output_dir: Path = "quantize_result",
    batch_size: int = 16,
    propagate: str | None = None,
    skip_invalid: bool = False,
    keep_integers: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> Calibration:
    """Find the scales of a network on samples, and write them into a folder.

    Args:
        model: an ONNX model's file, its bytes, or what onnx.load returns.
        data: samples: an array [N, ...] with the shape and type that the network's input takes, preprocessed; a dict of
            such arrays by input; an iterable of batches (a DataLoader is one; of a tuple the inputs come first); or a file
            or folder as the command takes it. 32 samples or more, some hundreds for good ranges.
        config: the strategy file, or its text; default: vai_q_pytorch's defaults for the DPU.
        accuracy: "high" (the best for the target) or "guide" (what vai_q_pytorch does); default: NARROW_ACCURACY, else "high".
        output_dir: folder of the results, made where it is missing.
        batch_size: samples that run at once, 1 or more, where data does not say (batches of an iterable stay as they are).
        propagate: "progressive", which is a part of "guide", or "float"; default: what accuracy asks for.
        skip_invalid: skip tensors that hold NaN or infinity, and count them.
        keep_integers: with "high", for the CPU, keep functions such as SiLU apart from the layers before them, which then run
            in integers, whatever accuracy that costs.
        progress: show a bar; default: on a terminal or in a notebook.
        options: further flags of ``narrow calib``, where data is a file or folder, such as preprocess="imagenet".

    Returns:
        The calibration, whose session() runs the quantized network.

    Raises:
        StrategyError: mistakes in the strategy file, all of them at once, before any sample runs.
        UsageError: samples that do not fit the network.
        NarrowError: anything else, such as a file that cannot be read or values that are not finite. Nothing is written.

    """
    _check_accuracy(accuracy, propagate)
    folder = os.fspath(output_dir)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"the output folder {folder} is a file: name another one as output_dir")
    with _model_file(model, folder) as path:
        if _data.is_path(data):
            args = ["calib", "--json", "--model", path, "--data", os.fspath(data), "-o", folder, f"--batch-size={batch_size}"]  # type: ignore[arg-type]
            file, text = _strategy_flag(config)
            named = {
                "config_file": file,
                "accuracy": accuracy,
                "propagate": propagate,
                "skip_invalid": skip_invalid,
                "keep_integers": keep_integers,
            }
            done = json.loads(_run.command(args + _run.flags({**named, **options}), stdin=text))
            return Calibration(folder, path, done["samples"], done["batches"], done["tensors"], done["propagate"])
        if options:
            raise TypeError(f"calibrate takes no {', '.join(options)} where data holds the samples themselves")
        accuracy = _accuracy(accuracy, propagate)
        client = Client()
        try:
            opened, _ = client.request("open", {"path": path})
            params: dict[str, Any] = {"model": opened["handle"], **_strategy(config)}
            if accuracy:
                params["accuracy"] = accuracy
            plan, _ = client.request("resolve", params)
            _warn(plan)
            samples = _spool(client, opened, data, batch_size)
            with Bar(progress) as bar:
                request = {
                    "plan": plan["handle"],
                    "samples": samples,
                    "skip_invalid": skip_invalid,
                    "keep_integers": keep_integers,
                    "propagate": propagate or "",
                }
                done, _ = client.request("calibrate", request, progress=bar)
            _warn(done)
            os.makedirs(folder, exist_ok=True)
            client.request("save", {"calibration": done["handle"], "dir": folder})
        finally:
            client.close()
        return Calibration(folder, path, done["samples"], done["batches"], done["tensors"], done["propagate"])


class Session:
    """A network that stays loaded: the quantized one of a result folder, or a float one.

    Args:
        folder: a folder that calibrate (or the command, or torch_quantizer) wrote, or an ONNX model to run in float.
        model: the ONNX model of the folder; default: where it was when it was calibrated, or the one .onnx in the folder
            that fits.

    It may be used by several threads, which take turns, and after a fork.

    Raises:
        NarrowError: there is no calibration in the folder, or it is of another model.

    """

    def __init__(self, folder: Path, model: Path | None = None) -> None:
        self._folder = os.fspath(folder)
        self._float = self._folder.endswith(".onnx")
        self._path = self._folder if self._float else _model_of(self._folder, model)
        self._client: Client | None = None
        self._connect()

    def _connect(self) -> Client:
        if self._client is None or not self._client.usable:
            client = Client()
            opened, _ = client.request("open", {"path": self._path})
            if self._float:
                made, _ = client.request("session", {"model": opened["handle"]})
            else:
                loaded, _ = client.request("load", {"model": opened["handle"], "dir": self._folder})
                _warn(loaded)
                made, _ = client.request("session", {"calibration": loaded["handle"]})
            self._client, self._handle = client, int(made["handle"])
            self._ports = _data.Ports(opened["inputs"])
            self._outputs = [str(p["name"]) for p in opened["outputs"]]
        return self._client

    @property
    def model(self) -> str:
        """The ONNX model's file."""
        return self._path

    @property
    def input_names(self) -> list[str]:
        """The names of the network's inputs."""
        return list(self._ports.names)

    @property
    def output_names(self) -> list[str]:
        """The names of the network's outputs."""
        return list(self._outputs)

    def run(self, batch: Any) -> list[np.ndarray]:
        """Run the network over one batch.

        Args:
            batch: an array [N, ...], a tuple with the inputs first, or a dict of arrays by the inputs' names, with the
                shapes and types that the network takes.

        Returns:
            The outputs in the network's order, arrays [N, ...].

        Raises:
            UsageError: arrays that do not fit the network.

        """
        return [a.data for a in self._run(self._ports.arrays(batch))]

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        client = self._connect()
        return client.request("run", {"session": self._handle}, arrays)[1]

    def close(self) -> None:
        """End the process behind the session. Running again begins a new one."""
        if self._client is not None:
            self._client.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def evaluate(session: Session, data: Data, metric: Metric, *, batch_size: int = 16) -> float:
    """Return the mean score of a network over samples.

    Args:
        session: the network, quantized or float.
        data: samples as for calibrate, but no path.
        metric: f(outputs, first), see Metric.
        batch_size: samples that run at once, 1 or more, where data is an array.

    Raises:
        UsageError: no samples, samples that do not fit the network, or a metric that returns another number of scores.

    """
    if _data.is_path(data):
        raise TypeError("evaluate takes samples, not their path: load them, or use the command narrow test")
    total, count = 0.0, 0
    for arrays in _data.batches(data, session._ports, batch_size):
        n = session._ports.count(arrays)
        scores = _scores(metric([a.data for a in session._run(arrays)], count), n)
        total += float(sum(scores))
        count += n
    if count == 0:
        raise UsageError("there are no samples to evaluate on")
    return total / count


@dataclass(frozen=True)
class Found:
    """What a search found.

    ``strategy`` is the text of the strategy file and ``words`` what it does; ``cost`` is the bits of weights times those of
    activations over all multiply-adds, next to float32 (int8 throughout is 0.0625). ``score`` is the quantized and
    ``float_score`` the float network's mean score on the test samples; ``held_out_drop`` is the drop on those samples that
    were not searched on, None where there were none. ``trials`` are all measurements, as docs/search.md describes them.
    """

    strategy: str
    words: str
    cost: float
    score: float
    float_score: float
    held_out_drop: float | None
    complete: bool
    trials: list[dict[str, Any]]

    @property
    def drop(self) -> float:
        """How much lower the quantized network scores."""
        return self.float_score - self.score


def search(
    model: Path | bytes,
    data: Data,
    test_data: Data,
    *,
    metric: Metric | None = None,
    labels: Sequence[int] | None = None,
    target: str = "DPU",
    max_drop: float = 0.01,
    seconds: float = 0,
    search_samples: int = 0,
    seed: int = 0,
    batch_size: int = 16,
    accuracy: str | None = None,
    propagate: str | None = None,
    output: Path | None = None,
    progress: bool | None = None,
) -> Found:
    """Find the cheapest strategy whose accuracy drops by no more than it may.

    Args:
        model: an ONNX model's file, or its bytes.
        data: samples that calibrate, as for calibrate, but no path.
        test_data: other samples, that score. Two thirds of their batches are searched on; the rest only confirms.
        metric: f(outputs, first), see Metric. It is called for the float network and each trial.
        labels: the test samples' classes instead of a metric: the score is then top-1.
        target: "DPU", "CPU" or "GPU": what the strategy may use.
        max_drop: how much lower than the float network's the mean score may be, in the score's units (0.01 of top-1 is one
            point).
        seconds: begin no trial after this time; 0 for no limit.
        search_samples: search on at most this many test samples; 0 for 2000.
        seed: of which batches are searched on.
        batch_size: samples that run at once, where data and test_data are arrays.
        accuracy: as for calibrate; each trial takes its time.
        propagate: as for calibrate.
        output: where to write the strategy file.
        progress: show trials; default: on a terminal or in a notebook.

    Raises:
        TypeError: not exactly one of metric and labels, or a path as samples.
        NarrowError: no strategy came within max_drop, or the metric failed.

    """
    _check_search(data, test_data, metric, labels)
    measured_by = _measured_by(target, search_samples, seed, accuracy, propagate, labels)
    with _model_file(model, None) as path:
        client = Client()
        try:
            opened, _ = client.request("open", {"path": path})
            request = {
                **_search_samples(client, opened, data, test_data, batch_size),
                **measured_by,
                "max_drop": max_drop,
                "seconds": seconds,
            }
            with Bar(progress) as bar:
                done, _ = client.request("search", request, progress=bar, ask=_scorer(metric))
        finally:
            client.close()
    return _found(done, max_drop, output)


def _check_search(data: Data, test_data: Data, metric: Metric | None, labels: Sequence[int] | None) -> None:
    if (metric is None) == (labels is None):
        raise TypeError("search takes a metric or labels: give one of them")
    if _data.is_path(data) or _data.is_path(test_data):
        raise TypeError("search takes samples, not their path: load them, or use the command narrow search")


def _measured_by(
    target: str, search_samples: int, seed: int, accuracy: str | None, propagate: str | None, labels: Sequence[int] | None
) -> dict[str, Any]:
    """Return what strategies are measured by, but for the samples."""
    how = {"accuracy": _accuracy(accuracy, propagate) or "", "propagate": propagate or ""}
    return {"target": target, "search_samples": search_samples, "seed": seed, **how, **_labels(labels)}


def _labels(labels: Sequence[int] | None) -> dict[str, Any]:
    return {} if labels is None else {"labels": [int(x) for x in labels]}


def _search_samples(client: Client, opened: dict[str, Any], data: Any, test_data: Any, batch_size: int) -> dict[str, int]:
    """Hand over the samples of a search; the result names the model and both sets."""
    return {
        "model": opened["handle"],
        "samples": _spool(client, opened, data, batch_size),
        "test": _spool(client, opened, test_data, batch_size),
    }


def _scorer(metric: Metric | None) -> Callable[[str, dict[str, Any], list[Array]], Any]:
    """Return what answers narrow's questions by a metric."""

    def ask(method: str, params: dict[str, Any], arrays: list[Array]) -> Any:
        if method != "metric" or metric is None:
            raise NarrowError(f"narrow asks for {method}, which this version does not know")
        return _scores(metric([a.data for a in arrays], int(params["first"])), int(params["count"]))

    return ask


def _found(done: dict[str, Any], max_drop: float, output: Path | None) -> Found:
    """Read what a search found, and write its strategy file."""
    if not done["found"]:
        cut = "" if done["complete"] else "; the time was up: give more seconds"
        raise NarrowError(
            f"none of {len(done['trials'])} trials came within {max_drop} of the float network's score, {done['float']:.4f}{cut}"
        )
    promise = done["promise"]
    held = promise.get("held_out")
    found = Found(
        done["strategy"], done["words"], done["cost"], promise["quantized_top1"], promise["float_top1"],
        None if held is None else _drop(held), done["complete"], done["trials"],
    )  # fmt: skip
    if output is not None:
        with open(output, "w", encoding="utf-8") as f:
            f.write(found.strategy)
    return found


def _drop(score: dict[str, Any]) -> float:
    n = max(int(score["samples"]), 1)
    m = score.get("metric")
    return float((m["float"] - m["quantized"]) / n if m else (score["lost"] - score["gained"]) / n)


@dataclass(frozen=True)
class LayerCost:
    """What quantizing one layer alone costs, everything else in float.

    ``name`` is what a layer rule calls the layer. ``sqnr_db`` is that of the network's worst output next to the float
    network's, in dB (infinite where nothing differs); ``score`` the mean score, None without a metric; ``top1_drop`` the
    share of samples lost (0 to 1, negative where more are right), None without labels.
    """

    name: str
    type: str
    module: str
    sqnr_db: float
    score: float | None
    top1_drop: float | None


def sensitivity(
    folder: Path | Calibration,
    data: Data,
    *,
    metric: Metric | None = None,
    labels: Sequence[int] | None = None,
    model: Path | None = None,
    batch_size: int = 16,
    progress: bool | None = None,
) -> list[LayerCost]:
    """Return what quantizing each layer alone costs, the one that costs most first.

    Args:
        folder: the result folder, or what calibrate returned.
        data: samples to run, as for calibrate, but no path; they are held in memory.
        metric: f(outputs, first), see Metric; the layers are then ranked by the mean score.
        labels: the samples' classes; the layers are then ranked by top-1.
        model: the ONNX model; default: as for Session.
        batch_size: samples that are handed over at once, where data is an array.
        progress: show a bar; default: on a terminal or in a notebook.

    Raises:
        TypeError: a path as samples.
        NarrowError: there is no calibration in the folder, or it is of another model.

    """
    if isinstance(folder, Calibration):
        model, folder = model or folder.model, folder.folder
    if _data.is_path(data):
        raise TypeError("sensitivity takes samples, not their path: load them, or use the command narrow sensitivity")

    def ask(_method: str, params: dict[str, Any], arrays: list[Array]) -> Any:
        assert metric is not None
        return _scores(metric([a.data for a in arrays], int(params["first"])), int(params["count"]))

    client = Client()
    try:
        opened, _ = client.request("open", {"path": _model_of(os.fspath(folder), model)})
        loaded, _ = client.request("load", {"model": opened["handle"], "dir": os.fspath(folder)})
        request: dict[str, Any] = {
            "calibration": loaded["handle"],
            "samples": _spool(client, opened, data, batch_size),
            "metric": metric is not None,
        }
        if labels is not None:
            request["labels"] = [int(x) for x in labels]
        with Bar(progress) as bar:
            ranking, _ = client.request("sensitivity", request, progress=bar, ask=ask)
    finally:
        client.close()
    return [
        LayerCost(x["name"], x["op"], x.get("module", ""), _decibel(x["sqnr_db"]), x.get("metric"), x.get("top1_drop"))
        for x in ranking["layers"]
    ]


def _decibel(value: Any) -> float:
    return float("inf") if value is None else float(value)


class Report:
    """A report's page: ``path`` is the HTML file. In a notebook it shows itself."""

    def __init__(self, path: str, height: int) -> None:
        self.path = path
        self._height = height

    def _repr_html_(self) -> str:
        import html

        with open(self.path, encoding="utf-8") as f:
            page = html.escape(f.read(), quote=True)
        # The page is one file: it goes into the frame as it is, and the notebook keeps it.
        return f'<iframe srcdoc="{page}" style="width:100%;height:{self._height}px;border:1px solid #ccc" title="narrow report"></iframe>'

    def __repr__(self) -> str:
        return f"Report({self.path!r})"


def report(
    folder: Path | Calibration,
    data: Data,
    *,
    model: Path | None = None,
    labels: Sequence[int] | None = None,
    batch_size: int = 16,
    height: int = 800,
    **options: Any,
) -> Report:
    """Write a calibration's report, one HTML file, and show it where this is a notebook.

    Args:
        folder: the result folder, or what calibrate returned.
        data: samples to test on, as for calibrate.
        model: the ONNX model; default: as for Session.
        labels: the samples' classes, for top-1.
        batch_size: samples that run at once.
        height: of the frame in a notebook, in pixels.
        options: further flags of ``narrow report``, such as report_samples=256.

    Returns:
        The page, report.html in the folder.

    """
    if isinstance(folder, Calibration):
        model, folder = model or folder.model, folder.folder
    folder = os.fspath(folder)
    path = _model_of(folder, model)
    with tempfile.TemporaryDirectory(prefix="narrow-") as temporary:
        file = _samples_file(data, path, temporary, batch_size)
        args = ["report", "--json", "--model", path, "--data", file, "-o", folder, f"--batch-size={batch_size}"]
        if labels is not None:
            np.save(os.path.join(temporary, "labels.npy"), np.asarray(labels, dtype=np.int64))
            args += ["--labels", os.path.join(temporary, "labels.npy")]
        _run.command(args + _run.flags(options))
    return Report(os.path.join(folder, "report.html"), height)


def _samples_file(data: Data, model: str, folder: str, batch_size: int) -> str:
    """Return a file with the samples, for a command."""
    if _data.is_path(data):
        return os.fspath(data)  # type: ignore[arg-type]
    client = Client()
    try:
        opened, _ = client.request("open", {"path": model})
    finally:
        client.close()
    ports = _data.Ports(opened["inputs"])
    parts: dict[str, list[np.ndarray]] = {n: [] for n in ports.names}
    for arrays in _data.batches(data, ports, batch_size):
        for a in arrays:
            parts[a.name].append(a.data)
    if not parts[ports.names[0]]:
        raise UsageError("there are no samples")
    file = os.path.join(folder, "samples.npz")
    try:
        whole = {n: np.concatenate(p) for n, p in parts.items()}
    except ValueError as e:
        raise UsageError(f"the samples have different shapes, which a report does not take: {e}") from None
    np.savez(file, **whole)  # type: ignore[arg-type]
    return file


def _scores(value: Any, count: int) -> list[float]:
    if value is None:
        raise UsageError("the metric returned None: return a score for each sample, or one for all")
    a = np.asarray(value, dtype=np.float64).reshape(-1)
    if np.isnan(a).any():
        raise UsageError("the metric returned NaN")
    if a.size == 1 and count != 1:
        return [float(a[0])] * count
    if a.size != count:
        raise UsageError(f"the metric returned {a.size} scores for {count} samples: return one for each, or one for all")
    return [float(x) for x in a]


def _spool(client: Client, opened: dict[str, Any], data: Any, batch_size: int) -> int:
    handle = int(client.request("samples", {"model": opened["handle"]})[0]["handle"])
    ports = _data.Ports(opened["inputs"])
    n = 0
    for arrays in _data.batches(data, ports, batch_size):
        client.request("add", {"samples": handle}, arrays)
        n += 1
    if n == 0:
        raise UsageError("there are no samples")
    return handle


def _warn(result: dict[str, Any]) -> None:
    if result.get("text"):
        sys.stderr.write(result["text"].rstrip() + "\n")


def _accuracy(accuracy: str | None, propagate: str | None = None) -> str | None:
    """Return the way to quantize: the argument, else the environment's; None for the default."""
    _check_accuracy(accuracy, propagate)
    if accuracy:
        return accuracy
    if propagate == "progressive" and os.environ.get("NARROW_ACCURACY") != "guide":
        sys.stderr.write("quantizing by accuracy='guide': progressive propagation is a part of it\n")
        return "guide"
    return os.environ.get("NARROW_ACCURACY") or None


def _check_accuracy(accuracy: str | None, propagate: str | None) -> None:
    if accuracy == "high" and propagate == "progressive":
        raise UsageError("progressive propagation is a part of accuracy='guide' and does not go with 'high': leave one of them out")


def _strategy(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    text = os.fspath(config)
    if text.lstrip().startswith("{") or "\n" in text:
        return {"text": text, "file": "<stdin>"}  # as commands call it
    return {"file": text}


class _Held:
    """A path that may be of a temporary file, which is deleted at the end."""

    def __init__(self, path: str | None, temporary: str | None = None) -> None:
        self._path, self._temporary = path, temporary

    def __enter__(self) -> Any:
        return self._path

    def __exit__(self, *_: object) -> None:
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _strategy_flag(config: Path | None) -> tuple[str | None, str | None]:
    """Return a command's config_file for a strategy, and its standard input."""
    named = _strategy(config)
    return ("-", named["text"]) if "text" in named else (named.get("file"), None)


def _model_file(model: Any, folder: str | None) -> _Held:
    """Return the model as a file: bytes, and what onnx loads, are written, into the result folder where there is one."""
    if isinstance(model, (str, os.PathLike)):
        return _Held(os.fspath(model))
    data = model.SerializeToString() if hasattr(model, "SerializeToString") else model
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"model is a {type(model).__name__}: give the path of an ONNX file, or its bytes; narrow.torch takes torch modules")
    temporary = None
    if folder is None:
        folder = temporary = tempfile.mkdtemp(prefix="narrow-")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.replace(path + ".tmp", path)
    return _Held(path, temporary)


def _model_of(folder: str, model: Path | None) -> str:
    """Return the ONNX model of a result folder."""
    if model is not None:
        return os.fspath(model)
    info = os.path.join(folder, "quant_info.json")
    try:
        with open(info, encoding="utf-8") as f:
            path = str(json.load(f)["model"]["path"])
    except FileNotFoundError:
        raise NarrowError(f"there is no {info}: calibrate first, or give the folder that holds it") from None
    except (ValueError, KeyError, TypeError) as e:
        raise NarrowError(f"{info} cannot be read: {e}") from None
    for candidate in (path, os.path.join(folder, os.path.basename(path))):
        if os.path.exists(candidate):
            return candidate
    raise NarrowError(f"the model of {folder} was {path}, which is not there: give its place as model=")


__all__ = [
    "Calibration",
    "Found",
    "LayerCost",
    "Metric",
    "Report",
    "Session",
    "calibrate",
    "evaluate",
    "lint",
    "report",
    "search",
    "sensitivity",
]
