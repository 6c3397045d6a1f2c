# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-contrast`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ContrastArguments:
    """What to evaluate, and on which data."""

    data: str = field(metadata={"help": "Prepared corpus with windows of films."})
    output_dir: str = field(metadata={"help": "Folder for metrics.json and table.md."})
    models: list[str] = field(default_factory=list, metadata={"help": "name=folder of a model, …"})
    part: str = field(default="test", metadata={"help": "Part of the split to test."})
    stimulus: str = field(default="stimulus", metadata={"help": "Column of the film."})
    seconds: str = field(default="stimulus_seconds", metadata={"help": "Column of the second of the film."})
    num_components: int = field(default=3, metadata={"help": "Correlated components to fit."})
    num_shifts: int = field(
        default=300, metadata={"help": "Circular shifts of the null distribution of the ISC."}
    )
    batch_size: int = field(default=64, metadata={"help": "Windows per batch of the contrastive loss."})
    subjects_per_time: int = field(default=4, metadata={"help": "Subjects at each of its moments."})
    temperature: float = field(default=0.1, metadata={"help": "Its temperature, the same for all features."})
    corpus_options: dict[str, Any] | None = field(
        default=None,
        metadata={"help": "Options of simulated films (JSON) as in their preparation, for the ground truth."},
    )
    auxiliary_data: str | None = field(
        default=None,
        metadata={"help": "Prepared corpus with labels of the auxiliary tasks; default: --data."},
    )


__all__ = ["ContrastArguments"]
