# SPDX-License-Identifier: Apache-2.0
"""The card of a model: what an engineer and a researcher must know before they use it, and no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from huggingface_hub import ModelCardData

from .card_facts import (
    UNKNOWN,
    CardFacts,
    CodecResultFacts,
    CorpusFacts,
    InfillingResultFacts,
    ResultFacts,
    RetrievalResultFacts,
)
from .card_results import in_words, results_section
from .codec_card import codec_calls, codec_limits, codec_results_section, codec_summary
from .eval_results import eval_results
from .infilling_card import infilling_calls, infilling_limits, infilling_results_section, infilling_summary
from .retrieval_card import (
    fixed_channels,
    retrieval_calls,
    retrieval_limits,
    retrieval_results_section,
    retrieval_summary,
    retrieval_towers,
)

_LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT"}


def model_card(facts: CardFacts, repo_id: str | None = None) -> str:
    """Write the card.

    Args:
        facts: What it says.
        repo_id: Repository that its example loads; a placeholder by default.

    Returns:
        Markdown with the metadata that the Hub reads.

    Example:
        >>> print(model_card(CardFacts.read("model_cards/facts/eeg_foundation.json")))  # doctest: +SKIP
    """
    repo_id = repo_id or f"org/{facts.architecture.replace('_', '-')}"
    sections = [
        f"# {facts.title}\n\n{_summary(facts)}",
        f"## How to use\n\n{_usage(facts, repo_id)}",
        f"## Results\n\n{_KINDS[facts.result_type].results(facts)}",
        f"## Limits and misuse\n\n{_limits(facts)}",
        f"## Input\n\n{_input(facts)}",
        f"## Training\n\n{_training(facts)}",
        f"## Compute\n\n{_compute(facts)}",
        f"## Where the figures come from\n\n{_provenance(facts)}",
        f"## Citation\n\n{_citation(facts)}",
    ]
    return f"---\n{_metadata(facts).to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _metadata(facts: CardFacts) -> ModelCardData:
    """Return the metadata; only what is on the Hub is named as a dataset."""
    datasets = [corpus.hub_id for corpus in facts.corpora if corpus.hub_id]
    results = eval_results(facts)
    named: dict[str, Any] = {"model_name": facts.title, "eval_results": results} if results else {}
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=_pipeline_tag(facts),
        license=facts.licence,
        datasets=datasets or None,
        tags=["eeg", "eeg_hf", "brain", facts.architecture],
        **named,
    )


def _pipeline_tag(facts: CardFacts) -> str | None:
    if facts.is_classifier:
        return "eeg-classification"
    # No task of the Hub is to code a signal and bring it back, or to find an image by EEG
    is_encoder = facts.result_type in (ResultFacts, InfillingResultFacts)
    return "eeg-feature-extraction" if is_encoder else None


def _summary(facts: CardFacts) -> str:
    size = UNKNOWN if facts.parameters is None else _count(facts.parameters)
    does = _KINDS[facts.result_type].summary(facts)
    return "\n\n".join(
        [
            f"`{facts.model_class}` (parameters: {size}) {does}. A research model, not a medical device.",
            *([retrieval_towers(facts)] if facts.result_type is RetrievalResultFacts else []),
            *([facts.weights] if facts.weights else []),
        ]
    )


def _encoder_summary(facts: CardFacts) -> str:
    does = f"tells {in_words(facts.labels)} apart" if facts.labels else "turns EEG into embeddings"
    window = facts.signal.get("window_seconds")
    return does + (f" in windows of {window:g} s" if window else "")


def _usage(facts: CardFacts, repo_id: str) -> str:
    note, shown = "", facts
    if not facts.signal:
        note = "No feature extractor was saved here: cleaning and scaling are up to you.\n\n"
    elif fixed_channels(facts) not in (None, len(facts.channels)):
        note = "Names of the electrodes are not recorded: these are windows as the extractor makes them.\n\n"
        shown = replace(facts, signal={}, channels=())
    with_library = _example(shown, repo_id, is_trusted=False)
    alone = _example(shown, repo_id, is_trusted=True)
    needed = "transformers and mne" if shown.signal else "transformers"
    microvolts = (
        "\n\nTokens hold neither the location nor the scale of a channel, which the extractor takes out: who "
        "wants microvolts back stores both, as `eeg-hf store-as-tokens` of eeg_hf does."
    )
    return (
        f"{note}With eeg_hf:\n\n```python\n{with_library}\n```\n\n"
        f"With {needed} only, the code comes from the repository; read it before you trust it:\n\n"
        f"```python\n{alone}\n```{microvolts * facts.is_codec}"
    )


def _example(facts: CardFacts, repo_id: str, is_trusted: bool) -> str:
    """Write a program that loads the model and runs it on noise."""
    auto = _auto_class(facts)
    trust = ", trust_remote_code=True" if is_trusted else ""
    library = [] if is_trusted else ["import eeg_hf  # registers the classes"]
    channels = list(facts.channels) or ["Fz", "Cz", "Pz"]
    rate = facts.sampling_rate
    least = 4 * facts.config["patch_size"] / rate if facts.is_codec else 2
    num_samples = round((facts.signal.get("window_seconds") or least) * rate)
    call = _KINDS[facts.result_type].calls(facts)
    load = f"model = {auto}.from_pretrained(model_id{trust}).eval()"
    if not facts.signal:
        num_samples = min(num_samples, facts.config.get("eeg_config.max_seq_length", num_samples))
        shape = f"1, {fixed_channels(facts) or len(channels)}, {num_samples}"
        lines = [*library, "import torch", f"from transformers import {auto}", ""]
        lines += [f'model_id = "{repo_id}"', load]
        lines += ["# (batch, channels, time): noise, put yours", f"eeg = torch.randn({shape})"]
        return "\n".join([*lines, *call])
    is_aligned = facts.signal.get("alignment") == "euclidean"
    covariance = ["covariance = np.cov(eeg)  # uV^2, of all clean windows of this person, labels unknown"]
    shape = f"({len(channels)}, {num_samples})"
    return "\n".join(
        [
            *library,
            "import numpy as np",
            "import torch",
            f"from transformers import AutoFeatureExtractor, {auto}",
            "",
            f'model_id = "{repo_id}"',
            f"extractor = AutoFeatureExtractor.from_pretrained(model_id{trust})",
            load,
            "",
            f"eeg = np.random.default_rng(0).normal(scale=20, size={shape})  # put yours, or an mne Raw",
            f"channels = {_wrapped(channels)}",
            *covariance * is_aligned,
            f'inputs = extractor(eeg, sampling_rate={rate:g}, channel_names=channels, unit="uV"'
            f"{', reference_covariance=covariance' * is_aligned})",
            *call,
        ]
    )


def _auto_class(facts: CardFacts) -> str:
    """Name the class that opens it with what the example calls."""
    if facts.is_classifier:
        return "AutoModelForSequenceClassification"
    has_decoder = facts.result_type is InfillingResultFacts and facts.model_class.endswith("ForPreTraining")
    return "AutoModelForPreTraining" if has_decoder else "AutoModel"


def _encoder_calls(facts: CardFacts) -> list[str]:
    value = "logits.softmax(-1)" if facts.is_classifier else "pooler_output"
    given, comment = ("**inputs", "  # one row a window") if facts.signal else ("eeg", "")
    return ["with torch.no_grad():", f"    print(model({given}).{value}){comment}"]


def _wrapped(names: Sequence[str]) -> str:
    """Write a list of names, ten a line."""
    if len(names) <= 10:
        return "[" + ", ".join(f'"{name}"' for name in names) + "]"
    lines = (names[start : start + 10] for start in range(0, len(names), 10))
    return "[\n" + "".join("    " + " ".join(f'"{name}",' for name in line) + "\n" for line in lines) + "]"


def _limits(facts: CardFacts) -> str:
    kind = _KINDS[facts.result_type]
    lines = [
        "Not for diagnosis, monitoring, treatment or any decision about a person: it was not validated for "
        "any, and no authority has cleared it.",
        "Not for inferring what people have not agreed to share. EEG can identify a person: get consent, "
        f"keep recordings private, and do not try to identify anybody from {kind.makes}.",
        "Expect less on other amplifiers, montages, ages, illnesses and tasks than the corpora below hold. "
        f"Measure on your own people, split by person, beside {kind.baseline}.",
        *kind.limits(facts),
    ]
    return "\n".join(f"* {line}" for line in lines)


def _encoder_limits(facts: CardFacts) -> list[str]:
    if facts.is_classifier:
        return ["Scores were not calibrated: 0.9 need not mean nine in ten."]
    return ["Embeddings mix brain, muscle, eyes and the amplifier: a cluster need not be neural."]


@dataclass(frozen=True)
class _Kind:
    """What a card says of one kind of model and of no other."""

    summary: Callable[[CardFacts], str]
    calls: Callable[[CardFacts], list[str]]
    limits: Callable[[CardFacts], list[str]]
    results: Callable[[CardFacts], str]
    makes: str = "embeddings"
    baseline: str = "a classical baseline"


_KINDS: Mapping[type[ResultFacts], _Kind] = {
    ResultFacts: _Kind(_encoder_summary, _encoder_calls, _encoder_limits, results_section),
    CodecResultFacts: _Kind(
        codec_summary,
        codec_calls,
        codec_limits,
        codec_results_section,
        makes="tokens",
        baseline="principal components at the same bits",
    ),
    InfillingResultFacts: _Kind(
        infilling_summary,
        infilling_calls,
        infilling_limits,
        infilling_results_section,
        baseline="the best linear guess",
    ),
    RetrievalResultFacts: _Kind(
        retrieval_summary,
        retrieval_calls,
        retrieval_limits,
        retrieval_results_section,
        baseline="chance and a linear decoder",
    ),
}


def _input(facts: CardFacts) -> str:
    if not facts.signal:
        return "No feature extractor was saved with these weights, so what they expect is not recorded."
    signal = facts.signal
    band = f"{_hz(signal.get('highpass_hz'))} to {_hz(signal.get('lowpass_hz'))}"
    montage = f"{len(facts.channels)}: {', '.join(facts.channels)}" if facts.channels else UNKNOWN
    rows = {
        "Unit": "the extractor takes volts (mne) or microvolts, when told which",
        "Rate": f"{_hz(signal.get('sampling_rate'))}; other rates are resampled",
        "Channels in training": montage,
        "Channels accepted": _channels_accepted(facts),
        "Reference": _named(signal.get("reference")),
        "Pass band": band,
        "Line noise": _notch(signal.get("notch_hz")),
        "Window": f"{signal['window_seconds']:g} s" if signal.get("window_seconds") else "whole recordings",
        "Scaling": _scaling(signal),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "The feature extractor saved with the weights does this:\n\n| | |\n|:--|:--|\n" + "\n".join(lines)


def _channels_accepted(facts: CardFacts) -> str:
    signal, count = facts.signal, fixed_channels(facts)
    if count:
        return f"the {count} of the training, in their order"
    if signal.get("channels"):
        missing = {"error": "an error", "interpolate": "interpolated", "mask": "masked"}
        lacking = missing.get(signal.get("missing_channels", ""), UNKNOWN)
        return f"{', '.join(signal['channels'])}; one that is missing is {lacking}"
    return "any whose place on the head is known"


def _notch(notch: Any) -> str:
    if notch == "auto":
        return "measured in each recording, and taken out where there is any"
    return f"notch at {_hz(notch)} and its harmonics" if notch else "no notch"


def _scaling(signal: Mapping[str, Any]) -> str:
    if signal.get("alignment") == "euclidean":
        return "whitened by the mean covariance of the person's own windows, which the user must supply"
    clip = f", clipped at ±{signal['clip']:g}" if signal.get("clip") else ""
    return f"{signal.get('normalization', UNKNOWN)}, per window and channel{clip}"


def _training(facts: CardFacts) -> str:
    parts = []
    if facts.objectives:
        stages = enumerate(facts.objectives, start=1)
        parts.append("Stages:\n\n" + "\n".join(f"{number}. {text}" for number, text in stages))
    if not facts.corpora:
        return "\n\n".join([*parts, f"Corpora: {UNKNOWN}."])
    table = ["| Corpus | Used for | Hours | People | Channels | Recorded at | Against | Windows | Licence |"]
    table.append("|:--|:--|--:|--:|--:|:--|:--|:--|:--|")
    table += [f"| {' | '.join(_corpus_row(corpus))} |" for corpus in facts.corpora]
    parts.append("\n".join(table))
    rates = {
        f"{corpus.name}: {_hz(corpus.sampling_rate_hz)}, {corpus.unit or f'unit {UNKNOWN}'}, reference "
        f"{corpus.reference or UNKNOWN}"
        for corpus in facts.corpora
    }
    parts.append(f"Windows as stored: {'; '.join(sorted(rates))}.")
    parts.append("Each corpus keeps its own licence, which also binds who trains on it.")
    return "\n\n".join(parts)


def _corpus_row(corpus: CorpusFacts) -> list[str]:
    name = f"[{corpus.title}]({corpus.url})" if corpus.url else corpus.title
    low, high = corpus.num_channels or (None, None)
    channels = UNKNOWN if low is None else str(low) if low == high else f"{low} to {high}"
    window = f" of {corpus.window_seconds:g} s" if corpus.window_seconds else ""
    return [
        name,
        ", ".join(corpus.roles) or UNKNOWN,
        UNKNOWN if corpus.hours is None else f"{corpus.hours:.2f}",
        UNKNOWN if corpus.subjects is None else f"{corpus.subjects:,}",
        channels,
        " and ".join(_hz(rate) for rate in corpus.original_rates_hz) or UNKNOWN,
        corpus.recorded_against or UNKNOWN,
        UNKNOWN if corpus.windows is None else f"{corpus.windows:,}{window}",
        corpus.licence or UNKNOWN,
    ]


def _compute(facts: CardFacts) -> str:
    compute = facts.compute
    time = UNKNOWN if compute.seconds is None else _duration(compute.seconds)
    lines = [f"* Training time, as the trainers logged it, of these weights: {time}"]
    lines.append(f"* Hardware: {compute.hardware or UNKNOWN}")
    if compute.energy_kwh is None:
        lines.append("* Energy: not estimated, because time or power were not recorded")
    else:
        lines.append(
            f"* Energy: about {compute.energy_kwh:.2g} kWh, an estimate and no measurement: time x "
            f"{compute.watts:g} W, as stated by whoever trained it"
        )
    return "\n".join(lines)


def _provenance(facts: CardFacts) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    config = ", ".join(f"{name} {value}" for name, value in facts.config.items())
    return "\n".join(
        [
            f"* Commit: {facts.commit or UNKNOWN}",
            f"* Machine: {facts.machine or UNKNOWN}",
            f"* Packages: {packages or UNKNOWN}",
            f"* Config: {config or UNKNOWN}",
        ]
    )


def _citation(facts: CardFacts) -> str:
    version = facts.packages.get("eeg-hf")
    bibtex = [
        "@software{eeg_hf,",
        "  title = {eeg_hf: EEG foundation models for the Hugging Face ecosystem},",
        "  author = {{The eeg_hf maintainers}},",
        *([f"  version = {{{version}}},"] if version else []),
        f"  license = {{{_LICENCES['apache-2.0']}}}",
        "}",
    ]
    corpora = [f"* {corpus.citation}" for corpus in facts.corpora if corpus.citation]
    cited = "\n\nAnd the corpora:\n\n" + "\n".join(corpora) if corpora else ""
    licence = _LICENCES.get(facts.licence, facts.licence)
    return "```bibtex\n" + "\n".join(bibtex) + f"\n```{cited}\n\nLicence of code and weights: {licence}."


def _named(reference: Any) -> str:
    return ", ".join(reference) if isinstance(reference, list | tuple) else str(reference or UNKNOWN)


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number:,}"


def _hz(rate: Any) -> str:
    return "no limit" if rate is None else f"{rate:g} Hz"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


__all__ = ["model_card"]
