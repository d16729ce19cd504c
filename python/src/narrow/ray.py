"""Calibrating, testing and searching on a Ray cluster.

    import narrow.ray

    done = narrow.ray.calibrate("net.onnx", "/data/images", "int_config.json", shards=32)

Each call cuts its work into Ray tasks that run narrow, and folds what they give in a fixed order: the result is, byte
for byte, that of the call of the same name in ``narrow`` on one machine, however many workers there are and whichever
of them die on the way. Ray begins a task again whose worker, or whose narrow process, has died.

narrow-quantizer must be installed on every node, in one version: in the image of the cluster, or by Ray's
``runtime_env``. What is given as an array travels through Ray's object store; a path to samples is read on the workers,
so that it must be there on all of them. A model and a strategy file may lie on the driver alone.

The cluster is that of ``ray.init``; without one, a call begins or finds one as Ray does. Machines whose processors
differ in the last bits of a float32 cannot work on one result: that is refused, naming the machines.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from . import _api, _data, _run
from ._api import Calibration, Found, Metric, Path
from ._client import Array, Client
from ._data import Data
from ._errors import ChildError, NarrowError, UsageError
from ._progress import Bar

try:
    import ray
except ImportError as e:
    raise ImportError(f"narrow.ray needs Ray, which cannot be imported ({e}): pip install 'narrow-quantizer[ray]'") from e


def calibrate(  # noqa: D417 - the others are those of narrow.calibrate
    model: Path | bytes,
    data: Data,
    config: Path | None = None,
    *,
    shards: int | None = None,
    accuracy: str | None = None,
    output_dir: Path = "quantize_result",
    batch_size: int = 16,
    skip_invalid: bool = False,
    keep_integers: bool = False,
    num_cpus: int = 1,
    max_retries: int = 3,
    progress: bool | None = None,
    **options: Any,
) -> Calibration:
    """Find the scales of a network on samples, a shard of them in each task, and write them into a folder.

    The result is that of ``narrow calib --propagate float`` on one machine, byte for byte.

    Args:
        model: as for ``narrow.calibrate``. A model with data in other files must lie on every node.
        data: a file or folder of samples that every node has, or samples as for ``narrow.calibrate``.
        shards: into how many parts the samples are cut; default: one for each num_cpus of the cluster's processors.
            More shards than workers cost little, and lose less where a worker dies.
        accuracy: as for ``narrow.calibrate``; "high" chooses weights after the merge, on the driver.
        output_dir: folder of the results on the driver, made where it is missing.
        num_cpus: processors, and threads of narrow, for each task.
        max_retries: how often Ray begins a task again whose worker died.
        progress: show a bar of shards; default: on a terminal or in a notebook.
        config, batch_size, skip_invalid, keep_integers: as for ``narrow.calibrate``.
        options: further flags of ``narrow calib`` that say how samples are read, such as preprocess="imagenet".

    Raises:
        StrategyError: mistakes in the strategy file, all of them at once, before any task begins.
        NarrowError: a task failed; the message names the shard and the node. Nothing is written.
        ChildError: a task's worker died more than max_retries times.

    """
    accuracy = _api._accuracy(accuracy)
    folder = os.fspath(output_dir)
    _start()
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_api._model_file(model, folder))
        _check(path, config, accuracy)
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="narrow-"))
        job = _job(path, data, config, temporary, batch_size)
        how = {"batch_size": batch_size, "accuracy": accuracy, "skip_invalid": skip_invalid, "keep_integers": keep_integers}
        read = _run.flags({**how, **options})
        job.args += ["--propagate=float", *read]
        files = _shards(job, "calib", "--save-shard", _parts(shards, num_cpus, job), temporary, num_cpus, max_retries, progress)
        file, text = _api._strategy_flag(config)
        merge = ["calib", "--json", "--model", path, "-o", folder, *_run.flags({"config_file": file, "accuracy": accuracy})]
        done = json.loads(_run.command(merge + [f"--from-shards={f}" for f in files], stdin=text))
    return Calibration(folder, path, done["samples"], done["batches"], done["tensors"], done["propagate"])


def test(
    folder: Path | Calibration,
    data: Data,
    *,
    labels: Sequence[int] | Path | None = None,
    shards: int | None = None,
    model: Path | None = None,
    batch_size: int = 16,
    num_cpus: int = 1,
    max_retries: int = 3,
    progress: bool | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Compare a quantized network with the float one, a shard of the samples in each task.

    Returns what ``narrow test --json`` prints: top-1 where there are labels, agreement, SQNR by output.

    Args:
        folder: the result folder, or what calibrate returned.
        data: samples as for calibrate.
        labels: the samples' classes, or a file of them that every node has.
        shards: as for calibrate.
        model: the ONNX model; default: as for ``narrow.Session``.
        batch_size: samples that run at once.
        num_cpus: processors, and threads of narrow, for each task.
        max_retries: how often Ray begins a task again whose worker died.
        progress: show a bar of shards.
        options: further flags of ``narrow test`` that say how samples are read.

    """
    folder, path = _result(folder, model)
    _start()
    with tempfile.TemporaryDirectory(prefix="narrow-") as temporary:
        job = _job(path, data, None, temporary, batch_size)
        for name in _RESULTS:
            if os.path.exists(os.path.join(folder, name)):
                job.files[f"result/{name}"] = _read(os.path.join(folder, name))
        read = [*_run.flags(options)]
        if isinstance(labels, (str, os.PathLike)):
            read.append(f"--labels={os.path.abspath(labels)}")
        elif labels is not None:
            name = os.path.join(temporary, "labels.npy")
            np.save(name, np.asarray(labels, dtype=np.int64))
            job.files["labels.npy"] = _read(name)
            job.args.append(("--labels=", "labels.npy"))
        job.args += [("--output-dir=", "result"), f"--batch-size={batch_size}", *read]
        files = _shards(job, "test", "--save-result", _parts(shards, num_cpus, job), temporary, num_cpus, max_retries, progress)
        merge = ["test", "--json", "--model", path, "-o", folder, *(f"--from-results={f}" for f in files)]
        return json.loads(_run.command(merge))


#: The files of a result folder that a network is made of.
_RESULTS = ("quant_info.json", "bias_corr.json", "ties.json")


def evaluate(
    folder: Path | Calibration,
    data: Data,
    metric: Metric,
    *,
    model: Path | None = None,
    batch_size: int = 16,
    workers: int | None = None,
    num_cpus: int = 1,
    max_retries: int = 3,
    progress: bool | None = None,
) -> float:
    """Return the mean score of a quantized network, or of an ONNX model in float, over samples.

    The score is that of ``narrow.evaluate``, to the bit: the batches are the same, and their sums are added in order.

    Args:
        folder: the result folder, what calibrate returned, or an ONNX model to run in float.
        data: samples as for ``narrow.evaluate``: an array, a dict of arrays or an iterable of batches, which the driver
            goes through once and never holds whole.
        metric: f(outputs, first), as for ``narrow.evaluate``; it is sent to the workers (by cloudpickle).
        model: the ONNX model; default: as for ``narrow.Session``.
        batch_size: samples that run at once, where data is an array.
        workers: tasks at once; default: one for each num_cpus of the cluster's processors.
        num_cpus: processors, and threads of narrow, for each task.
        max_retries: how often Ray begins a task again whose worker died.
        progress: show a bar of samples.

    """
    _start()
    if not isinstance(folder, Calibration) and os.fspath(folder).endswith(".onnx"):
        path, files = os.fspath(folder), {}
    else:
        folder, path = _result(folder, model)
        files = {f"result/{n}": _read(os.path.join(folder, n)) for n in _RESULTS if os.path.exists(os.path.join(folder, n))}
    if _data.is_path(data):
        raise TypeError("evaluate takes samples, not their path: load them, or call test")
    batches = _data.batches(data, _ports(path), batch_size)
    head = next(batches, None)
    if head is None:
        raise UsageError("there are no samples to evaluate on")
    setup = _put(_Network(_ship(path, files), num_cpus, metric, ([head],)))
    workers = _count(workers, num_cpus)
    task = _remote(_evaluate_batch, num_cpus, max_retries, f"{os.path.basename(path)}: samples from {{first}} on")
    scored: list[_Scored] = []
    with _Tasks() as tasks, Bar(progress) as bar:
        whole = _data._numpy(data)
        total = len(whole) if whole is not None and whole.ndim else 0
        first = 0

        def take() -> None:
            for s in tasks.next():
                scored.append(s)
                if s.canary != scored[0].canary:
                    raise NarrowError(
                        f"the first batch gives other values on {s.machine} than on {scored[0].machine}: processors of unlike kinds "
                        "differ in last bits; take machines of one kind"
                    )
            bar({"stage": "evaluate", "done": sum(s.samples for s in scored), "total": total})

        for arrays in itertools.chain([head], batches):
            while len(tasks) >= 2 * workers:
                take()
            tasks.add(task(setup, arrays, first, first=first))
            first += _size(arrays)
        while len(tasks):
            take()
    if first == 0:
        raise UsageError("there are no samples to evaluate on")
    # One after the other: sum adds floats another way from Python 3.12 on.
    mean = 0.0
    for s in scored:
        mean += s.score
    return mean / first


def search(  # noqa: D417 - the others are those of narrow.search
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
    workers: int | None = None,
    num_cpus: int = 1,
    max_retries: int = 3,
    progress: bool | None = None,
) -> Found:
    """Find the cheapest strategy whose accuracy drops by no more than it may; each trial is a task.

    The trials and what is found are those of ``narrow.search``, whatever workers there are. The driver decides one trial
    after the other; beside the one that it waits for, those are measured that are likely to follow, so that some
    measurements are made in vain.

    Args:
        model: as for ``narrow.search``. A model with data in other files must lie on every node.
        data, test_data: as for ``narrow.search``; they are held in the object store.
        metric: as for ``narrow.search``; it is sent to the workers (by cloudpickle), and called on the driver too, for the
            float network.
        workers: trials at once, 1 or more; default: one for each num_cpus of the cluster's processors.
        num_cpus: processors, and threads of narrow, for each trial.
        max_retries: how often Ray begins a trial again whose worker died.
        labels, target, max_drop, seconds, search_samples, seed, batch_size, accuracy, propagate, output, progress: as for
            ``narrow.search``.

    Raises:
        NarrowError: no strategy came within max_drop, a trial or the metric failed, or machines differ.
        ChildError: a trial's worker died more than max_retries times.

    """
    _api._check_search(data, test_data, metric, labels)
    measured_by = _api._measured_by(target, search_samples, seed, accuracy, propagate, labels)
    _start()
    workers = _count(workers, num_cpus)
    with _api._model_file(model, None) as path:
        ports = _ports(path)
        # Held as they are handed over: an iterable is gone through once.
        sets = tuple([list(_data.batches(d, ports, batch_size)) for d in (data, test_data)])
        if not all(sets):
            raise UsageError("there are no samples")
        setup = _put(_Network(_ship(path, {}), num_cpus, metric, sets, measured_by))
        task = _remote(_measure, num_cpus, max_retries, f"{os.path.basename(path)}: a trial")
        scores = _api._scorer(metric)

        def ask(method: str, params: dict[str, Any], arrays: list[Array]) -> Any:
            if method != "trial":
                return scores(method, params, arrays)
            return _Trial(task(setup, params))

        client = Client()
        try:
            opened, _ = client.request("open", {"path": path})
            request: dict[str, Any] = {
                "model": opened["handle"],
                **measured_by,
                "max_drop": max_drop,
                "seconds": seconds,
                "trials": workers,
            }
            for name, batches in zip(("samples", "test"), sets):
                request[name] = _spool(client, opened, batches)
            with Bar(progress) as bar, _reasons():
                done, _ = client.request("search", request, progress=bar, ask=ask)
        finally:
            client.close()
    return _api._found(done, max_drop, output)


# What the driver does.


class _Scored(NamedTuple):
    """What a batch was scored, and where."""

    score: float  # the sum of its samples'
    samples: int
    canary: str  # a hash of what the network gives for the first batch of all
    machine: str


def _size(arrays: list[Array]) -> int:
    return int(arrays[0].data.shape[0]) if arrays and arrays[0].data.ndim else 0


def _start() -> None:
    if not ray.is_initialized():
        ray.init()


def _count(asked: int | None, num_cpus: int) -> int:
    """Return into how many tasks to cut the work."""
    if num_cpus < 1 or asked is not None and asked < 1:
        raise UsageError(f"{num_cpus} processors and {asked} tasks are impossible: give 1 or more")
    return asked or max(int(ray.cluster_resources().get("CPU", 1)) // num_cpus, 1)


def _parts(asked: int | None, num_cpus: int, job: _Job) -> int:
    """Return into how many shards to cut the samples, which is done at multiples of 8."""
    n = _count(asked, num_cpus)
    return min(n, max(job.samples // 8, 1)) if asked is None and job.samples else n


def _check(model: str, config: Path | None, accuracy: str | None) -> None:
    """Refuse a strategy before any task begins; warnings come with the merge."""
    client = Client()
    try:
        opened, _ = client.request("open", {"path": model})
        params = {"model": opened["handle"], **_api._strategy(config)}
        client.request("resolve", {**params, "accuracy": accuracy} if accuracy else params)
    finally:
        client.close()


def _result(folder: Path | Calibration, model: Path | None) -> tuple[str, str]:
    """Return a result folder and its model."""
    if isinstance(folder, Calibration):
        model, folder = model or folder.model, folder.folder
    folder = os.fspath(folder)
    return folder, _api._model_of(folder, model)


def _ports(model: str) -> _data.Ports:
    client = Client()
    try:
        return _data.Ports(client.request("open", {"path": model})[0]["inputs"])
    finally:
        client.close()


def _read(path: str) -> np.ndarray:
    """Return a file's bytes in a form that tasks share instead of copying."""
    return np.fromfile(path, dtype=np.uint8)


def _put(value: Any) -> list[Any]:
    """Put what all tasks need into the object store, once.

    In a list, it is fetched where a task asks for it: a worker that has it already does not.
    """
    return [uuid.uuid4().hex, ray.put(value)]


@dataclass
class _Job:
    """What a task needs to run a command: files by their name in its folder, and arguments.

    An argument in two parts is a flag and the name of such a file, or of a folder of them.
    """

    files: dict[str, np.ndarray]
    args: list[str | tuple[str, str]]
    #: The model's path on the driver, which is taken where it is the same file, and the digest of its bytes.
    model: str
    sha256: str
    #: How many samples there are, 0 where only the workers can tell.
    samples: int = 0

    def place(self, folder: str) -> dict[str, str]:
        """Write the files and return the path of each, and of the folders that they are in."""
        paths = {}
        for name, data in self.files.items():
            path = os.path.join(folder, name)
            if name == "model" and _same(self.model, self.sha256):
                paths[name] = self.model
                continue
            if name == "model":
                path = os.path.join(folder, os.path.basename(self.model))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            data.tofile(path)
            paths[name] = path
            if "/" in name:
                paths[name.split("/")[0]] = os.path.dirname(path)
        return paths


def _ship(model: str, files: dict[str, np.ndarray]) -> _Job:
    try:
        data = _read(model)
    except FileNotFoundError:
        raise NarrowError(f"there is no {model}") from None
    return _Job({"model": data, **files}, [("--model=", "model")], os.path.abspath(model), hashlib.sha256(data.data).hexdigest())


def _job(model: str, data: Data, config: Path | None, temporary: str, batch_size: int) -> _Job:
    job = _ship(model, {})
    file, text = _api._strategy_flag(config)
    if text is not None:
        job.files["strategy/strategy.json"] = np.frombuffer(text.encode(), dtype=np.uint8)
    elif file is not None:
        job.files["strategy/strategy.json"] = _read(file)
    if file is not None:
        job.args.append(("--config-file=", "strategy/strategy.json"))
    if _data.is_path(data):
        job.args.append("--data=" + os.path.abspath(os.fspath(data)))  # type: ignore[arg-type]
    else:
        file = _api._samples_file(data, model, temporary, batch_size)
        job.files["samples.npz"] = _read(file)
        with np.load(file) as arrays:
            job.samples = len(arrays[arrays.files[0]])
        os.unlink(file)
        job.args.append(("--data=", "samples.npz"))
    return job


def _shards(
    job: _Job, command: str, save: str, n: int, temporary: str, num_cpus: int, max_retries: int, progress: bool | None
) -> list[str]:
    """Run a command on every shard and return the files that hold what they gave."""
    task = _remote(_run_shard, num_cpus, max_retries, f"{command}: shard {{shard}}")
    setup = _put(job)
    files: list[str] = []
    with _Tasks() as tasks, Bar(progress) as bar:
        for i in range(1, n + 1):
            tasks.add(task(setup, [command, f"--shard={i}/{n}", f"--threads={num_cpus}"], save, shard=f"{i} of {n}"))
        while len(tasks):
            bar({"stage": "shards", "done": tasks.done, "total": n})
            for data in tasks.next():
                files.append(os.path.join(temporary, f"part-{len(files) + 1}"))
                data.tofile(files[-1])
        bar({"stage": "shards", "done": n, "total": n})
    return files


def _remote(f: Callable[..., Any], num_cpus: int, max_retries: int, name: str) -> Callable[..., Any]:
    """Return a function that begins a task."""
    made = ray.remote(f)
    how = {"num_cpus": num_cpus, "max_retries": max_retries, "retry_exceptions": [ChildError]}

    def begin(*args: Any, **names: Any) -> Any:
        what = name.format(**names)
        return made.options(name=what, **how).remote(what, *args)

    return begin


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Turn Ray's exceptions into narrow's."""
    try:
        yield
    except ray.exceptions.RayTaskError as e:
        cause = e.cause
        if isinstance(cause, NarrowError):
            raise cause from None
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as e:
        raise ChildError(f"a task's worker died as often as Ray began it again: {e}") from e


class _Tasks:
    """Tasks under way, whose results are taken in the order in which they were begun."""

    def __init__(self) -> None:
        self._refs: list[Any] = []  # whose results were not taken
        self._open: list[Any] = []  # that have not ended
        self.done = 0

    def __len__(self) -> int:
        return len(self._refs)

    def add(self, ref: Any) -> None:
        self._refs.append(ref)
        self._open.append(ref)

    def next(self) -> list[Any]:
        """Wait for the end of a task and return the results that come next, if any. A task's failure is raised at once."""
        if self._open:
            ended, self._open = ray.wait(self._open)
            self.done += len(ended)
            with _reasons():
                ray.get(ended)
        out = []
        while self._refs and self._refs[0] not in self._open:
            out.append(ray.get(self._refs.pop(0)))
        return out

    def __enter__(self) -> _Tasks:
        return self

    def __exit__(self, *_: object) -> None:
        for ref in self._open:
            ray.cancel(ref)


class _Trial(Future):  # type: ignore[type-arg]
    """The result of a task; cancelling it cancels the task."""

    def __init__(self, ref: Any) -> None:
        super().__init__()
        self._ref = ref
        ref.future().add_done_callback(self._take)

    def _take(self, done: Future[Any]) -> None:
        if not self.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(done.result())

    def cancel(self) -> bool:
        """Cancel the task."""
        ray.cancel(self._ref)
        return super().cancel()


# What a worker does.


@dataclass
class _Network:
    """What a worker needs to run batches, or to measure trials of a search."""

    job: _Job
    threads: int
    metric: Metric | None
    #: The samples that calibrate and test a search's trials; else the first batch.
    sets: tuple[list[list[Array]], ...]
    measured_by: dict[str, Any] = field(default_factory=dict)


class _Loaded:
    """A network that stays loaded in a worker, from one task to the next."""

    def __init__(self, network: _Network) -> None:
        self.metric = network.metric
        self.canary = ""
        self._folder = tempfile.mkdtemp(prefix="narrow-")
        self.client = Client(network.threads)
        try:
            paths = network.job.place(self._folder)
            opened, _ = self.client.request("open", {"path": paths["model"]})
            if network.measured_by:
                params = {"model": opened["handle"], **network.measured_by}
                for name, batches in zip(("samples", "test"), network.sets):
                    params[name] = _spool(self.client, opened, batches)
                made, _ = self.client.request("evaluator", params, ask=_api._scorer(self.metric))
            elif "result" in paths:
                loaded, _ = self.client.request("load", {"model": opened["handle"], "dir": paths["result"]})
                made, _ = self.client.request("session", {"calibration": loaded["handle"]})
            else:
                made, _ = self.client.request("session", {"model": opened["handle"]})
            self.handle = int(made["handle"])
            if not network.measured_by:
                self.canary = hashlib.sha256(b"".join(a.data.tobytes() for a in self.run(network.sets[0][0]))).hexdigest()
        except BaseException:
            self.close()
            raise

    def run(self, arrays: list[Array]) -> list[Array]:
        return self.client.request("run", {"session": self.handle}, arrays)[1]

    def close(self) -> None:
        self.client.close()
        shutil.rmtree(self._folder, ignore_errors=True)


#: The network that this worker holds, by the key of its setup: one at most.
_held: dict[str, _Loaded] = {}


def _loaded(setup: list[Any]) -> _Loaded:
    """Return the network of a setup, loaded."""
    key, ref = setup
    if key not in _held or not _held[key].client.usable:
        while _held:
            _held.popitem()[1].close()
        _held[key] = _Loaded(ray.get(ref))
    return _held[key]


@contextlib.contextmanager
def _placed(what: str) -> Iterator[None]:
    """Say in errors what failed, and where."""
    try:
        yield
    except NarrowError as e:
        e.args = (f"{what}, on {socket.gethostname()}: {e}",)
        raise


def _same(path: str, sha256: str) -> bool:
    """Tell whether a file is there, with the bytes that the driver's has."""
    try:
        return hashlib.sha256(_read(path).data).hexdigest() == sha256
    except OSError:
        return False


def _run_shard(what: str, setup: list[Any], command: list[str], save: str) -> np.ndarray:
    """Run a command on a shard and return the file that it saved."""
    job: _Job = ray.get(setup[1])
    with _placed(what), tempfile.TemporaryDirectory(prefix="narrow-") as folder:
        paths = job.place(folder)
        out = os.path.join(folder, "part")
        args = [a if isinstance(a, str) else a[0] + paths[a[1]] for a in job.args]
        _run.command([*command, *args, f"{save}={out}"], passes=False)
        return _read(out)


def _evaluate_batch(what: str, setup: list[Any], arrays: list[Array], first: int) -> _Scored:
    """Score a batch."""
    with _placed(what):
        network = _loaded(setup)
        assert network.metric is not None
        scores = _api._scores(network.metric([a.data for a in network.run(arrays)], first), _size(arrays))
        return _Scored(float(sum(scores)), _size(arrays), network.canary, _machine())


def _machine() -> str:
    """Name this machine and its processor, as narrow does."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            processor = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = "an unknown processor"
    return f"{socket.gethostname()} ({processor})"


def _measure(what: str, setup: list[Any], params: dict[str, Any]) -> dict[str, Any]:
    """Make one trial of a search."""
    with _placed(what):
        network = _loaded(setup)
        request = {"evaluator": network.handle, **params}
        return network.client.request("measure", request, ask=_api._scorer(network.metric))[0]


def _spool(client: Client, opened: dict[str, Any], batches: list[list[Array]]) -> int:
    handle = int(client.request("samples", {"model": opened["handle"]})[0]["handle"])
    for arrays in batches:
        client.request("add", {"samples": handle}, arrays)
    return handle


__all__ = ["calibrate", "evaluate", "search", "test"]
