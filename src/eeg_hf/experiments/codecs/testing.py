# SPDX-License-Identifier: Apache-2.0
"""Test of one codec on one corpus: the test part encoded, decoded and measured."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedConfig

from ...collation import EEGTokenizerCollator, WindowDataset, decode_windows, real_patches
from ...corpora import load_alignments
from ...evaluation import PCACodec, ReconstructionMetrics, codebook_metrics
from ...processing.feature_extraction_eeg import EEGFeatureExtractor

BATCH_SIZE = 64

Coder = Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, torch.Tensor | None]]
"""Batch -> reconstruction, and the indices if they are of a single codebook."""


@dataclass(frozen=True)
class CorpusParts:
    """One corpus to test codecs on.

    Attributes:
        source: Folder or Hub name.
        name: Name in the tables.
        sampling_rate: In Hz.
        train: Windows that codecs were trained on, None if the split has none.
        test: Windows to test.
    """

    source: str
    name: str
    sampling_rate: float
    train: Dataset | None
    test: Dataset


class SignalSettings(NamedTuple):
    """Settings that determine the patches of a codec."""

    patch_size: int
    normalization: str
    clip: float | None
    alignment: str


@dataclass(frozen=True)
class CodecRuns:
    """Trainings of one codec that differ in their seed."""

    name: str
    folders: list[Path]
    config: PreTrainedConfig
    extractor: EEGFeatureExtractor

    @property
    def settings(self) -> SignalSettings:
        """The settings of its patches."""
        extractor = self.extractor
        return SignalSettings(
            self.config.patch_size, extractor.normalization, extractor.clip, extractor.alignment
        )

    @property
    def bits_per_patch(self) -> float:
        """Bits of all codes of a patch."""
        return self.config.bits_per_code * self.config.codes_per_patch


class TestedSeed(NamedTuple):
    """Results of one training of a codec, or of a baseline.

    Attributes:
        metrics: Metrics of the reconstruction and of the codebook.
        by_subject: Correlation of each subject, and the number of channels of windows it averages.
    """

    metrics: dict[str, float]
    by_subject: dict[str, tuple[float, float]]


def build_collator(codec: CodecRuns, corpus: CorpusParts) -> EEGTokenizerCollator:
    """Return the collator that makes the inputs of a codec from the windows of a corpus."""
    alignments = load_alignments(corpus.source) if codec.settings.alignment != "none" else None
    return EEGTokenizerCollator(codec.extractor, codec.config.patch_size, alignments=alignments)


def run_test(code: Coder, codec: CodecRuns, corpus: CorpusParts) -> TestedSeed:
    """Encode and decode the test part, and measure whole real patches only.

    Args:
        code: Encodes and decodes a batch.
        codec: The codec, or the one whose patches and bits a baseline uses.
        corpus: The corpus to test on.
    """
    size, collator = codec.config.patch_size, build_collator(codec, corpus)
    windows = WindowDataset(corpus.test, ["sampling_rate", "subject"])
    overall = ReconstructionMetrics()
    each: defaultdict[str, ReconstructionMetrics] = defaultdict(ReconstructionMetrics)
    tokens = []
    for start in range(0, len(windows), BATCH_SIZE):
        table = windows.__getitems__(list(range(start, min(start + BATCH_SIZE, len(windows)))))
        batch = collator(table)
        is_real = real_patches(batch, size)  # (windows, channels, patches)
        is_sample = is_real.any(dim=1).repeat_interleave(size, dim=-1)  # (windows, time)
        with torch.inference_mode():
            reconstruction, indices = code(batch)
        arrays = [batch["input_values"], reconstruction.cpu(), batch["channel_mask"], is_sample]
        signal, result, channel_mask, attention_mask = (array.numpy() for array in arrays)
        overall.update(signal, result, corpus.sampling_rate, channel_mask, attention_mask)
        subjects = np.array(table.column("subject").to_pylist())
        for subject in np.unique(subjects):
            own = subjects == subject
            masks = channel_mask[own], attention_mask[own]
            each[subject].update(signal[own], result[own], corpus.sampling_rate, *masks)
        if indices is not None:
            per_patch = indices.cpu().unflatten(-1, (is_real.shape[-1], -1))
            tokens.append(per_patch[is_real].flatten())
    metrics = overall.compute()
    if tokens:
        metrics |= codebook_metrics(torch.cat(tokens).numpy(), codec.config.codebook_size)
    by_subject = {}
    for subject, metric in each.items():
        found = metric.compute()
        by_subject[subject] = (found["correlation"], found["num_channels"] - found["num_undefined"])
    return TestedSeed(metrics, by_subject)


def code_with_model(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Encode a batch, and decode it from the indices alone."""
    rates = batch["sampling_rate"].to(model.device)
    indices = model.encode(batch["input_values"].to(model.device), rates).indices
    return model.decode(indices, rates), indices


def code_with_pca(pca: PCACodec, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Encode and decode a batch; PCA has one codebook per component, so no indices are returned."""
    values = batch["input_values"]
    patches = values.reshape(-1, pca.pca_.mean_.size).numpy()
    decoded = pca.decode(pca.encode(patches)).astype(np.float32)
    return torch.from_numpy(decoded).reshape(values.shape), None


def stored_signals(test: Dataset) -> Iterator[np.ndarray]:
    """Yield the int16 samples (time,) of each channel of each recording, its windows in order."""
    windows = WindowDataset(test)
    names = [test[column] for column in ("subject", "session", "run", "recording")]
    keys = ["/".join(map(str, name)) for name in zip(*names, strict=True)]
    starts = test["start_seconds"]
    order = sorted(range(len(test)), key=lambda row: (keys[row], starts[row]))
    for _, rows in groupby(order, key=lambda row: keys[row]):
        table = windows.__getitems__(list(rows))
        counts, channel_mask, attention_mask = decode_windows(table, in_counts=True)
        for channel in np.flatnonzero(channel_mask.any(axis=0)):
            yield counts[:, channel][attention_mask].astype(np.int16)
