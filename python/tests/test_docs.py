"""What the documents quote of the Python package is there: every call's name, and its keywords."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (?=\w+ = narrow\.)", re.MULTILINE)


def blocks() -> list[tuple[str, str]]:
    """Return the documents' blocks of Python, each with the document's name."""
    found = []
    for file in sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), ROOT / "python/README.md"]):
        text = file.read_text()
        found += [(file.name, m.group(1)) for m in BLOCK.finditer(text)]
        found += [(file.name, text[m.end() :].split("\n", 1)[0]) for m in INDENTED.finditer(text)]
    return found


def calls(source: str) -> list[tuple[str, ast.Call]]:
    """Return the calls of what is narrow's, by its full name."""
    tree = ast.parse(source)
    names = {"narrow": "narrow"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("narrow"):
            names.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            head, _, rest = name.partition(".")
            if head in names:
                found.append((names[head] + (f".{rest}" if rest else ""), node))
    return found


def resolve(name: str):
    """Return what a dotted name stands for, None where it needs a package that is not installed."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError as e:
            if (e.name or "").startswith("narrow"):
                continue
            return None
        except ImportError:
            return None  # narrow.ray without Ray
        for part in parts[n:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(name)


def test_calls_exist() -> None:
    seen = 0
    for file, source in blocks():
        for name, call in calls(source):
            try:
                thing = resolve(name)
            except AttributeError as e:
                raise AssertionError(f"{file}: {name}: {e}") from None
            if thing is None:
                continue
            parameters = inspect.signature(thing).parameters
            open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
            for k in call.keywords:
                assert open_ended or k.arg in parameters, f"{file}: {name} takes no {k.arg}"
            seen += 1
    assert seen > 10, f"only {seen} calls were found"
