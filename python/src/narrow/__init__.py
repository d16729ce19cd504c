"""Post-training quantization of trained networks by a strategy file.

    import narrow

    done = narrow.calibrate("net.onnx", samples, "int_config.json")
    outputs = done.session().run(batch)

This package needs numpy alone; it talks to the narrow binary that it holds. ``narrow.torch`` has vai_q_pytorch's calls for
torch modules, and ``python -m narrow.vai SCRIPT`` runs scripts that were written for it.
"""

from __future__ import annotations

from ._api import Calibration, Found, LayerCost, Metric, Report, Session, calibrate, evaluate, lint, report, search, sensitivity
from ._errors import ChildError, ExportError, Finding, NarrowError, StrategyError, UsageError
from ._version import __version__

__all__ = [
    "Calibration", "ChildError", "ExportError", "Finding", "Found", "LayerCost", "Metric", "NarrowError", "Report", "Session", "StrategyError",
    "UsageError", "__version__", "calibrate", "evaluate", "lint", "report", "search", "sensitivity",
]  # fmt: skip
