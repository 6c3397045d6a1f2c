# SPDX-License-Identifier: Apache-2.0
"""Exported classifiers without torch: from samples to labels by numpy, scipy and onnxruntime alone.

    pip install --no-deps eeg-hf && pip install numpy scipy onnxruntime

    from eeg_hf.runtime import load
    model = load("runs/exported")
    model.classify(samples, sampling_rate=250, channel_names=["C3", "C4"], unit="uV")

The folder comes from `eeg-hf export`. Cleaning is that of the package itself (`preprocessing.clean_samples`),
which needs MNE only to interpolate channels and for labels of dense caps. `StreamingExtractor(model.contract,
..., return_tensors="np")` makes windows of a stream for `model.predict`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .processing.array_recording import ArrayRecording
from .processing.electrode_templates import use_template
from .processing.long_recordings import StoredSignal
from .processing.microvolt_units import UV_PER_UNIT
from .processing.preprocessing import clean_samples
from .processing.setting_checks import check_option
from .processing.window_normalization import normalize_window

ELECTRODES = "electrodes.json"
_SIGNAL_SETTINGS = (
    *("sampling_rate", "highpass_hz", "lowpass_hz", "notch_hz", "reference", "channels", "missing_channels"),
    *("unknown_channels", "bad_channels", "positions", "adaptive", "robust_reference"),
)
_WINDOWS_AT_ONCE = 32


class RuntimeModel:
    """A classifier or regressor that `eeg-hf export` wrote.

    Args:
        folder: With `model.onnx`, `config.json`, `preprocessor_config.json` and `electrodes.json`.
        num_threads: Threads of onnxruntime; 0 leaves the choice to it.

    Attributes:
        contract: The settings of the signal contract.
        labels: Names of the outputs, in order.

    Raises:
        FileNotFoundError: If a file is missing.
        ImportError: If onnxruntime is not installed.
        ValueError: If the contract needs what only the whole package has.
    """

    def __init__(self, folder: str | Path, num_threads: int = 0) -> None:
        folder = Path(folder)
        config = _read(folder, "config.json")
        self.contract = SimpleNamespace(
            **{"robust_reference": False, "window_seconds": None, **_read(folder, "preprocessor_config.json")}
        )
        if self.contract.alignment != "none":
            raise ValueError(
                f"{folder}: alignment={self.contract.alignment!r} needs windows of the subject beforehand:"
                " use EEGFeatureExtractor with its reference_covariance"
            )
        use_template(_read(folder, ELECTRODES))
        self.problem_type = config.get("problem_type")
        self.session = _open(folder / "model.onnx", num_threads)
        self.input_names = [entry.name for entry in self.session.get_inputs()]
        count = self.session.get_outputs()[0].shape[-1]
        named = config.get("id2label") or {}
        self.labels = [str(named.get(str(row), f"LABEL_{row}")) for row in range(count)]

    def extract(
        self, samples: np.ndarray, sampling_rate: float, channel_names: Sequence[str], unit: str
    ) -> dict[str, np.ndarray]:
        """Clean samples and cut them into windows, as `EEGFeatureExtractor` does.

        Args:
            samples: Shape (channels, time).
            sampling_rate: In Hz.
            channel_names: One name per channel.
            unit: `"V"`, `"mV"` or `"uV"`.

        Returns:
            `input_values` (windows, channels, time), `channel_positions`, `channel_mask`, `attention_mask`.

        Raises:
            ValueError: If something would have to be guessed.
            TypeError: If the samples are no real numbers.
        """
        check_option("unit", unit, tuple(UV_PER_UNIT))
        samples = np.asarray(samples)
        if samples.dtype.kind not in "iuf":
            raise TypeError(f"expected real samples, got {samples.dtype}")
        recording = ArrayRecording(samples * (UV_PER_UNIT[unit] * 1e-6), sampling_rate, channel_names)
        if recording.n_times == 0:
            raise ValueError("the recording holds no samples: expected at least one window")
        settings = {name: getattr(self.contract, name) for name in _SIGNAL_SETTINGS}
        data, selection, report, _ = clean_samples(recording, montage=None, scale=1.0, **settings)
        names = list(selection.wanted)
        is_good = np.array([name not in report.bad_channels for name in names])
        if isinstance(data, StoredSignal):  # of a long recording
            clean_uv = data.read_uv(0, data.shape[1])
        else:
            clean_uv = (data * 1e6).astype(np.float32)
        windows, attention_mask = self._cut(clean_uv)
        positions = np.stack(list(selection.places(names).values())).astype(np.float32)
        values = [
            self._normalize(window, is_real, is_good)
            for window, is_real in zip(windows, attention_mask, strict=True)
        ]
        return {
            "input_values": np.stack(values),
            "channel_positions": np.repeat(positions[None], len(windows), axis=0),
            "channel_mask": np.repeat(is_good[None], len(windows), axis=0),
            "attention_mask": attention_mask,
        }

    def predict(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the outputs (windows, labels) for model input: probabilities, or values of a regression."""
        first, *others = self.input_names
        if missing := [name for name in ("input_values", *others) if name not in features]:
            raise ValueError(f"the exported model needs {', '.join(missing)}: pass what extract returns")
        given = [features["input_values"].astype(np.float32), *(features[name] for name in others)]
        inputs = dict(zip([first, *others], given, strict=True))
        logits: np.ndarray = self.session.run(None, inputs)[0]
        if self.problem_type == "regression" or logits.shape[-1] == 1:
            return logits
        if self.problem_type == "multi_label_classification":
            return np.asarray(1 / (1 + np.exp(-logits)))
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

    def classify(
        self, samples: np.ndarray, sampling_rate: float, channel_names: Sequence[str], unit: str
    ) -> dict[str, Any]:
        """Return what `pipeline("eeg-classification")` returns, its windows included.

        Args:
            samples: As of `extract`.
            sampling_rate: As of `extract`.
            channel_names: As of `extract`.
            unit: As of `extract`.
        """
        features = self.extract(samples, sampling_rate, channel_names, unit)
        count = len(features["input_values"])
        parts = [
            self.predict({name: value[start : start + _WINDOWS_AT_ONCE] for name, value in features.items()})
            for start in range(0, count, _WINDOWS_AT_ONCE)
        ]
        outputs = np.concatenate(parts)  # (windows, labels)
        lengths = features["attention_mask"].sum(axis=1)
        ends = np.cumsum(lengths) / self.contract.sampling_rate
        starts = ends - lengths / self.contract.sampling_rate
        whole = self.describe((outputs * (lengths / lengths.sum())[:, None]).sum(axis=0))
        spans = zip(starts.tolist(), ends.tolist(), outputs, strict=True)
        return {**whole, "windows": [{"start": a, "end": b, **self.describe(row)} for a, b, row in spans]}

    def describe(self, outputs: np.ndarray) -> dict[str, Any]:
        """Name the outputs of one window, shape (labels,)."""
        named = {name: float(value) for name, value in zip(self.labels, outputs, strict=True)}
        if len(named) == 1:
            return {"value": float(outputs[0])}
        if self.problem_type == "regression":
            return {"values": named}
        best = int(outputs.argmax())
        return {"label": self.labels[best], "score": float(outputs[best]), "scores": named}

    def _cut(self, clean_uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut (channels, time) into windows; the last one is padded and masked."""
        count, seconds = clean_uv.shape[1], self.contract.window_seconds
        length = count if seconds is None else round(seconds * self.contract.sampling_rate)
        num_windows = -(-count // length)
        padded = np.pad(clean_uv, ((0, 0), (0, num_windows * length - count)))
        windows = padded.reshape(len(padded), num_windows, length).transpose(1, 0, 2)
        return windows, (np.arange(num_windows * length) < count).reshape(num_windows, length)

    def _normalize(self, window: np.ndarray, is_real: np.ndarray, is_good: np.ndarray) -> np.ndarray:
        result = np.zeros(window.shape, np.float32)
        result[:, is_real] = normalize_window(window[:, is_real], self.contract, is_good)
        return result


def load(folder: str | Path, num_threads: int = 0) -> RuntimeModel:
    """Load a folder written by `eeg-hf export`; see [`RuntimeModel`]."""
    return RuntimeModel(folder, num_threads)


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no {name}: eeg-hf export MODEL --output_dir {folder}")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _open(path: Path, num_threads: int) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ImportError("onnxruntime is not installed: pip install onnxruntime") from error
    if not path.exists():
        raise FileNotFoundError(
            f"{path.parent} holds no {path.name}: eeg-hf export MODEL --output_dir {path.parent}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


__all__ = ["RuntimeModel", "load"]
