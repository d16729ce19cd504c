"""Inspector: what of a network an .xmodel can hold, before anything is calibrated."""

from __future__ import annotations

import html
import json
import os
import tempfile
from typing import Any

import torch

from .._client import Client
from .._errors import UsageError
from . import _export


class Inspector:
    """Tell for every layer of a module whether ``export --format xmodel`` can write it, and why not.

    Args:
        name_or_fingerprint: the DPU that the network is for, such as "DPUCZDX8G_ISA1_B4096". It is put into the result and
            nothing more: which operators a certain DPU's compiler takes only AMD's compiler knows.
        quant_config_file: the strategy file to inspect by; default: vai_q_pytorch's defaults for the DPU.

    """

    def __init__(self, name_or_fingerprint: str, quant_config_file: str | None = None) -> None:
        if not isinstance(name_or_fingerprint, str) or not name_or_fingerprint:
            raise UsageError("name_or_fingerprint is empty: give the name of a DPU, such as DPUCZDX8G_ISA1_B4096")
        self._target = name_or_fingerprint
        self._config = quant_config_file

    def inspect(
        self,
        module: torch.nn.Module,
        input_args: Any,
        device: Any = None,
        output_dir: str = "quantize_result",
        verbose_level: int = 1,
        image_format: str | None = None,
    ) -> list[dict[str, Any]]:
        """Write inspect.txt and inspect.svg into output_dir and return what they say of each layer.

        Args:
            module: the trained network.
            input_args: an example of its inputs, as for torch_quantizer.
            device: accepted for vai_q_pytorch's sake.
            output_dir: folder of the two files, made where it is missing.
            verbose_level: 0 prints nothing, 1 what is refused and a summary, 2 every layer.
            image_format: "svg" or None; both write inspect.svg.

        Returns:
            A dict for each layer: name, op, becomes (operators of the .xmodel), refused and fix (text, where it cannot be
            written), notes, quantized (what the strategy does to its tensors).

        """
        if image_format not in (None, "svg"):
            raise NotImplementedError(f"image_format={image_format!r}: narrow draws svg, which browsers and converters take")
        s = _export.examine(module, input_args, None)
        with tempfile.TemporaryDirectory(prefix="narrow-") as folder:
            exported, path = os.path.join(folder, "exported.onnx"), os.path.join(folder, type(module).__name__ + ".onnx")
            _export.export(module, s, exported)
            client = Client()
            try:
                client.request("open", {"path": exported, "save": path, "modules": _export.classes(module)})
                args = ["explain", "--json", "--model", path] + (["--config-file", self._config] if self._config else [])
                layers = _json(client, [*args, "--format", "xmodel"])["layers"]
                tensors = _json(client, args)["tensors"]
            finally:
                client.close()
        by_node: dict[str, list[str]] = {}
        for t in tensors:
            text = f"{t['kind']}: {_setting(t)}" if t["quantized"] else f"{t['kind']}: float ({t['because']})"
            for node in t.get("group") or [t["layer"]]:
                by_node.setdefault(node, []).append(text)
        for layer in layers:
            layer["quantized"] = by_node.get(layer["name"], [])
        refused = [layer for layer in layers if layer.get("refused")]
        text = _text(type(module).__name__, self._target, layers, refused)
        os.makedirs(output_dir, exist_ok=True)
        _write(os.path.join(output_dir, "inspect.txt"), text)
        _write(os.path.join(output_dir, "inspect.svg"), _svg(type(module).__name__, layers))
        if verbose_level > 1:
            print(text)
        elif verbose_level > 0:
            for layer in refused:
                print(f"{layer['name']} ({layer['op']}): {layer['refused']}" + (f"; {layer['fix']}" if layer.get("fix") else ""))
            print(f"{len(layers)} layers, {len(refused)} of which an .xmodel cannot hold; see {os.path.join(output_dir, 'inspect.txt')}")
        return list(layers)


_NOTE = (
    "What follows is what an .xmodel can hold. Which operators a certain DPU runs, and which it leaves to the CPU,\n"
    "only AMD's compiler knows: compile the file for the target to see."
)


def _json(client: Client, args: list[str]) -> Any:
    result, _ = client.request("command", {"args": args})
    if not result["stdout"]:
        raise UsageError(result["stderr"].strip())
    return json.loads(result["stdout"])


def _setting(t: dict[str, Any]) -> str:
    values = {s["key"]: s["value"] for s in t["settings"]}
    if values.get("datatype") != "int":
        return str(values.get("datatype"))
    signed = "" if values.get("signed") else "u"
    channel = ", a scale for each channel" if t.get("axis") is not None else ""
    return f"{signed}int{values.get('bit_width')}, {values.get('scale_type')}{channel}"


def _text(name: str, target: str, layers: list[dict[str, Any]], refused: list[dict[str, Any]]) -> str:
    lines = [f"{name} for {target}: {len(layers)} layers, {len(refused)} of which an .xmodel cannot hold", _NOTE, ""]
    for layer in layers:
        becomes = ", ".join(layer["becomes"]) or "part of its neighbours"
        lines.append(f"{layer['name']} ({layer['op']}): {'REFUSED' if layer.get('refused') else becomes}")
        if layer.get("refused"):
            lines.append(f"    {layer['refused']}")
        if layer.get("fix"):
            lines.append(f"    fix: {layer['fix']}")
        lines += [f"    note: {n}" for n in layer.get("notes") or []]
        lines += [f"    {q}" for q in layer["quantized"]]
    return "\n".join(lines) + "\n"


def _svg(name: str, layers: list[dict[str, Any]]) -> str:
    """Draw the layers below one another, in the network's order: green where they can be written, red where not."""
    row, width = 34, 620
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{row * len(layers) + 50}" font-family="sans-serif" font-size="12">',
        f"<title>{html.escape(name)}</title>",
        f'<text x="10" y="24" font-size="16">{html.escape(name)}</text>',
    ]
    for i, layer in enumerate(layers):
        y = 40 + i * row
        bad = bool(layer.get("refused"))
        label = layer["name"] if len(layer["name"]) <= 52 else layer["name"][:25] + "…" + layer["name"][-26:]
        says = str(layer["refused"]) if bad else ", ".join(layer["becomes"]) or "part of its neighbours"
        parts.append(
            f'<g><title>{html.escape(says)}</title><rect x="10" y="{y}" width="{width - 20}" height="{row - 8}" rx="4" '
            f'fill="{"#fde0dc" if bad else "#e3f4e1"}" stroke="{"#c0392b" if bad else "#2e7d32"}"/>'
            f'<text x="18" y="{y + 17}">{html.escape(label)}</text>'
            f'<text x="{width - 18}" y="{y + 17}" text-anchor="end" fill="#444">{html.escape(layer["op"])}</text></g>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _write(path: str, text: str) -> None:
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".tmp", path)
