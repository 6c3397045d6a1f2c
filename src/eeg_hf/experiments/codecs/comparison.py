# SPDX-License-Identifier: Apache-2.0
"""Codecs on the test part of each corpus, beside PCA and FLAC."""

from collections.abc import Iterator, Sequence
from functools import partial
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from ...collation import WindowDataset, sample_patches
from ...corpora import split_for_pretraining
from ...evaluation import CodecRow, PCACodec, aggregate_folds, bootstrap_interval, flac_bits_per_sample
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ..checkpoint_windows import judge_checkpoints
from ..named_paths import named_paths
from ..options import Contaminated
from ..split_arguments import SplitArguments
from .testing import (
    CodecRuns,
    CorpusParts,
    SignalSettings,
    TestedSeed,
    build_collator,
    code_with_model,
    code_with_pca,
    run_test,
    stored_signals,
)

logger = logging.get_logger(__name__)

SIDE_BITS = 32
"""Location and scale of each channel and window, 16 bits each; beside FLAC, the scale of the window."""
PCA_PATCHES = 100_000
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def load_corpora(sources: Sequence[str], split_args: SplitArguments) -> list[CorpusParts]:
    """Split each corpus as eeg-hf train-tokenizer does; with `none` all of it is tested."""
    corpora: list[CorpusParts] = []
    splits = split_for_pretraining(sources, split_args.split, **split_args.options)
    for source, split in zip(sources, splits, strict=True):
        if split_args.split == "none":
            split["test"] = split.pop("train")
        if not len(split.get("test", [])):
            raise ValueError(f"{source}: --split {split_args.split} has no test part, choose another split")
        test = split["test"]
        rates = sorted(set(test["sampling_rate"]))
        if len(rates) > 1:
            raise ValueError(
                f"{source}: expected windows of one sampling rate, got {rates}: prepare each rate alone"
            )
        name = f"{', '.join(test.unique('corpus'))}, {rates[0]:g} Hz"
        if name in {corpus.name for corpus in corpora}:
            raise ValueError(f"data: {name} is given twice, expected different corpora or rates")
        corpora.append(CorpusParts(source, name, rates[0], split.get("train"), test))
    return corpora


def collect_codecs(
    specifications: list[str], corpora: Sequence[CorpusParts], contaminated: Contaminated = "refuse"
) -> list[CodecRow]:
    """Return the results of every codec and its baselines on every corpus."""
    codecs = [find_runs(*named) for named in named_paths("codecs", specifications).items()]
    for corpus in corpora:
        parts = {"test": corpus.test, **({} if corpus.train is None else {"train": corpus.train})}
        judge_checkpoints([f for codec in codecs for f in codec.folders], parts, "test", contaminated)
    return [row for corpus in corpora for row in measure_corpus(codecs, corpus)]


def find_runs(name: str, folders: list[Path]) -> CodecRuns:
    """Load the config of a codec; refuse other models, and runs that differ in more than the seed."""
    configs = [AutoConfig.from_pretrained(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        if not hasattr(config, "bits_per_code"):
            raise ValueError(f"{folder}: expected a tokenizer, got {config.model_type}")
        if config.to_diff_dict() != configs[0].to_diff_dict():
            raise ValueError(
                f"codecs: {folder} and {folders[0]} differ in more than the seed: give them two names"
            )
    return CodecRuns(name, folders, configs[0], EEGFeatureExtractor.from_pretrained(folders[0]))


def measure_corpus(codecs: Sequence[CodecRuns], corpus: CorpusParts) -> Iterator[CodecRow]:
    """Yield the codecs, PCA at each of their rates if there are training windows, and FLAC."""
    for codec in codecs:
        rate = codec.config.sampling_rate
        if rate and not isclose(rate, corpus.sampling_rate, abs_tol=1e-3):
            raise ValueError(
                f"{codec.name}: trained at {rate:g} Hz, got {corpus.name}: prepare the corpus at that rate"
            )
        yield measure_runs(codec, corpus)
    patches: dict[SignalSettings, np.ndarray] = {}
    # One codec for each set of patches and bits
    budgets = {(codec.settings, round(codec.bits_per_patch, 6)): codec for codec in codecs}
    for (settings, bits), codec in budgets.items() if corpus.train is not None else ():
        if settings not in patches:
            windows = WindowDataset(corpus.train, ["sampling_rate"])
            patches[settings] = sample_patches(windows, build_collator(codec, corpus), PCA_PATCHES).numpy()
        yield measure_pca(PCACodec().fit(patches[settings], bits), codec, corpus)
    yield measure_flac(corpus)


def measure_runs(codec: CodecRuns, corpus: CorpusParts) -> CodecRow:
    """Test every seed of a codec."""
    logger.warning(f"{codec.name} on {corpus.name}, seeds: {len(codec.folders)}")
    models = [AutoModel.from_pretrained(folder).to(DEVICE).eval() for folder in codec.folders]
    return build_row(
        codec,
        corpus,
        [run_test(partial(code_with_model, model), codec, corpus) for model in models],
        codec=codec.name,
        bits_per_second=codec.config.bits_per_second(corpus.sampling_rate),
        architecture=codec.config.architecture,
        activation=codec.config.activation,
        is_conditioned=codec.config.use_conditioning,
        parameters=models[0].num_parameters(),
    )


def measure_pca(pca: PCACodec, codec: CodecRuns, corpus: CorpusParts) -> CodecRow:
    """Test PCA as a codec of the same patches."""
    size, normalization = codec.settings.patch_size, codec.settings.normalization
    details = ", ".join([f"{size} samples", *([] if normalization == "robust" else [normalization])])
    return build_row(
        codec,
        corpus,
        [run_test(partial(code_with_pca, pca), codec, corpus)],
        codec=f"PCA + scalar quantisation ({details})",
        bits_per_second=pca.bits_per_patch * corpus.sampling_rate / size,
        architecture="PCA",
        parameters=pca.num_parameters,
    )


def measure_flac(corpus: CorpusParts) -> CodecRow:
    """Encode the stored samples of each channel of each recording, its windows concatenated."""
    rate = corpus.sampling_rate
    bits_per_second = flac_bits_per_sample(stored_signals(corpus.test), rate) * rate
    return CodecRow(
        codec="FLAC, lossless",
        corpus=corpus.name,
        sampling_rate=rate,
        bits_per_second=bits_per_second,
        budget_bits_per_second=bits_per_second,
        side_bits_per_second=SIDE_BITS * rate / float(np.mean(corpus.test["num_samples"])),
        metrics={},
        num_subjects=len(corpus.test.unique("subject")),
        num_windows=len(corpus.test),
        architecture="FLAC",
    )


def build_row(
    codec: CodecRuns, corpus: CorpusParts, tests: Sequence[TestedSeed], /, **facts: Any
) -> CodecRow:
    """Summarise the tests of all seeds of a codec, or the test of a baseline at its bits."""
    metrics = aggregate_folds([test.metrics for test in tests])
    interval = subject_interval(tests)
    if interval is not None:
        metrics["correlation"]["interval"] = interval
    size, rate = codec.config.patch_size, corpus.sampling_rate
    num_samples = np.array(corpus.test["num_samples"]) // size * size
    is_scaled = codec.settings.normalization in ("robust", "zscore") and codec.settings.alignment == "none"
    return CodecRow(
        corpus=corpus.name,
        sampling_rate=rate,
        budget_bits_per_second=codec.bits_per_patch * rate / size,
        side_bits_per_second=SIDE_BITS * rate / float(num_samples.mean()) if is_scaled else 0.0,
        metrics=metrics,
        num_subjects=len(corpus.test.unique("subject")),
        num_windows=len(corpus.test),
        seeds=len(tests),
        **facts,
    )


def subject_interval(tests: Sequence[TestedSeed]) -> tuple[float, float] | None:
    """Return a 95 % interval of the correlation over the test subjects, None for a single subject."""
    means = np.mean([[mean for mean, _ in test.by_subject.values()] for test in tests], axis=0)
    counts = np.array([count for _, count in tests[0].by_subject.values()], float)
    known = np.isfinite(means)
    if known.sum() < 2:
        return None
    return bootstrap_interval(
        np.zeros(int(known.sum())),
        np.column_stack([means, counts])[known],
        np.flatnonzero(known),
        lambda _, drawn: float(np.average(drawn[:, 0], weights=drawn[:, 1])),
    )
