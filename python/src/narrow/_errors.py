"""What can go wrong, as exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that narrow noticed in a strategy file, a model or samples.

    ``severity`` is "error", "warning" or "note"; ``code`` a stable name of the check, such as
    "unknown-key"; ``line`` and ``column`` count from 1 and are 0 where there is no place; ``path`` is the
    JSON path of the place; ``fix`` the shortest way out, "" where the message says it.
    """

    severity: str
    code: str
    message: str
    fix: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    suggestions: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else (f"{self.file}: " if self.file else "")
        return f"{place}{self.severity}: {self.message}" + (f" ({self.fix})" if self.fix else "")


def findings_of(data: list[dict[str, Any]] | None) -> list[Finding]:
    """Read findings from narrow's JSON."""
    out = []
    for d in data or []:
        where = d.get("range") or {}
        start = where.get("start") or {}
        out.append(
            Finding(
                severity=d.get("severity", ""),
                code=d.get("code", ""),
                message=d.get("message", ""),
                fix=d.get("fix", "") or "",
                file=where.get("file", "") or "",
                line=int(start.get("line", 0)),
                column=int(start.get("col", 0)),
                path=d.get("path", "") or "",
                suggestions=tuple(d.get("suggestions") or ()),
                data=d,
            )
        )
    return out


class NarrowError(Exception):
    """Anything that narrow refuses or fails at. Its text is what the command prints.

    ``findings`` holds the findings behind it, as data; empty where there are none.
    """

    def __init__(self, message: str, findings: list[Finding] | None = None) -> None:
        super().__init__(message)
        self.findings: list[Finding] = findings or []


class StrategyError(NarrowError, ValueError):
    """Mistakes in a strategy file, all of them at once: see ``findings``."""


class UsageError(NarrowError, ValueError):
    """A call that cannot be meant: arrays of the wrong shape or type, an option that there is not."""


class ExportError(NarrowError):
    """A torch module that cannot be exported to ONNX. The text holds torch's reason and the layer."""


class ChildError(NarrowError):
    """The narrow process died, or speaks another protocol. The text says what ended it."""


def error_of(error: dict[str, Any]) -> NarrowError:
    """Make the exception for an error that narrow answered."""
    kind, message = error.get("kind"), str(error.get("message", ""))
    findings = findings_of(error.get("findings"))
    if kind == "strategy":
        return StrategyError(message, findings)
    if kind == "usage":
        return UsageError(message, findings)
    if kind == "protocol":
        return ChildError(message)
    return NarrowError(message, findings)
