# SPDX-License-Identifier: Apache-2.0
"""`pipeline("eeg-classification")` and `pipeline("eeg-feature-extraction")`.

From a path, an MNE recording, an array or a prepared window to labels or embeddings: the recording is cleaned
by the feature extractor that was saved with the model, cut into its windows, and the windows go through the
model some at a time.
"""

# transformers declares what subclasses are told to replace more narrowly than its own pipelines use it.
# mypy: disable-error-code="assignment,index,misc,operator,override,union-attr"

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import BatchFeature, Pipeline

from ..corpora.recordings.formats import read_recording

_ABOUT_ARRAYS = (
    "sampling_rate",
    "channel_names",
    "unit",
    "montage",
    "is_preprocessed",
    "reference_covariance",
)
_AGGREGATES = ("mean", "max", "vote")


class _EEGPipeline(Pipeline):
    """What both pipelines share: recordings in, windows through the model."""

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_tokenizer = False
    _load_feature_extractor = True
    _pipeline_calls_generate = False

    _of_results: ClassVar[tuple[str, ...]] = ()

    def __call__(self, inputs: Any, *, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Run the pipeline.

        Args:
            inputs: A path, an MNE recording, an array (channels, time), a row of a prepared corpus or with a
                column `eeg`, or a list or dataset of these.
            batch_size: Windows that go through the model at a time.
            **kwargs: `sampling_rate`, `channel_names`, `unit` of an array; `montage`, `is_preprocessed` and
                `reference_covariance` as the feature extractor takes them; and what the pipeline takes.

        Returns:
            One dict for one recording, a list of them for several.
        """
        size = self._batch_size if batch_size is None else batch_size
        if size is not None:
            kwargs["window_batch_size"] = size
        if hasattr(inputs, "column_names"):  # of datasets, which torch's own check does not know
            return list(super().__call__((row for row in inputs), batch_size=1, **kwargs))
        return super().__call__(inputs, batch_size=1, **kwargs)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = (*_ABOUT_ARRAYS, "window_batch_size", *self._of_results)
        unknown = sorted(set(kwargs) - set(known))
        if unknown:
            names = ", ".join(("batch_size", *_ABOUT_ARRAYS, *self._of_results))
            raise ValueError(f"unknown option {', '.join(unknown)}: expected one of {names}")
        forward = {k: v for k, v in kwargs.items() if k == "window_batch_size"}
        if forward.get("window_batch_size", 1) < 1:
            raise ValueError(f"batch_size must be 1 or more, got {forward['window_batch_size']}")
        return (
            {k: v for k, v in kwargs.items() if k in _ABOUT_ARRAYS},
            forward,
            {k: v for k, v in kwargs.items() if k in self._of_results},
        )

    def preprocess(self, inputs: Any, **about: Any) -> dict[str, Any]:
        """Turn one recording into its windows."""
        if isinstance(inputs, Mapping) and "eeg" in inputs:
            inputs = inputs["eeg"]
        if isinstance(inputs, Mapping):
            features = self._features_of_row(inputs)
        else:
            if isinstance(inputs, str | Path):
                inputs = read_recording(inputs)
            features = self.feature_extractor(inputs, **about)
        return {"features": dict(features)}

    def _features_of_row(self, row: Mapping[str, Any]) -> BatchFeature:
        """Take a window of a prepared corpus, which is clean already."""
        missing = {"signal", "scale", "num_samples", "channels", "sampling_rate"} - set(row)
        if missing:
            raise ValueError(f"expected a row of a prepared corpus, it lacks {', '.join(sorted(missing))}")
        counts = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])
        return self.feature_extractor(
            counts * np.asarray(row["scale"], np.float32)[:, None],
            sampling_rate=row["sampling_rate"],
            channel_names=row["channels"],
            unit="uV",
            is_preprocessed=True,
        )

    def _forward(self, model_inputs: dict[str, Any], window_batch_size: int = 32) -> dict[str, Any]:
        """Run the model over the windows, some at a time."""
        features = model_inputs["features"]
        blocks = [self._of_model(self.model(**block)) for block in _blocks(features, window_batch_size)]
        num_samples = features["attention_mask"].sum(dim=-1)
        return {"values": torch.cat(blocks), "num_samples": num_samples}

    @abstractmethod
    def _of_model(self, outputs: Any) -> torch.Tensor:
        """Take what the pipeline is about out of the model's output, one row a window."""

    def _spans(self, num_samples: torch.Tensor) -> list[tuple[float, float]]:
        """Start and end in seconds of each window; they follow one another."""
        lengths = num_samples.numpy() / self.feature_extractor.sampling_rate
        ends = np.cumsum(lengths)
        return [(float(end - length), float(end)) for end, length in zip(ends, lengths, strict=True)]


class EEGClassificationPipeline(_EEGPipeline):
    """Label recordings: `pipeline("eeg-classification", model="org/eeg-foundation-eegmat")`.

    Each recording gives `{"label", "score", "scores": {label: score}, "windows": [{"start", "end", "label",
    "scores"}]}`, times in seconds. `aggregate` says how windows become one answer: `"mean"` of their scores,
    weighted by length, `"max"`, or `"vote"`, the share of windows with that label. `return_windows=False`
    leaves the windows out. A model with one output (regression) gives `{"value", "windows"}`.
    """

    _of_results = ("aggregate", "return_windows")

    def _of_model(self, outputs: Any) -> torch.Tensor:
        if isinstance(outputs.logits, Mapping):
            raise ValueError("this model has several tasks: load it with AutoModelForSequenceClassification")
        return outputs.logits.float()

    def postprocess(
        self, model_outputs: dict[str, Any], aggregate: str = "mean", return_windows: bool = True
    ) -> dict[str, Any]:
        """Turn the windows' logits into labels with scores."""
        if aggregate not in _AGGREGATES:
            raise ValueError(f"aggregate must be one of {', '.join(_AGGREGATES)}, got {aggregate!r}")
        values, num_samples = model_outputs["values"], model_outputs["num_samples"]
        spans = self._spans(num_samples)
        if self.model.config.problem_type == "regression" or values.shape[-1] == 1:
            return _regression(values[:, 0], num_samples, spans, return_windows)
        multi = self.model.config.problem_type == "multi_label_classification"
        scores = values.sigmoid() if multi else values.softmax(dim=-1)  # (windows, labels)
        result = self._named(_aggregated(scores, num_samples, aggregate))
        if return_windows:
            result["windows"] = [
                {"start": start, "end": end, **self._named(row)}
                for (start, end), row in zip(spans, scores, strict=True)
            ]
        return result

    def _named(self, scores: torch.Tensor) -> dict[str, Any]:
        names = self.model.config.id2label
        best = int(scores.argmax())
        listed = {names[index]: float(score) for index, score in enumerate(scores)}
        return {"label": names[best], "score": float(scores[best]), "scores": listed}


class EEGFeatureExtractionPipeline(_EEGPipeline):
    """Embed recordings: `pipeline("eeg-feature-extraction", model="org/eeg-foundation")`.

    Each recording gives `{"embedding": (hidden,), "windows": (windows, hidden), "spans": [(start, end)]}` as
    float32 arrays and seconds; the embedding is the mean of the windows', weighted by their length.
    """

    def _of_model(self, outputs: Any) -> torch.Tensor:
        return outputs.pooler_output.float()

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the windows' embeddings and their mean."""
        values, num_samples = model_outputs["values"], model_outputs["num_samples"]
        return {
            "embedding": _aggregated(values, num_samples, "mean").numpy(),
            "windows": values.numpy(),
            "spans": self._spans(num_samples),
        }


def _blocks(features: Mapping[str, torch.Tensor], size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the windows, `size` at a time."""
    for start in range(0, len(features["input_values"]), size):
        yield {name: value[start : start + size] for name, value in features.items()}


def _aggregated(values: torch.Tensor, num_samples: torch.Tensor, how: str) -> torch.Tensor:
    """Reduce (windows, n) to (n,)."""
    if how == "max":
        return values.amax(dim=0)
    if how == "vote":
        winners = torch.nn.functional.one_hot(values.argmax(dim=-1), values.shape[-1]).float()
        return winners.mean(dim=0)
    weights = num_samples / num_samples.sum()
    return (values * weights[:, None]).sum(dim=0)


def _regression(
    values: torch.Tensor, num_samples: torch.Tensor, spans: list[tuple[float, float]], return_windows: bool
) -> dict[str, Any]:
    """Return the mean value, and each window's."""
    result: dict[str, Any] = {"value": float(_aggregated(values[:, None], num_samples, "mean")[0])}
    if return_windows:
        result["windows"] = [
            {"start": start, "end": end, "value": float(value)}
            for (start, end), value in zip(spans, values, strict=True)
        ]
    return result


__all__ = ["EEGClassificationPipeline", "EEGFeatureExtractionPipeline"]
