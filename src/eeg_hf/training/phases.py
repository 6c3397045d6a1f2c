# SPDX-License-Identifier: Apache-2.0
"""Descriptions of training phases: objective, data, and the weights that each takes over from an earlier one.

A phase writes `started.json` to its folder when it begins and `phase.json` when it ends. A restarted run
skips finished phases and resumes the unfinished one. A phase whose description has changed since it began is
refused, because its result would mix two recipes.
"""

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..atomic_files import write_text
from ..suggestions import did_you_mean
from .carry_over import CARRIES

OBJECTIVES = ("pretraining", "classification", "regression")
STARTED = "started.json"  # written into the folder of a phase when its training starts
FINISHED = "phase.json"  # and when it is finished
START = "start"  # name of the weights that the first phase begins with, for `Phase.after`


@dataclass(frozen=True)
class Pairs:
    """The columns by which windows are contrasted.

    Attributes:
        stimulus: Column of the stimulus or the condition.
        seconds: Column of the second of the stimulus; None for conditions.
        subjects_per_time: Subjects at each moment in a batch.
    """

    stimulus: str
    seconds: str | None = None
    subjects_per_time: int = 4


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Attributes:
        name: Name of the phase and of its folder.
        objective: `"pretraining"` (by the objectives that `config` enables), `"classification"` or
            `"regression"`.
        data: Prepared corpora, each window once an epoch; or corpus -> weight, to mix them.
        config: Fields of the model's config that differ from those of all phases.
        label_column: Column to classify or to predict.
        class_names: Classes in order; those of the column by default.
        auxiliary: Auxiliary tasks by name, which is also their column: `num_outputs`, `weight`, `classes`.
            `"hbn"` stands for those of HBN-EEG.
        pairs: Columns by which windows are contrasted.
        after: Earlier phase whose weights are taken over, or `"start"` for the initial weights; the previous
            phase by default.
        carry: Weights to take over: `"all"` that fit, `"encoder"`, or `"none"`.
        freeze_epochs: Epochs in which only the heads are trained.
        gradual_unfreezing: Then free one layer an epoch, from the top.
        layer_decay: Factor of the learning rate from each layer to the one below.
        split: Options of the split that differ from those of all phases.
        training: Fields of TrainingArguments that differ from those of all phases.
    """

    name: str
    data: Mapping[str, float] | Sequence[str]
    objective: str = "pretraining"
    config: Mapping[str, Any] = field(default_factory=dict)
    label_column: str | None = None
    class_names: Sequence[str] | None = None
    auxiliary: Mapping[str, Mapping[str, Any]] | str | None = None
    pairs: Pairs | None = None
    after: str | None = None
    carry: str = "all"
    freeze_epochs: float = 0.0
    gradual_unfreezing: bool = False
    layer_decay: float = 1.0
    split: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The name becomes a folder's name
        name = self.name
        if not isinstance(name, str) or not name or name == START or "/" in name or name.startswith("."):
            raise ValueError(f"phase {self.name!r}: expected a name that can be a folder's")
        for option, allowed in (("objective", OBJECTIVES), ("carry", CARRIES)):
            if getattr(self, option) not in allowed:
                raise ValueError(
                    f"phase {self.name!r}: {option} must be one of {', '.join(allowed)}, got "
                    f"{getattr(self, option)!r}"
                )
        # A list names corpora, a mapping gives each a weight
        weights = self.data.values() if isinstance(self.data, Mapping) else [1]
        if (
            not self.data
            or not isinstance(self.data, Mapping | list | tuple)
            or not all(isinstance(weight, int | float) and weight > 0 for weight in weights)
        ):
            raise ValueError(
                f"phase {self.name!r}: data must name prepared corpora, or give each a weight above 0, got "
                f"{self.data!r}"
            )
        if self.is_pretraining == (self.label_column is not None):
            wanted = "no label_column" if self.is_pretraining else "a label_column"
            raise ValueError(f"phase {self.name!r}: objective {self.objective!r} takes {wanted}")
        if not self.is_pretraining and (self.pairs or self.auxiliary):
            raise ValueError(f"phase {self.name!r}: pairs and auxiliary are for objective 'pretraining'")

    @property
    def is_pretraining(self) -> bool:
        """Whether the phase needs no label column."""
        return self.objective == "pretraining"

    @property
    def sources(self) -> list[str]:
        """The prepared corpora."""
        return [str(name) for name in self.data]

    def with_fewer_subjects(self, subjects_per_time: int) -> "Phase":
        """Return the phase with at most this many subjects at each moment of a batch."""
        if self.pairs is None or self.pairs.subjects_per_time <= subjects_per_time:
            return self
        pairs = dataclasses.replace(self.pairs, subjects_per_time=subjects_per_time)
        return dataclasses.replace(self, pairs=pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON types; finished phases are compared by them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def parse_phases(entries: Sequence[Mapping[str, Any]], leave_out: Sequence[str] = ()) -> list[Phase]:
    """Read the phases of a recipe.

    Args:
        entries: Fields of each phase.
        leave_out: Names of phases to skip, for ablations.

    Raises:
        ValueError: On an unknown field (with the nearest known one), two phases of one name, an unknown name
            in `leave_out`, or if no phase is left.
    """
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("phases: expected a list of phases, each with name and data")
    phases = [_parse_phase(entry, position) for position, entry in enumerate(entries, start=1)]
    # Names and references between phases
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ValueError(f"phases: expected different names, got {', '.join(names)}")
    for place, phase in enumerate(phases):
        known = [START, *names[:place]]
        if phase.after is not None and phase.after not in known:
            raise ValueError(
                f"phase {phase.name!r}: after must name a phase before it, got {phase.after!r}"
                f"{_did_you_mean(phase.after, known)}"
            )
    # Phases that are left out, and phases that would start from them
    unknown = sorted(set(leave_out) - set(names))
    if unknown:
        raise ValueError(f"leave_out: no phase {unknown[0]!r}{_did_you_mean(unknown[0], names)}")
    kept = [phase for phase in phases if phase.name not in leave_out]
    orphans = [phase for phase in kept if phase.after in leave_out]
    if orphans:
        raise ValueError(
            f"leave_out: phase {orphans[0].name!r} comes after {orphans[0].after!r}, which is left out"
        )
    if not kept:
        raise ValueError("phases: leave_out leaves none")
    return kept


def _parse_phase(entry: dict[str, Any], position: int) -> Phase:
    place = f"phase {entry.get('name', position)!r}"
    # One corpus may be written without a list; `pairs` is a block of its own
    fields = dict(entry)
    if isinstance(fields.get("data"), str):
        fields["data"] = [fields["data"]]
    if fields.get("pairs") is not None:
        fields["pairs"] = _build(Pairs, fields["pairs"], f"{place}, pairs")
    return _build(Phase, fields, place)


def _build(dataclass_type: Any, fields: Any, place: str) -> Any:
    """Build a dataclass from a recipe's fields; name a field that is unknown or missing."""
    parameters = inspect.signature(dataclass_type).parameters
    if not isinstance(fields, dict):
        raise ValueError(f"{place}: expected fields and values, got {fields!r}")
    for name in fields:
        if name not in parameters:
            raise ValueError(f"{place}: unknown field {name!r}{_did_you_mean(name, list(parameters))}")
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    missing = [name for name in required if name not in fields]
    if missing:
        raise ValueError(f"{place}: lacks {', '.join(missing)}")
    return dataclass_type(**fields)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known) or f", expected one of {', '.join(known)}"


def is_finished(folder: Path, description: Mapping[str, Any]) -> bool:
    """Return whether a phase was trained to its end.

    Args:
        folder: Folder of the phase.
        description: Everything that decides its result.

    Raises:
        ValueError: If the phase was begun with another description.
    """
    path = folder / (FINISHED if (folder / FINISHED).is_file() else STARTED)
    if not path.is_file():
        return False
    # Both as JSON types: tuples become lists
    theirs = json.loads(path.read_text(encoding="utf-8"))["description"]
    ours = json.loads(json.dumps(description))
    changed = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    if changed:
        raise ValueError(
            f"{folder} was trained with another {', '.join(changed)}: choose another output_dir, or remove "
            "the folder and those of the phases after it"
        )
    return path.name == FINISHED


def read_finished(folder: Path) -> dict[str, Any]:
    """Return the content that `mark_finished` wrote."""
    return json.loads((folder / FINISHED).read_text(encoding="utf-8"))


def without_tokens(settings: Any) -> Any:
    """Return settings without those that are a secret, such as `hub_token`: they are written to files."""
    if not isinstance(settings, Mapping):
        return settings
    return {
        name: without_tokens(value) for name, value in settings.items() if not str(name).endswith("_token")
    }


def mark_started(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the description of a phase before its first checkpoint."""
    write_text(folder / STARTED, json.dumps({"description": description}, indent=2))


def mark_finished(folder: Path, description: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Mark a phase as finished, with its description and its report."""
    write_text(folder / FINISHED, json.dumps({"description": description, **report}, indent=2))
