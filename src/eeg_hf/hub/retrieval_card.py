# SPDX-License-Identifier: Apache-2.0
"""What the card of an EEG-CLIP says that no other does: its towers, and how well it finds images."""

from collections.abc import Mapping, Sequence
from typing import Any

from .card_facts import CardFacts, RetrievalResultFacts
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
from .eval_results import DIRECTIONS, retrieval_title

_ASKED = {
    "eeg_to_image": "each asks for its image in a gallery of {images}",
    "image_to_eeg": "each of {images} asks for a person's windows of it among all of his",
}


def contrast_objective(config: Mapping[str, Any]) -> str:
    """Say what an EEG-CLIP was trained to do.

    Args:
        config: As it is saved.
    """
    tower = f"embeddings of {config['vision_tower']}" if config["freeze_vision"] else _trained(config)
    return (
        f"symmetric InfoNCE between windows of EEG and {tower} of the images seen, temperature "
        f"{config['temperature']:g} at the start and learned; windows of one image are no negatives of each "
        "other"
    )


def _trained(config: Mapping[str, Any]) -> str:
    return f"what {config['vision_tower']}, trained along, makes"


def fixed_channels(facts: CardFacts) -> int | None:
    """Return how many channels a model takes, `None` where any montage will do."""
    config = facts.config
    is_fixed = "eeg_config.conv_size" in config and config["eeg_config.channel_adapter"] == "none"
    return config["eeg_config.num_channels"] if is_fixed else None


def retrieval_summary(facts: CardFacts) -> str:
    """Say what the model does."""
    config = facts.config
    return (
        f"puts windows of EEG and images into one space of {config['projection_dim']} dimensions, so that an "
        f"image is found by the EEG of who looked at it; images come as {config['vision_dim']} numbers each, "
        f"made by `{config['vision_tower']}`"
    )


def retrieval_towers(facts: CardFacts) -> str:
    """Describe both towers."""
    config = facts.config
    tower = {name.removeprefix("eeg_config."): value for name, value in config.items()}
    count = tower["num_hidden_layers"]
    layers = f"{count} transformer layer{'s' * (count != 1)} of width {tower['hidden_size']}"
    eeg = f"is `{tower['model_type']}`: {layers}"
    if "conv_size" in tower:
        sizes, dilations, strides = (
            in_words([str(value) for value in tower[name]])
            for name in ("kernel_sizes", "dilations", "strides")
        )
        eeg = (
            "is EEG-CLIP's own, `eeg_conv_transformer`, which has neither a head nor a card of its own: "
            f"convolutions over all {tower['num_channels']} channels at once ({sizes} samples, dilated by "
            f"{dilations}, moving on by {strides}), then {layers}, pooled over time by "
            f"`{tower['temporal_pool']}`"
        )
    saved = (
        "frozen and not saved with these weights" if config["freeze_vision"] else "saved with these weights"
    )
    head = {"mlp": "two layers follow", "linear": "one layer follows", "none": "nothing follows"}
    return (
        f"* The EEG tower {eeg}. Two layers lead from there into the common space.\n"
        f"* The image tower is `{config['vision_tower']}`, {saved}; {head[config['vision_projection']]} it. "
        f"{_pixels(config)}"
    )


def _pixels(config: Mapping[str, Any]) -> str:
    if config["vision_tower"].startswith("features:"):
        return "No code for it is known here: bring embeddings, `image_embeds`, and not pixels."
    return "With `pixel_values` instead of `image_embeds` the model loads it, and embeds images itself."


def retrieval_calls(facts: CardFacts) -> list[str]:
    """Write the lines of a program that find the nearest images."""
    config = facts.config
    given = "**inputs" if facts.signal else "eeg"
    return [
        f"# (images, {config['vision_dim']}): put what {config['vision_tower']} makes of yours",
        f"images = torch.eye({config['vision_dim']})[:5]",
        "with torch.no_grad():",
        f"    windows = model.get_eeg_features({given})  # (windows, {config['projection_dim']})",
        "    gallery = model.get_image_features(image_embeds=images)  # unit vectors, both",
        "print((windows @ gallery.T).argsort(descending=True))  # the likeliest image first",
    ]


def retrieval_limits(facts: CardFacts) -> list[str]:
    """Say what nobody may expect of images found by EEG."""
    galleries = sorted({row.num_images for row in facts.retrieval_results})
    asked = f", among {in_words([f'{size:,}' for size in galleries])} here," if galleries else ""
    lines = [
        f"It ranks images of a gallery{asked} that somebody chose; it does not read thoughts, nor what was "
        "imagined or dreamt. The larger or more alike a gallery, the less it finds.",
        "Images differ in brightness and contrast, and EEG follows those: to find an image is no proof that "
        "its meaning was seen.",
    ]
    if fixed_channels(facts):
        lines.append(
            "It takes exactly the electrodes of its training, in their order: the first convolution has "
            "weights for each."
        )
    if any(row.regime == "known" for row in facts.own_results):
        lines.append("The people tested were in the training: of new people expect less.")
    return lines


def retrieval_results_section(facts: CardFacts) -> str:
    """Write the section of results: for each test a table with chance, and a verdict."""
    rows = facts.retrieval_results
    if not rows:
        return "None is recorded with these weights: nobody should rely on them before measuring."
    over = in_words(sorted({f"{row.resampled}s" for row in rows}))
    guide = (
        "Recall@K is the share of queries with a right one among the first K. ± is the standard deviation "
        f"over seeds, brackets a 95 % interval over {over}."
    )
    parts = [f"{tested_on(facts)} {guide} {seeds_line(facts)}"]
    for test in dict.fromkeys(row.test for row in rows):
        group = [row for row in rows if row.test == test]
        metrics = sorted(dict.fromkeys(name for row in group for name in row.metrics), key=_order)
        group.sort(key=lambda row: row.metrics.get(metrics[0], {}).get("mean") or 0.0, reverse=True)
        said = verdict(group, metrics[0], metrics[0])
        parts += [_caption(group[0]), _table(group, metrics), f"Here {said}." if said else ""]
    return "\n\n".join([*(part for part in parts if part), *remarks(facts)])


def _caption(row: RetrievalResultFacts) -> str:
    """Say what was asked of whom."""
    windows = f"{count_cell(row.num_windows)} {'averages of repetitions' if row.is_averaged else 'windows'}"
    images = f"{row.num_images:,} images" + (", right is the concept" if row.match == "concept" else "")
    asked = _ASKED[row.direction].format(images=images)
    people = count_cell(row.num_subjects)
    return f"**{DIRECTIONS[row.direction]}** ({row.split}: {windows} of {people} people; {asked})"


def _table(rows: Sequence[RetrievalResultFacts], metrics: Sequence[str]) -> str:
    titles = ["Method", *(retrieval_title(name) or name for name in metrics)]
    lines = [titles, [":--", *["--:"] * len(metrics)]]
    for row in rows:
        lines.append([method_cell(row), *(summary_cell(row.metrics.get(name, {})) for name in metrics)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _order(metric: str) -> tuple[int, int]:
    """Put the recalls first, by their K."""
    family, _, k = metric.partition("@")
    return ("recall", "top", "mrr", "median_rank").index(family), int(k.split(" ")[0] or 0)


__all__ = [
    "contrast_objective",
    "fixed_channels",
    "retrieval_calls",
    "retrieval_limits",
    "retrieval_results_section",
    "retrieval_summary",
    "retrieval_towers",
]
