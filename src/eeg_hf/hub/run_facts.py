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

from .card_facts import ROLES, CardFacts, ComputeFacts, CorpusFacts, ResultFacts, RetrievalResultFacts
from .infilling_card import masking_objective
from .registry import count_parameters
from .retrieval_card import contrast_objective
from .run_results import Evaluation, read_json, read_reports, read_results

_SUMMARY = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("sampling_rate", "patch_size", "overlap", "max_seq_length"),
)
_CODEC_SUMMARY = (
    *("architecture", "patch_size", "levels", "codes_per_patch", "hidden_dims", "conv_channels"),
    *("conv_strides", "activation", "linear_path", "use_conditioning", "sampling_rate"),
)
_MASKED_VAE_SUMMARY = (
    *("hidden_size", "num_hidden_layers", "num_decoder_layers", "num_attention_heads", "intermediate_size"),
    *("latent_size", "sampling_rate", "patch_size", "max_seq_length", "use_channel_attention"),
    *("use_spatial_guess", "mask_ratio", "stretch_patches", "visible_weight", "beta", "free_bits"),
)
_CLIP_SUMMARY = (
    *("vision_tower", "vision_dim", "freeze_vision", "projection_dim", "projection_hidden_size"),
    *("vision_projection", "temperature"),
)
_TOWER_SUMMARY = (
    *("model_type", "num_channels", "channel_adapter", "sampling_rate", "max_seq_length", "patch_size"),
    *("conv_size", "kernel_sizes", "dilations", "strides", "hidden_size", "num_hidden_layers"),
    *("num_attention_heads", "intermediate_size", "temporal_pool"),
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
    """Gather what the card of a model says.

    Args:
        model: Folder of the model: config.json and weights; the rest where it is there.
        title: Heading; the name of the class by default.
        data: Role (pretraining, fine-tuning, evaluation) -> folders of prepared corpora.
        evaluation: Folder that eeg-hf evaluate or eeg-hf evaluate-infilling left, or a file that
            scripts/eval_retrieval.py wrote; of those also several, pairs of the name of a method and a file.
        own_methods: Which methods of its table are this model; what has no name is.
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
    config = read_json(folder / "config.json", "a saved model")
    if not list(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{folder}: expected weights as safetensors, got none")
    stages = [*(Path(stage) for stage in pretrained), folder]
    architecture = (config.get("architectures") or ["unknown"])[0]
    signal_path = folder / "preprocessor_config.json"
    signal = read_json(signal_path, "a feature extractor") if signal_path.is_file() else {}
    corpora = _corpora(data or {}, hub_ids or {})
    name = re.sub(r"(Model|For[A-Z]\w+)$", "", architecture)
    reports = read_reports(evaluation, name) if evaluation else []
    if "vision_tower" in config and name in dict(reports):
        own_methods = own_methods or [name]
    about = _provenance(reports, own_methods)
    regime = _regime(signal, saw_test_subjects, reports)
    results = read_results(reports, own_methods, regime, _training_split(folder))
    return CardFacts(
        architecture=config["model_type"],
        model_class=architecture,
        title=title or name,
        parameters=count_parameters(folder),
        config=_summary(config),
        labels=_labels(config) if architecture.endswith("ForSequenceClassification") else (),
        signal={name: signal[name] for name in _SIGNAL if name in signal},
        channels=_channels(config, corpora),
        corpora=corpora,
        objectives=tuple(_objective(read_json(stage / "config.json", "a saved model")) for stage in stages),
        weights=weights,
        results=results,
        chance=about.get("chance") or {},
        num_seeds=_num_seeds(about, results),
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
        is_simulated="\nNobody was recorded.\n" in card,
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


def _summary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config worth reading; those of an EEG tower within say whose they are."""
    tower = config.get("eeg_config", {})
    kinds = {"levels": _CODEC_SUMMARY, "latent_size": _MASKED_VAE_SUMMARY, "vision_tower": _CLIP_SUMMARY}
    names = next((names for field, names in kinds.items() if field in config), _SUMMARY)
    own = {name: config[name] for name in names if name in config}
    return own | {f"eeg_config.{name}": tower[name] for name in _TOWER_SUMMARY if name in tower}


def _channels(config: Mapping[str, Any], corpora: Sequence[CorpusFacts]) -> tuple[str, ...]:
    """Name the channels of what was trained on: codecs, masked VAEs and EEG-CLIP do not remember them."""
    trained_on = [corpus.channels for corpus in corpora if "pretraining" in corpus.roles]
    found = tuple(dict.fromkeys(name for names in trained_on for name in names))
    known = config.get("channel_names") or config.get("eeg_config", {}).get("channel_names") or ()
    remembers = not {"levels", "latent_size", "vision_tower"} & set(config)
    return tuple(known) if remembers else found or tuple(known)


def _regime(signal: Mapping[str, Any], saw_test_subjects: bool | None, reports: Sequence[Any]) -> str:
    """Say what was known of the people tested; pairs are split by image, which says nothing of people."""
    if saw_test_subjects is None and any("eeg_to_image" in report for _, report in reports):
        raise ValueError("saw_test_subjects: say whether the people of the test were in the training, or not")
    if saw_test_subjects:
        return "known"
    return "aligned" if signal.get("alignment") == "euclidean" else "unseen"


def _provenance(reports: Sequence[tuple[str, Mapping[str, Any]]], own: Collection[str]) -> dict[str, Any]:
    """Return where the results of this model come from; of several reports the first of its own says it."""
    ordered = sorted(reports, key=lambda pair: pair[0] not in own)
    return ordered[0][1].get("provenance", {}) if ordered else {}


def _num_seeds(about: Mapping[str, Any], results: Sequence[ResultFacts]) -> int | None:
    """Count the trainings; the seed that eeg-hf eval-retrieval records is of its bootstrap."""
    own = [len(row.seeds) or 1 for row in results if isinstance(row, RetrievalResultFacts) and row.is_own]
    return max(own, default=len(about["seeds"]) if "seeds" in about else None)


def _training_split(folder: Path) -> str | None:
    """Return how eeg-hf train-clip split the pairs, where it left that beside the model."""
    path = folder / "train_clip.json"
    return read_json(path, "a training of EEG-CLIP")["split"] if path.is_file() else None


def _objective(config: Mapping[str, Any]) -> str:
    """Say what the class of a saved model was trained to do."""
    name = (config.get("architectures") or [""])[0]
    if name.endswith("ForSequenceClassification"):
        return f"cross-entropy over {', '.join(_labels(config))}{_of_labels(config)}"
    if "levels" in config:
        return "mean squared error of patches through finite scalar quantization, no codebook loss"
    if "vision_tower" in config:
        return contrast_objective(config)
    if not name.endswith("ForPreTraining"):
        return "not recorded: an encoder says nothing of the head it was trained with"
    if "latent_size" in config:
        return masking_objective(config)
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


def _said(text: str, pattern: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else None


__all__ = ["corpus_facts", "facts_from_run"]
