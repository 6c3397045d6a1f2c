# SPDX-License-Identifier: Apache-2.0
"""The card of a model, rendered from the template of its architecture.

Templates are rendered with `StrictUndefined`, so that a fact a template lacks is an error and not a gap; this
is why `ModelCard.from_template`, which leaves gaps and cannot extend a template, is not used.
"""

import json
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from huggingface_hub import ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .card_facts import REGIMES, UNKNOWN, CardFacts, refuse_unsafe_text
from .card_kinds import BANDS, DIRECTIONS, LEVELS, TEMPLATES, count_cell
from .card_tables import corpora_table, result_tables
from .eval_results import eval_results


def model_card(facts: CardFacts, repo_id: str | None = None) -> str:
    """Write the card of a model.

    Args:
        facts: What it shows.
        repo_id: Repository that its example loads; a placeholder by default.

    Returns:
        Markdown with the metadata that the Hub reads.

    Raises:
        ValueError: If the name of the repository could break the code of the example.

    Example:
        >>> print(model_card(CardFacts.read("model_cards/facts/eeg_foundation.json")))  # doctest: +SKIP
    """
    repo_id = repo_id or f"org/{facts.architecture.replace('_', '-')}"
    refuse_unsafe_text(repo_id, "repo_id")
    conditions = [row.conditions for row in facts.results]
    text = (
        _environment()
        .get_template(facts.kind.template)
        .render(
            facts=facts,
            repo_id=repo_id,
            rate=facts.sampling_rate,
            metadata=_metadata(facts).to_yaml(),
            tables=result_tables(facts),
            corpora_table=corpora_table(facts.corpora) if facts.corpora else "",
            chance=", ".join(
                f"{facts.kind.title(name)} {value:.2f}"
                for name, value in facts.chance.items()
                if facts.kind.column(name)
            ),
            galleries=sorted({each["num_images"] for each in conditions if "num_images" in each}),
            resampled=sorted({f"{each['resampled']}s" for each in conditions if "resampled" in each}),
            least_seconds=None,
            fixed_channels=None,
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _metadata(facts: CardFacts) -> ModelCardData:
    """Return the metadata; only repositories on the Hub are named as datasets."""
    results = eval_results(facts)
    named: dict[str, Any] = {"model_name": facts.title, "eval_results": results} if results else {}
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="eeg-classification" if facts.is_classifier else facts.kind.pipeline_tag,
        license=facts.licence,
        datasets=[corpus.hub_id for corpus in facts.corpora if corpus.hub_id] or None,
        tags=["eeg", "eeg_hf", "brain", facts.architecture],
        **named,
    )


@cache
def _environment() -> Environment:
    """Return the environment of the templates, with filters for units and what is not recorded."""
    environment = Environment(  # noqa: S701 - Markdown, no HTML: facts are checked by refuse_unsafe_text
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=_count,
        counted=count_cell,
        duration=_duration,
        hz=_hz,
        known=lambda value: UNKNOWN if value in (None, "", ()) else value,
        listed=_listed,
        log2=math.log2,
        prod=math.prod,
        quoted=json.dumps,
        words=_words,
        wrapped=_wrapped,
    )
    environment.globals.update(
        unknown=UNKNOWN,
        regimes=REGIMES,
        directions=DIRECTIONS,
        levels=tuple(LEVELS),
        band_errors=[f"{band}_error" for band in BANDS],
    )
    return environment


def _count(number: int | None) -> str:
    if number is None:
        return UNKNOWN
    return f"{number / 1e6:.2f} M" if number >= 1e6 else f"{number:,}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _hz(rate: float | None) -> str:
    return "no limit" if rate is None else f"{rate:g} Hz"


def _listed(value: Any, brackets: bool = False) -> str:
    """Write a value, a list with commas."""
    if not isinstance(value, list | tuple):
        return "" if value is None else str(value)
    text = ", ".join(map(str, value))
    return f"[{text}]" if brackets else text


def _words(items: Sequence[Any]) -> str:
    """Join items as in a sentence."""
    names = [f"{item:,}" if isinstance(item, int) else str(item) for item in items]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _wrapped(names: Sequence[str]) -> str:
    """Write names as a Python list, ten a line."""
    quoted = [json.dumps(name, ensure_ascii=False) for name in names]
    if len(names) <= 10:
        return f"[{', '.join(quoted)}]"
    lines = (quoted[start : start + 10] for start in range(0, len(names), 10))
    return "[\n" + "".join("    " + " ".join(f"{name}," for name in line) + "\n" for line in lines) + "]"
