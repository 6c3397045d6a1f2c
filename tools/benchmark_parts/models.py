# SPDX-License-Identifier: Apache-2.0
"""Our classifier beside braindecode's Labram of similar size, and compiled beside eager."""

import contextlib
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import torch

from benchmark_parts.timing import (
    DEVICE,
    STEPS,
    BenchmarkArguments,
    Row,
    Work,
    in_fresh_process,
    peak_memory,
    race,
    repeat,
    repeat_training,
    train_twice,
)
from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import electrode_positions

NUM_SAMPLES = 2000  # 10 s at 200 Hz


@dataclass(frozen=True)
class Size:
    """Our model, and a Labram of the same number of layers, heads and parameters."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    labram_filters: int  # a multiple of 4; Labram's width is 25 times as large, for a patch of 200 samples


SIZES = {"tiny": Size(128, 3, 4, 512, labram_filters=8), "small": Size(512, 6, 8, 2048, labram_filters=24)}


@dataclass(frozen=True)
class Contestant:
    """A model on the device with its forward pass from a batch to logits."""

    model: torch.nn.Module
    forward: Callable[[dict[str, torch.Tensor]], torch.Tensor]

    @property
    def num_parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def build_ours(size: Size, dropout: float) -> Contestant:
    """Return our classifier."""
    config = EEGFoundationConfig(
        hidden_size=size.hidden_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        intermediate_size=size.intermediate_size,
        overlap=0.0,
        dropout=dropout,
        classifier_dropout=dropout,
    )
    model: torch.nn.Module = EEGFoundationForSequenceClassification(config)
    model.to(DEVICE)
    return Contestant(model, lambda batch: model(**batch).logits)


def build_labram(size: Size, dropout: float, num_parameters: int) -> Contestant:
    """Return braindecode's Labram with this number of parameters, or raise ImportError.

    The width of its feed-forward layers sets the number of parameters. Its patches are as long as ours, so it
    has the same number of tokens and a class token.
    """
    try:
        from braindecode.models import Labram
    except OSError as error:  # a torchaudio built for another torch
        raise ImportError(str(error).splitlines()[0]) from error
    settings = {
        "n_times": NUM_SAMPLES,
        "n_chans": len(STANDARD_19),
        "n_outputs": 2,
        "conv_out_channels": size.labram_filters,
        "num_layers": size.num_layers,
        "num_heads": size.num_heads,
        "drop_prob": dropout,
        "attn_drop_prob": dropout,
    }
    names = [name.upper() for name in STANDARD_19]

    def build(mlp_ratio: float) -> Contestant:
        model = Labram(**settings, mlp_ratio=mlp_ratio).to(DEVICE)
        return Contestant(model, lambda batch: model(batch["input_values"], ch_names=names))

    width = 25 * size.labram_filters
    unit = size.num_layers * (2 * width * width + width)  # two matrices and a bias in each layer
    return build(1 + (num_parameters - build(1).num_parameters) / unit)


def make_batch(batch_size: int) -> dict[str, torch.Tensor]:
    """Return noise as a batch of the collator, 19 electrodes x 10 s."""
    batch = {
        "input_values": torch.randn(batch_size, len(STANDARD_19), NUM_SAMPLES),
        "channel_positions": torch.from_numpy(electrode_positions(STANDARD_19)).repeat(batch_size, 1, 1),
        "channel_mask": torch.ones(batch_size, len(STANDARD_19), dtype=torch.bool),
        "attention_mask": torch.ones(batch_size, NUM_SAMPLES, dtype=torch.bool),
    }
    return {name: tensor.to(DEVICE) for name, tensor in batch.items()}


def make_step(contestant: Contestant, batch: dict[str, torch.Tensor], is_training: bool) -> Work:
    """Return a function that trains or infers on the batch."""
    if not is_training:
        contestant.model.eval()
        return repeat(torch.no_grad()(lambda: contestant.forward(batch)))
    labels = torch.arange(len(batch["input_values"]), device=DEVICE) % 2

    def compute_loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(contestant.forward(batch), labels)

    return repeat_training(contestant.model, compute_loss)


def race_labram(args: BenchmarkArguments, size: str, dropout: float, is_training: bool) -> Row:
    """Time our model beside Labram, or alone without braindecode."""
    batch = make_batch(args.batch_size)
    ours = build_ours(SIZES[size], dropout)
    peer_step = None
    try:
        peer = build_labram(SIZES[size], dropout, ours.num_parameters)
        peer_step = make_step(peer, batch, is_training)
        peer_name = f"braindecode {version('braindecode')} Labram, {peer.num_parameters:,} parameters"
    except ImportError as error:
        peer_name = f"absent, no braindecode: {error}"
    timing = race(make_step(ours, batch, is_training), peer_step, args.pairs)
    what = f"train {size}, dropout {dropout:g}" if is_training else f"infer {size}"
    name = f"{what}, {ours.num_parameters:,} parameters"
    return timing.row(name, STEPS * args.batch_size, "windows/s", peer_name)


def measure_training(args: BenchmarkArguments) -> list[Row]:
    """Train beside Labram."""
    return [race_labram(args, size, dropout, True) for size in args.sizes for dropout in args.dropouts]


def measure_inference(args: BenchmarkArguments) -> list[Row]:
    """Infer beside Labram."""
    return [race_labram(args, size, 0.0, False) for size in args.sizes]


def measure_training_memory(args: BenchmarkArguments) -> list[Row]:
    """Measure the peak memory of training, each model in its own process."""
    rows = []
    for size in args.sizes:
        name = f"peak memory{' of the GPU' if DEVICE == 'cuda' else ''}, training {size}"
        measure = partial(
            in_fresh_process, peak_memory, train_twice, make_training_step, size, args.batch_size
        )
        ours = measure(False)
        try:
            peer = measure(True)
            rows.append(Row(name, ours, "MB", peer, peer / ours, "braindecode Labram"))
        except ImportError as error:
            rows.append(Row(name, ours, "MB", peer_name=f"absent, no braindecode: {error}"))
    return rows


def make_training_step(size: str, batch_size: int, is_labram: bool) -> Work:
    """Return a function that trains one of both models."""
    with contextlib.suppress(ImportError, OSError):  # for ours too, so that only training differs
        import braindecode.models  # noqa: F401
    contestant = build_ours(SIZES[size], 0.0)
    if is_labram:
        contestant = build_labram(SIZES[size], 0.0, contestant.num_parameters)
    return make_step(contestant, make_batch(batch_size), is_training=True)


def measure_compile(args: BenchmarkArguments) -> list[Row]:
    """Compile the first of the sizes without graph breaks, for inference and for training."""
    size = args.sizes[0]
    rows = []
    for is_training in (False, True):
        what = f"torch.compile, {'train' if is_training else 'infer'} {size}"
        try:
            rows += race_compiled(args, what, SIZES[size], is_training)
        except RuntimeError as error:  # a graph break, or no C++ compiler
            why = f"failed: {type(error).__name__}: {str(error).splitlines()[0]}"
            rows.append(Row(what, None, "", peer_name=why))
    return rows


def race_compiled(args: BenchmarkArguments, what: str, size: Size, is_training: bool) -> list[Row]:
    """Compile a model, compare its logits with the eager model's, and time both."""
    batch = make_batch(args.batch_size)
    eager = build_ours(size, dropout=0.0)
    model = copy.deepcopy(eager.model)
    compiled_model = torch.compile(model, fullgraph=True, backend=args.compile_backend)
    compiled = Contestant(model, lambda batch: compiled_model(**batch).logits)
    ours, peer = (make_step(contestant, batch, is_training) for contestant in (compiled, eager))
    started = time.perf_counter()
    with torch.set_grad_enabled(is_training):
        logits = compiled.forward(batch).detach()
    ours()  # compiles the backward pass, in training
    compiling = time.perf_counter() - started
    expected = eager.forward(batch).detach()
    difference = float((logits - expected).abs().max() / expected.abs().max())
    timing = race(ours, peer, args.pairs)
    return [
        timing.row(what, STEPS * args.batch_size, "windows/s", "eager"),
        Row(f"{what}, compiling", compiling, "s"),
        Row(f"{what}, largest difference", difference, "of the largest logit"),
    ]
