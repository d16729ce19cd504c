"""Where the narrow binary is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ._errors import NarrowError


def binary() -> str:
    """Return the path of the narrow binary.

    It is the one that NARROW_BIN names, else the one that the package holds, else the one on the PATH.
    """
    named = os.environ.get("NARROW_BIN")
    if named:
        if not os.path.isfile(named):
            raise NarrowError(f"NARROW_BIN names {named}, which is no file")
        return named
    own = Path(__file__).parent / "_bin" / ("narrow.exe" if sys.platform == "win32" else "narrow")
    if own.is_file():
        return str(own)
    found = shutil.which("narrow")
    if found:
        return found
    raise NarrowError(
        f"the narrow binary was not found: it is neither at {own} nor on the PATH; install the wheel "
        "narrow-quantizer for this platform, or let NARROW_BIN name a binary"
    )
