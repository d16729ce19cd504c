"""The conversation with one narrow process, over its standard input and output.

docs/protocol.md describes the frames. One client has one child process; requests are made one at a time,
from any thread. After a fork the child process of Python's has no part in it: its copies of the pipes are
closed, and it begins a conversation of its own when it needs one.
"""

from __future__ import annotations

import json
import os
import queue
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import IO, Any, NamedTuple

import numpy as np

from . import _find, _run
from ._errors import ChildError, error_of

PROTOCOL = "narrow.serve/1"
_MAGIC = b"NRW1"
_PREFIX = struct.Struct("<4sIQ")
_CANCEL_SECONDS = 0.7
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031

#: numpy's type for each element type of the protocol; numpy has no bfloat16, whose bits come as uint16.
_DTYPES = {
    "float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2", "bool": "|b1",
    "int8": "|i1", "int16": "<i2", "int32": "<i4", "int64": "<i8",
    "uint8": "|u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8",
}  # fmt: skip


class Array(NamedTuple):
    """An array of a frame: the name of the input or output, the element type, the elements."""

    name: str
    type: str
    data: np.ndarray


def array(name: str, data: np.ndarray, type: str | None = None) -> Array:
    """Make an array of a frame from numpy's; type names the elements where numpy's own name does not."""
    kind = type or data.dtype.name
    if kind not in _DTYPES:
        raise TypeError(f"input {name!r}: arrays of {data.dtype} cannot be sent; convert them, such as by astype('float32')")
    data = np.ascontiguousarray(data, dtype=_DTYPES[kind]).reshape(data.shape)
    return Array(name, kind, data)


Progress = Callable[[dict[str, Any]], None]
#: Answers a question of narrow's: method, parameters, arrays. It returns the result, or a Future of it: other questions
#: then come meanwhile. A Future is cancelled where narrow does not need it any more, or the request is over.
Ask = Callable[[str, dict[str, Any], "list[Array]"], Any]

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client:
    """One narrow process and the conversation with it."""

    def __init__(self, threads: int = 0) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._last = 0
        self._partial = False  # a frame is half read or half written
        self._waiting: int | None = None  # the request whose answer is still to come
        self._closed = False
        self._errors: IO[bytes] = tempfile.TemporaryFile(prefix="narrow-stderr-")
        command = [_find.binary(), "serve", "--parent", str(self._pid), "--threads", str(threads)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is Python's to handle
            )
        except OSError as e:
            self._errors.close()
            raise ChildError(f"{command[0]} cannot be run: {e}") from e
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        if sys.platform == "linux":
            import fcntl

            for fd in (self._in, self._out):
                try:
                    fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE_BYTES)
                except OSError:
                    break  # smaller pipes do, slower
        _clients.add(self)
        self._finalizer = weakref.finalize(self, _end, self._process, self._errors, self._pid)
        self.version = str(self.request("hello", {"protocol": PROTOCOL})[0]["version"])

    @property
    def usable(self) -> bool:
        """Whether this process can go on with the conversation."""
        return not self._closed and self._pid == os.getpid()

    def close(self) -> None:
        """End the conversation and the narrow process."""
        if self._pid != os.getpid():
            return
        self._closed = True
        self._finalizer()

    def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        arrays: Sequence[Array] = (),
        progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> tuple[dict[str, Any], list[Array]]:
        """Make a request and wait for its answer: the result, and the arrays that came with it.

        Ctrl-C cancels the request: narrow stops it, or is ended itself where it does not within a second.
        """
        with self._lock:
            if self._pid != os.getpid():
                raise ChildError("this narrow process belongs to the process that forked this one")
            if self._closed:
                raise ChildError("the conversation with narrow has ended")
            self._last += 1
            number = self._last
            header: dict[str, Any] = {"id": number, "method": method}
            if params:
                header["params"] = params
            try:
                self._waiting = number
                self._write(header, arrays)
                return self._converse(number, progress, ask)
            except (BrokenPipeError, EOFError, ConnectionResetError) as e:
                raise self._died() from e
            finally:
                if self._waiting is not None or self._partial:
                    self._abandon(number)

    def _converse(self, number: int, progress: Progress | None, ask: Ask | None) -> tuple[dict[str, Any], list[Array]]:
        later = _Later()
        try:
            while True:
                if sys.platform != "win32":
                    # Where an interrupt loses nothing.
                    wakes: list[Any] = [self._out, *later.wakes()]
                    ready = select.select(wakes, [], [])[0]
                    for n, result in later.done():
                        self._write({"id": number, "reply": n, "result": result}, ())
                    if self._out not in ready:
                        continue
                header, arrays = self._read()
                if header.get("progress") is not None:
                    if progress is not None:
                        progress(header["progress"])
                elif header.get("ask") is not None:
                    question = header["ask"]
                    answer: dict[str, Any] = {"id": number, "reply": question["number"]}
                    if ask is None:
                        answer["error"] = {"message": "nobody answers here"}
                    else:
                        answer["result"] = ask(question["method"], question.get("params") or {}, arrays)
                        if isinstance(answer["result"], Future) and sys.platform == "win32":
                            answer["result"] = answer["result"].result()
                        elif isinstance(answer["result"], Future):
                            later.add(question["number"], answer["result"])
                            continue
                    self._write(answer, ())
                elif header.get("withdraw") is not None:
                    later.withdraw(header["withdraw"])
                elif header.get("id") in (number, None):
                    self._waiting = None
                    if header.get("error") is not None:
                        raise error_of(header["error"])
                    return header.get("result") or {}, arrays
        finally:
            later.close()

    def _abandon(self, number: int) -> None:
        """Give up a request whose answer has not come: cancel it, or end the process."""
        if not self._closed and not self._partial:
            try:
                self._write({"cancel": number}, ())
                until = time.monotonic() + _CANCEL_SECONDS
                while self._waiting is not None:
                    left = until - time.monotonic()
                    if left <= 0 or not select.select([self._out], [], [], left)[0]:
                        break
                    header, _ = self._read()
                    if header.get("id") == number and ("result" in header or "error" in header):
                        self._waiting = None
                if self._waiting is None:
                    return
            except (OSError, EOFError, ValueError):
                pass  # it is gone already
        self._waiting, self._partial = None, False
        self._closed = True
        _kill(self._process)

    def _write(self, header: dict[str, Any], arrays: Sequence[Array]) -> None:
        if arrays:
            header = {**header, "arrays": [{"name": a.name, "type": a.type, "shape": list(a.data.shape)} for a in arrays]}
        text = json.dumps(header).encode()
        total = sum(a.data.nbytes for a in arrays)
        self._partial = True
        self._send(memoryview(_PREFIX.pack(_MAGIC, len(text), total) + text))
        for a in arrays:
            if a.data.nbytes:
                self._send(a.data.reshape(-1).view(np.uint8).data)
        self._partial = False

    def _send(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._in, data) :]

    def _read(self) -> tuple[dict[str, Any], list[Array]]:
        first = bytearray(_PREFIX.size)
        view = memoryview(first)
        n = os.readv(self._out, [view]) if hasattr(os, "readv") else self._read_some(view)
        if n == 0:
            raise EOFError
        self._partial = True
        self._fill(view[n:])
        magic, length, total = _PREFIX.unpack(first)
        if magic != _MAGIC:
            self._closed = True
            _kill(self._process)
            self._partial = False
            raise ChildError(f"{_find.binary()} does not speak {PROTOCOL}: it wrote {bytes(first)!r}")
        text = bytearray(length)
        self._fill(memoryview(text))
        header = json.loads(text)
        arrays = []
        for a in header.get("arrays") or []:
            data = np.empty(a["shape"], _DTYPES[a["type"]])
            if data.nbytes:
                self._fill(data.reshape(-1).view(np.uint8).data)
            total -= data.nbytes
            arrays.append(Array(a.get("name", ""), a["type"], data))
        if total:
            raise ChildError("narrow sent more bytes than it announced")
        self._partial = False
        return header, arrays

    def _fill(self, view: memoryview) -> None:
        while view:
            n = os.readv(self._out, [view]) if hasattr(os, "readv") else self._read_some(view)
            if n == 0:
                raise EOFError
            view = view[n:]

    def _read_some(self, view: memoryview) -> int:
        data = os.read(self._out, len(view))
        view[: len(data)] = data
        return len(data)

    def _died(self) -> ChildError:
        """Say what ended the process."""
        self._closed, self._partial, self._waiting = True, False, None
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            _kill(self._process)
            return ChildError("narrow closed its output without an answer")
        if code < 0:
            how = _run.ended_by(-code)
        else:
            how = f"ended with exit code {code}"
        said = self._said()
        crash = [line for line in said.splitlines() if line.startswith(("fatal error:", "SIG", "panic:", "runtime:", "signal:"))]
        if code == 2 and crash:  # Go's word for a fault in native code, before its stacks
            how, said = "crashed", "\n".join(crash[:3]) + "\nplease report it with the model"
        return ChildError(f"the narrow process {how} before it answered" + (f":\n{said}" if said else ""))

    def _said(self) -> str:
        """Return the end of what the process wrote to standard error."""
        try:
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(0)
            data = self._errors.read(4000) + (b"" if size <= 4000 else b"\n...\n")
            if size > 8000:
                self._errors.seek(size - 4000)
            return (data + self._errors.read(4000)).decode(errors="replace").strip()
        except (OSError, ValueError):
            return ""

    def _forget(self) -> None:
        """In a forked process: close the copies of the pipes, so that the parent's end is the only one."""
        self._lock = threading.RLock()  # a thread that held it does not exist here
        self._closed = True
        self._finalizer.detach()
        for f in (self._process.stdin, self._process.stdout, self._errors):
            try:
                if f is not None:
                    f.close()
            except OSError:
                pass
        self._process.returncode = 0  # not this process's child


class _Later:
    """Questions of a request whose answers are still being computed."""

    def __init__(self) -> None:
        self._open: dict[int, Future[Any]] = {}
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def add(self, number: int, future: Future[Any]) -> None:
        if self._ends is None:
            self._ends = socket.socketpair()
        self._open[number] = future
        future.add_done_callback(lambda _: self._wake(number))

    def _wake(self, number: int) -> None:
        """Tell the conversation, which waits in another thread."""
        self._ended.put(number)
        try:
            assert self._ends is not None
            self._ends[1].send(b"!")
        except OSError:
            pass  # the request is over

    def wakes(self) -> list[socket.socket]:
        return [] if self._ends is None else [self._ends[0]]

    def done(self) -> list[tuple[int, Any]]:
        """Return the answers that have come. The exception of one is raised."""
        if self._ends is None:
            return []
        if select.select([self._ends[0]], [], [], 0)[0]:
            self._ends[0].recv(4096)
        out = []
        while not self._ended.empty():
            number = self._ended.get()
            future = self._open.pop(number, None)
            if future is not None:
                out.append((number, future.result()))
        return out

    def withdraw(self, number: int) -> None:
        future = self._open.pop(number, None)
        if future is not None:
            future.cancel()

    def close(self) -> None:
        for future in self._open.values():
            future.cancel()
        self._open.clear()
        for end in self._ends or ():
            end.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.kill()
        process.wait(5)
    except (OSError, subprocess.TimeoutExpired):
        pass


def _end(process: subprocess.Popen[bytes], errors: IO[bytes], pid: int) -> None:
    """End the process: it goes when its standard input is closed, and is ended where it does not."""
    if os.getpid() != pid:
        return
    for f in (process.stdin, process.stdout):
        try:
            if f is not None:
                f.close()
        except OSError:
            pass
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        _kill(process)
    errors.close()


def _after_fork() -> None:
    for c in list(_clients):
        c._forget()
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
