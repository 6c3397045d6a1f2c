# SPDX-License-Identifier: Apache-2.0
"""How the card of each `model_type` shows its results: a template and the columns of its tables.

A new architecture needs `card_templates/<model_type>.md` and an entry in `_KINDS`. Until it has them its card
is that of an encoder or classifier.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.codec_report import METRICS as CODEC_METRICS
from ..evaluation.report import METRIC_TITLES
from ..tables import NOTHING

if TYPE_CHECKING:
    from .card_facts import ResultFacts

    Row = ResultFacts

TEMPLATES = Path(__file__).parent / "card_templates"
DIRECTIONS = {"eeg_to_image": "EEG → image", "image_to_eeg": "image → EEG"}
BANDS = tuple(name.removesuffix("_error") for name in CODEC_METRICS if name.endswith("_error"))
LEVELS = {level: (f"{level.capitalize()} (dB)", 2) for level in ("amplitude", *BANDS)}


@dataclass(frozen=True)
class CardKind:
    """Columns and wording of the tables of results of one architecture.

    Attributes:
        template: File name of its template.
        metrics: Metric -> title and decimals, in the order of the columns; `"recall@"` stands for any K.
        compared: Prefix of the metrics by which rows are ordered and compared, the first one that a row has.
        conditions: Names in `ResultFacts.conditions`, all of which every row must have.
        table: Rows with equal values stand in one table.
        group: Rows of a table with equal values are compared with one another.
        where: Condition of a group in words, such as "at 12.5 bits/s"; empty where the table has one group.
        before: Columns before the metrics: title -> cell.
        after: Columns behind the metrics.
        config: Fields of the config that the card shows.
        task: Name of the task on the Hub; its identifier is this in lower case with hyphens.
        hub_metrics: Prefixes of the metrics that go to the Hub.
        pipeline_tag: Task of the Hub that an encoder of this architecture serves.
    """

    template: str
    metrics: Mapping[str, tuple[str, int]]
    compared: str
    task: str
    hub_metrics: tuple[str, ...]
    config: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    table: "Callable[[Row], tuple[Any, ...]]" = lambda row: (row.split, row.regime)
    group: "Callable[[Row], Any]" = lambda row: None
    where: "Callable[[Row], str]" = lambda row: ""
    before: "Mapping[str, Callable[[Row], str]]" = field(default_factory=dict)
    after: "Mapping[str, Callable[[Row], str]]" = field(default_factory=dict)
    pipeline_tag: str | None = None

    def column(self, metric: str) -> tuple[str, int] | None:
        """Return the title and the decimals of a metric; `None` where the card does not show it.

        Example:
            >>> card_kind("eeg_clip").column("recall@5"), card_kind("eeg_clip").column("ndcg@5")
            (('Recall@5', 3), None)
        """
        family = metric.partition("@")[0] + "@"
        return self.metrics.get(metric) or ((metric.capitalize(), 3) if family in self.metrics else None)

    def title(self, metric: str) -> str:
        """Return the title of a metric as in a sentence."""
        title, _ = self.column(metric) or (metric, 0)
        return title if title[1:2].isupper() else title.lower()

    def shown(self, rows: "Sequence[Row]") -> list[str]:
        """Return the metrics of some rows that the card shows, in the order of the columns."""
        found = {name for row in rows for name in row.metrics if self.column(name)}
        families = [name.removesuffix("@") for name in self.metrics]

        def order(name: str) -> tuple[int, int]:
            family, _, rest = name.partition("@")
            return families.index(family), int(rest.split(" ")[0] or 0)  # "top@5 of 50"

        return sorted(found, key=order)

    def main_metric(self, rows: "Sequence[Row]") -> str | None:
        """Return the metric that rows are compared by."""
        return next((name for name in self.shown(rows) if name.startswith(self.compared)), None)


def count_cell(number: int | None) -> str:
    """Return a number with separators, or a dash where it is not recorded."""
    return NOTHING if number is None else f"{number:,}"


_SEEDS: "Mapping[str, Callable[[Row], str]]" = {
    "Seeds": lambda row: str(row.num_seeds) if row.num_seeds > 1 else NOTHING
}
_TESTED: "Mapping[str, Callable[[Row], str]]" = {
    "Subjects": lambda row: count_cell(row.num_subjects),
    "Windows": lambda row: count_cell(row.num_windows),
}


def _trials(row: "Row") -> str:
    images = f"{row.conditions['num_images']} images"
    trials = "averaged repetitions" if row.conditions["is_averaged"] else "single trials"
    return f"{DIRECTIONS[row.conditions['direction']]}, {images}, {trials}"


def _ratio(row: "Row") -> str:
    """Return how many times less than 16 bits a sample, in brackets with the side information."""
    bits, rate = row.conditions["bits_per_second"], row.conditions["sampling_rate"]
    return f"{16 * rate / bits:.1f} ({row.conditions['total_compression_ratio']:.1f})"


_CLASSIFIER = CardKind(
    template="eeg_foundation.md",
    metrics={name: (title, 3) for name, title in METRIC_TITLES.items()},
    compared="",
    task="EEG classification",
    hub_metrics=tuple(METRIC_TITLES),
    after={**_TESTED, **_SEEDS},
    pipeline_tag="eeg-feature-extraction",
    config=(
        *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        *("sampling_rate", "patch_size", "overlap", "max_seq_length"),
    ),
)
_KINDS: Mapping[str, CardKind] = {
    "eeg_foundation": _CLASSIFIER,
    "eeg_classical": replace(
        _CLASSIFIER,
        template="eeg_classical.md",
        config=("method", "num_channels", "num_samples", "sampling_rate", "bands_hz"),
    ),
    "braindecode": replace(
        _CLASSIFIER,
        template="braindecode.md",
        config=("architecture", "num_channels", "num_samples", "sampling_rate", "network"),
    ),
    "eeg_fsq": CardKind(
        template="eeg_fsq.md",
        metrics={name: (title, decimals) for name, (title, _, decimals) in CODEC_METRICS.items()},
        compared="correlation",
        task="EEG compression",
        hub_metrics=("correlation", "nrmse_std"),
        conditions=(
            *("corpus", "sampling_rate", "bits_per_second", "budget_bits_per_second"),
            *("total_compression_ratio", "parameters"),
        ),
        table=lambda row: (row.conditions["corpus"], row.split),
        # Rates less than 2 % apart are one budget: no levels of two codecs multiply to the same number
        group=lambda row: row.conditions["budget_bits_per_second"],
        where=lambda row: f"at {row.conditions['budget_bits_per_second']:.1f} bits/s",
        before={"Bits/s": lambda row: f"{row.conditions['bits_per_second']:.1f}", "Ratio": _ratio},
        after={"Parameters": lambda row: count_cell(row.conditions["parameters"]), **_SEEDS},
        config=(
            *("architecture", "patch_size", "levels", "codes_per_patch", "hidden_dims", "conv_channels"),
            *("conv_strides", "activation", "linear_path", "use_conditioning", "sampling_rate"),
        ),
    ),
    "eeg_masked_vae": CardKind(
        template="eeg_masked_vae.md",
        metrics={"correlation": ("Correlation", 3), "nrmse_std": ("NRMSE (std)", 3), **LEVELS},
        compared="correlation",
        task="EEG infilling",
        hub_metrics=("correlation", "nrmse_std"),
        conditions=("hidden", "stretch_seconds"),
        table=lambda row: (row.conditions["hidden"] > 0,),
        group=lambda row: row.conditions["hidden"],
        where=lambda row: f"{row.conditions['hidden']:.0%} hidden",
        before={
            "Hidden": lambda row: f"{row.conditions['hidden']:.0%}" if row.conditions["hidden"] else NOTHING
        },
        after=_SEEDS,
        pipeline_tag="eeg-feature-extraction",
        config=(
            *("hidden_size", "num_hidden_layers", "num_decoder_layers", "num_attention_heads"),
            *("intermediate_size", "latent_size", "sampling_rate", "patch_size", "max_seq_length"),
            *("use_channel_attention", "use_spatial_guess", "mask_ratio", "stretch_patches"),
            *("visible_weight", "beta", "free_bits"),
        ),
    ),
    "eeg_clip": CardKind(
        template="eeg_clip.md",
        metrics={"recall@": ("", 3), "top@": ("", 3), "mrr": ("MRR", 3), "median_rank": ("Median rank", 3)},
        compared="recall@",
        task="EEG image retrieval",
        hub_metrics=("recall@",),
        conditions=("direction", "num_images", "match", "is_averaged", "resampled"),
        table=lambda row: (
            *(row.conditions[name] for name in ("direction", "num_images", "match", "is_averaged")),
            *(row.split, row.num_subjects, row.num_windows),
        ),
        where=_trials,
        config=(
            *("vision_tower", "vision_dim", "freeze_vision", "projection_dim", "projection_hidden_size"),
            *("vision_projection", "temperature"),
            *(
                f"eeg_config.{name}"
                for name in (
                    *("model_type", "num_channels", "channel_adapter", "sampling_rate", "max_seq_length"),
                    *("patch_size", "conv_size", "kernel_sizes", "dilations", "strides", "hidden_size"),
                    *("num_hidden_layers", "num_attention_heads", "intermediate_size", "temporal_pool"),
                )
            ),
        ),
    ),
}


def card_kind(architecture: str) -> CardKind:
    """Return how the card of a `model_type` shows its results; that of an encoder where it has no entry."""
    return _KINDS.get(architecture, _KINDS["eeg_foundation"])
