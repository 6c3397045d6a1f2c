# SPDX-License-Identifier: Apache-2.0
"""Explanations of predictions as files: a figure and JSON for each recording."""

import hashlib
from pathlib import Path

from ...evaluation import write_json
from ...inference.explanation import Explanation, PairContributions


def write_explanation(explanation: Explanation | PairContributions, recording: Path, table: Path) -> str:
    """Write `<recording>.png` and `.json` beside a table; return the figure's path.

    Args:
        explanation: Of one recording.
        recording: Its file; recordings of one name in several folders get a number more.
        table: The table.
    """
    folder = table.with_name(f"{table.stem}_explanations")
    folder.mkdir(parents=True, exist_ok=True)
    place = hashlib.sha256(str(recording.resolve().parent).encode()).hexdigest()[:6]
    stem = f"{recording.name[:100]}-{place}"
    write_json(folder / f"{stem}.json", explanation.to_dict())
    figure = explanation.plot() if isinstance(explanation, Explanation) else explanation.plot_topomap()
    figure.savefig(folder / f"{stem}.png", dpi=120)
    return str(folder / f"{stem}.png")
