# SPDX-License-Identifier: Apache-2.0
"""The facts of a card, read from what the scripts leave behind; nothing is guessed, no pickle is opened."""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from .card_facts import ROLES, CardFacts, CodecResultFacts, ComputeFacts, CorpusFacts, ResultFacts
from .eval_results import CODEC_METRICS
from .registry import count_parameters

_SUMMARY = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("sampling_rate", "patch_size", "overlap", "max_seq_length"),
)
_CODEC_SUMMARY = (
    *("architecture", "patch_size", "levels", "codes_per_patch", "hidden_dims", "conv_channels"),
    *("conv_strides", "activation", "linear_path", "use_conditioning", "sampling_rate"),
)
_CODEC_ROW = (
    *("corpus", "sampling_rate", "bits_per_second", "budget_bits_per_second", "compression_ratio"),
    *("total_compression_ratio", "parameters", "num_subjects", "num_windows"),
)
_SIGNAL = (
    *("sampling_rate", "highpass_hz", "lowpass_hz", "notch_hz", "reference", "channels", "window_seconds"),
    *("normalization", "clip", "alignment", "bad_channels", "missing_channels", "adaptive"),
)
_IDLE: Mapping[str, str] = {"signal": "code_weight", "codes": "reconstruction_weight"}  # by target
_OBJECTIVES: Mapping[str, str] = {
    "reconstruction_weight": "masked reconstruction",
    "code_weight": "masked prediction of a codec's tokens",
    "contrastive_weight": "contrast of two views",
}


def facts_from_run(
    model: str | Path,
    *,
    title: str | None = None,
    data: Mapping[str, Collection[str | Path]] | None = None,
    evaluation: str | Path | None = None,
    own_methods: Collection[str] = (),
    pretrained: Sequence[str | Path] = (),
    saw_test_subjects: bool | None = None,
    weights: str | None = None,
    caveats: Sequence[str] = (),
    hub_ids: Mapping[str, str] | None = None,
    hardware: str | None = None,
    watts: float | None = None,
) -> CardFacts:
    """Gather what the card of a model says.

    Args:
        model: Folder of the model: config.json and weights; the rest where it is there.
        title: Heading; the name of the class by default.
        data: Role (pretraining, fine-tuning, evaluation) -> folders of prepared corpora.
        evaluation: Folder that scripts/evaluate.py left.
        own_methods: Which methods of its table are this model.
        pretrained: Folders of the stages before, for their objectives and times.
        saw_test_subjects: Whether windows of the subjects tested were in the pretraining. No file tells:
            left out, the card calls it unknown.
        weights: What these weights have to do with the results.
        caveats: What else a reader must know.
        hub_ids: Corpus -> dataset repository.
        hardware: What it was trained on.
        watts: Power of that, for the energy.

    Raises:
        FileNotFoundError: If a folder is not what it should be.
        ValueError: If no method of the table is called so.

    Example:
        >>> facts = facts_from_run("runs/classifier", evaluation="runs/table")  # doctest: +SKIP
    """
    folder = Path(model)
    config = _read_json(folder / "config.json", "a saved model")
    if not list(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{folder}: expected weights as safetensors, got none")
    report = _read_json(Path(evaluation) / "metrics.json", "an evaluation") if evaluation else {}
    about = report.get("provenance", {})
    stages = [*(Path(stage) for stage in pretrained), folder]
    architecture = (config.get("architectures") or ["unknown"])[0]
    signal_path = folder / "preprocessor_config.json"
    signal = _read_json(signal_path, "a feature extractor") if signal_path.is_file() else {}
    corpora = _corpora(data or {}, hub_ids or {})
    is_codec = "levels" in config
    return CardFacts(
        architecture=config["model_type"],
        model_class=architecture,
        title=title or re.sub(r"(Model|For[A-Z]\w+)$", "", architecture),
        parameters=count_parameters(folder),
        config={name: config[name] for name in (_CODEC_SUMMARY if is_codec else _SUMMARY) if name in config},
        labels=_labels(config) if architecture.endswith("ForSequenceClassification") else (),
        signal={name: signal[name] for name in _SIGNAL if name in signal},
        channels=tuple(config.get("channel_names") or (_channels(corpora) if is_codec else ())),
        corpora=corpora,
        objectives=tuple(_objective(_read_json(stage / "config.json", "a saved model")) for stage in stages),
        weights=weights,
        results=_results(report, own_methods, signal),
        chance=about.get("chance") or {},
        num_seeds=len(about["seeds"]) if "seeds" in about else None,
        saw_test_subjects=saw_test_subjects,
        caveats=tuple(caveats),
        compute=ComputeFacts(_training_seconds(stages), hardware, watts),
        commit=about.get("commit"),
        packages=about.get("packages") or {},
        machine=about.get("machine"),
    )


def corpus_facts(folder: str | Path, roles: Collection[str]) -> CorpusFacts:
    """Read what the folder of a prepared corpus says of it.

    Args:
        folder: As `eeg_hf.corpora.prepare` leaves it.
        roles: What it was used for.

    Raises:
        FileNotFoundError: If it is not the folder of a corpus that was prepared to its end.
    """
    folder = Path(folder)
    missing = [name for name in ("README.md", "report.jsonl") if not (folder / name).is_file()]
    shards = sorted(folder.glob("data/*.parquet"))
    if missing or not shards:
        raise FileNotFoundError(
            f"{folder} is not a prepared corpus: it lacks {', '.join(missing) or 'windows'}"
        )
    card = (folder / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])
    rows = [json.loads(line) for line in (folder / "report.jsonl").read_text(encoding="utf-8").splitlines()]
    used = [row for row in rows if row["status"] == "ok" and row["num_windows"]]
    decisions = [row["decisions"] for row in used]
    first = (
        pq.ParquetFile(shards[0]).read_row_group(0, ["corpus", "num_samples", "sampling_rate"]).slice(0, 1)
    )
    window = first.to_pylist()[0]
    counts = [len(decision["channels"]) for decision in decisions]
    reference = {str(decision["reference"]) for decision in decisions}
    return CorpusFacts(
        name=window["corpus"],
        title=re.sub(r", [\d.]+-s windows$", "", header["pretty_name"]),
        roles=tuple(role for role in ROLES if role in roles),
        licence=_said(card, r"^Licence: (.+?)\. Source: "),
        url=_said(card, r"Source: (https?://\S+?)\.? Cite: "),
        citation=_said(card, r" Cite: (.+)$"),
        hours=round(sum(row["seconds"] for row in used) / 3600, 3),
        subjects=len({row["subject"] for row in used}),
        windows=sum(row["num_windows"] for row in used),
        window_seconds=window["num_samples"] / window["sampling_rate"],
        num_channels=(min(counts), max(counts)),
        channels=tuple(dict.fromkeys(name for decision in decisions for name in decision["channels"])),
        original_rates_hz=tuple(sorted({decision["original_sampling_rate"] for decision in decisions})),
        sampling_rate_hz=window["sampling_rate"],
        recorded_against=_said(card, r"Recorded against: (.+?)\.$"),
        reference=", ".join(sorted(reference)),
        unit=_said(card, r"\[:, None\]  # (.+)$"),
    )


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


def _results(
    report: Mapping[str, Any], own: Collection[str], signal: Mapping[str, Any]
) -> tuple[ResultFacts, ...]:
    """Take the rows of a report over; tell this model from the baselines."""
    rows = report.get("results", ())
    methods = {_method(row) for row in rows}
    unknown = sorted(set(own) - methods)
    if unknown:
        known = ", ".join(sorted(methods)) or "no method, because no evaluation was given"
        raise ValueError(f"own_methods: the table has no {', '.join(unknown)}; it has {known}")
    if rows and not own:
        raise ValueError(f"own_methods: say which of {', '.join(sorted(methods))} is this model")
    regime = "aligned" if signal.get("alignment") == "euclidean" else "unseen"
    return tuple(
        _codec_result(row, row["codec"] in own, regime, report["provenance"])
        if "codec" in row
        else ResultFacts(
            method=row["method"],
            is_own=row["method"] in own,
            regime=row["regime"],
            split=row["split"],
            metrics=row["metrics"],
            num_subjects=row["num_subjects"],
            num_windows=row["num_windows"],
            seeds=tuple(row["seeds"]),
        )
        for row in rows
    )


def _method(row: Mapping[str, Any]) -> str:
    return row["codec"] if "codec" in row else row["method"]


def _codec_result(
    row: Mapping[str, Any], is_own: bool, regime: str, about: Mapping[str, Any]
) -> CodecResultFacts:
    """Take the row of a codec over, with the metrics that a card shows."""
    return CodecResultFacts(
        method=row["codec"],
        is_own=is_own,
        regime=regime,
        split=about["split"],
        metrics={name: row["metrics"][name] for name in CODEC_METRICS if name in row["metrics"]},
        seeds=tuple(about["seeds"][: row["seeds"]]) if row["seeds"] > 1 else (),
        **{name: row[name] for name in _CODEC_ROW},
    )


def _channels(corpora: Sequence[CorpusFacts]) -> list[str]:
    """Name the channels of what was trained on: a codec codes each alone and remembers none."""
    trained_on = (corpus.channels for corpus in corpora if "pretraining" in corpus.roles)
    return list(dict.fromkeys(name for names in trained_on for name in names))


def _objective(config: Mapping[str, Any]) -> str:
    """Say what the class of a saved model was trained to do."""
    name = (config.get("architectures") or [""])[0]
    if name.endswith("ForSequenceClassification"):
        return f"cross-entropy over {', '.join(_labels(config))}{_of_labels(config)}"
    if "levels" in config:
        return "mean squared error of patches through finite scalar quantization, no codebook loss"
    if not name.endswith("ForPreTraining"):
        return "not recorded: an encoder says nothing of the head it was trained with"
    used = [
        name for name in _OBJECTIVES if config.get(name) and name != _IDLE.get(config.get("target", "signal"))
    ]
    parts = [f"{_OBJECTIVES[name]} (weight {config[name]:g})" for name in used]
    if used and used[0] != "contrastive_weight" and "mask_ratio" in config:
        parts[0] += f" of {config['mask_ratio']:.0%} of the signal"
    return " and ".join(parts) or "not recorded"


def _of_labels(config: Mapping[str, Any]) -> str:
    weighted = ", each class counting alike" if config.get("class_weights") else ""
    smoothing = config.get("label_smoothing")
    return weighted + (f", label smoothing {smoothing:g}" if smoothing else "")


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Classes in order; transformers leaves the names out of a file where they are LABEL_0 and LABEL_1."""
    names: Mapping[str, str] = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return tuple(names[key] for key in sorted(names, key=int))


def _training_seconds(stages: Sequence[Path]) -> float | None:
    """Add up the times of all stages; `None` where one did not record its own."""
    total = 0.0
    for stage in stages:
        path = stage / "trainer_state.json"
        logs = json.loads(path.read_text(encoding="utf-8"))["log_history"] if path.is_file() else []
        runtime = next((log["train_runtime"] for log in reversed(logs) if "train_runtime" in log), math.nan)
        total += runtime
    return None if math.isnan(total) else round(total, 1)


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.parent} is not the folder of {what}: it has no {path.name}") from None
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON ({error})") from None


def _said(text: str, pattern: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else None


__all__ = ["corpus_facts", "facts_from_run"]
