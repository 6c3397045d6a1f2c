# SPDX-License-Identifier: Apache-2.0
"""Ways to use pretrained weights, by name: from a probe of the frozen encoder to training all of it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from ...suggestions import did_you_mean
from ..split_arguments import SplitArguments
from .arguments import HOSTED, EvaluateArguments, FinetuneArguments, find_idle

PROBES = ("probe", "ridge", "knn")
"""Read the frozen encoder and train nothing of it; see `frozen_probes.py`."""
TRAINED: Mapping[str, Mapping[str, Any]] = {
    "convex": {"head": "convex"},
    "attentive": {
        "head": "finetune",
        "freeze_epochs": math.inf,
        "config": {"classifier_pooling": "attention"},
    },
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
class TrainedRow:
    """A row of a table that `eeg-hf finetune` trains.

    Attributes:
        name: As the table shows it.
        folders: Where its trainings go, one a seed or draw.
        settings: Of `eeg-hf finetune`, beside those that all rows share.
    """

    name: str
    folders: list[Path]
    settings: Mapping[str, Any]


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


def check_trainings(args: EvaluateArguments) -> None:
    """Refuse what cannot be trained, before the first row is.

    Raises:
        ImportError: If adapters or networks need a package that is not installed.
        ValueError: If the windows do not fit a network of `--methods`.
    """
    if any("adapter" in TRAINED.get(name, {}) for name in parse_strategies(args.strategies)):
        from ...training.adapters import import_peft

        import_peft()
    hosted = [name for name in args.methods if name.startswith(HOSTED)]
    if not hosted:
        return
    from .hosted import check_hosted
    from .target import load_target

    data, column = args.data[0], str(args.label_column)
    dataset, target = load_target(data, column, False, args.class_names)
    for name in hosted:
        network = args.networks.get(name.removeprefix(HOSTED), {})
        check_hosted(FinetuneArguments(data, column, architecture=name, network=network), dataset, target)


def trained_rows(args: EvaluateArguments) -> list[TrainedRow]:
    """Return the rows that `--methods` and `--strategies` train; probes need no training."""
    found: list[tuple[str, str, Mapping[str, Any]]] = []
    for regime, name in product(args.regimes, args.methods):  # whole regimes first, if the table is stopped
        is_ours = name == FinetuneArguments.architecture
        own: dict[str, Any] = {"architecture": name, "head": "convex"}
        if not is_ours:
            own |= {"head": "finetune", "network": args.networks.get(name.removeprefix(HOSTED), {})}
        aligned = {"regime": "all"} if is_ours else {"alignment": "euclidean"}
        found.append((name.removeprefix(HOSTED), regime, own | (aligned if regime == "aligned" else {})))
    weights: dict[str, Any] = {"model": args.pretrained_weights, "contaminated": args.contaminated}
    for name in parse_strategies(args.strategies):
        if name in TRAINED:
            found.append((name, "unseen", {**weights, **TRAINED[name]}))
    folder, number = Path(args.output_dir) / "trainings", args.draws if args.shots else args.seeds
    return [
        TrainedRow(
            args.describe_method(name),
            [folder / f"{name}{'-aligned' * (regime == 'aligned')}-{seed}" for seed in range(number)],
            settings,
        )
        for name, regime, settings in found
    ]


def plan_trainings(args: EvaluateArguments, split_args: SplitArguments) -> list[Training]:
    """Return the trainings of all rows."""
    for name in args.methods:  # before the first one is trained
        check_method(name)
    names = [name.removeprefix(HOSTED) for name in args.methods if name.startswith(HOSTED)]
    for name in args.networks:
        if name not in names:
            raise ValueError(f"--networks: {name} is not among --methods{did_you_mean(name, names)}")
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
    rows = trained_rows(args)
    merged = [merge({**shared, **row.settings}, args.finetune_settings) for row in rows]
    # What serves one row may be idle in another; what serves none is refused by the command
    served = {name for settings in merged for name in settings if name not in find_idle(settings)}
    kept = [
        {name: value for name, value in settings.items() if name not in {*find_idle(settings)} & served}
        for settings in merged
    ]
    return [
        Training(folder, [args.recipe_of_methods, *to_words({**settings, "seed": seed})])
        for row, settings in zip(rows, kept, strict=True)
        for seed, folder in enumerate(row.folders)
    ]


def merge(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others over them; blocks such as `config` are merged."""
    blocks = {
        name: {**settings[name], **value}
        for name, value in others.items()
        if isinstance(value, dict) and isinstance(settings.get(name), dict)
    }
    return {**settings, **others, **blocks}


def to_words(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as they are typed; those that are empty are left out."""
    words: list[str] = []
    for name, value in settings.items():
        if value is None or value in ({}, []):
            continue
        text = json.dumps(value) if isinstance(value, dict) else value
        words += [f"--{name}", *(map(str, text) if isinstance(text, list) else [str(text)])]
    return words
