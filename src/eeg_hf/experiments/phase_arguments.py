# SPDX-License-Identifier: Apache-2.0
"""The options of eeg-hf train-phases, and what is read from them."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..suggestions import did_you_mean
from .split_arguments import SplitArguments

if TYPE_CHECKING:  # the methods import what they need, so that --help does not wait for torch
    from transformers import TrainingArguments

    from ..training import Phase

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


@dataclass
class PhasesArguments:
    """What to train in which phases."""

    phases: list[dict] = field(
        metadata={"help": "The phases (JSON list; a list in a recipe), see eeg_hf.training.Phase."}
    )
    output_dir: str = field(
        default="runs/phases", metadata={"help": "One folder a phase, and what is of all."}
    )
    config: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Fields of EEGFoundationConfig, of all phases (JSON).", "block": True},
    )
    adapter_montage: str | None = field(
        default=None,
        metadata={
            "help": "Montage that a channel_adapter makes, e.g. GSN-HydroCel-128; default the 10-20's 19."
        },
    )
    training: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Fields of TrainingArguments, of all phases (JSON).", "block": True},
    )
    probe: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Linear probe (JSON): data, label_column, kind, every_epochs.", "block": True},
    )
    alignment: str = field(
        default="none", metadata={"help": "none or euclidean (uses every subject's windows)."}
    )
    minimum_carried: float = field(
        default=0.5, metadata={"help": "Share of a phase's model that the phase before must hand over."}
    )
    start_from: str | None = field(
        default=None, metadata={"help": "Folder of weights that the first phase begins with."}
    )
    tiny: bool = field(
        default=False, metadata={"help": "A model of 0.1 M parameters, 4 steps a phase: to try a recipe."}
    )
    leave_out: list[str] = field(default_factory=list, metadata={"help": "Phases to leave out (ablation)."})
    seed: int = field(default=0, metadata={"help": "Seed of everything random but the split."})
    max_steps: int = field(default=-1, metadata={"help": "Steps of every phase at most, to try a recipe."})

    def read_phases(self) -> "list[Phase]":
        """Return the phases; refuse mistyped fields of all of them before the first one is trained."""
        from ..training import parse_phases

        phases = parse_phases(json.dumps(self.phases), self.leave_out)
        if self.tiny:
            phases = [phase.with_fewer_subjects(2) for phase in phases]
        for phase in phases:
            self.config_fields(phase)
            self.split_arguments(phase, SplitArguments())
            self.training_arguments(phase)
        self.read_probe()
        return phases

    def config_fields(self, phase: "Phase") -> dict[str, Any]:
        """Return the fields of the model's config in a phase, without those that depend on its data."""
        from ..models.configuration_eeg_foundation import EEGFoundationConfig
        from ..processing.channels import STANDARD_19
        from ..processing.electrode_positions import montage_positions
        from .config_fields import check_config_fields

        common = check_config_fields(self.config, EEGFoundationConfig)
        merged = {**common, **phase.config, **(TINY_CONFIG if self.tiny else {})}
        merged = check_config_fields(merged, EEGFoundationConfig)
        for name in ("auxiliary_tasks", "tasks"):
            if name in merged:
                raise ValueError(
                    f"phase {phase.name!r}: config cannot hold {name}: name the columns in the "
                    "phase's auxiliary"
                )
        if merged.get("channel_adapter", "none") != "none":
            places = montage_positions(self.adapter_montage or STANDARD_19)
            merged["adapter_channel_names"] = list(places)
            merged["adapter_channel_positions"] = [list(place) for place in places.values()]
        return merged

    def split_arguments(self, phase: "Phase", common: SplitArguments) -> SplitArguments:
        """Return how the windows of a phase are split."""
        refuse_unknown(phase.split, SplitArguments, f"phase {phase.name!r}, split")
        return SplitArguments(**{**vars(common), **phase.split})

    def training_arguments(self, phase: "Phase") -> "TrainingArguments":
        """Return what Trainer is told in a phase."""
        from transformers import HfArgumentParser, TrainingArguments

        merged = {
            "dataloader_pin_memory": False,
            **self.training,
            **phase.training,
            **(TINY_TRAINING if self.tiny else {}),
            "output_dir": str(Path(self.output_dir) / phase.name),
            "seed": self.seed,
            "remove_unused_columns": False,
            "resume_from_checkpoint": "true",  # where there is one
        }
        if self.max_steps > 0:
            merged["max_steps"] = self.max_steps
        refuse_unknown(merged, TrainingArguments, f"phase {phase.name!r}, training")
        if merged.get("enable_jit_checkpoint"):
            raise ValueError(
                f"phase {phase.name!r}: enable_jit_checkpoint ends the training as if it were finished; "
                "set save_steps, and start the same command again"
            )
        return HfArgumentParser(TrainingArguments).parse_dict(merged)[0]

    def read_probe(self) -> dict[str, Any]:
        """Return the settings of the probe, nothing where there is none."""
        probe = self.probe
        known = ("data", "label_column", "kind", "every_epochs")
        unknown = [name for name in probe if name not in known]
        if unknown or (probe and not {"data", "label_column"} <= set(probe)):
            raise ValueError(
                f"probe: expected data, label_column, kind and every_epochs, got {sorted(probe)}"
            )
        return probe


def refuse_unknown(given: Any, dataclass_type: Any, place: str) -> None:
    """Refuse options that there are not, naming the nearest that there is."""
    known = [item.name for item in fields(dataclass_type) if item.init]
    for name in given:
        if name not in known:
            raise ValueError(f"{place}: unknown field {name!r}{did_you_mean(name, known)}")
