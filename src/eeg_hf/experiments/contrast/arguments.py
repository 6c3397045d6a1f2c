# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-contrast`."""

from dataclasses import dataclass
from typing import Any

from ..options import Contaminated, option


@dataclass
class ContrastArguments:
    """What to evaluate, and on which data."""

    data: str = option("Prepared corpus with windows of films.")
    output_dir: str = option("Folder for metrics.json and table.md.")
    models: list[str] = option("name=folder of a model, …", factory=list)
    part: str = option("Part of the split to test.", "test")
    contaminated: Contaminated = option(
        "refuse models that have seen what tests them, or mark them in metrics.json.", "refuse", expert=True
    )
    stimulus: str = option("Column of the film.", "stimulus")
    seconds: str = option("Column of the second of the film.", "stimulus_seconds")
    num_components: int = option("Correlated components to fit.", 3)
    num_shifts: int = option("Circular shifts of the null distribution of the ISC.", 300)
    batch_size: int = option("Windows per batch of the contrastive loss.", 64)
    subjects_per_time: int = option("Subjects at each of its moments.", 4)
    temperature: float = option("Its temperature, the same for all features.", 0.1)
    corpus_options: dict[str, Any] | None = option(
        "Options of simulated films (JSON) as in their preparation, for the ground truth.", None
    )
    auxiliary_data: str | None = option(
        "Prepared corpus with labels of the auxiliary tasks; default: --data.", None
    )
