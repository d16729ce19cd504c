import json
import os

import numpy as np
import pytest
from conftest import MODEL, narrow_command, python

import narrow


def info(folder):
    with open(os.path.join(folder, "quant_info.json")) as f:
        out = json.load(f)
    out["model"].pop("path")
    return out


def test_lint_gives_findings_as_data(tmp_path):
    found = narrow.lint('{"overall_quantize_config": {"bit_witdh": 8}, "target_device": "TPU"}')
    assert {f.code for f in found} >= {"unknown-key", "unknown-value"}
    assert found[0].line == 1
    assert found[0].suggestions == ("bit_width",)
    (tmp_path / "good.json").write_text("{}")
    assert narrow.lint(tmp_path / "good.json", MODEL) == []
    with pytest.raises(narrow.NarrowError, match="missing.json"):
        narrow.lint("missing.json")


@pytest.mark.parametrize("accuracy", ["guide", "high"])
def test_calibrate_is_what_the_command_does(pictures, accuracy):
    np.save("x.npy", pictures)
    done = narrow.calibrate(MODEL, pictures, accuracy=accuracy, output_dir="ours", batch_size=12)
    narrow_command("calib", "--model", MODEL, "--data", "x.npy", "--batch-size", 12, "--accuracy", accuracy, "-o", "theirs")
    assert (done.samples, done.batches >= 1) == (40, True)
    assert info("ours") == info("theirs")
    for name in ("bias_corr.json", "ties.json"):
        with open(f"ours/{name}", "rb") as a, open(f"theirs/{name}", "rb") as b:
            assert a.read() == b.read()
    narrow_command("test", "--model", MODEL, "--data", "x.npy", "--batch-size", 12, "-o", "ours", "--save-output", "y.npy")
    with done.session() as s:
        got = np.concatenate([s.run(pictures[i : i + 12])[0] for i in range(0, 40, 12)])
    assert np.array_equal(got, np.load("y.npy"))


def test_high_is_the_default_and_progressive_propagation_means_guide(pictures, monkeypatch, capfd):
    narrow.calibrate(MODEL, pictures, output_dir="default")
    assert info("default")["accuracy"] == "high"
    narrow.calibrate(MODEL, pictures, accuracy="guide", output_dir="guide")
    capfd.readouterr()
    np.save("x.npy", pictures)
    for name, data, said in (("samples", pictures, "accuracy='guide'"), ("file", "x.npy", "--accuracy guide")):
        done = narrow.calibrate(MODEL, data, propagate="progressive", output_dir=name)
        assert done.propagate == "progressive"
        assert info(name) == info("guide")
        assert f"quantizing by {said}: " in capfd.readouterr().err
        with pytest.raises(narrow.UsageError, match="progressive"):
            narrow.calibrate(MODEL, data, accuracy="high", propagate="progressive")
    monkeypatch.setenv("NARROW_ACCURACY", "guide")
    narrow.calibrate(MODEL, pictures, output_dir="env")
    assert info("env") == info("guide")


def test_without_ray_narrow_says_how_to_get_it():
    done = python(["-c", "import sys; sys.modules['ray'] = None; import narrow.ray"], check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("pip install 'narrow-quantizer[ray]'")


def test_samples_come_in_any_form(pictures):
    forms = {
        "array": pictures,
        "dict": {"image": pictures},
        "batches": [pictures[:16], pictures[16:32], pictures[32:]],
        "with labels": [(pictures[i : i + 16], np.zeros(16)) for i in (0, 16, 32)],
        "dicts": ({"image": pictures[i : i + 16], "label": 3} for i in (0, 16, 32)),
        "float64": pictures.astype(np.float64),
    }
    want = None
    for name, data in forms.items():
        narrow.calibrate(MODEL, data, output_dir=name)
        got = info(name)
        want = want or got
        assert got == want, name


def test_a_model_from_bytes(pictures):
    done = narrow.calibrate(MODEL.read_bytes(), pictures, output_dir="out")
    assert done.model == os.path.join("out", "model.onnx")
    assert narrow.Session("out").run(pictures[:2])[0].shape == (2, 10)


def test_mistakes_come_all_at_once_in_the_commands_words(pictures):
    with pytest.raises(narrow.StrategyError) as e:
        narrow.calibrate(MODEL, pictures, '{"overall_quantize_config": {"method": "best", "bit_width": 99}}')
    assert len(e.value.findings) == 2
    assert "it takes one of maxmin" in str(e.value)
    assert "^^^^" in str(e.value)
    assert not os.path.exists("quantize_result")
    with pytest.raises(narrow.UsageError, match="no samples"):
        narrow.calibrate(MODEL, [])
    with pytest.raises(narrow.UsageError, match="takes float32|a batch is a"):
        narrow.calibrate(MODEL, ["a.jpg"])
    with pytest.raises(narrow.NarrowError, match="shape"):
        narrow.calibrate(MODEL, pictures[:, :, :20])
    with pytest.raises(narrow.NarrowError, match="no quantize_result"):
        narrow.Session("quantize_result")


def test_evaluate_and_search_by_a_metric(pictures):
    with narrow.Session(MODEL) as floats:
        want = floats.run(pictures)[0].argmax(1)

        def agree(outputs, first):
            n = len(outputs[0])
            return (outputs[0].argmax(1) == want[first : first + n]).astype(float)

        assert narrow.evaluate(floats, pictures, agree) == 1
    seen = []

    def tested(outputs, first):
        seen.append(first)
        n = len(outputs[0])
        return [float(a == b) for a, b in zip(outputs[0].argmax(1), want[16 + first : 16 + first + n])]

    found = narrow.search(
        MODEL, pictures[:16], pictures[16:], metric=tested, target="CPU", max_drop=0.2, batch_size=4, output="s.json", progress=False
    )
    assert found.drop <= 0.2
    assert found.cost < 0.0625
    assert set(seen) == {0, 4, 8, 12, 16, 20}
    assert not [f for f in narrow.lint("s.json", MODEL) if f.severity != "note"]
    done = narrow.calibrate(MODEL, pictures[:16], "s.json", batch_size=4)
    again = narrow.evaluate(done.session(), pictures[16:], tested, batch_size=4)
    assert again == pytest.approx(found.score)
    layers = narrow.sensitivity(done, pictures[16:], metric=tested)
    assert layers[0].score == min(x.score for x in layers)
    with pytest.raises(ZeroDivisionError):
        narrow.search(MODEL, pictures[:16], pictures[16:], metric=lambda *_: 1 / 0)
    with pytest.raises(narrow.NarrowError, match="3 scores for"):
        narrow.search(MODEL, pictures[:16], pictures[16:], metric=lambda *_: [1, 2, 3])


def test_a_report_shows_itself(pictures):
    done = narrow.calibrate(MODEL, pictures)
    page = narrow.report(done, pictures)
    assert page._repr_html_().startswith("<iframe srcdoc=")
    assert os.path.exists(page.path)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x, out: narrow.calibrate(MODEL, None, output_dir=out), narrow.UsageError, "the samples are a NoneType"),
        (lambda x, out: narrow.calibrate(MODEL, x, output_dir=MODEL), narrow.UsageError, "is a file: name another one"),
        (
            lambda x, out: narrow.calibrate(MODEL, "x.npy", output_dir=out, preproces="unit"),
            narrow.UsageError,
            r"did you mean --preprocess\?$",
        ),
        (
            lambda x, out: narrow.calibrate(MODEL, x, "nowhere.json", output_dir=out),
            narrow.NarrowError,
            "^strategy file nowhere.json: no such file",
        ),
        (lambda x, out: narrow.lint("nowhere.json"), narrow.NarrowError, "^strategy file nowhere.json: no such file"),
        (lambda x, out: narrow.evaluate(narrow.Session(MODEL), "x.npy", lambda o, f: 1.0), TypeError, "samples, not their path"),
        (lambda x, out: narrow.evaluate(narrow.Session(MODEL), x, lambda o, f: None), narrow.UsageError, "returned None"),
        (lambda x, out: narrow.evaluate(narrow.Session(MODEL), x, lambda o, f: float("nan")), narrow.UsageError, "returned NaN"),
    ],
)
def test_mistakes_name_the_way_out(call, error, words, tmp_path) -> None:
    with pytest.raises(error, match=words):
        call(np.zeros((4, 1, 28, 28), np.float32), tmp_path / "out")


def test_raw_pixels_are_noted(tmp_path, capsys) -> None:
    narrow.calibrate(MODEL, np.zeros((4, 1, 28, 28), np.uint8), output_dir=tmp_path / "out")
    assert "uint8 values enter input image as they are" in capsys.readouterr().err
