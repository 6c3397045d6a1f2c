# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf finetune` and `evaluate`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..options import Alignment, Contaminated, Regime, option

HOSTED = "braindecode/"
"""What precedes the name of a network of braindecode in `--architecture`."""
CLASSICAL = ("band_power", "tangent_space", "welch_tangent_space", "erp_covariances", "xdawn_covariances")
"""Methods of `--architecture` that are fitted at once."""
EVOKED = ("erp_covariances", "xdawn_covariances")
"""Those of them for windows that are locked to an event."""
OF_NUMBERS = ("band_power", "tangent_space")
"""Those of them that can predict a number."""

_OF_ONE_ENCODER = ("model", "search", "adapter", "adapt", "alignment", "regime", "quantization_aware")
_OF_EPOCHS = (
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "weight_decay",
    "warmup_steps",
    "lr_scheduler_type",
    "optim",
    "patience",
    "label_smoothing",
    "layer_decay",
)


def find_idle(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of epochs where there are none, with the reason."""
    names = split_names(settings.get("architecture") or FinetuneArguments.architecture)
    is_convex = settings.get("head") == "convex"
    if any(name not in CLASSICAL and not (is_convex and name == "eeg_foundation") for name in names):
        return {}
    fitted = "a convex head" if "eeg_foundation" in names else ", ".join(names)
    hint = ", or take --head both or finetune" if fitted == "a convex head" else ""
    return dict.fromkeys(_OF_EPOCHS, f"{fitted} is fitted at once: leave it out{hint}")


def split_names(text: str) -> tuple[str, ...]:
    """Return the different names that commas join."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


@dataclass
class FinetuneArguments:
    """What to fine-tune, and on which data."""

    data: str = option("Prepared corpus, folder or Hub name.")
    label_column: str = option("Column of the labels; several, A,B: one model with a head for each.")
    class_names: list[str] | None = option("Classes in order; default: those found.", None)
    votes: list[str] = option(
        "Columns of several experts' votes for each class, A,B,C: probabilities are fitted to their shares.",
        factory=list,
        expert=True,
    )
    task: Literal["classification", "regression"] = option(
        "Tell classes apart, or predict a number.", "classification"
    )
    model: str | None = option(
        "Pretrained weights: folder, Hub name or eeg-foundation-tiny.",
        None,
        formerly=["model_name_or_path"],
    )
    architecture: str = option(
        "eeg_foundation, tangent_space, eegnet, braindecode/EEGConformer, …; of A,B the best on inner folds.",
        "eeg_foundation",
    )
    network: dict[str, Any] = option(
        "Arguments of braindecode's class (JSON).", factory=dict, block=True, expert=True
    )
    config: dict[str, Any] = option("Fields of EEGFoundationConfig (JSON).", factory=dict, block=True)
    alignment: Alignment = option("euclidean whitens each subject.", "none")
    regime: Regime = option("Unlabelled windows that recentre tokens.", "unseen")
    rest: str | None = option(
        "Label, or column=value, of the rest of first_30s.",
        None,
    )
    balance_calibration: bool = option(
        "Classes count alike where training subjects are recentred.", False, expert=True
    )
    head: Literal["convex", "finetune", "both"] = option(
        "Fit a linear head to its optimum, train all weights, or both in turn.",
        "finetune",
    )
    folds: int = option("Number of cross-validation folds, instead of --split.", 0)
    protocol: Literal["within-session", "cross-session", "cross-subject"] | None = option(
        "Folds of a protocol of MOABB, instead of --split.",
        None,
    )
    contaminated: Contaminated = option("Refuse or mark weights that have seen test subjects.", "refuse")
    adapter: Literal["none", "lora", "dora", "ia3"] = option(
        "Train an adapter beside frozen weights.", "none"
    )
    adapter_options: dict[str, Any] = option(
        'Fields of peft\'s config (JSON), such as {"r": 16}.', factory=dict, block=True, expert=True
    )
    quantization_aware: Literal["none", "dynamic", "static"] = option(
        "Train on weights and inputs as `eeg-hf export --int8` will round them.", "none", expert=True
    )
    adapt: Literal["none", "entropy"] = option(
        "Adapt to the unlabelled windows of each tested subject, at the test.", "none", expert=True
    )
    search: int = option("Trials of settings on inner folds; 0 is off.", 0)
    search_space: dict[str, Any] = option(
        'What to search (JSON): {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}}, or lists.',
        factory=dict,
        block=True,
        expert=True,
    )
    search_folds: int = option("Inner folds of --search and of several architectures.", 3, expert=True)
    search_engine: Literal["local", "ray"] = option(
        "Optuna in this process, or draws at random on a cluster of Ray.", "local", expert=True
    )
    shots: int = option("Windows of each class to train on, drawn by --seed; 0 is all.", 0, expert=True)
    class_weights: bool = option("Weight every class equally in the loss.", True, expert=True)
    label_smoothing: float = option("Share of every label spread over all classes.", 0.1, expert=True)
    augment: bool = option("Augment training windows.", False, expert=True)
    mixup_alpha: float = option("Mix training windows by Beta(alpha, alpha); 0 is off.", 0.0, expert=True)
    freeze_epochs: float = option("Epochs in which only the head is trained.", 0.0, expert=True)
    gradual_unfreezing: bool = option("Then unfreeze one layer per epoch, from the top.", False, expert=True)
    layer_decay: float = option(
        "Factor of the learning rate from each layer to the one below.", 1.0, expert=True
    )
    patience: int = option("Epochs until early stopping; 0 is off.", 10, expert=True)

    def check(self) -> None:
        """Refuse options that change nothing: their user expects something else."""
        if self.contaminated == "mark" and not self.model:
            raise ValueError("--contaminated mark: no effect without --model: no weights were trained before")
        if self.shots < 0 or (self.shots and self.task == "regression"):
            raise ValueError(f"--shots {self.shots}: expected windows of each class, 0 or more")
        if self.search < 0:
            raise ValueError(f"--search {self.search}: expected a number of trials, or 0 for none")
        if self.search and self.head != "finetune":
            raise ValueError(f"--search: --head {self.head} chooses its own penalty: take --head finetune")
        if not self.search and self.search_space:
            raise ValueError("--search_space: no effect without --search, the number of trials")
        if not self.search and self.search_engine != "local":
            raise ValueError("--search_engine: no effect without --search, the number of trials")
        if self.adapter != "none":
            self._check_adapter()
        elif self.adapter_options:
            raise ValueError("--adapter_options: no effect without --adapter")
        if len(self.label_columns) > 1:
            self._check_tasks()
        if self.quantization_aware != "none":
            self._check_quantization()
        if self.balance_calibration and (self.regime in ("unseen", "first_30s") or self.task == "regression"):
            raise ValueError(
                "--balance_calibration: no effect without classes to recentre by: take --regime all or 50P"
            )
        if self.votes and (self.head != "convex" or self.class_names or self.task == "regression"):
            raise ValueError("--votes: takes --head convex, without --class_names and --task regression")
        for name in self.architectures:
            self._check_architecture(name)
        if len(self.architectures) > 1:
            self._check_choice()
        elif self.is_hosted:
            self._check_hosted()
        elif self.is_classical:
            self._check_classical()
        elif self.network:
            raise ValueError("--network: no effect without --architecture braindecode/…: take --config")

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of the labels; several where one model answers all."""
        return split_names(self.label_column)

    def _given(self, *names: str) -> str:
        """Return those of some options that are not at their default, as they are typed."""
        plain = FinetuneArguments("", "")
        return ", ".join(f"--{name}" for name in names if getattr(self, name) != getattr(plain, name))

    def _check_tasks(self) -> None:
        """Refuse options that a model of several labels does not take."""
        others = ("votes", "class_names", "architecture", "shots")
        if unused := self._given(*_OF_ONE_ENCODER, *others):
            raise ValueError(f"--label_column {self.label_column}: several labels take no {unused}")
        if self.head != "convex":
            raise ValueError(f"--label_column {self.label_column}: several labels take --head convex")

    @property
    def architectures(self) -> tuple[str, ...]:
        """What to choose from; one where nothing is chosen."""
        return split_names(self.architecture)

    @property
    def is_hosted(self) -> bool:
        """Whether the architecture is a network of braindecode."""
        return self.architecture == "eegnet" or self.architecture.startswith(HOSTED)

    @property
    def is_classical(self) -> bool:
        """Whether the architecture is a classical method, fitted at once."""
        return self.architecture in CLASSICAL

    @property
    def fits_head(self) -> bool:
        """Whether a linear head is fitted to its optimum on an encoder of ours."""
        return self.head != "finetune" and not (self.is_hosted or self.is_classical)

    @property
    def fits_at_once(self) -> bool:
        """Whether no epochs are trained, so that nothing is selected on validation subjects."""
        return self.is_classical or len(self.architectures) > 1 or self.head == "convex"

    def _check_architecture(self, name: str) -> None:
        """Refuse a name that nothing has."""
        if name in ("eeg_foundation", "eegnet", *CLASSICAL) or name.startswith(HOSTED):
            return
        raise ValueError(
            f"--architecture {name}: expected eeg_foundation, {', '.join(CLASSICAL)}, eegnet, or "
            "braindecode/ and the name of a network"
        )

    def _check_choice(self) -> None:
        """Refuse options that not every architecture to choose from takes."""
        if unused := self._given(*_OF_ONE_ENCODER, "network", "shots"):
            raise ValueError(
                f"--architecture {self.architecture} chooses among architectures, which do not all take "
                f"{unused}"
            )
        if "eeg_foundation" in self.architectures and self.head != "convex":
            raise ValueError("--architecture: eeg_foundation among several takes --head convex")
        if self.task == "regression":
            self._check_numbers()

    def _check_classical(self) -> None:
        """Refuse options that mean nothing to methods that are fitted at once."""
        if unused := self._given(*_OF_ONE_ENCODER, "network", "augment", "mixup_alpha"):
            raise ValueError(f"--architecture {self.architecture}: no effect of {unused}")
        if self.task == "regression":
            self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse methods that only tell classes apart."""
        of_classes = [name for name in self.architectures if name in set(CLASSICAL) - set(OF_NUMBERS)]
        if of_classes:
            raise ValueError(f"--architecture {', '.join(of_classes)}: for classes, not --task regression")

    def _check_adapter(self) -> None:
        """Refuse an adapter that has nothing to adapt."""
        if not self.model:
            raise ValueError(f"--adapter {self.adapter}: expected --model, the weights that it adapts")
        if self.head != "finetune":
            raise ValueError(f"--adapter {self.adapter} is trained: it takes --head finetune")
        if self.freeze_epochs or self.gradual_unfreezing or self.layer_decay != 1:
            raise ValueError(
                f"--adapter {self.adapter} keeps the weights frozen: leave out --freeze_epochs, "
                "--gradual_unfreezing and --layer_decay"
            )

    def _check_quantization(self) -> None:
        """Refuse to round layers that are not trained."""
        name = f"--quantization_aware {self.quantization_aware}"
        if self.adapter != "none":
            raise ValueError(f"{name}: --adapter {self.adapter} keeps the layers frozen: leave one out")
        if self.head == "convex" and self.architecture == "eeg_foundation":
            raise ValueError(f"{name}: --head convex trains no layers: take --head finetune or both")

    def _check_hosted(self) -> None:
        """Refuse options that networks without an encoder of ours do not take."""
        name = f"--architecture {self.architecture}"
        if self.model:
            raise ValueError(f"--model {self.model}: no effect with {name}, which has no such weights")
        if self.head != "finetune" or self.regime != "unseen":
            raise ValueError(f"{name} is fine-tuned: it takes --head finetune and --regime unseen")
        if unused := self._given("gradual_unfreezing", "freeze_epochs", "layer_decay"):
            raise ValueError(f"{unused}: no effect with {name}, which has no encoder")


@dataclass
class EvaluateArguments:
    """What to compare, and on which data."""

    data: list[str] = option("Prepared corpus, folder or Hub name; with --codecs one or several.")
    output_dir: str = option("Folder for metrics.json, report.md and the figure.")
    # Classifiers
    label_column: str | None = option("Column of the labels: compare classifiers or regressors.", None)
    class_names: list[str] | None = option("Classes in order; default: those found.", None)
    votes: list[str] = option("As in eeg-hf finetune.", factory=list, expert=True)
    task: Literal["classification", "regression"] = option(
        "Whether the labels are classes or numbers.", "classification"
    )
    runs: list[str] = option("name=folder of eeg-hf finetune, …", factory=list)
    model: str | None = option("Saved classifier to test.", None)
    causal: bool = option(
        "Test --model as it would run online too: a second row; needs --recordings.", False, expert=True
    )
    recordings: str | None = option("Folder that --data was prepared from, for --causal.", None, expert=True)
    corpus_options: dict[str, Any] = option("Options of that corpus (JSON).", factory=dict, expert=True)
    rest: str | None = option("As in eeg-hf finetune.", None, expert=True)
    baselines: bool = option("Fit the classical baselines.", True)
    evoked: bool = option(
        "Baselines of evoked responses too: windows are locked to events.", False, expert=True
    )
    folds: int = option("Number of cross-validation folds, instead of --split.", 0)
    protocol: Literal["within-session", "cross-session", "cross-subject"] | None = option(
        "Folds of a protocol of MOABB, instead of --split.",
        None,
    )
    contaminated: Contaminated = option("Refuse or mark weights that have seen test subjects.", "refuse")
    # What is trained first, by eeg-hf finetune
    methods: list[str] = option("Architectures: eeg_foundation, braindecode/EEGConformer, …", factory=list)
    networks: dict[str, Any] = option(
        'Arguments of these networks by name (JSON): {"Labram": {"num_layers": 4}}.',
        factory=dict,
        block=True,
        expert=True,
    )
    regimes: list[str] = option(
        "Train --methods for unseen subjects, aligned by their unlabelled windows, or both.",
        factory=lambda: ["unseen"],
    )
    strategies: list[str] = option(
        "Ways to use weights: probe,convex,lora,full.",
        factory=list,
    )
    # No name that a run may have too: in `--runs pretrained=folder` it would be a setting
    pretrained_weights: str = option("Weights of --strategies.", "eeg-foundation-tiny", expert=True)
    seeds: int = option("Trainings of each.", 1)
    shots: int = option("Windows of each class to train on; 0 is all.", 0, expert=True)
    draws: int = option("Draws of --shots, instead of --seeds.", 5, expert=True)
    recipe_of_methods: str = option("Recipe of these trainings.", "finetune_tiny", expert=True)
    finetune_settings: dict[str, Any] = option(
        "Settings of these trainings (JSON).", factory=dict, block=True, expert=True
    )
    # Codecs
    codecs: list[str] = option("name=folder of eeg-hf train-tokenizer, …: compare codecs.", factory=list)

    def check(self) -> None:
        """Refuse options that do not say what to compare."""
        if bool(self.label_column) == bool(self.codecs):
            got = "both" if self.codecs else "neither"
            raise ValueError(f"expected --label_column (classifiers) or --codecs (codecs), got {got}")
        if not self.codecs and len(self.data) > 1:
            raise ValueError(f"data: expected one corpus to compare classifiers on, got {len(self.data)}")
        if self.causal and not (self.model and self.recordings and self.task == "classification"):
            raise ValueError(
                "causal: expected a classifier as --model, and --recordings, the folder that --data was "
                "prepared from: prepared windows are cleaned with their future"
            )
        if self.recordings and not self.causal:
            raise ValueError("--recordings: no effect without --causal true")
        given = {"runs": self.runs, "model": self.model, "folds": self.folds, "class_names": self.class_names}
        given |= {"protocol": self.protocol}
        given |= {"methods": self.methods, "strategies": self.strategies, "shots": self.shots}
        given |= {"task": self.task == "regression"}
        if not self.regimes or set(self.regimes) - {"unseen", "aligned"}:
            raise ValueError(f"--regimes: expected unseen, aligned or both, got {' '.join(self.regimes)!r}")
        for name, values in (("regimes", self.regimes), ("methods", self.methods)):
            if len(set(values)) < len(values):
                raise ValueError(f"--{name}: one comes twice in {' '.join(values)}")
        if (self.regimes != ["unseen"] or self.networks) and not self.methods:
            raise ValueError("--regimes, --networks: no effect without --methods")
        if self.task == "regression" and self.trains:
            raise ValueError("--methods and --strategies: for classes only; compare regressors with --runs")
        if not self.trains and (self.shots or self.finetune_settings or self.seeds != 1):
            raise ValueError(
                "--shots, --seeds, --finetune_settings: no effect without --methods or --strategies"
            )
        if not self.codecs and not (self.runs or self.model or self.baselines or self.trains):
            raise ValueError(
                "nothing to compare: expected --runs, --model, --methods, --strategies or --baselines true"
            )
        if self.contaminated == "mark" and not (self.runs or self.model or self.codecs or self.strategies):
            raise ValueError("--contaminated mark: no effect without --runs, --model or --codecs")
        if self.codecs and any(given.values()):
            names = ", ".join(f"--{name}" for name, value in given.items() if value)
            raise ValueError(f"{names}: for classifiers only; codecs take --codecs and --split")

    @property
    def trains(self) -> bool:
        """Whether anything is trained for the table."""
        return bool(self.methods or self.strategies)

    def describe_method(self, name: str) -> str:
        """Return the name of a row of `--methods` or `--strategies`."""
        return f"{name}, {self.shots} shots" if self.shots else name
