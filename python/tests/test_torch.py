import collections
import inspect
import json
import os

import numpy as np
import pytest
from conftest import ROOT, narrow_command

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import narrow  # noqa: E402
import narrow.torch as nt  # noqa: E402
from narrow.torch import QatProcessor, dump_xmodel, register_custom_op, torch_quantizer  # noqa: E402

NEWER = tuple(int(p) for p in torch.__version__.split(".")[:2]) >= (2, 5)
EXPORTERS = [False, True] if NEWER else [False]
CONFIGS = ROOT / "examples" / "configs"


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.Conv2d(n, n, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n), nn.BatchNorm2d(n)
        self.relu = nn.ReLU()  # used twice

    def forward(self, x):
        return self.relu(x + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.layers = nn.Sequential(Block(8), Block(8))
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.layers(self.stem(x)).mean((2, 3))
        return self.fc(x)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def images():
    return torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def quantized(module, args, run, **options):
    """Calibrate on what run puts through, and return the quantizer in test mode."""
    q = torch_quantizer("calib", module, args, **options)
    run(q.quant_model)
    q.export_quant_config()
    return torch_quantizer("test", module, args, **options)


@pytest.mark.parametrize("dynamo", EXPORTERS)
@pytest.mark.parametrize("config", [None, *sorted(p.name for p in CONFIGS.glob("*_config.json"))])
def test_forward_calls_are_what_the_command_does(net, images, config, dynamo):
    file = None if config is None else str(CONFIGS / config)
    if file and "resnet" in file.lower():
        pytest.skip("its rules are of another network")
    text = open(file).read() if file else "{}"
    if "ResNet::" in text:  # a rule for a network of torchvision's
        strategy = narrow.lint(file)
        assert not [f for f in strategy if f.severity == "error"]
        data = json.loads("\n".join(line for line in text.splitlines() if not line.strip().startswith("//")))
        data["layer_quantize_config"] = [r for r in data["layer_quantize_config"] if r["layer_type"]]
        file = "strategy.json"
        with open(file, "w") as f:
            json.dump(data, f)
    q = torch_quantizer("calib", net, (images[:1],), quant_config_file=file, dynamo=dynamo)
    with torch.no_grad():
        for at in range(0, 24, 7):  # the last batch is smaller
            assert torch.equal(q.quant_model(images[at : at + 7]), net(images[at : at + 7]))
    q.export_quant_config()
    np.save("x.npy", images.numpy())
    model = "quantize_result/Net.onnx"
    flags = ["--config-file", file] if file else []
    narrow_command("calib", "--model", model, "--data", "x.npy", "--batch-size", 7, "-o", "theirs", *flags)
    with open("quantize_result/quant_info.json") as a, open("theirs/quant_info.json") as b:
        assert json.load(a) == json.load(b)
    narrow_command("test", "--model", model, "--data", "x.npy", "--batch-size", 7, "--save-output", "y.npy")
    t = torch_quantizer("test", net, (images[:5],), quant_config_file=file, dynamo=dynamo)
    got = torch.cat([t.quant_model(images[at : at + 7]) for at in range(0, 24, 7)])
    assert np.array_equal(got.numpy(), np.load("y.npy"))
    scripted = t.export_torch_script()
    with torch.no_grad():
        assert (torch.jit.load("quantize_result/Net_int.pt")(images) - got).abs().max() <= 0.1 * got.abs().max()
        assert scripted(images[:3]).shape == (3, 5)


@pytest.mark.parametrize("dynamo", EXPORTERS)
def test_names_of_the_listing_are_names_of_rules(net, images, dynamo):
    q = torch_quantizer("calib", net, (images[:2],), dynamo=dynamo)
    q.quant_model(images)
    q.export_quant_config()
    with open("quantize_result/Net.py") as f:
        names = [line.split("#", 1)[1].strip() for line in f if "self.module_" in line and "#" in line]
    assert "Net::input_0" in names
    prefix = "Net::Net/Sequential[layers]/Block[0]/"
    assert [n for n in names if n.startswith(prefix + "Conv2d[conv1]/")]
    assert len([n for n in names if n.startswith(prefix + "ReLU[relu")]) == 2
    assert all(n.startswith("Net::") for n in names), names
    rules = [
        {"layer_type": None, "layer_name": n, "quantizable_data_type": ["activation"], "overall_quantize_config": {"datatype": "float32"}}
        for n in names
    ]
    with open("rules.json", "w") as f:
        json.dump({"layer_quantize_config": rules}, f)
    found = [f for f in narrow.lint("rules.json", "quantize_result/Net.onnx") if f.severity == "error"]
    assert not found
    # A name of an old quantize_result: its last part is of another version.
    rules[0]["layer_name"] = prefix + "Conv2d[conv2]/input.17"
    with open("rules.json", "w") as f:
        json.dump({"layer_quantize_config": rules[:1]}, f)
    assert not [f for f in narrow.lint("rules.json", "quantize_result/Net.onnx") if f.severity == "error"]


Point = collections.namedtuple("Point", "x y")


class Rich(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(3, 6)

    def forward(self, pair, extra=None, *, scale=True):
        u, v = pair["u"], pair["v"]
        y = torch.relu(self.a(u) + self.b(v[0]))
        if extra is not None:
            y = y + extra
        return {"sum": y, "parts": [Point(self.a(u), (self.b(v[0]), 7))], "none": None}


@pytest.mark.parametrize("dynamo", EXPORTERS)
def test_structures_come_back_as_they_are(dynamo):
    torch.manual_seed(0)
    m = Rich().eval()

    def batch(n):
        return {"u": torch.randn(n, 4), "v": (torch.randn(n, 3),)}, torch.randn(n, 6)

    pair, extra = batch(2)

    def run(qm):
        for p, e in (batch(3), batch(8), (pair, extra), batch(1)):
            assert qm(p, extra=e)["none"] is None

    q = torch_quantizer("calib", m, (pair,), {"extra": extra}, dynamo=dynamo)
    run(q.quant_model)
    q.export_quant_config()
    t = torch_quantizer("test", m, (pair, extra), dynamo=dynamo)
    out = t.quant_model(pair, extra)
    want = m(pair, extra)
    assert type(out["parts"][0]) is Point
    assert out["parts"][0].y[1] == 7
    assert out["sum"].shape == want["sum"].shape
    assert (out["sum"] - want["sum"]).abs().mean() < 0.2 * want["sum"].abs().mean()
    with pytest.raises(narrow.UsageError, match="exported for other arguments"):
        t.quant_model(pair)
    with pytest.raises(narrow.UsageError, match="float64"):
        t.quant_model({"u": pair["u"].double(), "v": pair["v"]}, extra)


def test_sizes_that_differ_are_left_open(images):
    torch.manual_seed(0)
    m = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()).eval()
    q = torch_quantizer("calib", m, images[:1])
    for size in (16, 12, 9):
        q.quant_model(images[:4, :, :size, :size])
    q.export_quant_config()
    t = torch_quantizer("test", m, images[:1])
    assert t.quant_model(images[:2, :, :11, :13]).shape == (2, 4, 11, 13)


def test_a_shared_input_is_one_value(images):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x, weights):
            return self.conv(x) * weights

    m = Scaled().eval()
    w = torch.rand(4, 1, 1)
    t = quantized(m, (images[:2], w), lambda qm: [qm(images[:9], w), qm(images[9:], w)])
    assert t.quant_model(images[:5], w).shape == (5, 4, 16, 16)


def test_fast_finetune_is_accuracy_high(net, images):
    q = torch_quantizer("calib", net, (images[:1],))
    q.fast_finetune(lambda qm, x: qm(x), (q.quant_model, images))
    q.export_quant_config()
    with open("quantize_result/quant_info.json") as f:
        assert json.load(f)["accuracy"] == "high"
    t = torch_quantizer("test", net, (images[:1],))
    t.load_ft_param()
    assert t.quant_model(images).shape == (24, 5)


def test_accuracy_comes_from_the_environment(net, images, monkeypatch):
    for level in ("high", "guide"):
        monkeypatch.setenv("NARROW_ACCURACY", level)
        q = torch_quantizer("calib", net, (images[:1],), output_dir=level)
        q.quant_model(images)
        q.export_quant_config()
        with open(f"{level}/quant_info.json") as f:
            assert json.load(f).get("accuracy", "guide") == level


def test_takes_what_calibrate_takes():
    own = set(inspect.signature(narrow.calibrate).parameters) - {"model", "data", "config", "batch_size", "progress", "options"}
    assert own <= set(inspect.signature(torch_quantizer).parameters)


class Loud(nn.Module):
    """One loud channel before a SiLU, and quiet ones that decide: SiLU apart costs much."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 1, bias=False)
        self.each = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        with torch.no_grad():
            rows = [[40, 40, -30, 40], [0.2, -0.1, 0.3, 0.1], [0.1, 0.2, -0.1, -0.3], [-0.2, 0.1, 0.1, 0.3]]
            self.mix.weight.copy_(torch.tensor(rows)[:, :, None, None])
            self.each.weight.copy_(torch.tensor([0.01, 3.0, -2.0, 3.0])[:, None, None, None].expand(4, 1, 3, 3))

    def forward(self, x):
        return self.each(nn.functional.silu(self.mix(x)))


def test_keep_integers(tmp_path):
    strategy = tmp_path / "cpu.json"
    strategy.write_text(
        json.dumps(
            {
                "target_device": "CPU",
                "overall_quantize_config": {
                    "method": "maxmin",
                    "scale_type": "float",
                    "calib_statistic_method": "max",
                    "round_mode": "half_even",
                },
                "tensor_quantize_config": {
                    "weights": {"per_channel": True},
                    "activation": {"symmetry": False},
                    "input": {"symmetry": False},
                },
            }
        )
    )
    x = torch.randn(128, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for keep in (False, True):
        q = torch_quantizer("calib", Loud().eval(), (x[:1],), quant_config_file=str(strategy), output_dir=str(keep), keep_integers=keep)
        q.quant_model(x)
        q.export_quant_config()
        with open(f"{keep}/quant_info.json") as f:
            assert json.load(f).get("functions", {}).get("join", False) != keep


def test_how_samples_calibrate(net, images):
    with pytest.raises(ValueError, match="propagate is 'both'"):
        torch_quantizer("calib", net, (images[:1],), propagate="both")
    with pytest.raises(narrow.UsageError, match="does not go with 'high'"):
        torch_quantizer("calib", net, (images[:1],), propagate="progressive", accuracy="high")
    q = torch_quantizer("calib", net, (images[:1],), propagate="float", accuracy="guide", skip_invalid=True)
    bad = images.clone()
    bad[3] = float("nan")
    q.quant_model(bad)
    q.export_quant_config()
    with open("quantize_result/quant_info.json") as f:
        assert json.load(f)["propagate"] == "float"


def test_one_process_flow_and_exports(net, images, capfd):
    q = torch_quantizer("calib", net, (images[:2],), bitwidth=8)
    q.quantize(lambda x: q.quant_model(x), (images,))
    want = net(images)
    got = q.test(lambda x: q.quant_model(x), (images,))
    assert (got - want).abs().max() < 0.5 * want.abs().max()
    onnx = q.export_onnx_model("out")
    assert onnx == os.path.join("out", "Net_int.onnx")
    ort = pytest.importorskip("onnxruntime", reason="another runtime to load the export") if _has("onnxruntime") else None
    if ort is not None:
        s = ort.InferenceSession(onnx)
        assert s.get_inputs()[0].shape[0] == 2
    q.export_onnx_model("open", dynamic_batch=True)
    assert q.export_xmodel("out", deploy_check=True) == os.path.join("out", "Net_int.xmodel")
    assert os.path.exists("out/deploy_check_data_int/Net/shape.txt") or os.listdir("out/deploy_check_data_int/Net")
    assert dump_xmodel("dumped") == os.path.join("dumped", "Net_int.xmodel")
    c = quantized(net, (images[:2],), lambda qm: qm(images), quant_config_file=str(CONFIGS / "int_config.json"), output_dir="cpu")
    assert c.export_xmodel("cpu") is None
    assert "for the DPU" in capfd.readouterr().err


def _has(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None


def test_what_cannot_be_honoured_says_so(net, images):
    for option in ("lstm", "qat_proc", "mix_bit"):
        with pytest.raises(NotImplementedError, match=option):
            torch_quantizer("calib", net, (images[:1],), **{option: True})
    with pytest.raises(NotImplementedError, match="after training"):
        QatProcessor(net)
    with pytest.raises(ValueError, match="must be 'calib' or 'test'"):
        torch_quantizer("both", net, (images[:1],))
    assert torch_quantizer(0, net, (images[:1],)).quant_model is net
    with pytest.raises(narrow.UsageError, match="no samples to calibrate on"):
        torch_quantizer(1, net, (images[:1],)).export_quant_config()
    with pytest.raises(narrow.NarrowError, match="quant_info.json"):
        torch_quantizer(2, net, (images[:1],))
    with pytest.raises(TypeError, match="do not fit Net.forward"):
        torch_quantizer("calib", net, (images[:1], 3))


def test_mistakes_of_a_strategy_come_before_any_sample(net, images):
    with open("s.json", "w") as f:
        f.write('{"overall_quantize_config": {"method": "best"}, "layer_quantize_config": []}')
    with pytest.raises(narrow.StrategyError, match="s.json:1:") as e:
        torch_quantizer("calib", net, (images[:1],), quant_config_file="s.json")
    assert e.value.findings[0].code == "unknown-value"


def test_another_module_than_the_calibrated_one_is_refused(net, images):
    quantized(net, (images[:1],), lambda qm: qm(images))
    with torch.no_grad():
        net.fc.bias += 1
    with pytest.raises(narrow.NarrowError, match="another model"):
        torch_quantizer("test", net, (images[:1],))


def test_a_module_that_cannot_be_exported_names_the_layer():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.odd = nn.Linear(4, 4), Odd()

        def forward(self, x):
            return self.odd(self.first(x))

    with pytest.raises(narrow.ExportError, match="odd") as e:
        torch_quantizer("calib", Outer().eval(), (torch.rand(2, 4, 4),))
    assert "svd" in str(e.value).lower()


def test_custom_operators_pass_through_in_float(images):
    @register_custom_op(op_type="Mix", attrs_list=["k"])
    def mix(ctx, x, y, k):
        return k * x + (1 - k) * y

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            y = self.conv(x)
            return mix(y, y * 2, 0.25)

    m = Custom().eval()
    q = torch_quantizer("calib", m, (images[:1],))
    q.quant_model(images)
    q.export_quant_config()
    with open("quantize_result/quant_info.json") as f:
        tensors = json.load(f)["tensors"]
    assert not [t for t in tensors if "Mix" in t["layer"] and t["datatype"] != "float32"]


def test_quant_model_is_a_module(net, images):
    q = torch_quantizer("calib", net, (images[:1],), device="cpu")
    qm = q.quant_model.eval().to("cpu")
    assert isinstance(qm, nn.Module)
    assert qm.fc is net.fc
    with pytest.raises(TypeError, match="cannot be pickled"):
        torch.save(qm, "x.pt")


def test_inspector_writes_what_an_xmodel_can_hold(images):
    m = nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(3, 4, 3), act=nn.GELU())).eval()
    layers = nt.Inspector("DPUCZDX8G_ISA1_B4096").inspect(m, (images[:1],), output_dir="inspected")
    assert any(layer.get("refused") for layer in layers)
    with open("inspected/inspect.txt") as f:
        text = f.read()
    assert "REFUSED" in text
    assert "only AMD's compiler knows" in text
    with open("inspected/inspect.svg") as f:
        assert f.read().startswith("<svg")


def test_data_loader_workers(net, images):
    from torch.utils.data import DataLoader, TensorDataset

    q = torch_quantizer("calib", net, (images[:1],))
    for (x,) in DataLoader(TensorDataset(images), batch_size=6, num_workers=2):
        q.quant_model(x)
    q.export_quant_config()
    done = narrow.calibrate(
        "quantize_result/Net.onnx", DataLoader(TensorDataset(images, torch.zeros(24)), batch_size=6), output_dir="again"
    )
    assert (done.samples, done.batches) == (24, 3)  # float propagation runs eight at once
    with open("quantize_result/quant_info.json") as a, open("again/quant_info.json") as b:
        assert json.load(a) == json.load(b)
