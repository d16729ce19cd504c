"""narrow's commands, as child processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from . import _find
from ._errors import ChildError, NarrowError, StrategyError, UsageError


def flags(options: dict[str, Any]) -> list[str]:
    """Turn keyword arguments into flags: batch_size=8 into --batch-size=8, True into --name, None and False into nothing."""
    out = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            out.append(flag)
        elif isinstance(value, (list, tuple)):
            out.append(f"{flag}={','.join(str(v) for v in value)}")
        else:
            out.append(f"{flag}={value}")
    return out


def command(args: Sequence[str], stdin: str | None = None, passes: bool = True) -> str:
    """Run a command and return what it prints on standard output.

    Its warnings and progress go to this process's standard error. Where it fails, its last words are the exception's.
    """
    process = subprocess.Popen(
        [_find.binary(), *args],
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if passes and _is_file(sys.stderr) and sys.stderr.isatty() else subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        out, err = process.communicate(stdin)
    except BaseException:
        process.terminate()
        process.wait(5)
        raise
    if process.returncode < 0:
        raise ChildError(f"narrow {args[0]} {ended_by(-process.returncode)}" + (f":\n{err.strip()}" if err else ""))
    if process.returncode != 0:
        words = (err or "").strip() or f"narrow {args[0]} ended with exit code {process.returncode}"
        raise _error(process.returncode, words)
    if err and passes:
        sys.stderr.write(err)
    return out


def _error(code: int, words: str) -> NarrowError:
    """Make the exception for what a command ended with: findings, or a line of its own behind its name."""
    if code != 2:
        return NarrowError(words.removeprefix("narrow: "))
    lines = words.splitlines()
    if not lines[0].startswith("narrow: "):
        return StrategyError(words)
    return UsageError("\n".join(line for line in lines if "--help" not in line).removeprefix("narrow: "))


def ended_by(number: int) -> str:
    """Say by which signal a process was ended."""
    try:
        how = f"was ended by {signal.Signals(number).name}"
    except ValueError:
        how = f"was ended by signal {number}"
    if number == getattr(signal, "SIGKILL", 9):
        how += " (somebody ended it, or the system was short of memory)"
    return how


def _is_file(stream: Any) -> bool:
    try:
        stream.fileno()
        return True
    except (AttributeError, OSError, ValueError):
        return False
