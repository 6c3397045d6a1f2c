# SPDX-License-Identifier: Apache-2.0
"""Models as ONNX: written from a model of transformers, and run by onnxruntime in its place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from ..models.pretrained_model import EEGPreTrainedModel

FILE_NAME = "model.onnx"
INPUTS = ("input_values", "channel_positions", "channel_mask", "attention_mask")
OUTPUT = "logits"
_EXAMPLE_BATCH = 3  # a size of 1 would be taken for a constant
_OPSET = 20


class OnnxModel(EEGPreTrainedModel):
    """A model in ONNX with the face of a classifier of transformers, for `pipeline` and `eeg-hf predict`.

    Args:
        config: Config of the model that was exported.
        path: The file.
        num_threads: Threads of onnxruntime; 0 leaves the choice to it.

    Example:
        >>> from transformers import pipeline
        >>> model = OnnxModel.load("exported")  # doctest: +SKIP
        >>> pipeline("eeg-classification", model=model, feature_extractor="exported")  # doctest: +SKIP
    """

    def __init__(self, config: Any, path: str | Path, num_threads: int = 0) -> None:
        super().__init__(config)
        onnxruntime = _import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input_names = [entry.name for entry in self.session.get_inputs()]
        self.anchor = nn.Parameter(
            torch.zeros(0), requires_grad=False
        )  # gives the model a dtype and a device

    @classmethod
    def load(cls, folder: str | Path, num_threads: int = 0) -> "OnnxModel":
        """Load a folder written by `eeg-hf export`.

        Raises:
            FileNotFoundError: If it holds no `model.onnx`.
            ImportError: If onnxruntime is not installed.
        """
        path = Path(folder) / FILE_NAME
        if not path.exists():
            raise FileNotFoundError(
                f"{folder} holds no {FILE_NAME}: eeg-hf export MODEL --output_dir {folder}"
            )
        return cls(AutoConfig.from_pretrained(folder), path, num_threads)

    def forward(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> SequenceClassifierOutput:
        """Run the file on windows.

        Args:
            input_values: (batch, channels, time), normalised.
            **inputs: The other inputs of the exported model; those that it does not have are left out.
        """
        given = {"input_values": input_values.float(), **inputs}
        names = dict(zip(self.input_names, self._match(given), strict=True))
        logits = self.session.run(None, {name: value.cpu().numpy() for name, value in names.items()})[0]
        return SequenceClassifierOutput(logits=torch.from_numpy(logits))

    def _match(self, given: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Return the inputs of the file in order; the first may have another name."""
        first, *others = self.input_names
        missing = [name for name in others if name not in given]
        if missing:
            raise ValueError(
                f"the exported model needs {', '.join(missing)}: pass what the extractor returns"
            )
        return [given["input_values"], *(given[name] for name in others)]


class _Logits(nn.Module):
    """A model that takes its inputs by position and returns its logits alone."""

    def __init__(self, model: PreTrainedModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


def write_onnx(
    model: PreTrainedModel,
    features: dict[str, torch.Tensor],
    path: Path,
    input_name: str = "input_values",
    output_name: str = OUTPUT,
) -> None:
    """Write a classifier as ONNX; the numbers of windows, channels and samples stay free where they can.

    Args:
        model: Classifier or regressor.
        features: Some windows as the feature extractor returns them, whose shapes are an example.
        path: The file.
        input_name: Name of the windows.
        output_name: Name of the result.

    Raises:
        ImportError: If onnx or onnxscript is not installed.
        ValueError: If the model has several tasks.
    """
    if getattr(model.config, "tasks", None):
        raise ValueError(f"export: expected a model of one task, got {', '.join(model.config.tasks)}")
    names = [name for name in INPUTS if name in features]
    inputs = tuple(_repeat(features[name]) for name in names)
    dynamic = torch.export.Dim.DYNAMIC
    is_fixed = getattr(model.config, "model_type", "") == "braindecode"  # built for a number of channels
    shapes = {0: dynamic} if is_fixed else dict.fromkeys(range(2), dynamic)
    windows = shapes if is_fixed else {**shapes, 2: dynamic}
    torch.onnx.export(
        _Logits(model, names).eval(),
        inputs,
        path,
        dynamo=True,
        dynamic_shapes=((windows, *[shapes] * (len(names) - 1)),),  # of the one variadic argument
        input_names=[input_name, *names[1:]],
        output_names=[output_name],
        opset_version=_OPSET,
        external_data=False,
        verbose=False,
    )


def quantize(path: Path, target: Path) -> None:
    """Write a file whose matrix products have int8 weights and int8 inputs scaled as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])


def compare(
    model: PreTrainedModel, exported: OnnxModel, features: dict[str, torch.Tensor], batch_size: int = 32
) -> dict[str, float]:
    """Return how far an exported model is from its origin on some windows.

    Returns:
        `max_difference` and `mean_difference` of the logits, and `agreement`, the share of windows with the
        same predicted class.
    """
    with torch.inference_mode():
        pairs = [
            (model(**batch).logits.float().numpy(), exported(**batch).logits.numpy())
            for start in range(0, len(features["input_values"]), batch_size)
            for batch in [{name: value[start : start + batch_size] for name, value in features.items()}]
        ]
    expected, got = (np.concatenate(side) for side in zip(*pairs, strict=True))
    difference = np.abs(expected - got)
    return {
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "agreement": float((expected.argmax(axis=1) == got.argmax(axis=1)).mean()),
        "windows": len(expected),
    }


def _repeat(values: torch.Tensor) -> torch.Tensor:
    """Return an example batch of at least three rows."""
    return values[torch.arange(_EXAMPLE_BATCH) % len(values)]


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ImportError('onnxruntime is not installed: pip install "eeg-hf[export]"') from error
    return onnxruntime


__all__ = ["FILE_NAME", "OnnxModel", "compare", "quantize", "write_onnx"]
