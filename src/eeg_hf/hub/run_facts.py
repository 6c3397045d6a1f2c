# SPDX-License-Identifier: Apache-2.0
"""The facts of a card, read from what the commands leave behind; nothing is guessed, no pickle is opened."""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ..corpora.windows.corpus_record import plain_text, read_record
from ..evaluation.report import calibration_of
from .card_facts import ROLES, CardFacts, ComputeFacts, CorpusFacts
from .card_kinds import card_kind
from .objectives import describe_objective, read_labels
from .registry import count_parameters
from .run_results import Evaluation, Results, read_evaluation, read_json, read_own_test

_SIGNAL = (
    *("sampling_rate", "highpass_hz", "lowpass_hz", "notch_hz", "reference", "channels"),
    *("missing_channels", "window_seconds", "normalization", "clip", "alignment", "calibration_regime"),
)


def facts_from_run(
    model: str | Path,
    *,
    title: str | None = None,
    data: Mapping[str, Collection[str | Path]] | None = None,
    evaluation: Evaluation | None = None,
    own_methods: Collection[str] = (),
    pretrained: Sequence[str | Path] = (),
    saw_test_subjects: bool | None = None,
    weights: str | None = None,
    caveats: Sequence[str] = (),
    hub_ids: Mapping[str, str] | None = None,
    hardware: str | None = None,
    watts: float | None = None,
) -> CardFacts:
    """Gather what the card of a model shows.

    Args:
        model: Folder of the model: config.json and weights; the rest where it is there.
        title: Heading; the name of the architecture by default.
        data: Role (pretraining, fine-tuning, evaluation) -> folders of prepared corpora.
        evaluation: Folder of eeg-hf evaluate or eeg-hf evaluate-infilling, or a file of eeg-hf
            eval-retrieval; of those also several, pairs of the name of a method and a file. Without it the
            results are those that eeg-hf finetune left in the folder of the model.
        own_methods: Methods of the evaluation that are this model; in retrieval those without a name are.
        pretrained: Folders of the training stages before, for their objectives and times.
        saw_test_subjects: Whether windows of the tested subjects were in the pretraining. No file records it:
            if left out, the card calls it unknown.
        weights: How these weights relate to the results.
        caveats: What else a reader must know.
        hub_ids: Corpus -> dataset repository.
        hardware: Hardware of the training.
        watts: Power of that hardware, for the estimate of energy.

    Raises:
        FileNotFoundError: If a folder does not hold what it should.
        ValueError: If the evaluation lacks one of the methods or is of another kind of model.

    Example:
        >>> facts = facts_from_run("runs/classifier", evaluation="runs/table")  # doctest: +SKIP
    """
    folder = Path(model)
    config = read_json(folder / "config.json", "a saved model")
    if not list(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{folder}: expected weights as safetensors, got none")
    stages = [*(Path(stage) for stage in pretrained), folder]
    model_class = (config.get("architectures") or ["unknown"])[0]
    is_classifier = model_class.endswith("ForSequenceClassification")
    labels = read_labels(config) if is_classifier else ()
    signal_path = folder / "preprocessor_config.json"
    signal = read_json(signal_path, "a feature extractor") if signal_path.is_file() else {}
    data = data or {}
    name = re.sub(r"(Model|For[A-Z]\w+)$", "", model_class)
    regime = "known" if saw_test_subjects else calibration_of(signal)
    if evaluation:
        found = read_evaluation(config["model_type"], evaluation, own_methods, name, regime, folder)
    else:
        found = read_own_test(folder, title or name, regime, labels) if is_classifier else Results()
    if any(row.conditions.get("direction") for row in found.rows) and saw_test_subjects is None:
        # Pairs are split by image, which says nothing about subjects
        raise ValueError("saw_test_subjects: say whether the tested subjects were in the training, or not")
    return CardFacts(
        architecture=config["model_type"],
        model_class=model_class,
        title=title or name,
        parameters=count_parameters(folder),
        config=_shown_config(config),
        labels=labels,
        signal={name: signal[name] for name in _SIGNAL if signal.get(name, "unseen") != "unseen"},
        channels=_training_channels(config, data.get("pretraining", ())),
        corpora=_corpora(data, hub_ids or {}),
        objectives=tuple(
            describe_objective(read_json(stage / "config.json", "a saved model"), read_head(stage))
            + describe_trained(stage)
            for stage in stages
        ),
        weights=weights,
        results=found.rows,
        chance=found.provenance.get("chance") or {},
        seeds=found.seeds,
        saw_test_subjects=saw_test_subjects,
        caveats=tuple(caveats),
        compute=ComputeFacts(_training_seconds(stages), hardware, watts),
        commit=found.provenance.get("commit"),
        packages=found.provenance.get("packages") or {},
        machine=found.provenance.get("machine"),
    )


def read_head(folder: Path) -> dict[str, Any] | None:
    """Return how the head of a run was fitted; None where it was trained with the encoder."""
    path = folder / "head.json"
    return read_json(path, "a fitted head") if path.is_file() else None


def describe_trained(folder: Path) -> str:
    """Return how many parameters a stage changed, in words; empty where it does not say."""
    path = folder / "trained_parameters.json"
    if not path.is_file():
        return ""
    found = read_json(path, "a count of trained parameters")
    adapter = found.get("adapter", "none")
    among = f"of {found['total']:,}" if adapter == "none" else f"({adapter}) beside {found['total']:,}"
    return f"; {found['trained']:,} {among} parameters trained"


def corpus_facts(folder: str | Path, roles: Collection[str]) -> CorpusFacts:
    """Read the facts of a prepared corpus.

    Args:
        folder: As `eeg_hf.corpora.prepare` leaves it.
        roles: What the corpus was used for.

    Raises:
        FileNotFoundError: If the folder is not a corpus that was prepared to its end.
    """
    folder = Path(folder)
    recordings = _prepared_recordings(folder)
    decisions = [recording["decisions"] for recording in recordings]
    shard = pq.ParquetFile(min(folder.glob("data/*.parquet")))
    columns = shard.read_row_group(0, ["corpus", "licence", "num_samples", "sampling_rate"])
    window = columns.slice(0, 1).to_pylist()[0]
    record = read_record(folder, window["corpus"])
    counts = [len(decision["channels"]) for decision in decisions]
    return CorpusFacts(
        name=window["corpus"],
        title=record["title"],
        roles=tuple(role for role in ROLES if role in roles),
        licence=plain_text(window["licence"]),
        url=record.get("url") or None,
        citation=record.get("citation") or None,
        hours=round(sum(recording["seconds"] for recording in recordings) / 3600, 3),
        subjects=len({recording["subject"] for recording in recordings}),
        windows=sum(recording["num_windows"] for recording in recordings),
        window_seconds=window["num_samples"] / window["sampling_rate"],
        num_channels=(min(counts), max(counts)),
        original_rates_hz=tuple(sorted({decision["original_sampling_rate"] for decision in decisions})),
        sampling_rate_hz=window["sampling_rate"],
        recorded_against=record.get("recorded_against") or None,
        reference=", ".join(sorted({str(decision["reference"]) for decision in decisions})),
        unit=record.get("unit") or None,
        is_simulated=record.get("is_simulated", False),
    )


def _prepared_recordings(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the report of a prepared corpus that are of recordings with windows."""
    missing = [name for name in ("README.md", "report.jsonl") if not (folder / name).is_file()]
    if missing or not any(folder.glob("data/*.parquet")):
        raise FileNotFoundError(
            f"{folder} is not a prepared corpus: it lacks {', '.join(missing) or 'windows'}"
        )
    lines = (folder / "report.jsonl").read_text(encoding="utf-8").splitlines()
    recordings = [json.loads(line) for line in lines]
    return [each for each in recordings if each["status"] == "ok" and each["num_windows"]]


def _corpora(
    data: Mapping[str, Collection[str | Path]], hub_ids: Mapping[str, str]
) -> tuple[CorpusFacts, ...]:
    """Describe each folder once, with all that it was used for."""
    roles: dict[Path, list[str]] = {}
    for role, folders in data.items():
        for folder in folders:
            roles.setdefault(Path(folder), []).append(role)
    found = [corpus_facts(folder, used) for folder, used in roles.items()]
    unknown = sorted(set(hub_ids) - {corpus.name for corpus in found})
    if unknown:
        known = ", ".join(corpus.name for corpus in found) or "none"
        raise ValueError(f"hub_ids: no corpus is called {', '.join(unknown)}; there is {known}")
    return tuple(replace(corpus, hub_id=hub_ids.get(corpus.name)) for corpus in found)


def _shown_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config that its card shows; those of an EEG tower have its name before them."""
    tower = {f"eeg_config.{name}": value for name, value in config.get("eeg_config", {}).items()}
    known = {**config, **tower}
    return {name: known[name] for name in card_kind(config["model_type"]).config if name in known}


def _training_channels(config: Mapping[str, Any], folders: Collection[str | Path]) -> tuple[str, ...]:
    """Return the channels that a config remembers, or else those of the pretraining corpora."""
    known = config.get("channel_names") or config.get("eeg_config", {}).get("channel_names")
    if known:
        return tuple(known)
    recordings = [recording for folder in folders for recording in _prepared_recordings(Path(folder))]
    return tuple(dict.fromkeys(name for each in recordings for name in each["decisions"]["channels"]))


def _training_seconds(stages: Sequence[Path]) -> float | None:
    """Add up the training times of all stages; `None` where one did not record it."""
    total = 0.0
    for stage in stages:
        path = stage / "trainer_state.json"
        logs = json.loads(path.read_text(encoding="utf-8"))["log_history"] if path.is_file() else []
        total += next(
            (log["train_runtime"] for log in reversed(logs) if "train_runtime" in log),
            math.nan,
        )
    return None if math.isnan(total) else round(total, 1)
