# SPDX-License-Identifier: Apache-2.0
"""Which layers of a file become int8, and what is refused."""

import numpy as np
import pytest
from tests.commands import fail_command

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
SHAPES = {"first": (16, 64), "second": (64, 64), "kernel": (4, 1, 3), "behind": (14, 64)}
WEIGHTS = {name: RNG.normal(size=shape).astype(np.float32) / 8 for name, shape in SHAPES.items()}


def write_file(path, layers):
    """Write a graph of (operator, weight) one after another, from `signal` (batch, 5, 16) to `logits`."""
    nodes, before = [], "signal"
    for number, (kind, weight) in enumerate(layers):
        inputs = [before, *([weight] if weight else [before] if kind == "MatMul" else [])]
        before = "logits" if number == len(layers) - 1 else f"value_{number}"
        nodes.append(onnx.helper.make_node(kind, inputs, [before], name=f"{kind}_{number}"))
    used = {weight for _, weight in layers if weight}
    values = [onnx.numpy_helper.from_array(WEIGHTS[name], name) for name in sorted(used)]
    shapes = {"signal": ["batch", *((1, 16) if layers[0][0] == "Conv" else (5, 16))], "logits": None}
    entries = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()]
    graph = onnx.helper.make_graph(nodes, "graph", entries[:1], entries[1:], values)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.save(model, path)
    return path


def kinds_of_weights(path):
    """Return the type of each weight of a file, by its shape."""
    return {tuple(each.dims): each.data_type for each in onnx.load(path).graph.initializer if each.dims}


def answer(path, signal):
    return onnxruntime.InferenceSession(path).run(None, {"signal": signal})[0]


@pytest.mark.parametrize("is_static", [False, True])
def test_layers_become_int8_but_for_those_that_read_the_signal(tmp_path, is_static):
    from eeg_hf.inference.quantization import quantize

    path = write_file(
        tmp_path / "a.onnx", [("Abs", None), ("MatMul", "first"), ("Relu", None), ("MatMul", "second")]
    )
    signal = RNG.normal(size=(32, 5, 16)).astype(np.float32)
    quantize(path, tmp_path / "b.onnx", [{"signal": signal}] if is_static else None)
    kinds = kinds_of_weights(tmp_path / "b.onnx")
    assert kinds[64, 64] == onnx.TensorProto.INT8 and kinds[16, 64] == onnx.TensorProto.FLOAT
    difference = np.abs(answer(path, signal) - answer(tmp_path / "b.onnx", signal)).max()
    assert 0 < difference < 0.05 * np.abs(answer(path, signal)).max()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


@pytest.mark.parametrize("is_static", [False, True])
def test_a_layer_that_knows_how_many_samples_there_are_reads_no_signal(tmp_path, is_static):
    """Exported models reshape everything by the shape of their input: most layers would stay as they are."""
    from eeg_hf.inference.quantization import quantize

    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 20]>
        graph (float[batch, 5, 16] signal) => (float[batch, 5, 64] logits)
        <int64[1] first_axis = {0}, int64[2] others = {-1, 64}> {
            hidden = MatMul(signal, first)
            sizes = Shape(signal)
            windows = Gather(sizes, first_axis)
            shape = Concat <axis = 0> (windows, others)
            reshaped = Reshape(hidden, shape)
            logits = MatMul(reshaped, second)
        }""")
    for node in model.graph.node:
        node.name = node.output[0]
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(WEIGHTS[name], name) for name in ("first", "second")
    )
    onnx.save(model, tmp_path / "a.onnx")
    signal = RNG.normal(size=(32, 5, 16)).astype(np.float32)
    quantize(tmp_path / "a.onnx", tmp_path / "b.onnx", [{"signal": signal}] if is_static else None)
    kinds = kinds_of_weights(tmp_path / "b.onnx")
    assert kinds[64, 64] == onnx.TensorProto.INT8 and kinds[16, 64] == onnx.TensorProto.FLOAT


def test_what_a_convolution_computed_is_no_signal(tmp_path):
    from eeg_hf.inference.quantization import quantize

    path = write_file(tmp_path / "a.onnx", [("Conv", "kernel"), ("MatMul", "behind"), ("MatMul", "second")])
    quantize(path, tmp_path / "b.onnx")
    kinds = kinds_of_weights(tmp_path / "b.onnx")
    assert kinds[4, 1, 3] == onnx.TensorProto.FLOAT
    assert kinds[14, 64] == kinds[64, 64] == onnx.TensorProto.INT8


def test_convolutions_need_ranges(tmp_path):
    from eeg_hf.inference.quantization import quantize

    path = write_file(tmp_path / "a.onnx", [("Conv", "kernel"), ("Relu", None)])
    with pytest.raises(
        ValueError, match="int8: no MatMul with fixed weights behind the first: --int8 static"
    ):
        quantize(path, tmp_path / "b.onnx")
    with pytest.raises(ValueError, match="int8: no MatMul or Conv with fixed weights behind the first"):
        quantize(path, tmp_path / "b.onnx", [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--int8", "static"],
            "--int8 static takes its ranges from windows: expected --calibration or --data",
        ),
        (["--int8", "dynamic", "--to", "openvino"], "int8 is for --to onnx, got --to openvino"),
        (["--int8", "true"], "expected one of none, dynamic, static, got 'true'"),
        (["--calibration", "runs/data"], "calibration is for --int8 static, got --int8 none"),
        (["--label_column", "condition"], "label_column is for a prepared corpus, got --data none"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_loaded(words, message):
    assert message in fail_command("export", "runs/nowhere", *words)


def test_windows_of_another_size_than_the_file_was_exported_for_are_refused(tmp_path):
    from eeg_hf.inference.exported_files import open_exported

    file = open_exported(write_file(tmp_path / "a.onnx", [("MatMul", "first")]))
    assert file.run({"signal": np.zeros((2, 5, 16), np.float32)}).shape == (2, 5, 64)
    with pytest.raises(ValueError, match=r"exported for \(any, 5, 16\), got \(2, 4, 16\): set channels"):
        file.run({"signal": np.zeros((2, 4, 16), np.float32)})


def test_a_model_without_contract_is_refused(tmp_path):
    assert "has no signal contract (preprocessor_config.json)" in fail_command("export", tmp_path)
    words = ("predict", tmp_path, tmp_path / "a_raw.fif", "--output", tmp_path / "a.csv")
    (tmp_path / "a_raw.fif").write_bytes(b"")
    assert "has no signal contract (preprocessor_config.json)" in fail_command(*words)
