# SPDX-License-Identifier: Apache-2.0
"""Reconstruct the images that subjects saw from embeddings of their EEG, and score the reconstructions."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from ...atomic_files import write_text
from ...evaluation import (
    EEGImageEmbeddings,
    collect_provenance,
    judge_reconstructions,
    open_clip_features,
    plot_contact_sheet,
    torchvision_features,
    two_way_identification,
    write_json,
)
from ...evaluation.image_metrics import ImageFeatures, ImageScore
from ...images.image_diffusion import ImageDiffusion
from ...images.image_embeddings import ImageEmbeddings
from ...images.image_folder import read_images, resize_images
from ...images.image_reconstructor import EEGImageReconstructor
from ...tables import NOTHING, markdown_table
from .arguments import ReconstructionArguments

WAYS = ("decoder", "nearest")
MIN_CONCEPTS = 5  # the prior has five folds
MIN_SIZE = 11  # the window of SSIM in pixels
LITERATURE_SIZE = 425  # width in pixels at which papers score
METRICS = {"pixcorr": "PixCorr", "ssim": "SSIM", "two_way_embedding": "two-way, embedding"}


@dataclass(frozen=True)
class Pairs:
    """EEG and images, one row per image.

    Attributes:
        ids: Paths of the images, (images,).
        concepts: Their concepts, (images,).
        eeg: Mean EEG embedding of the trials of each image, (images, size).
        embeddings: Embedding of each image, (images, size).
    """

    ids: np.ndarray
    concepts: np.ndarray
    eeg: np.ndarray
    embeddings: np.ndarray


def run(args: ReconstructionArguments) -> None:
    """Fit, reconstruct, score, write."""
    check_arguments(args)
    size = args.judged_size or (LITERATURE_SIZE if args.pipeline else args.image_size)
    train, test = (read_pairs(path, args) for path in (args.train, args.test))
    check_disjoint(train, test)
    features = {name: load_features(name, args.device) for name in args.features}
    diffusion = load_diffusion(args)
    seen = read_images(args.images, test.ids, size)

    reconstructor = fit(args, train, read_images(args.images, train.ids, args.image_size))
    images = reconstruct(args, reconstructor, diffusion, test.eeg)
    write_images(Path(args.output_dir), test.ids, images)
    images = {way: resize_images(values, size) for way, values in images.items()}
    draws = {"num_resamples": args.num_resamples, "seed": args.seed}
    predicted = reconstructor.prior.predict(test.eeg)
    scores = {"prior": {"two_way_embedding": two_way_identification(test.embeddings, predicted, **draws)}}
    scores |= {way: judge_reconstructions(seen, values, features, **draws) for way, values in images.items()}

    write_results(args, reconstructor, scores, train, test)
    plot_contact_sheet(
        {name: values[: args.num_shown] for name, values in {"seen": seen, **images}.items()},
        Path(args.output_dir) / "contact_sheet.png",
        title="EEG and images paired at random" if args.shuffle_pairs else None,
    )
    sys.stdout.write(format_scores(scores))


def check_arguments(args: ReconstructionArguments) -> None:
    """Refuse unknown methods, and sizes that cannot be scored."""
    for name in ("image_size", "judged_size"):
        if getattr(args, name) is not None and getattr(args, name) < MIN_SIZE:
            raise ValueError(f"{name}: expected {MIN_SIZE} pixels or more, got {getattr(args, name)}")
    if not set(args.ways) <= set(WAYS) or not (args.ways or args.pipeline):
        raise ValueError(f"ways: expected decoder, nearest or both, got {', '.join(args.ways) or 'none'}")
    if args.ip_adapter is not None and (args.pipeline is None or len(args.ip_adapter) != 3):
        raise ValueError("ip_adapter: expected name, subfolder and file of its weights, beside --pipeline")
    if args.pipeline is not None and args.image_embeddings is None:
        raise ValueError(
            "pipeline: expected --image_embeddings of its own image encoder; no diffusion model can read the "
            "projections of an EEG-CLIP in the .npz"
        )


def read_pairs(path: str, args: ReconstructionArguments) -> Pairs:
    """Load embeddings, and average the trials of each image."""
    embeddings = EEGImageEmbeddings.load(path)
    if args.subject is not None:
        subjects = np.unique(embeddings.subjects).tolist()
        if args.subject not in subjects:
            raise ValueError(f"subject: {path} has {', '.join(subjects)}, got {args.subject!r}")
        embeddings = embeddings.of_subject(args.subject)
    trials = embeddings.average_repetitions()
    ids, first, owners = np.unique(trials.eeg_image_ids, return_index=True, return_inverse=True)
    eeg = np.zeros((len(ids), trials.eeg_embeddings.shape[1]))
    np.add.at(eeg, owners, trials.eeg_embeddings)
    eeg /= np.bincount(owners)[:, None]
    if args.image_embeddings is None:
        places = {name: row for row, name in enumerate(embeddings.image_ids)}
        of_images = embeddings.image_embeddings[[places[name] for name in ids]]
    else:
        known = ImageEmbeddings.load(args.image_embeddings)
        of_images = known.embeddings[known.index.find(ids.tolist())]
    return Pairs(ids, trials.concepts[first], eeg, of_images)


def check_disjoint(train: Pairs, test: Pairs) -> None:
    """Refuse test images that were trained on, and too few images to compare."""
    for name, pairs in (("train", train), ("test", test)):
        if len(pairs.ids) < 2:
            raise ValueError(f"{name}: expected two or more images, got {len(pairs.ids)}")
    both = np.intersect1d(train.ids, test.ids)
    if len(both):
        raise ValueError(
            f"{len(both)} of {len(test.ids)} images to reconstruct are training images, such as {both[0]}: "
            "export parts of a split by concept"
        )
    if train.eeg.shape[1] != test.eeg.shape[1]:
        raise ValueError(
            f"expected EEG embeddings of one model, got {train.eeg.shape[1]} numbers in train and "
            f"{test.eeg.shape[1]} in test"
        )


def load_features(name: str, device: str) -> ImageFeatures:
    """Load the features of a score."""
    kind, *parts = name.split(":")
    if kind == "open_clip" and len(parts) == 2:
        return open_clip_features(*parts, device=device)
    if kind == "torchvision" and len(parts) == 3:
        return torchvision_features(*parts, device=device)
    raise ValueError(
        f"features: expected open_clip:<name>:<weights> or torchvision:<name>:<weights>:<layer>, got {name!r}"
    )


def load_diffusion(args: ReconstructionArguments) -> ImageDiffusion | None:
    """Load the diffusion model, if there is one."""
    if args.pipeline is None:
        return None
    names = ("pretrained_model_name_or_path_or_dict", "subfolder", "weight_name")
    adapter = None if args.ip_adapter is None else dict(zip(names, args.ip_adapter, strict=True))
    return ImageDiffusion.from_pretrained(
        args.pipeline,
        adapter,
        device=args.device,
        dtype=getattr(torch, args.dtype),
        seed=args.seed,
        **read_options(args.pipeline_options),
    )


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """Read `name=value`, the value as YAML."""
    found: dict[str, Any] = {}
    for option in options:
        name, sign, value = option.partition("=")
        if not (name and sign):
            raise ValueError(f"pipeline_options: expected name=value, got {option!r}")
        found[name] = yaml.safe_load(value)
    return found


def fit(args: ReconstructionArguments, train: Pairs, images: np.ndarray) -> EEGImageReconstructor:
    """Fit the prior and train the decoder."""
    if args.shuffle_pairs:
        order = np.random.default_rng(args.seed).permutation(len(train.ids))
        train = replace(train, eeg=train.eeg[order])
    options = {"num_steps": args.num_steps, "learning_rate": args.learning_rate, "width": args.decoder_width}
    return EEGImageReconstructor.fit(
        train.eeg,
        train.embeddings,
        images,
        groups=train.concepts if len(np.unique(train.concepts)) >= MIN_CONCEPTS else None,
        decoder_options={**options, "seed": args.seed, "device": args.device},
        has_decoder="decoder" in args.ways,
    )


def reconstruct(
    args: ReconstructionArguments,
    reconstructor: EEGImageReconstructor,
    diffusion: ImageDiffusion | None,
    eeg: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the images (n, height, width, 3) of each method."""
    images = {}
    if "decoder" in args.ways:
        images["decoder"] = reconstructor.decode(eeg)
    if "nearest" in args.ways:
        images["nearest"] = reconstructor.retrieve(eeg, args.num_nearest)
    if diffusion is not None:
        images["diffusion"] = reconstructor.diffuse(eeg, diffusion)
    return images


def format_scores(scores: Mapping[str, Mapping[str, ImageScore]]) -> str:
    """Return a table with one row per method and metric."""
    rows = []
    for way, metrics in scores.items():
        for metric, score in metrics.items():
            interval = score["interval"]
            spread = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
            title = metric.replace("two_way_", "two-way, ").replace("distance_", "distance, ")
            rows.append(
                {
                    "Way": way,
                    "Metric": METRICS.get(metric, title),
                    "Mean": f"{score['mean']:.3f}{spread}",
                    "Chance": f"{score['chance']:.3f}",
                    "p": f"{score['p_value']:.3f}" if "p_value" in score else NOTHING,
                }
            )
    return markdown_table(rows, texts=("Way", "Metric")) + "\n"


def write_results(
    args: ReconstructionArguments,
    reconstructor: EEGImageReconstructor,
    scores: Mapping[str, Mapping[str, ImageScore]],
    train: Pairs,
    test: Pairs,
) -> None:
    """Write the metrics, their table and the reconstructor."""
    provenance = collect_provenance(
        dataset=f"{args.train}, {args.test}",
        licence="that of the data",
        seeds=(args.seed,),
        settings=asdict(args),
        num_images={"train": len(train.ids), "test": len(test.ids)},
        is_shuffled=args.shuffle_pairs,
    )
    folder = Path(args.output_dir)
    reconstructor.save_pretrained(folder / "reconstructor")
    write_json(folder / "metrics.json", {"provenance": provenance, "results": scores})
    write_text(folder / "table.md", format_scores(scores))


def write_images(folder: Path, ids: np.ndarray, images: Mapping[str, np.ndarray]) -> None:
    """Write the images of each method under the names of those that were seen."""
    for way, values in images.items():
        for name, image in zip(ids, values, strict=True):
            path = (folder / way / str(name)).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
