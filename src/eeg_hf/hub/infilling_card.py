# SPDX-License-Identifier: Apache-2.0
"""What the card of a masked VAE says that no other does: what it fills in, how well, and what it smooths."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .card_facts import CardFacts, InfillingResultFacts
from .card_results import (
    count_cell,
    in_words,
    method_cell,
    remarks,
    seeds_line,
    summary_cell,
    tested_on,
    verdict,
)
from .eval_results import INFILLING_METRICS, LEVELS

_OFF_DB = 3.0
"""Mean difference of a band's power from which a card warns of it: a factor of two."""
_READING_GUIDE = (
    "Scores are of the hidden samples of each channel of each window: a correlation is 1 at best, an NRMSE "
    "0. All methods get the same windows with the same stretches hidden. The straight line joins what is "
    "known on both sides; the best linear guess is the mean of what is hidden given all that is not, of a "
    "normal distribution fitted to the training windows. ± is the standard deviation over seeds, brackets a "
    "95 % interval over people."
)


def masking_objective(config: Mapping[str, Any]) -> str:
    """Say what a masked VAE was trained to do.

    Args:
        config: As it is saved.
    """
    stretch = config["patch_size"] * config["stretch_patches"] / config["sampling_rate"]
    free = f", of which {config['free_bits']:g} bits a dimension are free" if config["free_bits"] else ""
    return (
        f"masked reconstruction of {config['mask_ratio']:.0%} of the signal, in stretches of {stretch:g} s "
        f"of one channel (squared error: weight 1 where hidden, {config['visible_weight']:g} where not), "
        f"plus beta = {config['beta']:g} x KL divergence of the latents in nats a sample{free}, beta growing "
        f"from 0 over {config['beta_warmup_steps']:,} batches"
    )


def infilling_summary(facts: CardFacts) -> str:
    """Say what the model does."""
    config, rate = facts.config, facts.sampling_rate
    patch = config["patch_size"]
    does = (
        f"turns each patch of EEG ({patch} samples of one channel, {patch / rate:.3g} s at {rate:g} Hz) into "
        f"a distribution over {config['latent_size']} latents"
    )
    return f"{does}, and fills in stretches that are hidden from it" if _has_decoder(facts) else does


def infilling_calls(facts: CardFacts) -> list[str]:
    """Write the lines of a program that fill in a stretch and embed windows."""
    given, values = ("**inputs", 'inputs["input_values"]') if facts.signal else ("eeg", "eeg")
    if not _has_decoder(facts):
        return ["with torch.no_grad():", f"    print(model({given}).pooler_output)  # one row a window"]
    size = facts.config["patch_size"] * facts.config.get("stretch_patches", 1)
    return [
        f"values = {values}  # (windows, channels, time)",
        "mask = torch.zeros(values.shape, dtype=torch.bool)",
        f"mask[:, 0, :{size}] = True  # what of the first channel nobody should believe",
        "with torch.no_grad():",
        f"    rebuilt = model.reconstruct({given}, mask=mask)  # all of it, scaled like values",
        f"    embeddings = model.get_embeddings({given})  # one row a window",
        "filled = torch.where(mask, rebuilt, values)",
        "print(filled, embeddings)",
    ]


def infilling_limits(facts: CardFacts) -> list[str]:
    """Say what nobody may expect of what was filled in."""
    lines = [
        "What it fills in is a guess of the mean, and no measurement: never count it as data of a person, "
        "nor look in it for what nobody saw, a spike or the lack of one.",
        f"What it rebuilds is smoother than what went in.{_bands_off(facts)} Keep the samples that were "
        "visible, and do not measure in what was rebuilt.",
    ]
    pairs = [pair for group in _by_share(_hidden(facts)) if (pair := _own_and_other(group))]
    better = [other for own, other in pairs if _correlation(own) < _correlation(other)]
    if better:
        names = in_words(sorted({row.method for row in better}))
        shares = in_words([f"{row.hidden:.0%}" for row in better])
        lines.append(f"A simpler method, {names}, fills in better where {shares} is hidden.")
    return [*lines, "Embeddings mix brain, muscle, eyes and the amplifier: a cluster need not be neural."]


def infilling_results_section(facts: CardFacts) -> str:
    """Write the section of results: a table of what was hidden, verdicts, and levels of what comes out."""
    rows = _hidden(facts)
    if not rows:
        return "None is recorded with these weights: nobody should rely on them before measuring."
    first = rows[0]
    tested = (
        f"{first.split}: {count_cell(first.num_subjects)} people, {count_cell(first.num_windows)} windows, "
        f"stretches of {first.stretch_seconds:g} s"
    )
    parts = [f"{tested_on(facts)} {_READING_GUIDE} {seeds_line(facts)}", f"**Hidden stretches** ({tested})"]
    parts += [_hidden_table(rows), "\n".join(f"* {line}" for line in _verdicts(rows))]
    levels = [row for row in facts.infilling_results if not row.hidden]
    if levels:
        parts.append("**Nothing hidden**: how far off power is, the mean of |dB| over channels of windows")
        parts.append(_level_table(levels))
    return "\n\n".join([*(part for part in parts if part), *remarks(facts)])


def _has_decoder(facts: CardFacts) -> bool:
    return facts.model_class.endswith("ForPreTraining")


def _hidden(facts: CardFacts) -> list[InfillingResultFacts]:
    return [row for row in facts.infilling_results if row.hidden]


def _by_share(rows: Sequence[InfillingResultFacts]) -> Iterator[list[InfillingResultFacts]]:
    """Yield the rows of each share hidden, the best first."""
    ordered = sorted(rows, key=lambda row: (row.hidden, -_correlation(row)))
    yield from (list(group) for _, group in groupby(ordered, key=lambda row: row.hidden))


def _correlation(row: InfillingResultFacts) -> float:
    mean = row.metrics["correlation"]["mean"]
    return -1.0 if mean is None else mean


def _hidden_table(rows: Sequence[InfillingResultFacts]) -> str:
    titles = ["Hidden", "Method", *INFILLING_METRICS.values(), "Seeds"]
    lines = [titles, ["--:", ":--", "--:", "--:", "--:"]]
    for row in (row for group in _by_share(rows) for row in group):
        cells = [summary_cell(row.metrics[name]) for name in INFILLING_METRICS]
        lines.append([f"{row.hidden:.0%}", method_cell(row), *cells, str(len(row.seeds) or "–")])
    return _markdown(lines)


def _level_table(rows: Sequence[InfillingResultFacts]) -> str:
    titles = ["Off by", *LEVELS.values()]
    cells = [
        [method_cell(row), *(summary_cell(row.metrics.get(name, {}), 2) for name in LEVELS)] for row in rows
    ]
    return _markdown([titles, [":--", *["--:"] * len(LEVELS)], *cells])


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdicts(rows: Sequence[InfillingResultFacts]) -> Iterator[str]:
    """Say in words, share by share, whether this model or the best baseline is better, and in how many."""
    for group in _by_share(rows):
        pair, said = _own_and_other(group), verdict(group, "correlation", "correlation")
        if pair and said:
            yield f"Where {group[0].hidden:.0%} is hidden, {said}{_people_better(*pair)}."


def _own_and_other(
    group: Sequence[InfillingResultFacts],
) -> tuple[InfillingResultFacts, InfillingResultFacts] | None:
    """Return the best row of this model and the best of the others, where there are both."""
    own = next((row for row in group if row.is_own), None)
    other = next((row for row in group if not row.is_own), None)
    return (own, other) if own and other else None


def _people_better(own: InfillingResultFacts, other: InfillingResultFacts) -> str:
    """Count the people in whom this model is better: all methods filled in the same windows."""
    people = [row.metrics["correlation"].get("people", ()) for row in (own, other)]
    pairs = [(mine, best) for mine, best in zip(*people, strict=True) if None not in (mine, best)]
    return f"; higher in {sum(mine > best for mine, best in pairs)} of {len(pairs)} people" if pairs else ""


def _bands_off(facts: CardFacts) -> str:
    """Name the bands whose power is off by a factor of two, even in the best run of this model."""
    own = [row.metrics for row in facts.infilling_results if row.is_own and not row.hidden]
    found = {name: [each[name]["mean"] for each in own if name in each] for name in LEVELS}
    least = {name: min(filter(None, values), default=0.0) for name, values in found.items()}
    off = [f"{name} by {value:.1f} dB" for name, value in least.items() if value >= _OFF_DB]
    return f" With nothing hidden, power is off: {in_words(off)}." if off else ""


__all__ = [
    "infilling_calls",
    "infilling_limits",
    "infilling_results_section",
    "infilling_summary",
    "masking_objective",
]
