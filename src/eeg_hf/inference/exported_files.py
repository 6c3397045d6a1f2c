# SPDX-License-Identifier: Apache-2.0
"""The files of exported models behind one face: the names of their inputs, and from arrays to arrays."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

FILE_NAMES = {"onnx": "model.onnx", "openvino": "model.xml", "torch-export": "model.pt2"}


class ExportedFile(Protocol):
    """A model that was exported."""

    input_names: list[str]

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the outputs, (windows, labels)."""


class _OnnxFile:
    def __init__(self, path: Path, num_threads: int) -> None:
        onnxruntime = _import("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._shapes = {entry.name: entry.shape for entry in self._session.get_inputs()}
        self.input_names = list(self._shapes)

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        for name, expected in self._shapes.items():
            pairs = zip(expected, inputs[name].shape, strict=True)
            if any(isinstance(size, int) and size != got for size, got in pairs):  # a text is any size
                raise ValueError(
                    f"{name}: the file was exported for {_describe(expected)}, got {inputs[name].shape}: set"
                    " channels and window_seconds of the feature extractor"
                )
        outputs: np.ndarray = self._session.run(None, dict(inputs))[0]
        return outputs


class _OpenVinoFile:
    def __init__(self, path: Path, num_threads: int) -> None:
        openvino = _import("openvino")
        # Single precision: on some CPUs the default is bfloat16, 1e-2 away
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if num_threads:
            settings["INFERENCE_NUM_THREADS"] = num_threads
        self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        self.input_names = [entry.get_any_name() for entry in self._model.inputs]

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.array(self._model(dict(inputs))[self._model.output(0)])


class _TorchFile:
    def __init__(self, path: Path, num_threads: int) -> None:
        extra = {"input_names": ""}
        self._module = torch.export.load(path, extra_files=extra).module()
        self.input_names = extra["input_names"].split(",")

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.input_names]
        outputs: np.ndarray = self._module(*tensors).numpy()
        return outputs


_KINDS: dict[str, Callable[[Path, int], ExportedFile]] = {
    ".onnx": _OnnxFile,
    ".xml": _OpenVinoFile,
    ".pt2": _TorchFile,
}


def open_exported(path: Path, num_threads: int = 0) -> ExportedFile:
    """Open an exported file by its suffix.

    Args:
        path: The file.
        num_threads: Threads of onnxruntime or OpenVINO; 0 leaves the choice to them.

    Raises:
        ImportError: If the library that runs it is not installed.
    """
    return _KINDS[path.suffix](path, num_threads)


def find_exported(folder: str | Path) -> Path | None:
    """Return the exported file of a folder, None if it holds none."""
    paths = (Path(folder) / name for name in FILE_NAMES.values())
    return next((path for path in paths if path.exists()), None)


def _describe(shape: Sequence[int | str]) -> str:
    return f"({', '.join(str(size) if isinstance(size, int) else 'any' for size in shape)})"


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise ImportError(f'{name} is not installed: pip install "eeg-hf[export]"') from error


__all__ = ["FILE_NAMES", "ExportedFile", "find_exported", "open_exported"]
