# SPDX-License-Identifier: Apache-2.0
"""Training our classifier, eager and compiled, beside braindecode's Labram of the same size."""

import contextlib
import copy
import ctypes
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import torch

from benchmark_parts.own_processes import Made, Maker, race_elsewhere
from benchmark_parts.products import products_alone
from benchmark_parts.timing import (
    DEVICE,
    STEPS,
    BenchmarkArguments,
    Row,
    Timing,
    Work,
    in_fresh_process,
    peak_memory,
    repeat,
    repeat_training,
    train_twice,
)
from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.kept_memory import kept_memory
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import electrode_positions

NUM_SAMPLES = 2000  # 10 s at 200 Hz
_MMAP_THRESHOLD = -3  # of mallopt(3)
TRAINING_AIMS = {"eager": "≥ 1.7", "compiled": "≥ 2"}


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


def build_config(size: Size, dropout: float, **fields: float) -> EEGFoundationConfig:
    """Return the config of our model, with other fields of it."""
    return EEGFoundationConfig(
        hidden_size=size.hidden_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        intermediate_size=size.intermediate_size,
        overlap=0.0,
        dropout=dropout,
        **fields,
    )


def build_ours(size: Size, dropout: float) -> Contestant:
    """Return our classifier."""
    config = build_config(size, dropout, classifier_dropout=dropout)
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

    return repeat_training(contestant.model, compute_loss, fused=True)  # as in Trainer


def make_labram_step(
    size: str, ours: Contestant, dropout: float, batch: dict[str, torch.Tensor], is_training: bool
) -> tuple[str, Work | None]:
    """Return the name and the step of a Labram as large as ours, or without braindecode the reason."""
    try:
        labram = build_labram(SIZES[size], dropout, ours.num_parameters)
    except ImportError as error:
        return f"absent, no braindecode: {error}", None
    name = f"braindecode {version('braindecode')} Labram, {labram.num_parameters:,} parameters"
    return name, make_step(labram, batch, is_training)


def make_compiled_step(
    eager: Contestant, batch: dict[str, torch.Tensor], is_training: bool, backend: str
) -> tuple[Row, Work | None]:
    """Compile a copy of a model without graph breaks; return how long it took, or why not, and its step."""
    model, started = copy.deepcopy(eager.model), time.perf_counter()
    try:
        forward = torch.compile(model, fullgraph=True, backend=backend)
        step = make_step(Contestant(model, lambda batch: forward(**batch).logits), batch, is_training)
        step()
    except RuntimeError as error:  # a graph break, or no C++ compiler
        why = f"failed: {type(error).__name__}: {str(error).splitlines()[0]}"
        return Row("compile", None, "", peer_name=why), None
    return Row("compile, once", time.perf_counter() - started, "s"), step


def rows_beside(
    seconds: dict[str, list[float]], title: str, amount: float, peer_name: str, aims: Mapping[str, str]
) -> list[Row]:
    """Return the speed of each kind beside that of `seconds["peer"]`, where there is one."""
    peer = seconds.get("peer", [])
    return [
        Timing(own, peer).row(f"{title}, {kind}", amount, "windows/s", peer_name, aims.get(kind, ""))
        for kind, own in seconds.items()
        if kind != "peer"
    ]


def measure_training(args: BenchmarkArguments) -> list[Row]:
    """Train beside Labram."""
    return [
        row for size in args.sizes for dropout in args.dropouts for row in race_training(args, size, dropout)
    ]


def race_training(args: BenchmarkArguments, size: str, dropout: float) -> list[Row]:
    """Train our model and Labram."""
    title, aims = f"train {size}, dropout {dropout:g}", TRAINING_AIMS if dropout else {}
    return race_models(args, title, (size, dropout, args.batch_size, True), aims)


def race_models(
    args: BenchmarkArguments,
    title: str,
    how: tuple[str, float, int, bool],
    aims: Mapping[str, str],
    formats: Mapping[str, Maker] | None = None,
) -> list[Row]:
    """Time our model, eager, compiled and in other formats, and Labram, in turns, each in its own process.

    Our processes keep freed memory, as those of `EEGTrainer` do. A Labram that does so too stands beside ours
    in a row of its own, and so do our matrix products alone, which are the limit.
    """
    makers = {
        "eager": Maker(make_ours, how, keeps_memory=True),
        "compiled": Maker(make_compiled, (*how, args.compile_backend), keeps_memory=True),
        "matrix products alone": Maker(make_products, how, keeps_memory=True),
        **(formats or {}),
        "peer": Maker(make_labram, how),
        "peer that keeps memory": Maker(make_labram, how, keeps_memory=True),
    }
    seconds, about = race_elsewhere(makers, args.pairs)
    amount, peer_name = STEPS * args.batch_size, about["peer"]
    kept = seconds.pop("peer that keeps memory", [])
    rows = rows_beside(seconds, title, amount, peer_name, aims)
    if kept:
        beside = {"eager": seconds["eager"], "peer": kept}
        rows += rows_beside(beside, title, amount, f"{peer_name}, memory kept as ours", {})
    compiling: Row = about["compiled"]
    return [*rows, replace(compiling, name=f"{title.partition(',')[0]}, {compiling.name}")]


def make_ours(size: str, dropout: float, batch_size: int, is_training: bool) -> Made:
    """Return the step of our model."""
    return Made(make_step(build_ours(SIZES[size], dropout), make_batch(batch_size), is_training))


def make_products(size: str, dropout: float, batch_size: int, is_training: bool) -> Made:
    """Return the matrix products of the step of our model."""
    step = make_step(build_ours(SIZES[size], dropout), make_batch(batch_size), is_training)
    return Made(products_alone(step))


def make_compiled(size: str, dropout: float, batch_size: int, is_training: bool, backend: str) -> Made:
    """Return the compiled step of our model, and the row of its compilation."""
    ours = build_ours(SIZES[size], dropout)
    row, work = make_compiled_step(ours, make_batch(batch_size), is_training, backend)
    return Made(work, row)


def make_labram(size: str, dropout: float, batch_size: int, is_training: bool) -> Made:
    """Return the step of a Labram as large as ours, and its name."""
    ours = build_ours(SIZES[size], dropout)
    name, work = make_labram_step(size, ours, dropout, make_batch(batch_size), is_training)
    return Made(work, name)


def measure_training_memory(args: BenchmarkArguments) -> list[Row]:
    """Measure the peak memory of training, each model in its own process."""
    rows = []
    for size in args.sizes:
        where = " of the GPU" if DEVICE == "cuda" else ""
        name = f"peak memory{where}, train {size}, batches of {args.memory_batch_size}"
        how = (size, args.memory_batch_size, args.dropouts[0])
        measure = partial(in_fresh_process, peak_memory)
        ours = {name: measure(train_keeping_memory, *how)}
        if DEVICE == "cpu":
            ours[f"{name}, large blocks given back"] = measure(train_giving_back, *how)
        try:
            peer, peer_name = measure(train_twice, make_training_step, *how, True), "braindecode Labram"
        except ImportError as error:
            peer, peer_name = None, f"absent, no braindecode: {error}"
        for title, peak in ours.items():
            ratio, aim = peer and peak / peer, "≤ 0.7" if title == name and peer else ""
            rows.append(Row(title, peak, "MB", peer, ratio, peer_name, aim))
    return rows


def train_keeping_memory(size: str, batch_size: int, dropout: float) -> None:
    """Train our model twice, as `EEGTrainer` does."""
    with kept_memory():
        train_twice(make_training_step, size, batch_size, dropout, False)


def train_giving_back(size: str, batch_size: int, dropout: float) -> None:
    """Train our model twice, as with MALLOC_MMAP_THRESHOLD_=1000000 in the environment."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1_000_000)
    train_twice(make_training_step, size, batch_size, dropout, False)


def make_training_step(size: str, batch_size: int, dropout: float, is_labram: bool) -> Work:
    """Return a function that trains one of both models."""
    with contextlib.suppress(ImportError, OSError):  # for ours too, so that only training differs
        import braindecode.models  # noqa: F401
    contestant = build_ours(SIZES[size], dropout)
    if is_labram:
        contestant = build_labram(SIZES[size], dropout, contestant.num_parameters)
    return make_step(contestant, make_batch(batch_size), is_training=True)
