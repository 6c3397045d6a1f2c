# SPDX-License-Identifier: Apache-2.0
"""Networks of braindecode as the model of a run: found by name, tried before anything is trained."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from datasets import Dataset
from transformers.utils import logging

from ...evaluation.baselines import EEGNET, eegnet_settings
from ...hub.published_weights import fill_network
from ...models.configuration_braindecode import BraindecodeConfig
from ...models.modeling_braindecode import BUILD_ERRORS, BraindecodeForSequenceClassification, find_network
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...suggestions import did_you_mean
from .arguments import HOSTED, FinetuneArguments
from .target import Target

logger = logging.get_logger(__name__)


def check_hosted(args: FinetuneArguments, dataset: Dataset, target: Target) -> None:
    """Refuse a network that braindecode lacks, or that the windows of a corpus do not fit.

    Args:
        args: The options.
        dataset: All windows; the network knows channels by their order, and one length.
        target: What is predicted.

    Raises:
        ImportError: If braindecode is not installed.
        ValueError: With one line that says what the network needs.
    """
    name = network_name(args)
    known = inspect.signature(find_network(name).__init__).parameters
    for argument in args.network:
        if argument not in known:
            raise ValueError(f"--network: {name} takes no {argument!r}{did_you_mean(argument, known)}")
    montages = {tuple(names) for names in dataset["channels"][:]}
    lengths = set(dataset["num_samples"][:])
    if len(montages) > 1 or len(lengths) > 1:
        raise ValueError(
            f"--architecture {args.architecture} takes windows of one length with the same channels in one "
            f"order; the corpus has {len(montages)} sets of channels and {len(lengths)} lengths: prepare it "
            "with --channels and one --window_seconds, or take eeg_foundation"
        )
    labels = {"num_labels": max(len(target.class_names), 1)}
    first = dataset[0]
    try_network(build_network(args, dict(describe_window(first)), first["sampling_rate"], labels))


def describe_window(window: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config that a window decides."""
    places = torch.tensor(window["channel_positions"]).reshape(-1, 3)
    return {
        "num_channels": len(window["channels"]),
        "channel_names": window["channels"],
        "channel_positions": places.tolist(),
        "num_samples": window["num_samples"],
    }


def build_hosted(
    args: FinetuneArguments,
    window: Mapping[str, Any],
    extractor: EEGFeatureExtractor,
    labels: Mapping[str, Any],
) -> BraindecodeForSequenceClassification:
    """Return a network of braindecode with random weights for windows like this one."""
    return build_network(args, describe_window(window), float(extractor.sampling_rate), labels)


def load_hosted(
    args: FinetuneArguments, source: str, window: Mapping[str, Any], labels: Mapping[str, Any]
) -> BraindecodeForSequenceClassification:
    """Return a trained network of braindecode with a head for these labels, new where they differ.

    Raises:
        ValueError: If the windows are not those that the network was built for, or an option has no effect.
    """
    if args.head != "finetune" or args.regime != "unseen" or args.gradual_unfreezing or args.freeze_epochs:
        raise ValueError(
            f"--model {source} is a network of braindecode: it takes --head finetune and --regime unseen, "
            "without --gradual_unfreezing and --freeze_epochs"
        )
    saved = BraindecodeForSequenceClassification.from_pretrained(source)
    config = saved.config
    for name, own, given in (
        ("channels", list(config.channel_names or window["channels"]), window["channels"]),
        ("samples of a window", config.num_samples, window["num_samples"]),
        ("Hz", config.sampling_rate, window["sampling_rate"]),
    ):
        if own != given:
            raise ValueError(
                f"--model {source}: {config.architecture} was built for {name} {own}, windows have {given}: "
                "prepare the corpus so"
            )
    fields = {**config.to_dict(), "label_smoothing": args.label_smoothing, **labels}
    if "id2label" in labels:
        fields.pop("num_labels", None)
    model = BraindecodeForSequenceClassification(BraindecodeConfig.from_dict(fields))
    report = fill_network(model.model.network, saved.model.network.state_dict())
    logger.warning(f"{source}: {report.describe()}")
    return model


def build_network(
    args: FinetuneArguments, sizes: Mapping[str, Any], sampling_rate: float, labels: Mapping[str, Any]
) -> BraindecodeForSequenceClassification:
    """Return the network of `--architecture`."""
    usual = eegnet_settings(sampling_rate) if args.architecture == "eegnet" else {}
    config = BraindecodeConfig(
        architecture=network_name(args),
        sampling_rate=sampling_rate,
        label_smoothing=0.0 if args.architecture == "eegnet" else args.label_smoothing,
        network={**usual, **args.network} or None,
        **sizes,
        **labels,
    )
    return BraindecodeForSequenceClassification(config)


def network_name(args: FinetuneArguments) -> str:
    """Return the name of the class in `braindecode.models`."""
    return EEGNET if args.architecture == "eegnet" else args.architecture.removeprefix(HOSTED)


@torch.no_grad()
def try_network(model: BraindecodeForSequenceClassification) -> None:
    """Run a network once: some are built for windows that they cannot compute, or return no class scores.

    Raises:
        ValueError: With one line that names the network and the window.
    """
    config = model.config
    places = None if config.channel_positions is None else torch.tensor([config.channel_positions] * 2)
    windows = torch.randn(
        2, config.num_channels, config.num_samples, generator=torch.Generator().manual_seed(0)
    )
    try:
        with torch.random.fork_rng(devices=[]):
            model.eval()(windows, channel_positions=places)
    except BUILD_ERRORS as error:
        if isinstance(error, ValueError) and config.architecture in str(error):  # one of ours
            raise
        raise ValueError(
            f"{config.architecture} of braindecode cannot compute windows of {config.num_channels} channels "
            f"and {config.num_samples} samples at {config.sampling_rate:g} Hz: {' '.join(str(error).split())}"
        ) from error
    finally:
        model.train()
