# SPDX-License-Identifier: Apache-2.0
"""int8 files of ONNX: which layers are quantised, and by which ranges.

Only layers with weights of their own are. In single precision stay what reads the signal itself, whose
artefacts are many times its size, products of two signals, such as attention and the logarithms of
covariances, and the head, whose few numbers decide. `docs/export.md` says what comes of quantising these too.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

_LAYERS = {"dynamic": ("MatMul",), "static": ("MatMul", "Conv")}


class _CalibrationBatches:
    """Batches as the reader of calibration data that onnxruntime asks for."""

    def __init__(self, batches: Iterable[Mapping[str, np.ndarray]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        """Return the next batch, None after the last."""
        return next(self._batches, None)


def quantize(path: Path, target: Path, calibration: Iterable[Mapping[str, np.ndarray]] | None = None) -> None:
    """Write a file whose layers have int8 weights, and inputs in int8.

    Args:
        path: File of ONNX in single precision.
        target: The file to write.
        calibration: Batches of windows as the file takes them, whose ranges scale the inputs of each layer
            once and for all; None scales them anew for each batch.

    Raises:
        ImportError: If onnx is not installed.
        ValueError: If the model has no layer to quantise.
    """
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic, quantize_static

    kind: Literal["dynamic", "static"] = "dynamic" if calibration is None else "static"
    kinds = _LAYERS[kind]
    settings: dict[str, Any] = {
        "op_types_to_quantize": [*kinds],
        "per_channel": True,
        "weight_type": QuantType.QInt8,
    }
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        quant_pre_process(path, folded, skip_symbolic_shape=True)  # every weight once
        layers = _find_layers(folded, kinds)
        if not layers:
            hint = ": --int8 static quantises convolutions" if kind == "dynamic" else ""
            raise ValueError(f"int8: no {' or '.join(kinds)} with fixed weights behind the first{hint}")
        if calibration is None:
            quantize_dynamic(folded, target, nodes_to_quantize=layers, **settings)
        else:
            reader: Any = _CalibrationBatches(calibration)
            settings["activation_type"] = QuantType.QUInt8  # the kind that CPUs multiply with int8 weights
            quantize_static(folded, target, reader, nodes_to_quantize=layers, **settings)


def _find_layers(path: Path, kinds: tuple[str, ...]) -> list[str]:
    """Return the names of the nodes with weights of their own, but for those that read the signal itself.

    What a layer computed is the signal itself no longer, whether that layer becomes int8 or not.
    """
    import onnx

    graph = onnx.load(path).graph
    shapes = {entry.name: entry.dims for entry in graph.initializer}
    layers, of_signal = [], {graph.input[0].name}
    for node in graph.node:  # each after those that it reads
        # onnxruntime scales the columns of one matrix, not those of a stack
        is_layer = node.op_type == "Conv" or (
            node.op_type == "MatMul" and len(shapes.get(node.input[1], ())) == 2
        )
        reads_signal = not of_signal.isdisjoint(node.input)
        if is_layer:
            layers += [node.name] if node.op_type in kinds and not reads_signal else []
        elif reads_signal and node.op_type != "Shape":  # sizes are known of any signal
            of_signal.update(node.output)
    return layers


__all__ = ["quantize"]
