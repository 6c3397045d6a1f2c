# SPDX-License-Identifier: Apache-2.0
"""Ways to use pretrained weights, by name: from a probe of the frozen encoder to training all of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...suggestions import did_you_mean
from ..split_arguments import SplitArguments
from .arguments import HOSTED, EvaluateArguments, FinetuneArguments

PROBES = ("probe", "ridge", "knn")
"""Read the frozen encoder and train nothing of it; see `frozen_probes.py`."""
TRAINED: Mapping[str, Mapping[str, Any]] = {
    "convex": {"head": "convex"},
    "full": {"head": "finetune"},
    "gradual": {"head": "finetune", "gradual_unfreezing": True},
    "layer_decay": {"head": "finetune", "layer_decay": 0.75},
    "lora": {"head": "finetune", "adapter": "lora", "learning_rate": 3e-3},
    "dora": {"head": "finetune", "adapter": "dora", "learning_rate": 3e-3},
    "ia3": {"head": "finetune", "adapter": "ia3", "learning_rate": 1e-2},
}
"""Settings of `eeg-hf finetune`."""
STRATEGIES = (*PROBES, *TRAINED)


def parse_strategies(words: Sequence[str]) -> list[str]:
    """Return the names of strategies, which commas may join.

    Raises:
        ValueError: If one is unknown or comes twice.
    """
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    for name in names:
        if name not in STRATEGIES:
            raise ValueError(
                f"--strategies: expected some of {', '.join(STRATEGIES)}, got {name!r}"
                f"{did_you_mean(name, STRATEGIES)}"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"--strategies: one comes twice in {', '.join(names)}")
    return names


@dataclass(frozen=True)
class Training:
    """One run of `eeg-hf finetune` for a table.

    Attributes:
        folder: Where it goes.
        words: Its command line, without the folder.
    """

    folder: Path
    words: list[str]


def check_method(name: str) -> None:
    """Refuse the name of no architecture."""
    found = FinetuneArguments("", "", architecture=name, head="finetune")
    found.check()
    if found.is_hosted and name.startswith(HOSTED):
        from ...models.modeling_braindecode import find_network  # imports torch, which --help does not need

        find_network(name.removeprefix(HOSTED))


def training_rows(args: EvaluateArguments) -> dict[str, Mapping[str, Any]]:
    """Return the settings of each row that `--methods` and `--strategies` train; probes need none."""
    rows: dict[str, Mapping[str, Any]] = {
        name.removeprefix(HOSTED): {"architecture": name, "head": "finetune"} for name in args.methods
    }
    for name in parse_strategies(args.strategies):
        if name in TRAINED:
            rows[name] = {
                "model": args.pretrained_weights,
                "contaminated": args.contaminated,
                **TRAINED[name],
            }
    return rows


def training_folders(args: EvaluateArguments) -> dict[str, list[Path]]:
    """Return where the trainings of each row go, one a seed."""
    folder, number = Path(args.output_dir) / "trainings", args.draws if args.shots else args.seeds
    return {
        args.describe_method(name): [folder / f"{name}-{seed}" for seed in range(number)]
        for name in training_rows(args)
    }


def plan_trainings(args: EvaluateArguments, split_args: SplitArguments) -> list[Training]:
    """Return the trainings of all rows."""
    for name in args.methods:  # before the first one is trained
        check_method(name)
    shared = {
        "data": args.data[0],
        "label_column": args.label_column,
        "class_names": args.class_names or [],
        "folds": args.folds,
        "protocol": args.protocol,
        "shots": args.shots,
        "report_to": "none",
        **{field.name: getattr(split_args, field.name) for field in fields(split_args)},
    }
    plain = {field.name: field.default for field in (*fields(FinetuneArguments), *fields(SplitArguments))}
    # What the recipe may set otherwise is always stated
    stated = ("split", "num_validation_subjects", "split_seed")
    shared = {
        name: value
        for name, value in shared.items()
        if value is not None and (name in stated or value != plain.get(name))
    }
    rows = zip(training_rows(args).values(), training_folders(args).values(), strict=True)
    return [
        Training(
            folder,
            [
                args.recipe_of_methods,
                *to_words({**shared, **settings, **args.finetune_settings, "seed": seed}),
            ],
        )
        for settings, folders in rows
        for seed, folder in enumerate(folders)
    ]


def to_words(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as they are typed; those that are empty are left out."""
    words: list[str] = []
    for name, value in settings.items():
        if value is None or value in ({}, []):
            continue
        text = json.dumps(value) if isinstance(value, dict) else value
        words += [f"--{name}", *(map(str, text) if isinstance(text, list) else [str(text)])]
    return words
