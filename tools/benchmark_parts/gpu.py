# SPDX-License-Identifier: Apache-2.0
"""Models of 25, 100 and 350 M parameters on one GPU, beside what it can multiply; under eight minutes.

They are those of the recipes pretrain_small, pretrain_medium and pretrain_large, pretrained without the
second view: bfloat16 by autocast as in Trainer, fused AdamW, windows of 19 channels and 10 s without padding,
so that attention needs no mask and flash attention takes it. The ratio is the share of the speed at which the
GPU multiplies large matrices, by the operations that torch counts. What does not begin in time is left out,
and said so. Without a GPU all runs in miniature on the CPU, where the figures mean nothing.
"""

import contextlib
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmark_parts.models import NUM_SAMPLES
from benchmark_parts.reading import open_windows, write_windows
from benchmark_parts.timing import (
    DEVICE,
    STEPS,
    BenchmarkArguments,
    Row,
    Work,
    peak_memory,
    race_all,
    repeat,
    repeat_training,
)
from eeg_hf import EEGDataCollator, EEGFeatureExtractor, EEGFoundationConfig, EEGFoundationForPreTraining
from eeg_hf.cli.parsing.recipe_files import find_recipe, read_recipe

RECIPES = {"25 M": "pretrain_small", "100 M": "pretrain_medium", "350 M": "pretrain_large"}
MINIATURE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LIMIT_SECONDS = 360.0  # after which nothing new begins; the last one may take a minute


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        batch_size: Windows in a step, halved until they fit.
        matrix_size: Rows and columns of the matrices that are multiplied.
        read_windows: Windows that the loader reads.
        turns: Of each measurement.
    """

    batch_size: int
    matrix_size: int
    read_windows: int
    turns: int


FULL = Scale(256, 8192, 4096, 5)
SMALL = Scale(2, 128, 64, 1)


@dataclass(frozen=True)
class Variant:
    """How a model is run: its attention, its dropout (None: the recipe's), how its layers are compiled."""

    attention: str = "sdpa"
    dropout: float | None = None
    compiling: dict[str, Any] | None = None

    def build(self, recipe: str) -> EEGFoundationForPreTraining:
        """Return the model of a recipe on the device, or without a GPU a miniature of it."""
        fields: dict[str, Any] = {**read_recipe(find_recipe(recipe))["config"], "contrastive_weight": 0.0}
        if DEVICE != "cuda":
            fields |= MINIATURE
        if self.dropout is not None:
            fields["dropout"] = self.dropout
        fields["attn_implementation"] = self.attention
        model: Any = EEGFoundationForPreTraining(EEGFoundationConfig(**fields))
        for layer in model.model.layers if self.compiling else ():
            layer.compile(**(self.compiling or {}))  # compiled once for all layers
        return model.to(DEVICE)

    def kernel(self) -> contextlib.AbstractContextManager[object]:
        """Allow flash attention alone; a CPU has it without dropout only."""
        is_flash = self.attention == "sdpa" and DEVICE == "cuda"
        return sdpa_kernel(SDPBackend.FLASH_ATTENTION) if is_flash else contextlib.nullcontext()


def measure_gpu(args: BenchmarkArguments) -> list[Row]:
    """Measure the limit, the loader and every model."""
    if DEVICE == "cuda":
        return [*measure_all(FULL, args.compile_backend)]
    rows = measure_all(SMALL, args.compile_backend)
    return [replace(row, name=f"miniature on the CPU: {row.name}", aim="") for row in rows]


def measure_all(scale: Scale, backend: str) -> Iterator[Row]:
    """Yield the rows, the most important ones first, until the time ends."""
    until = time.monotonic() + LIMIT_SECONDS
    limit = multiply_matrices(scale)
    yield Row(f"multiply matrices of {scale.matrix_size} x {scale.matrix_size}", limit / 1e12, "TFLOP/s")
    compiled = {"fullgraph": True, "backend": backend}
    variants = {
        "flash": Variant(),
        "flash, layers compiled": Variant(compiling=compiled),
        # Flex attention is made by the compiler, and knows no dropout
        "flex, layers compiled": Variant("flex_attention", 0.0, compiled),
    }
    trained = []
    for kind, variant in variants.items():
        for size, recipe in RECIPES.items():
            name = f"{size}, {kind}"
            if time.monotonic() > until:
                yield Row(name, None, "", peer_name=f"left out after {LIMIT_SECONDS:g} s")
                continue
            try:
                rows = measure_model(name, variant, recipe, scale, limit)
            except Exception as error:  # of one variant on an unknown GPU: the others count all the same
                why = f"failed: {type(error).__name__}: {str(error).splitlines()[0]}"
                rows = [Row(name, None, "", peer_name=why)]
            trained += [row.value for row in rows if row.name.startswith("train") and row.value]
            yield from rows
    if trained:
        yield measure_loader(scale, max(trained))


def multiply_matrices(scale: Scale) -> float:
    """Return the floating-point operations a second of a large matrix product in bfloat16."""
    size = scale.matrix_size
    left, right = torch.randn(2, size, size, device=DEVICE).bfloat16()
    return 2 * size**3 / step_seconds(repeat(lambda: left @ right), scale)


def step_seconds(work: Work, scale: Scale) -> float:
    """Return the median seconds of one of the `STEPS` steps of a work."""
    return median(race_all({"work": work}, scale.turns)["work"]) / STEPS


def measure_model(name: str, variant: Variant, recipe: str, scale: Scale, limit: float) -> list[Row]:
    """Train and infer in batches that fit into memory."""
    model = variant.build(recipe)
    title = f"{name}, {model.num_parameters():,} parameters"
    rows = []
    with variant.kernel():
        for verb, make_step in (("train", make_training_step), ("infer", make_inference_step)):
            operations = count_operations(make_step, variant, recipe)
            count, seconds = fit_batch(make_step, model, scale)
            speed, most = count / seconds, limit / operations
            beside = f"{speed * operations / 1e12:.3g} TFLOP/s; at the speed of matrix products"
            aim = "≥ 0.5" if verb == "train" else ""
            what = f"{verb} {title}, batches of {count}"
            rows.append(Row(what, speed, "windows/s", most, speed / most, beside, aim))
            rows.append(Row(f"peak memory, {what}", peak_memory(None) / 1e3, "GB"))
        if not variant.compiling:
            latency = 1e3 * step_seconds(make_inference_step(model, 1), scale)
            rows.append(Row(f"infer {title}, one window", latency, "ms"))
    return rows


def make_training_step(model: Any, batch_size: int) -> Work:
    """Return a function that trains on noise in bfloat16."""
    windows = make_windows(batch_size)

    def compute_loss() -> torch.Tensor:
        with torch.autocast(DEVICE, torch.bfloat16):
            return model(windows).loss

    return repeat_training(model, compute_loss, fused=True)


def make_inference_step(model: Any, batch_size: int) -> Work:
    """Return a function that encodes noise in bfloat16."""
    model.zero_grad()  # no memory for gradients
    encoder, windows = model.eval().model, make_windows(batch_size)

    @torch.no_grad()
    def encode() -> torch.Tensor:
        with torch.autocast(DEVICE, torch.bfloat16):
            return encoder(windows).pooler_output

    return repeat(encode)


def make_windows(batch_size: int) -> torch.Tensor:
    """Return noise, (batch, 19, time); a new batch begins a new account of memory."""
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return torch.randn(batch_size, 19, NUM_SAMPLES, device=DEVICE)


def count_operations(make_step: Callable[[Any, int], Work], variant: Variant, recipe: str) -> float:
    """Return the operations of one window in a step, counted without a compiler and with sdpa."""
    work = make_step(replace(variant, attention="sdpa", compiling=None).build(recipe), 1)
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / STEPS


def fit_batch(make_step: Callable[[Any, int], Work], model: Any, scale: Scale) -> tuple[int, float]:
    """Return the batch size, halved until it fits into memory, and the seconds of a step."""
    batch_size = scale.batch_size
    while True:
        try:
            return batch_size, step_seconds(make_step(model, batch_size), scale)
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
        batch_size //= 2


def measure_loader(scale: Scale, training: float) -> Row:
    """Read and collate windows in all processes that help, beside the fastest training."""
    workers = min(16, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        write_windows(Path(folder), scale.read_windows)
        speed = scale.read_windows / epoch_seconds(Path(folder), scale, workers)
    name = f"read and collate windows of 20 channels, {workers} processes"
    return Row(name, speed, "windows/s", training, speed / training, "the fastest training above", "≥ 1")


def epoch_seconds(folder: Path, scale: Scale, workers: int) -> float:
    """Return the median seconds of an epoch, once the processes have started."""
    loader = DataLoader(
        open_windows(folder),
        batch_size=min(scale.batch_size, scale.read_windows // workers),
        shuffle=True,
        num_workers=workers,
        collate_fn=EEGDataCollator(EEGFeatureExtractor()),
        persistent_workers=True,
    )
    return median(race_all({"epoch": partial(deque, loader, maxlen=0)}, 3)["epoch"])
