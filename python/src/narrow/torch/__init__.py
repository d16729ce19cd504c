"""vai_q_pytorch's calls, with narrow behind them.

    from narrow.torch import torch_quantizer

    quantizer = torch_quantizer("calib", model, (example,), quant_config_file="int_config.json")
    for images, _ in loader:
        quantizer.quant_model(images)
    quantizer.export_quant_config()

torch is imported when this package is used. It needs torch 1.13 or newer.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as e:
    raise ImportError("narrow.torch needs torch, which is the user's own to install: pip install torch") from e

from ._custom import register_custom_op
from ._export import export_onnx
from ._inspector import Inspector
from ._quantizer import QatProcessor, QuantModel, dump_xmodel, torch_quantizer

__all__ = ["Inspector", "QatProcessor", "QuantModel", "dump_xmodel", "export_onnx", "register_custom_op", "torch_quantizer"]
