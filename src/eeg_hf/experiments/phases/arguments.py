# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-phases`, and the settings of each phase made from them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...suggestions import did_you_mean
from ..options import Alignment, option
from ..split_arguments import SplitArguments

if TYPE_CHECKING:  # imported where they are used, so that --help does not import torch
    from transformers import TrainingArguments

    from ...training import Phase

TINY_CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "adapter_size": 16,
}
TINY_TRAINING = {
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "max_steps": 4,
    "logging_steps": 1,
    "bf16": False,
    "dataloader_num_workers": 0,
}
PROBE_FIELDS = ("data", "label_column", "kind", "every_epochs")


@dataclass
class PhasesArguments:
    """The phases."""

    phases: list[dict] = option("The phases (JSON list; a list in a recipe), see eeg_hf.training.Phase.")
    output_dir: str = option("Folder for one folder per phase and the final results.", "runs/phases")
    config: dict[str, Any] = option(
        "Fields of EEGFoundationConfig, for all phases (JSON).", factory=dict, block=True
    )
    adapter_montage: str | None = option(
        "Montage of a channel_adapter, e.g. GSN-HydroCel-128; default: 19 of the 10-20.", None
    )
    training: dict[str, Any] = option(
        "Fields of TrainingArguments, for all phases (JSON).", factory=dict, block=True
    )
    probe: dict[str, Any] = option(
        "Linear probe (JSON): data, label_column, kind, every_epochs.", factory=dict, block=True
    )
    alignment: Alignment = option("euclidean whitens each subject by unlabelled windows.", "none")
    minimum_carried: float = option(
        "Smallest share of a phase's model that the previous phase provides.", 0.5
    )
    model: str | None = option("Weights that the first phase starts from.", None, formerly=["start_from"])
    tiny: bool = option("Try a recipe: a model of 0.1 M parameters, 4 steps per phase.", False)
    leave_out: list[str] = option("Phases to leave out (ablation).", factory=list)
    seed: int = option("Seed of everything random except the split.", 0)
    max_steps: int = option("Largest number of steps of every phase.", -1)

    def read_phases(self) -> "list[Phase]":
        """Return the phases; check the fields of all of them before the first one is trained.

        Raises:
            ValueError: On an unknown field; the error names the closest field.
        """
        from ...training import parse_phases

        phases = parse_phases(self.phases, self.leave_out)
        if self.tiny:
            phases = [phase.with_fewer_subjects(2) for phase in phases]
        for phase in phases:
            self.config_fields(phase)
            self.split_arguments(phase, SplitArguments())
            self.training_arguments(phase)
        if self.probe and not {"data", "label_column"} <= set(self.probe) <= set(PROBE_FIELDS):
            raise ValueError(
                f"probe: expected {', '.join(PROBE_FIELDS)}, got {', '.join(sorted(self.probe))}"
            )
        return phases

    def config_fields(self, phase: "Phase") -> dict[str, Any]:
        """Return the fields of the model's config in a phase, without those that depend on its data."""
        from ...models.configuration_eeg_foundation import EEGFoundationConfig
        from ...processing.channels import STANDARD_19
        from ...processing.electrode_positions import montage_positions
        from ..config_fields import check_config_fields

        merged = {**self.config, **phase.config, **(TINY_CONFIG if self.tiny else {})}
        merged = check_config_fields(merged, EEGFoundationConfig)
        for name in ("auxiliary_tasks", "tasks"):
            if name in merged:
                raise ValueError(
                    f"phase {phase.name!r}: config cannot hold {name}: name the columns in the "
                    "phase's auxiliary"
                )
        if merged.get("channel_adapter", "none") != "none":
            positions = montage_positions(self.adapter_montage or STANDARD_19)
            merged["adapter_channel_names"] = list(positions)
            merged["adapter_channel_positions"] = [list(position) for position in positions.values()]
        return merged

    def split_arguments(self, phase: "Phase", common: SplitArguments) -> SplitArguments:
        """Return how the windows of a phase are split."""
        refuse_unknown(phase.split, SplitArguments, f"phase {phase.name!r}, split")
        return SplitArguments(**{**vars(common), **phase.split})

    def training_arguments(self, phase: "Phase") -> "TrainingArguments":
        """Return the settings of Trainer in a phase."""
        from transformers import HfArgumentParser, TrainingArguments

        merged: dict[str, Any] = {
            "dataloader_pin_memory": False,
            **self.training,
            **phase.training,
            **(TINY_TRAINING if self.tiny else {}),
            "output_dir": str(Path(self.output_dir) / phase.name),
            "seed": self.seed,
            "remove_unused_columns": False,
            "resume_from_checkpoint": "true",  # if there is a checkpoint
        }
        if self.max_steps > 0:
            merged["max_steps"] = self.max_steps
        refuse_unknown(merged, TrainingArguments, f"phase {phase.name!r}, training")
        if merged.get("enable_jit_checkpoint"):
            raise ValueError(
                f"phase {phase.name!r}: enable_jit_checkpoint ends the training as if it were finished; "
                "set save_steps, and start the same command again"
            )
        parser: Any = HfArgumentParser(TrainingArguments)  # type: ignore[arg-type]
        return parser.parse_dict(merged)[0]


def refuse_unknown(given: Iterable[str], dataclass_type: Any, place: str) -> None:
    """Refuse fields that a dataclass does not have; the error names the closest field."""
    known = [item.name for item in fields(dataclass_type) if item.init]
    for name in given:
        if name not in known:
            raise ValueError(f"{place}: unknown field {name!r}{did_you_mean(name, known)}")
