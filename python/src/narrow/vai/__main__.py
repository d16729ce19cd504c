"""python -m narrow.vai SCRIPT ARGS: see the package."""

from __future__ import annotations

import os
import runpy
import sys

from .._errors import NarrowError, StrategyError
from . import install

_USAGE = """usage: python -m narrow.vai SCRIPT [ARGS...]

Runs a script that was written for vai_q_pytorch, unchanged, with narrow behind its calls.
NARROW_ACCURACY=guide computes what vai_q_pytorch does; the default, high, what is best for the target.
"""


def main() -> int:
    """Run the script that the command line names."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.stderr.write(_USAGE)
        return 0 if len(sys.argv) > 1 else 2
    script = sys.argv[1]
    if not os.path.isfile(script):
        sys.stderr.write(f"python -m narrow.vai: {script}: no such file\n")
        return 2
    install()
    sys.argv = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except NarrowError as e:
        if os.environ.get("NARROW_TRACEBACK"):
            raise
        # What narrow has to say is said in its own words; a traceback through it would not say more.
        sys.stderr.write(f"{e}\n")
        return 2 if isinstance(e, StrategyError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
