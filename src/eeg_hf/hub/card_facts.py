# SPDX-License-Identifier: Apache-2.0
"""Everything that a model card says, as data; the card says of what is `None` or empty that nobody knows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

UNKNOWN = "not recorded"
REGIMES: Mapping[str, str] = {
    "unseen": "the person tested is unseen",
    "aligned": "unlabelled windows of the person tested were used",
    "known": "the person tested was in the training",
}
ROLES = ("pretraining", "fine-tuning", "evaluation")
Contamination = Literal["none", "same corpus", "unlabelled windows", "test subjects", "unknown"]


@dataclass(frozen=True)
class CorpusFacts:
    """A corpus and what it was used for.

    Attributes:
        name: Short name, as in the column `corpus` of its windows.
        title: Full name.
        roles: Some of `ROLES`.
        licence: Its own licence, which the model's does not replace.
        url: Where a person reads about it.
        citation: What to cite.
        hub_id: Dataset repository of its windows, where there is one.
        hours: Length of what was prepared.
        subjects: Number of people.
        windows: Number of windows.
        window_seconds: Length of one.
        num_channels: Fewest and most channels of a recording.
        channels: Names of all channels.
        original_rates_hz: Rates it was recorded at.
        sampling_rate_hz: Rate of the windows.
        recorded_against: Electrode(s) the amplifier referred to.
        reference: Reference of the windows.
        unit: Unit of the windows.
        is_simulated: Whether nobody was recorded.
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
    channels: tuple[str, ...] = ()
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
    """One row of the table of results, as `eeg_hf.evaluation.write_report` writes it.

    Attributes:
        method: Its name.
        is_own: Whether it is this model, and not something it is compared with.
        regime: One of `REGIMES`.
        split: How the data were split.
        metrics: Metric -> `mean`, and where recorded `sd`, `values` and `interval`.
        num_subjects: People tested.
        num_windows: Windows tested.
        seeds: Seeds of the runs, where there were several.
    """

    method: str
    is_own: bool
    regime: str
    split: str
    metrics: Mapping[str, Mapping[str, Any]]
    num_subjects: int | None = None
    num_windows: int | None = None
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise ValueError(
                f"{self.method}: expected a regime among {', '.join(REGIMES)}, got {self.regime!r}"
            )


@dataclass(frozen=True, kw_only=True)
class CodecResultFacts(ResultFacts):
    """One row of the table of codecs, as `eeg_hf.evaluation.write_codec_report` writes it.

    Attributes:
        corpus: What it was measured on, and at which rate.
        sampling_rate: That rate in Hz.
        bits_per_second: Of one channel.
        budget_bits_per_second: What it was allowed: rows of one budget are compared with one another.
        compression_ratio: How many times less than 16 bits a sample.
        total_compression_ratio: The same, with location and scale of each window and channel counted.
        parameters: Numbers that it consists of.
    """

    corpus: str
    sampling_rate: float
    bits_per_second: float
    budget_bits_per_second: float
    compression_ratio: float
    total_compression_ratio: float
    parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class InfillingResultFacts(ResultFacts):
    """One method at one share of the signal hidden, as eeg-hf evaluate-infilling writes it.

    Attributes:
        hidden: That share; 0 where amplitude and bands of what comes out are compared with what went in.
        stretch_seconds: How long the stretches are that were hidden, on one channel as a whole.
    """

    hidden: float
    stretch_seconds: float


@dataclass(frozen=True, kw_only=True)
class RetrievalResultFacts(ResultFacts):
    """One method asked in one direction, as eeg-hf eval-retrieval writes it; chance is a method too.

    Attributes:
        direction: `eeg_to_image` or `image_to_eeg`.
        num_images: Size of the gallery.
        match: What is correct, the same `image` or `concept`.
        is_averaged: Whether a person's repetitions of an image were averaged, and are one window here.
        resampled: What the intervals are over: `image`, `concept` or `subject`.
    """

    direction: str
    num_images: int
    match: str
    is_averaged: bool
    resampled: str

    @property
    def test(self) -> tuple[Any, ...]:
        """What was asked: only rows of one test can be compared."""
        asked = (self.direction, self.num_images, self.match, self.is_averaged)
        return (*asked, self.split, self.num_subjects, self.num_windows)


@dataclass(frozen=True)
class ComputeFacts:
    """What making the model took.

    Attributes:
        seconds: Time of training, all stages.
        hardware: What it ran on.
        watts: Power that the energy is estimated with, as stated by whoever trained it.
    """

    seconds: float | None = None
    hardware: str | None = None
    watts: float | None = None

    @property
    def energy_kwh(self) -> float | None:
        """Energy in kWh, an estimate; `None` where time or power were not recorded."""
        if self.seconds is None or self.watts is None:
            return None
        return self.seconds / 3600 * self.watts / 1000


@dataclass(frozen=True)
class CardFacts:
    """Everything that a model card says.

    Attributes:
        architecture: `model_type` of the config.
        model_class: Name of its class.
        title: Heading of the card.
        parameters: How many numbers the weights hold.
        config: Fields of the config worth reading.
        labels: Classes, in order.
        signal: Settings of the feature extractor; empty where none was saved.
        channels: Channels that the weights were last trained on.
        corpora: What it was trained and tested on.
        objectives: What it was trained to do, stage by stage.
        weights: What the weights have to do with the results, such as "one of five folds".
        results: This model and the baselines.
        chance: Metric -> what always saying the most frequent class reaches.
        num_seeds: How many seeds were run.
        saw_test_subjects: Whether windows of the subjects tested were in the pretraining.
        caveats: What else a reader must know to read the results, a sentence each.
        compute: What it took.
        commit: Of the code that the results come from.
        packages: Package -> version.
        machine: Where the results were computed.
        licence: Of the weights, as the Hub spells it.
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
    num_seeds: int | None = None
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
        expected = self.result_type
        other = next((type(row) for row in self.results if type(row) is not expected), None)
        if other:
            raise ValueError(
                f"{self.title}: expected results of {_TABLES[expected]}, got results of {_TABLES[other]}"
            )

    @property
    def own_results(self) -> tuple[ResultFacts, ...]:
        """The rows of this model."""
        return tuple(row for row in self.results if row.is_own)

    @property
    def is_classifier(self) -> bool:
        """Whether it has a head that names classes."""
        return self.model_class.endswith("ForSequenceClassification")

    @property
    def result_type(self) -> type[ResultFacts]:
        """What a row of its table of results is, which depends on what it does."""
        return next((row for name, row in _RESULT_TYPES.items() if name in self.config), ResultFacts)

    @property
    def is_codec(self) -> bool:
        """Whether it turns signals into tokens and back."""
        return self.result_type is CodecResultFacts

    @property
    def sampling_rate(self) -> float:
        """Rate in Hz of the signals that it takes, 200 where nothing says it."""
        known = (self.signal.get("sampling_rate"), self.config.get("sampling_rate"))
        return next(filter(None, (*known, self.config.get("eeg_config.sampling_rate"))), 200.0)

    @property
    def codec_results(self) -> tuple[CodecResultFacts, ...]:
        """The rows that are of codecs: all or none."""
        return tuple(row for row in self.results if isinstance(row, CodecResultFacts))

    @property
    def infilling_results(self) -> tuple[InfillingResultFacts, ...]:
        """The rows that are of hidden stretches: all or none."""
        return tuple(row for row in self.results if isinstance(row, InfillingResultFacts))

    @property
    def retrieval_results(self) -> tuple[RetrievalResultFacts, ...]:
        """The rows that are of EEG and images: all or none."""
        return tuple(row for row in self.results if isinstance(row, RetrievalResultFacts))

    def with_role(self, role: str) -> tuple[CorpusFacts, ...]:
        """Return the corpora that were used for something."""
        return tuple(corpus for corpus in self.corpora if role in corpus.roles)

    @property
    def contamination(self) -> Contamination:
        """What the model may have known of the people it was tested on, the worst of it."""
        pretrained_on = {corpus.name for corpus in self.with_role("pretraining")}
        shared = pretrained_on & {corpus.name for corpus in self.with_role("evaluation")}
        if self.saw_test_subjects:
            return "test subjects"
        if self.own_results and self.saw_test_subjects is None and (shared or not pretrained_on):
            return "unknown"
        if any(row.regime == "aligned" for row in self.own_results):
            return "unlabelled windows"
        return "same corpus" if shared else "none"

    def write(self, path: str | Path) -> None:
        """Write the facts as JSON."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "CardFacts":
        """Read facts that `write` wrote.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If they are not JSON, lack a field or have one that a card does not know.
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


_RESULT_TYPES: Mapping[str, type[ResultFacts]] = {  # by a field that only this config has
    "levels": CodecResultFacts,
    "latent_size": InfillingResultFacts,
    "vision_tower": RetrievalResultFacts,
}
_TABLES: Mapping[type[ResultFacts], str] = {
    ResultFacts: "classifiers",
    CodecResultFacts: "codecs",
    InfillingResultFacts: "in-filling",
    RetrievalResultFacts: "retrieval",
}
_MARKS: Mapping[str, type[ResultFacts]] = {  # by a field that only this row has
    "bits_per_second": CodecResultFacts,
    "hidden": InfillingResultFacts,
    "direction": RetrievalResultFacts,
}


def _build_result(row: Mapping[str, Any]) -> Any:
    return _build(next((kind for name, kind in _MARKS.items() if name in row), ResultFacts), row)


def _build(cls: type, content: Mapping[str, Any]) -> Any:
    """Make a record of ours from JSON, where tuples are lists."""
    unknown = sorted(set(content) - {item.name for item in fields(cls)})
    if unknown:
        raise ValueError(f"{cls.__name__} has no {', '.join(unknown)}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})


__all__ = [
    "REGIMES",
    "ROLES",
    "UNKNOWN",
    "CardFacts",
    "CodecResultFacts",
    "ComputeFacts",
    "Contamination",
    "CorpusFacts",
    "InfillingResultFacts",
    "ResultFacts",
    "RetrievalResultFacts",
]
