# SPDX-License-Identifier: Apache-2.0
"""The facts that a model card shows, as data; of a fact that is `None` or empty it says "not recorded"."""

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from .card_kinds import CardKind, card_kind

UNKNOWN = "not recorded"
_CALIBRATED: Mapping[str, str] = {
    "first_30s": "calibrated on the first 30 s of the subject tested",
    "20P": "calibrated on 20 % of the unlabelled windows of the subject tested",
    "50P": "calibrated on 50 % of the unlabelled windows of the subject tested",
}
REGIMES: Mapping[str, str] = {
    "unseen": "the subject tested is unseen",
    **_CALIBRATED,
    "aligned": "unlabelled windows of the subject tested were used",
    "known": "the subject tested was in the training",
    **{
        f"known_{name}": f"the subject tested was in the training; {text}"
        for name, text in _CALIBRATED.items()
    },
    "known_aligned": "the subject tested was in the training, and unlabelled windows of the test were used",
}
ROLES = ("pretraining", "fine-tuning", "evaluation")
Contamination = Literal["none", "same corpus", "unlabelled windows", "test subjects", "unknown"]

# A card is Markdown with code that people run: a fact that could end its line or its code block is refused
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|```|<!--|<script", re.IGNORECASE)


@dataclass(frozen=True)
class CorpusFacts:
    """A corpus and what it was used for.

    Attributes:
        name: Short name, as in the column `corpus` of its windows.
        title: Full name.
        roles: Some of `ROLES`.
        licence: Licence of the corpus, which the licence of the model does not replace.
        url: Page of the corpus.
        citation: What to cite.
        hub_id: Dataset repository of the windows.
        hours: Length of what was prepared.
        subjects: Number of subjects.
        windows: Number of windows.
        window_seconds: Length of a window in seconds.
        num_channels: Fewest and most channels of a recording.
        original_rates_hz: Sampling rates of the recordings.
        sampling_rate_hz: Sampling rate of the windows.
        recorded_against: Reference electrode(s) of the amplifier.
        reference: Reference of the windows.
        unit: Unit of the windows.
        is_simulated: Whether the recordings are simulated.
    """

    name: str
    title: str
    roles: tuple[str, ...]
    licence: str | None = None
    url: str | None = None
    citation: str | None = None
    hub_id: str | None = None
    hours: float | None = None
    subjects: int | None = None
    windows: int | None = None
    window_seconds: float | None = None
    num_channels: tuple[int, int] | None = None
    original_rates_hz: tuple[float, ...] = ()
    sampling_rate_hz: float | None = None
    recorded_against: str | None = None
    reference: str | None = None
    unit: str | None = None
    is_simulated: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.roles) - set(ROLES))
        if unknown:
            raise ValueError(
                f"{self.name}: expected roles among {', '.join(ROLES)}, got {', '.join(unknown)}"
            )


@dataclass(frozen=True)
class ResultFacts:
    """One method in one test.

    Attributes:
        method: Name of the method.
        is_own: Whether it is this model rather than a baseline.
        regime: One of `REGIMES`.
        split: How the data were split.
        metrics: Metric -> `mean`, and where recorded `sd`, `interval` and `undefined_folds`.
        num_subjects: Number of subjects tested.
        num_windows: Number of windows tested.
        num_seeds: Number of trainings that the metrics are averaged over.
        conditions: What the test asked for beyond the split, see `CardKind.conditions`.
        difference: To the best baseline, over the same subjects: `baseline`, `mean`, `interval`,
            `num_higher` and `num_subjects`.
    """

    method: str
    is_own: bool
    regime: str
    split: str
    metrics: Mapping[str, Mapping[str, Any]]
    num_subjects: int | None = None
    num_windows: int | None = None
    num_seeds: int = 1
    conditions: Mapping[str, Any] = field(default_factory=dict)
    difference: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise ValueError(
                f"{self.method}: expected a regime among {', '.join(REGIMES)}, got {self.regime!r}"
            )


@dataclass(frozen=True)
class ComputeFacts:
    """What training the model took.

    Attributes:
        seconds: Training time of all stages.
        hardware: What it ran on.
        watts: Power draw stated by the user, for the estimate of energy.
    """

    seconds: float | None = None
    hardware: str | None = None
    watts: float | None = None

    @property
    def energy_kwh(self) -> float | None:
        """Estimated energy in kWh; `None` where time or power were not recorded."""
        if self.seconds is None or self.watts is None:
            return None
        return self.seconds / 3600 * self.watts / 1000


@dataclass(frozen=True)
class CardFacts:
    """Everything that a model card shows.

    Attributes:
        architecture: `model_type` of the config; it selects the template of the card.
        model_class: Name of the model class.
        title: Heading of the card.
        parameters: Number of parameters.
        config: Fields of the config worth reading.
        labels: Classes, in order.
        signal: Settings of the feature extractor; empty where none was saved.
        channels: Channels of the training data.
        corpora: Corpora of training and test.
        objectives: Training objective of each stage.
        weights: How the weights relate to the results, such as "one of five folds".
        results: This model and its baselines.
        chance: Metric -> score of always predicting the most frequent class.
        seeds: Seeds of the trainings of this model.
        saw_test_subjects: Whether windows of the tested subjects were in the pretraining.
        caveats: What else a reader must know to read the results, a sentence each.
        compute: What the training took.
        commit: Commit of the code that the results come from.
        packages: Package -> version.
        machine: Machine that computed the results.
        licence: Licence of the weights, as the Hub spells it.

    Raises:
        ValueError: If the model has results without a baseline, the results are not of the kind that the
            architecture has, or a text could break the Markdown or the code of the card.
    """

    architecture: str
    model_class: str
    title: str
    parameters: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    signal: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    corpora: tuple[CorpusFacts, ...] = ()
    objectives: tuple[str, ...] = ()
    weights: str | None = None
    results: tuple[ResultFacts, ...] = ()
    chance: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    saw_test_subjects: bool | None = None
    caveats: tuple[str, ...] = ()
    compute: ComputeFacts = ComputeFacts()
    commit: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    machine: str | None = None
    licence: str = "apache-2.0"

    def __post_init__(self) -> None:
        if self.own_results and all(row.is_own for row in self.results):
            raise ValueError(f"{self.title}: expected a baseline beside its results, got none")
        wanted = set(self.kind.conditions)
        for row in self.results:
            if set(row.conditions) != wanted:
                raise ValueError(
                    f"{self.title}: expected results with {_listed(wanted)} for {self.architecture}, got "
                    f"{row.method} with {_listed(row.conditions)}"
                )
        refuse_unsafe_text(_plain(self), self.architecture)

    @property
    def kind(self) -> CardKind:
        """How the card of this architecture shows its results."""
        return card_kind(self.architecture)

    @property
    def own_results(self) -> tuple[ResultFacts, ...]:
        """The rows of this model."""
        return tuple(row for row in self.results if row.is_own)

    @property
    def is_classifier(self) -> bool:
        """Whether the model has a classification head."""
        return self.model_class.endswith("ForSequenceClassification")

    @property
    def sampling_rate(self) -> float:
        """Sampling rate in Hz of the model's input; 200 where it is not recorded."""
        known = (self.signal.get("sampling_rate"), self.config.get("sampling_rate"))
        return next(filter(None, (*known, self.config.get("eeg_config.sampling_rate"))), 200.0)

    @property
    def num_seeds(self) -> int | None:
        """Number of trainings of this model; `None` where there are no results and no seeds."""
        return max((row.num_seeds for row in self.own_results), default=len(self.seeds) or None)

    def with_role(self, role: str) -> tuple[CorpusFacts, ...]:
        """Return the corpora that were used for something."""
        return tuple(corpus for corpus in self.corpora if role in corpus.roles)

    @property
    def contamination(self) -> Contamination:
        """What the model may have seen of the tested subjects, the worst case."""
        pretrained_on = {corpus.name for corpus in self.with_role("pretraining")}
        shared = pretrained_on & {corpus.name for corpus in self.with_role("evaluation")}
        if self.saw_test_subjects or any(row.regime.startswith("known") for row in self.own_results):
            return "test subjects"
        if self.own_results and self.saw_test_subjects is None and (shared or not pretrained_on):
            return "unknown"
        if any(row.regime not in ("unseen", "known") for row in self.own_results):
            return "unlabelled windows"
        return "same corpus" if shared else "none"

    def write(self, path: str | Path) -> None:
        """Write the facts as JSON: a line a field, corpus and result; defaults are left out."""
        lines = []
        for name, value in _plain(self).items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                rows = ",\n".join(f"    {_dumped(row)}" for row in value)
                lines.append(f'  "{name}": [\n{rows}\n  ]')
            else:
                lines.append(f'  "{name}": {_dumped(value)}')
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "CardFacts":
        """Read facts that `write` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not JSON, lacks a field or has an unknown one.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return _build(
                cls,
                {
                    **content,
                    "corpora": [_build(CorpusFacts, corpus) for corpus in content.get("corpora", ())],
                    "results": [_build_result(row) for row in content.get("results", ())],
                    "compute": _build(ComputeFacts, content.get("compute", {})),
                },
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: expected the facts of a card ({error})") from None


def refuse_unsafe_text(value: Any, place: str) -> None:
    """Refuse text that could end its line, its table cell's row or its code block, wherever it stands.

    Raises:
        ValueError: If there is any, naming where.
    """
    if isinstance(value, str) and _UNSAFE.search(value):
        raise ValueError(f"{place}: expected one line of plain text, got {value!r}")
    if isinstance(value, Mapping):
        for name, item in value.items():
            refuse_unsafe_text(str(name), place)
            refuse_unsafe_text(item, f"{place}.{name}")
    if isinstance(value, list | tuple):
        for item in value:
            refuse_unsafe_text(item, place)


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "no conditions"


def _plain(facts: Any) -> dict[str, Any]:
    """Return a record as JSON holds it, without fields that have their default; a mean alone is a number."""
    content: dict[str, Any] = {}
    for item in fields(facts):
        value = getattr(facts, item.name)
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if value == default:
            continue
        if isinstance(value, tuple):
            value = [_plain(entry) if is_dataclass(entry) else entry for entry in value]
        elif is_dataclass(value):
            value = _plain(value)
        elif item.name == "metrics":
            value = {name: each["mean"] if set(each) == {"mean"} else each for name, each in value.items()}
        content[item.name] = value
    return content


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _build_result(row: Mapping[str, Any]) -> Any:
    metrics = {
        name: each if isinstance(each, Mapping) else {"mean": each} for name, each in row["metrics"].items()
    }
    return _build(ResultFacts, {**row, "metrics": metrics})


def _build(cls: type, content: Mapping[str, Any]) -> Any:
    """Make a record from JSON, where tuples are lists."""
    unknown = sorted(set(content) - {item.name for item in fields(cls)})
    if unknown:
        raise ValueError(f"{cls.__name__} has no {', '.join(unknown)}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
