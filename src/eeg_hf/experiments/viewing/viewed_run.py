# SPDX-License-Identifier: Apache-2.0
"""The recordings of a run, window by window, with what was predicted of them."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from ...collation import decode_windows
from ...corpora import load_windows
from ...evaluation import Predictions

_COLUMNS = (
    "recording",
    "subject",
    "session",
    "start_seconds",
    "num_samples",
    "sampling_rate",
    "quality",
    "event",
)
_MOST_WINDOWS = 60
"""Windows of a recording that are sent at once."""


class ViewedRun:
    """Prepared windows and the predictions of a run.

    Args:
        run: Folder of `eeg-hf study` or `eeg-hf finetune`, with predictions of folds or of one test part.
        data: The prepared corpus; by default `windows` beside or above the run.

    Raises:
        FileNotFoundError: If there are no predictions or no windows.
    """

    def __init__(self, run: Path, data: str | None = None) -> None:
        self.folder = find_predictions(run)
        self._rows: Dataset = load_windows(data or str(find_windows(run)))
        paths = sorted(self.folder.glob("fold-*/predictions.parquet")) or [
            self.folder / "predictions.parquet"
        ]
        self._predictions = Predictions.concatenate([Predictions.load(path) for path in paths])
        config = json.loads((paths[0].parent / "config.json").read_text(encoding="utf-8"))
        names = {int(index): name for index, name in config.get("id2label", {}).items()}
        self.class_names = [
            str(names.get(index, index)) for index in range(self._predictions.scores.shape[1])
        ]

    @property
    def is_regression(self) -> bool:
        """Whether numbers were predicted."""
        return len(self.class_names) == 1

    def recordings(self) -> list[dict[str, Any]]:
        """Return every recording with its subject, windows and how many were predicted rightly."""
        found = []
        for name, windows in self._windows.items():
            tested = [window for window in windows if "predicted" in window]
            right = [window["is_right"] for window in tested if "is_right" in window]
            found.append(
                {
                    "name": name,
                    "subject": windows[0]["subject"],
                    "windows": len(windows),
                    "tested": len(tested),
                    "right": sum(right) if right else None,
                    "quality": round(float(np.mean([window["quality"] for window in windows])), 3),
                }
            )
        return found

    def windows(self, name: str) -> list[dict[str, Any]]:
        """Return the windows of a recording in order of time.

        Raises:
            KeyError: If there is no such recording.
        """
        return self._windows[name]

    def signal(self, name: str, first: int, number: int) -> dict[str, Any]:
        """Return consecutive windows of a recording as samples in uV.

        Args:
            name: Of the recording.
            first: Index of the first window in `windows`.
            number: How many, 60 at most.

        Raises:
            KeyError: If there is no such recording or window.
        """
        chosen = self._windows[name][max(first, 0) : max(first, 0) + min(max(number, 1), _MOST_WINDOWS)]
        if not chosen:
            raise KeyError(first)
        rows = self._rows.select([window["row"] for window in chosen])
        head = rows.select_columns(["channels", "sampling_rate"])[0]
        parts = []
        for row in range(len(rows)):
            samples_uv = decode_windows(rows.with_format("arrow")[row : row + 1])[0][0]
            parts.append(
                {
                    "start": chosen[row]["start"],
                    "samples": [[round(float(value), 1) for value in line] for line in samples_uv],
                }
            )
        return {"channels": head["channels"], "rate": head["sampling_rate"], "parts": parts}

    @cached_property
    def _windows(self) -> dict[str, list[dict[str, Any]]]:
        columns = [name for name in _COLUMNS if name in self._rows.column_names]
        table = self._rows.select_columns(["window_id", *columns]).to_pandas()
        places = {key: row for row, key in enumerate(self._predictions.window_ids)}
        found: dict[str, list[dict[str, Any]]] = {}
        for row, facts in enumerate(table.to_dict("records")):
            end = facts["start_seconds"] + facts["num_samples"] / facts["sampling_rate"]
            window = {
                "row": row,
                "subject": str(facts["subject"]),
                "start": round(float(facts["start_seconds"]), 3),
                "end": round(float(end), 3),
                "quality": round(float(facts["quality"]), 3),
                "event": facts.get("event") if isinstance(facts.get("event"), str) else None,
            }
            if (place := places.get(facts["window_id"])) is not None:
                window |= self._answer(place)
            found.setdefault(str(facts["recording"]), []).append(window)
        for windows in found.values():
            windows.sort(key=lambda window: window["start"])
        return found

    def _answer(self, place: int) -> dict[str, Any]:
        """Return truth, prediction and score of a tested window."""
        label, scores = self._predictions.labels[place], self._predictions.scores[place]
        if self.is_regression:
            value = float(scores[0])
            return {"label": f"{label:.4g}", "predicted": f"{value:.4g}", "error": abs(value - float(label))}
        best = int(scores.argmax())
        share = scores / scores.sum() if scores.sum() > 0 else scores
        return {
            "label": self.class_names[int(label)],
            "predicted": self.class_names[best],
            "score": round(float(share[best]), 4),
            "is_right": best == int(label),
        }


def find_predictions(run: Path) -> Path:
    """Return the folder of a run, or of a study that of its kept model, that holds predictions."""
    if not run.is_dir():
        raise FileNotFoundError(f"{run} is no folder: expected one of eeg-hf study or eeg-hf finetune")
    inside = [path for path in run.iterdir() if path.is_dir()]
    inside.sort(key=lambda path: (path.name != "kept", path.name != "unseen", path.name))
    for folder in (run, *inside):
        if (folder / "predictions.parquet").exists() or any(folder.glob("fold-*/predictions.parquet")):
            return folder
    inner = [path.name for path in run.iterdir() if any(path.glob("*/fold-*/predictions.parquet"))]
    hint = f": choose one label, {run / sorted(inner)[0]}" if inner else ": expected a run that was tested"
    raise FileNotFoundError(f"{run} has no predictions.parquet{hint}")


def find_windows(run: Path) -> Path:
    """Return the windows of a study, beside or above a run."""
    for folder in (run, run.resolve().parent, run.resolve().parent.parent):
        if any((folder / "windows" / "data").glob("*.parquet")):
            return folder / "windows"
    raise FileNotFoundError(f"{run}: no windows of a study beside it: name the prepared corpus, --data")


def answer(viewed: ViewedRun, path: str, query: Mapping[str, str]) -> Any:
    """Return the content of an address of the page as what JSON can hold.

    Args:
        viewed: The run.
        path: `/recordings`, `/windows` or `/signal`.
        query: `recording`, `first` and `number`.

    Raises:
        KeyError: If there is no such address, recording or window.
        ValueError: If a number is none.
    """
    if path == "/recordings":
        return {
            "classes": viewed.class_names,
            "is_regression": viewed.is_regression,
            "run": viewed.folder.name,
            "recordings": viewed.recordings(),
        }
    if path == "/windows":
        return viewed.windows(query["recording"])
    if path == "/signal":
        return viewed.signal(query["recording"], int(query.get("first", "0")), int(query.get("number", "1")))
    raise KeyError(path)
