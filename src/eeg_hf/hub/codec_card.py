# SPDX-License-Identifier: Apache-2.0
"""What the card of a codec says that no other card does: bits, what comes back of them, and what is lost."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from .card_facts import CardFacts, CodecResultFacts
from .card_results import (
    count_cell,
    in_words,
    intervals_overlap,
    method_cell,
    remarks,
    seeds_line,
    summary_cell,
    tested_on,
)
from .eval_results import BANDS, CODEC_METRICS

_LOST = 0.9
"""Share of a band's power that the error has from which the band counts as lost."""
_READING_GUIDE = (
    "Bits/s are of one channel; the ratio is against 16 bits a sample, in brackets with the location and "
    "scale of each channel and window. The error of a band is the power of the error in it over that of the "
    "signal: 0 is perfect, 1 is a band that was left out. PCA is principal components with scalar "
    "quantisation, fitted to the people trained on, at the same bits; FLAC loses nothing. ± is the standard "
    "deviation over seeds, brackets an interval over people."
)


def codec_summary(facts: CardFacts) -> str:
    """Say what the codec does and what that costs."""
    config, rate = facts.config, facts.sampling_rate
    codebook = math.prod(config["levels"])
    size, count = config["patch_size"], config["codes_per_patch"]
    bits = count * math.log2(codebook) * rate / size
    tokens = "1 token" if count == 1 else f"{count} tokens"
    return (
        f"turns patches of EEG into tokens and back: {size} samples of one channel ({size / rate:.3g} s at "
        f"{rate:g} Hz) become {tokens} of a codebook of {codebook:,}, which is {bits:.1f} bits/s, "
        f"{16 * rate / bits:.0f} times less than 16 bits a sample"
    )


def codec_calls(facts: CardFacts) -> list[str]:
    """Write the lines of a program that code a signal and bring it back."""
    size = facts.config["patch_size"]
    values = 'inputs["input_values"]' if facts.signal else "eeg"
    told = f", sampling_rate={facts.sampling_rate:g}" if facts.config.get("use_conditioning") else ""
    return [
        f"values = {values}  # (windows, channels, time)",
        f"values = values[..., : values.shape[-1] // {size} * {size}]  # whole patches",
        "with torch.no_grad():",
        f"    tokens = model.encode(values{told}).indices  # (windows, channels, tokens)",
        f"    restored = model.decode(tokens{told})  # shaped and scaled like values",
        "print(tokens, restored.shape)",
    ]


def codec_limits(facts: CardFacts) -> list[str]:
    """Say what nobody may expect of a codec."""
    clip = facts.signal.get("clip")
    clipped = f", and clips what is beyond ±{clip:g} of its scale" if clip else ""
    return [
        f"A codec smooths, the weak bands first: what it leaves out is gone.{_lost_bands(facts)} Do not "
        "measure in a band before you know its error on recordings like yours.",
        f"The extractor filters and scales before anything is coded{clipped}: nor does that come back.",
        "Not for archives, least of all clinical ones: keep the recordings. Tokens can be read with exactly "
        "these weights only.",
    ]


def codec_results_section(facts: CardFacts) -> str:
    """Write the section of results: a table and verdicts for each corpus."""
    if not facts.results:
        return "None is recorded with these weights: nobody should rely on them before measuring."
    parts = [f"{tested_on(facts)} {_READING_GUIDE} {seeds_line(facts)}"]
    for corpus in dict.fromkeys(row.corpus for row in facts.codec_results):
        groups = _by_rate([row for row in facts.codec_results if row.corpus == corpus])
        first = groups[0][0]
        people, windows = count_cell(first.num_subjects), count_cell(first.num_windows)
        parts.append(f"**{corpus}** ({first.split}: {people} people, {windows} windows)")
        parts += [_table(groups), "\n".join(f"* {verdict}" for verdict in _verdicts(groups))]
    return "\n\n".join([*(part for part in parts if part), *remarks(facts)])


def _by_rate(rows: Sequence[CodecResultFacts]) -> list[list[CodecResultFacts]]:
    """Group rows by what they were allowed, the best first; less than 2 % apart is the same."""
    groups: list[list[CodecResultFacts]] = []
    for row in sorted(rows, key=lambda row: row.budget_bits_per_second):
        if groups and row.budget_bits_per_second < 1.02 * groups[-1][0].budget_bits_per_second:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [sorted(group, key=_correlation, reverse=True) for group in groups]


def _table(groups: Sequence[Sequence[CodecResultFacts]]) -> str:
    rows = [row for group in groups for row in group]
    metrics = [name for name in CODEC_METRICS if any(_mean(row, name) is not None for row in rows)]
    titles = ["Bits/s", "Ratio", "Codec", *(CODEC_METRICS[name][0] for name in metrics)]
    titles += ["Parameters", "Seeds"]
    lines = [titles, ["--:", "--:", ":--", *["--:"] * (len(titles) - 3)]]
    for row in rows:
        cells = [f"{row.bits_per_second:.1f}"]
        cells += [f"{row.compression_ratio:.1f} ({row.total_compression_ratio:.1f})", method_cell(row)]
        cells += [summary_cell(row.metrics.get(name, {}), CODEC_METRICS[name][1]) for name in metrics]
        lines.append([*cells, count_cell(row.parameters), str(len(row.seeds) or "–")])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdicts(groups: Sequence[Sequence[CodecResultFacts]]) -> Iterator[str]:
    """Say in words, rate by rate, whether this model or the best baseline is better."""
    for group in groups:
        own = [row for row in group if row.is_own]
        others = [row for row in group if not row.is_own and row.metrics]
        rate = f"At {group[0].budget_bits_per_second:.1f} bits/s"
        if not group[0].metrics:
            ratio = f"{group[0].compression_ratio:.1f} times less than 16 bits a sample"
            yield f"The ceiling, {group[0].method}, takes {group[0].bits_per_second:.1f} bits/s, {ratio}."
        elif own and others:
            yield f"{rate} this model is {_comparison(own, others[0])}."
        elif own:
            yield f"{rate} nothing stands beside this model."


def _comparison(own: Sequence[CodecResultFacts], other: CodecResultFacts) -> str:
    """Compare all codecs of this model with a baseline, not only the one that came out best."""
    correlations, baseline = [_correlation(row) for row in own], _correlation(other)
    num_better = sum(value > baseline for value in correlations)
    verdict = "better than" if num_better else "no better than"
    if 0 < num_better < len(own):
        verdict = f"in {num_better} of {len(own)} variants better than"
    elif max(correlations) < baseline:
        verdict = "worse than"
    spread = f"{min(correlations):.3f} to " if len(own) > 1 else ""
    overlap = "; their intervals overlap" if intervals_overlap(own[0], other, "correlation") else ""
    return (
        f"{verdict} {other.method}: correlation {spread}{max(correlations):.3f} ({own[0].method}) against "
        f"{baseline:.3f}{overlap}"
    )


def _lost_bands(facts: CardFacts) -> str:
    """Name the bands that even the best codec of this model loses, by corpus and rate."""
    own = [row for row in facts.codec_results if row.is_own]
    lost = []
    for corpus in dict.fromkeys(row.corpus for row in own):
        for group in _by_rate([row for row in own if row.corpus == corpus]):
            errors = {band: [_mean(row, f"{band}_error") for row in group] for band in BANDS}
            known = {band: [x for x in values if x is not None] for band, values in errors.items()}
            bands = [band for band, values in known.items() if values and min(values) >= _LOST]
            if bands:
                lost.append(f"{in_words(bands)} at {group[0].budget_bits_per_second:.1f} bits/s ({corpus})")
    return f" Lost, with an error of {_LOST:g} or more: {'; '.join(lost)}." if lost else ""


def _correlation(row: CodecResultFacts) -> float:
    """Return the correlation; what has none, as it loses nothing or was not defined, comes last."""
    value = _mean(row, "correlation")
    return -math.inf if value is None else value


def _mean(row: CodecResultFacts, metric: str) -> Any:
    return row.metrics.get(metric, {}).get("mean")


__all__ = ["codec_calls", "codec_limits", "codec_results_section", "codec_summary"]
