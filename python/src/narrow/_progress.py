"""How far the work is: a bar of tqdm's where that is installed, else one of our own, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import Any

_NAMES = {
    "calib": "calibrating",
    "refine": "choosing weights",
    "search": "searching",
    "sensitivity": "layers",
    "shards": "shards",
    "evaluate": "evaluating",
}


class Bar:
    """A bar for the progress messages of one request. Without a terminal or a notebook it shows nothing."""

    def __init__(self, show: bool | None = None) -> None:
        self._stage = ""
        self._bar: Any = None
        self._start = 0.0
        self._shown = False
        self._show = show if show is not None else (sys.stderr is not None and sys.stderr.isatty()) or _in_notebook()

    def __call__(self, message: dict[str, Any]) -> None:
        if not self._show:
            return
        stage, done, total = message.get("stage", ""), int(message.get("done", 0)), int(message.get("total", 0))
        text = message.get("text", "")
        if text and not total:
            self._line(text)
            return
        if stage != self._stage:
            self.close()
            self._stage, self._start = stage, time.monotonic()
            self._bar = _tqdm(_NAMES.get(stage, stage), total)
        if self._bar is not None:
            self._bar.n = done
            self._bar.refresh()
        elif total:
            share = min(done / total, 1)
            seconds = time.monotonic() - self._start
            left = f", {seconds / share - seconds:.0f} s left" if 0 < share < 1 else ""
            filled = int(30 * share)
            name = _NAMES.get(stage, stage)
            sys.stderr.write(f"\r{name} [{'#' * filled}{'.' * (30 - filled)}] {done}/{total}{left}\x1b[K")
            sys.stderr.flush()
            self._shown = True

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            sys.stderr.write(text + "\n")

    def close(self) -> None:
        """End the bar, on a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._shown:
            sys.stderr.write("\n")
            self._shown = False
        self._stage = ""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _tqdm(name: str, total: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, desc=name, unit="sample" if name in ("calibrating", "evaluating") else "it", leave=False)


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
