# SPDX-License-Identifier: Apache-2.0
"""Models as ONNX, OpenVINO or programs of torch.export: written from models, and run in their place."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn
from transformers import AutoConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from ..models.pretrained_model import EEGPreTrainedModel
from .exported_files import FILE_NAMES, find_exported, open_exported

INPUTS = ("input_values", "channel_positions", "channel_mask", "attention_mask")
OUTPUT = "logits"
_EXAMPLE_BATCH = 3  # a size of 1 would be taken for a constant
_OPSET = 20


class OnnxModel(EEGPreTrainedModel):
    """An exported model with the face of a classifier of transformers, for `pipeline` and `eeg-hf predict`.

    Args:
        config: Config of the model that was exported.
        path: The file.
        num_threads: Threads of onnxruntime or OpenVINO; 0 leaves the choice to them.

    Example:
        >>> from transformers import pipeline
        >>> model = OnnxModel.load("exported")  # doctest: +SKIP
        >>> pipeline("eeg-classification", model=model, feature_extractor="exported")  # doctest: +SKIP
    """

    def __init__(self, config: Any, path: str | Path, num_threads: int = 0) -> None:
        super().__init__(config)
        self.file = open_exported(Path(path), num_threads)
        self.input_names = self.file.input_names
        self.anchor = nn.Parameter(
            torch.zeros(0), requires_grad=False
        )  # gives the model a dtype and a device

    @classmethod
    def load(cls, folder: str | Path, num_threads: int = 0) -> "OnnxModel":
        """Load a folder written by `eeg-hf export`.

        Raises:
            FileNotFoundError: If it holds no exported file.
            ImportError: If the library that runs the file is not installed.
        """
        path = find_exported(folder)
        if path is None:
            names = " or ".join(FILE_NAMES.values())
            raise FileNotFoundError(f"{folder} holds no {names}: eeg-hf export MODEL --output_dir {folder}")
        model = cls(AutoConfig.from_pretrained(folder), path, num_threads)
        model.name_or_path = str(folder)  # where what is known of the training lies
        return model

    def forward(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> SequenceClassifierOutput:
        """Run the file on windows.

        Args:
            input_values: (batch, channels, time), normalised.
            **inputs: The other inputs of the exported model; those that it does not have are left out.
        """
        logits = self.file.run(self.to_arrays({"input_values": input_values, **inputs}))
        return SequenceClassifierOutput(logits=torch.from_numpy(logits))

    def to_arrays(self, features: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
        """Return the inputs of the file by its names; the first may have another one.

        Args:
            features: Windows as the extractor returns them.

        Raises:
            ValueError: If an input is missing.
        """
        first, *others = self.input_names
        if missing := [name for name in others if name not in features]:
            raise ValueError(
                f"the exported model needs {', '.join(missing)}: pass what the extractor returns"
            )
        inputs = {first: features["input_values"].float(), **{name: features[name] for name in others}}
        return {name: value.cpu().numpy() for name, value in inputs.items()}


class _Logits(nn.Module):
    """A model that takes its inputs by position and returns its logits alone."""

    def __init__(self, model: PreTrainedModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


def write_exported(
    model: PreTrainedModel,
    features: dict[str, torch.Tensor],
    path: Path,
    input_name: str = "input_values",
    output_name: str = OUTPUT,
) -> None:
    """Export a classifier; the numbers of windows, channels and samples stay free where they can.

    Args:
        model: Classifier or regressor.
        features: Some windows as the feature extractor returns them, whose shapes are an example.
        path: The file; its suffix (`.onnx`, `.xml` of OpenVINO, `.pt2` of torch.export) decides the format.
        input_name: Name of the windows.
        output_name: Name of the result.

    Raises:
        ImportError: If onnx, onnxscript or openvino is not installed.
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
    named = [input_name, *names[1:]]
    program = torch.onnx.export(
        _Logits(model, names).eval(),
        inputs,
        dynamo=True,
        dynamic_shapes=((windows, *[shapes] * (len(names) - 1)),),  # of the one variadic argument
        input_names=named,
        output_names=[output_name],
        opset_version=_OPSET,
        verbose=False,
    )
    assert program is not None
    forget_traces(program)
    if path.suffix == ".pt2":
        extra = {"input_names": ",".join(named)}
        assert program.exported_program is not None
        torch.export.save(program.exported_program, path, extra_files=extra)
    elif path.suffix == ".xml":
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "model.onnx"
            program.save(whole, external_data=False)
            to_openvino(whole, path)
    else:
        program.save(path, external_data=False)


def forget_traces(program: torch.onnx.ONNXProgram) -> None:
    """Remove what torch noted of the code: half of a small file, with paths of this machine."""
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    for operation in program.exported_program.graph.nodes if program.exported_program else ():
        operation.meta.pop("stack_trace", None)


def to_openvino(path: Path, target: Path) -> None:
    """Convert a file of ONNX to OpenVINO in single precision: `target` and, beside it, its weights."""
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise ImportError('openvino is not installed: pip install "eeg-hf[export]"') from error
    openvino.save_model(openvino.convert_model(path), target, compress_to_fp16=False)


def compare(
    model: PreTrainedModel, exported: OnnxModel, features: dict[str, torch.Tensor], batch_size: int = 32
) -> dict[str, float]:
    """Return how far an exported model is from its origin on some windows.

    Args:
        model: The origin.
        exported: Its file.
        features: The windows; with `labels` the accuracies are compared too.
        batch_size: Windows at a time.

    Returns:
        `max_difference` and `mean_difference` of the logits, and `agreement`, the share of windows with the
        same predicted class. With labels `balanced_accuracy`, and `original_accuracy` before the export.
    """
    features = dict(features)
    labels = features.pop("labels", None)
    with torch.inference_mode():
        pairs = [
            (model(**batch).logits.float().numpy(), exported(**batch).logits.numpy())
            for batch in split_batches(features, batch_size)
        ]
    expected, got = (np.concatenate(side) for side in zip(*pairs, strict=True))
    difference = np.abs(expected - got)
    accuracy = {}
    if labels is not None:
        accuracy["balanced_accuracy"] = balanced_accuracy_score(labels, got.argmax(axis=1))
        accuracy["original_accuracy"] = balanced_accuracy_score(labels, expected.argmax(axis=1))
    return {
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "agreement": float((expected.argmax(axis=1) == got.argmax(axis=1)).mean()),
        "windows": len(expected),
        **{name: float(value) for name, value in accuracy.items()},
    }


def split_batches(features: Mapping[str, torch.Tensor], size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield windows in batches of some size, the last one of what is left."""
    for start in range(0, len(features["input_values"]), size):
        yield {name: value[start : start + size] for name, value in features.items()}


def _repeat(values: torch.Tensor) -> torch.Tensor:
    """Return an example batch of at least three rows."""
    return values[torch.arange(_EXAMPLE_BATCH) % len(values)]


__all__ = ["OnnxModel", "compare", "split_batches", "to_openvino", "write_exported"]
