# SPDX-License-Identifier: Apache-2.0
"""`pipeline("eeg-classification")` and `pipeline("eeg-feature-extraction")`.

The pipelines take a path, an MNE recording, an array or a prepared window and return labels or embeddings.
The feature extractor saved with the model cleans the recording and cuts it into windows; the windows go
through the model in batches.
"""

# transformers annotates the methods that subclasses override more narrowly than its own pipelines use them.
# mypy: disable-error-code="assignment,index,misc,operator,override,union-attr"

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import mne
import numpy as np
import pyarrow as pa
import torch
from transformers import BatchFeature, Pipeline

from .. import embedding_cache
from ..collation import decode_windows
from ..corpora.recordings.formats import read_recording
from ..processing.bad_spans import bad_windows
from ..processing.calibration import Calibration
from ..processing.long_recordings import is_long
from .explanation import Explanation, PairContributions, explain, explain_pairs
from .explanation.explaining import METHODS

_INPUT_OPTIONS = (
    "sampling_rate",
    "channel_names",
    "unit",
    "montage",
    "is_preprocessed",
    "reference_covariance",
    "calibration",
)
_AGGREGATES = ("mean", "max", "vote")
_MAX_EXPLAINED = 16  # windows of a recording: each costs hundreds of passes through the model
_ROW_COLUMNS = ("signal", "scale", "num_samples", "channels", "sampling_rate")


class _EEGPipeline(Pipeline):
    """Base of both pipelines: turns recordings into windows and runs the model on them."""

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_tokenizer = False
    _load_feature_extractor = True
    _pipeline_calls_generate = False

    _output_options: ClassVar[tuple[str, ...]] = ()
    _forward_options: ClassVar[tuple[str, ...]] = ()

    def __call__(self, inputs: Any, *, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Run the pipeline.

        Args:
            inputs: A path, an MNE recording, an array (channels, time), a row of a prepared corpus, a row
                with an `eeg` column, or a list or dataset of these.
            batch_size: Number of windows in one forward pass.
            **kwargs: `sampling_rate` (Hz), `channel_names` and `unit` of an array; `montage`,
                `is_preprocessed` and `reference_covariance` as in [`EEGFeatureExtractor`]; and the options of
                the pipeline.

        Returns:
            A dict for one recording, a list of dicts for several.

        Raises:
            ValueError: If an option is unknown, the recording holds no samples, or the model returns NaN or
                infinity.
        """
        size = self._batch_size if batch_size is None else batch_size
        if size is not None:
            kwargs["window_batch_size"] = size
        if isinstance(inputs, list) and not inputs:
            return []  # transformers looks at the first item
        if hasattr(inputs, "column_names"):  # transformers does not recognise a `datasets.Dataset`
            return list(super().__call__((row for row in inputs), batch_size=1, **kwargs))
        return super().__call__(inputs, batch_size=1, **kwargs)

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        groups = (_INPUT_OPTIONS, ("window_batch_size", *self._forward_options), self._output_options)
        unknown = sorted(set(kwargs).difference(*groups))
        if unknown:
            names = ", ".join(("batch_size", *_INPUT_OPTIONS, *self._forward_options, *self._output_options))
            raise ValueError(f"unknown option {', '.join(unknown)}: expected one of {names}")
        if kwargs.get("window_batch_size", 1) < 1:
            raise ValueError(f"batch_size must be 1 or more, got {kwargs['window_batch_size']}")
        preprocess, forward, postprocess = ({k: v for k, v in kwargs.items() if k in g} for g in groups)
        return preprocess, forward, postprocess

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        """Cut one recording into windows of the model's dtype."""
        if isinstance(inputs, Mapping) and "eeg" in inputs:
            inputs = inputs["eeg"]
        if isinstance(inputs, str | Path):
            inputs = read_recording(inputs)
        num_samples = (
            inputs.get("num_samples") if isinstance(inputs, Mapping) else getattr(inputs, "n_times", 1)
        )
        if num_samples == 0:
            raise ValueError("the recording holds no samples: expected at least one window")
        is_bad = None
        if isinstance(inputs, mne.io.BaseRaw):
            is_bad = torch.from_numpy(bad_windows(inputs, self.feature_extractor.window_seconds))
            if self._goes_in_blocks(inputs, options):
                blocks = self.feature_extractor.iterate(inputs, return_report=True, **options)
                # The report names the channels at the end
                return {"features": blocks, "channels": None, "is_bad": is_bad}
        if isinstance(inputs, Mapping):
            features, report = self._extract_from_row(inputs, options.get("calibration")), None
            channels = features.pop("report")[0]["channels"]
        else:
            features = self.feature_extractor(inputs, return_report=True, **options)
            report = features.pop("report")[0]
            channels = report["channels"]
        # `to` casts floating-point tensors only
        return {
            "features": dict(features.to(self.dtype)),
            "report": report,
            "channels": channels,
            "is_bad": is_bad,
        }

    def _goes_in_blocks(self, raw: "mne.io.BaseRaw", options: Mapping[str, Any]) -> bool:
        """Return whether a recording is so long that its windows must not be held together."""
        allowed = ("reference_covariance", "montage", "calibration")
        is_plain = self.feature_extractor.window_seconds is not None and set(options) <= set(allowed)
        return is_plain and is_long(len(raw.ch_names), raw.n_times)

    def _extract_from_row(self, row: Mapping[str, Any], calibration: Calibration | None) -> BatchFeature:
        """Return the features of a window of a prepared corpus, which is clean already."""
        missing = set(_ROW_COLUMNS) - set(row)
        if missing:
            raise ValueError(f"expected a row of a prepared corpus, it lacks {', '.join(sorted(missing))}")
        signal_uv, _, _ = decode_windows(pa.Table.from_pylist([{name: row[name] for name in _ROW_COLUMNS}]))
        return self.feature_extractor(
            signal_uv[0],
            sampling_rate=row["sampling_rate"],
            channel_names=row["channels"],
            unit="uV",
            is_preprocessed=True,
            return_report=True,
            calibration=calibration,
        )

    def _forward(self, model_inputs: dict[str, Any], window_batch_size: int = 32) -> dict[str, Any]:
        """Run the model on the windows in batches."""
        features = model_inputs["features"]
        found, lengths, report = [], [], model_inputs.get("report")
        for part in [features] if isinstance(features, Mapping) else map(self._to_device, features):
            report = part.pop("report", [report])[0]
            for batch in _split(part, window_batch_size):
                found.append(self._select(self.model(**batch)))
            lengths.append(part["attention_mask"].sum(dim=-1))
        values = torch.cat(found)  # (windows, n)
        if not values.isfinite().all():
            raise ValueError(self._explain_non_finite())
        is_bad = torch.zeros(len(values), dtype=torch.bool)
        if model_inputs.get("is_bad") is not None:
            found_bad = model_inputs["is_bad"][: len(values)].cpu()
            is_bad[: len(found_bad)] = found_bad
        return {"values": values, "num_samples": torch.cat(lengths), "report": report, "is_bad": is_bad}

    def _to_device(self, features: BatchFeature) -> dict[str, Any]:
        """Move one batch of a long recording to the model; transformers moves the windows of others."""
        report = features.pop("report")
        return {**features.to(self.dtype).to(self.device), "report": report}

    @abstractmethod
    def _select(self, outputs: Any) -> torch.Tensor:
        """Return what the pipeline reports of the model's outputs, (windows, n) float32."""

    def _explain_non_finite(self) -> str:
        """Return an error message that says whether the weights or the dtype are to blame."""
        weights = dict(self.model.named_parameters())
        broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
        if not broken:
            return f"the model returned NaN or infinity in {self.dtype}: load it with dtype=torch.float32"
        return (
            f"the model has NaN or infinite weights in {len(broken)} of {len(weights)} tensors, such as "
            f"{broken[0]}, in {self.dtype}: load another checkpoint, or this one with dtype=torch.float32"
        )

    def _spans(self, num_samples: torch.Tensor) -> list[tuple[float, float]]:
        """Return start and end in seconds of each window; windows are consecutive."""
        ends = num_samples.cumsum(dim=0).double()  # (windows,); float32 would lose milliseconds after hours
        edges = torch.stack([ends - num_samples, ends], dim=1) / self.feature_extractor.sampling_rate
        return [(start, end) for start, end in edges.tolist()]


class EEGClassificationPipeline(_EEGPipeline):
    """Classify recordings: `pipeline("eeg-classification", model="org/eeg-foundation-eegmat")`.

    Each recording gives `{"label", "score", "scores": {label: score}, "windows": [{"start", "end", "label",
    "scores"}]}`, times in seconds. `aggregate` sets how the windows are combined: `"mean"` of their scores,
    weighted by duration; `"max"`; or `"vote"`, the share of windows with that label. `return_windows=False`
    omits the windows; `return_report=True` adds the `report` of the recording's cleaning. Windows that
    overlap a span annotated as bad, or cross a gap, have `"is_bad": True` and do not count, unless all do. A
    regression model gives `{"value", "windows"}`, or `{"values": {name: value}, "windows"}` where it has
    several outputs. A model of several tasks gives `{"tasks": {name: one of these}, "windows"}`.

    `explain=True`, or one of the methods of [`explain`] by name, adds the `explanation` of up to 16 windows
    that are spread over the recording; `explain="pairs"` adds [`PairContributions`].
    """

    _output_options = ("aggregate", "return_windows", "return_report")
    _forward_options = ("explain",)

    def _forward(
        self, model_inputs: dict[str, Any], window_batch_size: int = 32, explain: bool | str = False
    ) -> dict[str, Any]:
        """Run the model on the windows in batches, and explain some of them."""
        if explain not in (True, False, "pairs", *METHODS):
            raise ValueError(f"explain: expected True, False, pairs, {', '.join(METHODS)}; got {explain!r}")
        if not explain:
            return super()._forward(model_inputs, window_batch_size)
        kept: list[tuple[int, dict[str, torch.Tensor]]] = []
        features = _keep_some(model_inputs["features"], kept)
        outputs = super()._forward({**model_inputs, "features": features}, window_batch_size)
        channels = model_inputs["channels"] or outputs["report"]["channels"]
        how = METHODS[0] if explain is True else str(explain)
        return {**outputs, "explanation": self._explain(kept, channels, outputs, how)}

    def _explain(
        self,
        kept: Sequence[tuple[int, dict[str, torch.Tensor]]],
        channels: Sequence[str],
        outputs: Mapping[str, Any],
        how: str,
    ) -> Explanation | PairContributions:
        """Explain the class that the recording got; `kept` holds numbers of windows, and windows."""
        spans = self._spans(outputs["num_samples"])
        places = [spans[number] for number, _ in kept]
        windows = {name: torch.cat([row[name] for _, row in kept]).to(self.device) for name in kept[0][1]}
        shares, counts = outputs["values"].softmax(dim=-1), _counted(outputs)
        best = int(_aggregate(shares[counts], outputs["num_samples"][counts], "mean").argmax())
        if how == "pairs":
            return explain_pairs(self.model, windows, channels, best)
        rate = self.feature_extractor.sampling_rate
        explanation = explain(self.model, windows, channels, rate, method=how, target=best)
        return replace(explanation, spans=places)

    def _select(self, outputs: Any) -> torch.Tensor:
        if isinstance(outputs.logits, Mapping):  # one after another; `postprocess` takes them apart
            return torch.cat([logits.float() for logits in outputs.logits.values()], dim=-1)
        return outputs.logits.float()

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        aggregate: str = "mean",
        return_windows: bool = True,
        return_report: bool = False,
    ) -> dict[str, Any]:
        """Turn the logits of the windows into labels with scores."""
        if aggregate not in _AGGREGATES:
            raise ValueError(f"aggregate must be one of {', '.join(_AGGREGATES)}, got {aggregate!r}")
        if tasks := getattr(self.model.config, "tasks", None):
            return self._describe_tasks(model_outputs, tasks, aggregate, return_windows, return_report)
        logits, num_samples = model_outputs["values"], model_outputs["num_samples"]
        problem, describe = self.model.config.problem_type, self._describe_scores
        if problem == "regression" or logits.shape[-1] == 1:
            scores, describe, aggregate = logits, self._describe_values, "mean"
        elif problem == "multi_label_classification":
            scores = logits.sigmoid()
        else:
            scores = logits.softmax(dim=-1)  # (windows, labels)
        is_counted = _counted(model_outputs)
        result = describe(_aggregate(scores[is_counted], num_samples[is_counted], aggregate))
        if return_windows:
            result["windows"] = [
                {"start": start, "end": end, **describe(row), **({} if counts else {"is_bad": True})}
                for (start, end), row, counts in zip(
                    self._spans(num_samples), scores, is_counted.tolist(), strict=True
                )
            ]
        if return_report:
            result["report"] = model_outputs["report"]
        if "explanation" in model_outputs:
            result["explanation"] = model_outputs["explanation"]
        return result

    def _describe_tasks(
        self,
        model_outputs: dict[str, Any],
        tasks: Mapping[str, int],
        aggregate: str,
        return_windows: bool,
        return_report: bool,
    ) -> dict[str, Any]:
        """Return the answers of a model of several tasks, by their names."""
        names = getattr(self.model.config, "task_labels", None) or {}
        num_samples, is_counted = model_outputs["num_samples"], _counted(model_outputs)
        whole: dict[str, Any] = {}
        windows: list[dict[str, Any]] = [
            {"start": s, "end": e, "tasks": {}} for s, e in self._spans(num_samples)
        ]
        parts = model_outputs["values"].split(list(tasks.values()), dim=-1)
        for (task, outputs), logits in zip(tasks.items(), parts, strict=True):
            labels = dict(enumerate(names.get(task) or map(str, range(outputs))))
            values = logits if outputs == 1 else logits.softmax(dim=-1)
            how = "mean" if outputs == 1 else aggregate
            rows = [_aggregate(values[is_counted], num_samples[is_counted], how), *values]
            answers = [
                {"value": float(row[0])} if outputs == 1 else _name_scores(row, labels) for row in rows
            ]
            whole[task] = answers[0]
            for window, answer in zip(windows, answers[1:], strict=True):
                window["tasks"][task] = answer
        for window, counts in zip(windows, is_counted.tolist(), strict=True):
            window |= {} if counts else {"is_bad": True}
        result: dict[str, Any] = {"tasks": whole}
        if return_windows:
            result["windows"] = windows
        if return_report:
            result["report"] = model_outputs["report"]
        return result

    def _describe_scores(self, scores: torch.Tensor) -> dict[str, Any]:
        """Name the scores (labels,) and the best of them."""
        names: Any = self.model.config.id2label
        return _name_scores(scores, names)

    def _describe_values(self, values: torch.Tensor) -> dict[str, Any]:
        """Name the outputs (n,) of a regression."""
        if len(values) == 1:
            return {"value": float(values[0])}
        names = self.model.config.id2label
        return {"values": {names[index]: float(value) for index, value in enumerate(values)}}


class EEGFeatureExtractionPipeline(_EEGPipeline):
    """Embed recordings: `pipeline("eeg-feature-extraction", model="org/eeg-foundation")`.

    Each recording gives `{"embedding": (hidden,), "windows": (windows, hidden), "spans": [(start, end)]}` as
    float32 arrays and seconds; the embedding is the mean over windows, weighted by duration, without those
    that overlap a span annotated as bad. Windows are embedded by the model's `pooler_output`, or by the
    `eeg_embeds` of an [`EEGCLIPModel`].

    A recording that was embedded before by the same weights is neither cleaned nor embedded again, see
    `embedding_cache`.
    """

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        """Cut one recording into windows, or find its embeddings on the disk."""
        if isinstance(inputs, Mapping) and "eeg" in inputs:
            inputs = inputs["eeg"]
        if isinstance(inputs, str | Path):
            inputs = read_recording(inputs)
        if not self._is_kept(inputs, options):
            return super().preprocess(inputs, **options)
        contract = self.feature_extractor.to_dict()
        key = embedding_cache.digest(
            embedding_cache.digest_of_model(self.model), contract, *_describe(inputs), options
        )
        if (found := embedding_cache.read(key)) is None:
            return {**super().preprocess(inputs, **options), "key": key}
        return {"found": {name: torch.from_numpy(value) for name, value in found.items()}}

    def _is_kept(self, inputs: Any, options: Mapping[str, Any]) -> bool:
        """Return whether embeddings of a recording are kept: not of arrays, rows, or days at once."""
        is_recording = isinstance(inputs, mne.io.BaseRaw) and not self._goes_in_blocks(inputs, options)
        return is_recording and set(options) <= {"montage", "is_preprocessed"} and embedding_cache.is_on()

    def _forward(self, model_inputs: dict[str, Any], window_batch_size: int = 32) -> dict[str, Any]:
        """Run the model on the windows in batches, unless their embeddings were found."""
        if "found" in model_inputs:
            return model_inputs["found"]
        key = model_inputs.pop("key", None)
        outputs = super()._forward(model_inputs, window_batch_size)
        if key is not None:
            names = ("values", "num_samples", "is_bad")
            embedding_cache.write(key, {name: outputs[name].cpu().numpy() for name in names})
        return outputs

    def _select(self, outputs: Any) -> torch.Tensor:
        for name in ("pooler_output", "eeg_embeds"):
            if getattr(outputs, name, None) is not None:
                return getattr(outputs, name).float()
        raise ValueError(
            f"{type(self.model).__name__} returns no embedding of a window: expected a model with a "
            "pooler_output, such as EEGFoundationModel"
        )

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the embeddings of the windows and their mean."""
        values, num_samples = model_outputs["values"], model_outputs["num_samples"]
        is_counted = _counted(model_outputs)
        return {
            "embedding": _aggregate(values[is_counted], num_samples[is_counted], "mean").numpy(),
            "windows": values.numpy(),
            "spans": self._spans(num_samples),
        }


def _describe(raw: "mne.io.BaseRaw") -> Iterator[Any]:
    """Yield all that the embeddings of a recording depend on."""
    yield raw.info["sfreq"]
    yield raw.get_data()
    for channel in raw.info["chs"]:
        yield [channel["ch_name"], int(channel["kind"]), int(channel["coord_frame"]), int(channel["unit"])]
        yield channel["loc"]
    yield [[str(note[name]) for name in ("onset", "duration", "description")] for note in raw.annotations]
    yield [raw.first_samp, raw.info["bads"], raw.info["line_freq"], str(raw.info["highpass"])]
    yield [str(raw.info["lowpass"]), raw.info["custom_ref_applied"] and 1, str(raw.info["meas_date"])]


def _name_scores(scores: torch.Tensor, names: Mapping[int, str]) -> dict[str, Any]:
    """Name the scores (labels,) and the best of them."""
    best = int(scores.argmax())
    named = {names[index]: float(score) for index, score in enumerate(scores)}
    return {"label": names[best], "score": float(scores[best]), "scores": named}


def _keep_some(features: Any, kept: list[tuple[int, dict[str, torch.Tensor]]]) -> Any:
    """Return features as they are, and note the numbers and rows of up to 16 windows spread over them.

    Of blocks, one window each is held, so that a recording of days does not stay in memory.
    """
    if isinstance(features, Mapping):
        kept += [(number, _row(features, number)) for number in _spread(len(features["input_values"]))]
        return features

    def pass_on() -> Iterator[Any]:
        start, seen = 0, []
        for block in features:
            seen.append((start, _row({k: v for k, v in block.items() if k != "report"}, 0)))
            start += len(block["input_values"])
            yield block
        kept.extend(seen[number] for number in _spread(len(seen)))

    return pass_on()


def _row(features: Mapping[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    return {name: value[number : number + 1].clone() for name, value in features.items()}


def _spread(count: int) -> list[int]:
    """Return up to 16 numbers below `count`, evenly spread."""
    return sorted({round(place) for place in np.linspace(0, count - 1, _MAX_EXPLAINED)})


def _split(features: Mapping[str, torch.Tensor], size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of `size` windows."""
    for start in range(0, len(features["input_values"]), size):
        yield {name: value[start : start + size] for name, value in features.items()}


def _counted(model_outputs: Mapping[str, Any]) -> torch.Tensor:
    """Return which windows count in the answer for a recording, (windows,): the good ones, if any."""
    is_bad = model_outputs.get("is_bad")
    if is_bad is None or is_bad.all():
        return torch.ones(len(model_outputs["values"]), dtype=torch.bool)
    return ~is_bad


def _aggregate(values: torch.Tensor, num_samples: torch.Tensor, how: str) -> torch.Tensor:
    """Reduce (windows, n) to (n,)."""
    if how == "max":
        return values.amax(dim=0)
    if how == "vote":
        winners = torch.nn.functional.one_hot(values.argmax(dim=-1), values.shape[-1]).float()
        return winners.mean(dim=0)
    weights = num_samples / num_samples.sum()
    return (values * weights[:, None]).sum(dim=0)


__all__ = ["EEGClassificationPipeline", "EEGFeatureExtractionPipeline"]
