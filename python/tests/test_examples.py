import json
import os

import pytest
from conftest import ROOT, python

pytest.importorskip("torch")
EXAMPLES = ROOT / "examples" / "python"
CONFIGS = ROOT / "examples" / "configs"


@pytest.mark.parametrize("config", ["int_config.json", "bfloat16_config.json", "mix_precision_config.json", None])
def test_the_guides_flow_unchanged(config):
    pytest.importorskip("torchvision")
    flow = ["-m", "narrow.vai", str(EXAMPLES / "guide_flow.py")]
    flags = []
    if config is not None:
        flags = ["--config_file", str(CONFIGS / config)]
    python(flow, "--quant_mode", "float", *flags)
    finetune = ["--fast_finetune"] if config == "int_config.json" else []
    python(flow, "--quant_mode", "calib", *flags, *finetune)
    assert "top-1: " in python(flow, "--quant_mode", "test", *flags, *finetune).stdout
    python(flow, "--quant_mode", "test", "--batch_size", "1", "--subset_len", "1", "--deploy", *flags)
    made = set(os.listdir("quantize_result"))
    assert made >= {"ResNet.onnx", "ResNet.py", "quant_info.json", "bias_corr.json", "ResNet_int.onnx", "ResNet_int.pt"}
    assert ("ResNet_int.xmodel" in made) == (config is None)
    if config is None:
        python(flow, "--quant_mode", "float", "--inspect", "--target", "DPUCZDX8G_ISA1_B4096")
        assert os.path.exists("quantize_result/inspect.txt")


def test_mistakes_end_a_script_in_the_commands_words(tmp_path):
    pytest.importorskip("torchvision")
    (tmp_path / "bad.json").write_text('{"target_device": "TPU"}')
    done = python(["-m", "narrow.vai", EXAMPLES / "guide_flow.py"], "--config_file", "bad.json", check=False)
    assert done.returncode == 2
    assert "bad.json:1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_detector_searched_by_its_own_metric():
    done = python(EXAMPLES / "detector.py", "--seconds", "20")
    assert "found: " in done.stdout
    assert os.path.exists("quantize_result/strategy.json")


def test_a_dict_of_inputs_as_hugging_faces():
    pytest.importorskip("transformers")
    done = python(EXAMPLES / "huggingface.py")
    assert "agree on" in done.stdout


def test_the_notebook_runs():
    with open(EXAMPLES / "notebook.ipynb") as f:
        cells = [c for c in json.load(f)["cells"] if c["cell_type"] == "code"]
    scope = {}
    os.environ["NARROW_EXAMPLE_MODEL"] = str(ROOT / "models" / "fashion_dscnn.onnx")
    for cell in cells:
        code = "".join(cell["source"])
        exec(compile(code, "cell", "exec"), scope)  # noqa: S102
    assert "iframe" in scope["page"]._repr_html_()
