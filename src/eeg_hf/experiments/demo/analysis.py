# SPDX-License-Identifier: Apache-2.0
"""What the page does with a recording: read it under limits, classify, explain, embed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ...inference.explanation import explain, explain_pairs
from ..prediction.predicting import list_breaches, list_marks, load_pipeline
from ..serving.reading import Reader, RefusedError
from ..serving.uploads import check_name, harmless
from .figures import draw_embeddings, draw_power, draw_scores, draw_traces

_MIN_QUALITY = 0.5
_EXPLAINED = 8  # windows: a page should answer in seconds


@dataclass(frozen=True)
class Analysis:
    """Everything that the page shows of one recording."""

    scores: dict[str, float] | None
    summary: str
    traces: Figure
    power: Figure
    windows: Figure
    table: list[list[Any]]
    explanation: Figure | None
    embeddings: Figure | None


class Analyst:
    """A model, and a process that reads recordings for it.

    Args:
        model: Folder, Hub name or bundled name.
        device: Such as cpu.
        max_seconds: Longest recording.
        timeout_seconds: Time for reading one.
    """

    def __init__(
        self,
        model: str,
        device: str = "cpu",
        max_seconds: float = 3600.0,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.classify = load_pipeline(model, device)
        self.limits = {"max_seconds": max_seconds, "max_channels": 512, "preview_seconds": 30.0}
        self.timeout_seconds = timeout_seconds
        self.reader = Reader(2048.0)

    def analyse(self, path: Path, unit: str | None, rate: float | None, method: str) -> Analysis:
        """Return what the page shows of a recording.

        Raises:
            ValueError: In one line without paths, if it cannot be read or does not fit the model.
        """
        try:
            check_name(path.name)
            facts, features = self.reader.ask(self._job(path, unit, rate), self.timeout_seconds)
            report, preview = facts["reports"][0], features.pop("preview").numpy()
            answer = self._answer(features, report)
            return self._show(answer, report, features, preview, method)
        except (RefusedError, ValueError) as error:
            raise ValueError(harmless(str(error))) from error

    def _job(self, path: Path, unit: str | None, rate: float | None) -> dict[str, Any]:
        options = {"unit": unit, "sampling_rate": rate}
        given = {name: value for name, value in options.items() if value}
        extractor = self.classify.feature_extractor.to_dict()
        return {"file": str(path), "options": given, "extractor": extractor, **self.limits}

    def _answer(self, features: dict[str, torch.Tensor], report: dict[str, Any]) -> dict[str, Any]:
        inputs = {"features": features, "report": report, "channels": report["channels"]}
        found: dict[str, Any] = self.classify.postprocess(self.classify.forward(inputs))
        return found

    def _show(
        self,
        answer: dict[str, Any],
        report: dict[str, Any],
        features: dict[str, torch.Tensor],
        preview: np.ndarray,
        method: str,
    ) -> Analysis:
        rate, channels = self.classify.feature_extractor.sampling_rate, report["channels"]
        windows, positions = answer["windows"], features["channel_positions"][0].numpy()
        named = [
            window.get("scores") or window.get("values") or {"value": window["value"]} for window in windows
        ]
        rows = [
            [f"{window['start']:.1f}", f"{window['end']:.1f}", *(f"{value:.3f}" for value in each.values())]
            for window, each in zip(windows, named, strict=True)
        ]
        return Analysis(
            scores=answer.get("scores"),
            summary=describe(answer, report),
            traces=draw_traces(preview, rate, channels, list(report["bad_channels"]), windows),
            power=draw_power(preview, rate, channels, positions),
            windows=draw_scores(windows),
            table=[["start", "end", *named[0]], *rows],
            explanation=self._explain(features, channels, method),
            embeddings=self._embed(features, windows),
        )

    def _explain(self, features: dict[str, torch.Tensor], channels: list[str], method: str) -> Figure | None:
        if method == "none":
            return None
        places = np.unique(np.linspace(0, len(features["input_values"]) - 1, _EXPLAINED).round().astype(int))
        few = {name: value[places].to(self.classify.device) for name, value in features.items()}
        if method == "pairs":
            return explain_pairs(self.classify.model, few, channels).plot_topomap()
        rate = self.classify.feature_extractor.sampling_rate
        step = 1e6 if method == "occlusion" else 0.25  # seconds: occlusion takes windows whole
        settings: Any = {"method": method, "step_seconds": step, "num_baselines": 2, "num_steps": 12}
        return explain(self.classify.model, few, channels, rate, **settings).plot()

    @torch.no_grad()
    def _embed(self, features: dict[str, torch.Tensor], windows: list[dict[str, Any]]) -> Figure | None:
        encoder = getattr(self.classify.model, "model", None)  # an ONNX file has none
        if encoder is None:
            return None
        inputs = {name: value.to(self.classify.device) for name, value in features.items()}
        inputs["input_values"] = inputs["input_values"].to(self.classify.dtype)
        pooled = [
            encoder(**{name: value[start : start + 32] for name, value in inputs.items()}).pooler_output
            for start in range(0, len(windows), 32)
        ]
        return draw_embeddings(torch.cat(pooled).float().cpu().numpy(), windows)


def describe(answer: dict[str, Any], report: dict[str, Any]) -> str:
    """Return what to know of a recording as Markdown."""
    marks = [*list_breaches(report, _MIN_QUALITY), *list_marks(report)]
    lines = [
        f"**{report['duration_seconds']:.0f} s**, {len(report['channels'])} channels, recorded at "
        f"{report['original_sampling_rate']:g} Hz, {len(answer['windows'])} windows",
        f"**Quality {report['quality']:.2f}** of 1",
        *([f"**Value {answer['value']:.3g}**"] if "value" in answer else []),
        *(harmless(mark) for mark in marks),
    ]
    return "\n".join(f"- {line}" for line in lines)
