# SPDX-License-Identifier: Apache-2.0
"""Store a recording as tokens, decode it, and measure the loss."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers import AutoConfig

from ...corpora import get_corpus
from ...corpora.recordings.formats import read_recording
from ...evaluation import plot_reconstruction
from ...inference.recording_tokens import RecordingTokens, decode_recording, encode_recording
from ...models.configuration_eeg_fsq import EEGFSQConfig
from ...models.modeling_eeg_fsq import EEGFSQModel
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from .arguments import TokensArguments

if TYPE_CHECKING:
    import mne


def run(args: TokensArguments) -> None:
    """Store, decode and compare one recording."""
    codec, extractor = load_codec(args.codec)
    name, raw = open_recording(args)
    path = Path(args.output_dir) / f"{name}.tokens.safetensors"

    clean, _ = extractor.preprocess(raw)
    encode_recording(clean, codec, extractor, is_preprocessed=True).save(path)
    tokens = RecordingTokens.load(path)
    restored = decode_recording(tokens, codec)

    original_uv, restored_uv = clean.get_data() * 1e6, restored.get_data() * 1e6  # MNE has volts
    sys.stdout.write(describe(tokens, path, original_uv, restored_uv))
    rate = tokens.sampling_rate
    shown = slice(round(args.start * rate), round((args.start + args.seconds) * rate))
    if original_uv[:, shown].shape[1] < 2:
        raise ValueError(f"--start {args.start:g} --seconds {args.seconds:g}: expected within the recording")
    figure = path.with_name(f"{name}.png")
    plot_reconstruction(
        original_uv[:, shown],
        restored_uv[:, shown],
        None,
        rate,
        tokens.channel_names,
        unit="µV",
        max_channels=args.channels,
        title=f"{name} from {args.start:g} s, {tokens.bits_per_second:.0f} bits/s per channel",
        path=figure,
    )
    sys.stdout.write(f"figure: {figure}\n")


def load_codec(name: str | None) -> tuple[EEGFSQModel, EEGFeatureExtractor]:
    """Load a codec and the feature extractor beside it.

    Raises:
        ValueError: If no codec is named, or the model is none.
    """
    if name is None:
        raise ValueError(
            "--codec: expected a trained codec, train one: eeg-hf train-tokenizer "
            "tokenizer_default --data runs/data/eegmat --output_dir runs/codec"
        )
    config = AutoConfig.from_pretrained(name)
    if not isinstance(config, EEGFSQConfig):
        raise ValueError(f"{name}: expected a codec (eeg_fsq), got {config.model_type}")
    return EEGFSQModel.from_pretrained(name), EEGFeatureExtractor.from_pretrained(name)


def open_recording(args: TokensArguments) -> "tuple[str, mne.io.BaseRaw]":
    """Open the file, or the first recording of the corpus, and return its name and signals."""
    if args.recording is not None:
        return Path(args.recording).stem, read_recording(args.recording)
    corpus = get_corpus(args.corpus)
    first = corpus.recordings(corpus.locate())[0]
    return "-".join((first.corpus, first.subject, first.task or first.run)), corpus.read(first)


def describe(tokens: RecordingTokens, path: Path, original: np.ndarray, restored: np.ndarray) -> str:
    """Return a report of the size of the tokens and of the correlation of each channel.

    Args:
        tokens: The stored recording.
        path: Their file.
        original: Cleaned recording (channels, time).
        restored: Decoded recording (channels, time).
    """
    size = tokens.num_bytes
    stored = size["tokens"] + size["side_information"]
    channels, seconds = len(tokens.channel_names), tokens.num_samples / tokens.sampling_rate
    lines = [
        f"recording: {channels} channels, {seconds:,.1f} s at {tokens.sampling_rate:g} Hz",
        f"16-bit samples: {size['int16']:,} bytes, {16 * tokens.sampling_rate:,.0f} bits/s per channel",
        f"tokens: {size['tokens']:,} bytes, {tokens.indices.size:,} of {tokens.token_bits} bits",
        f"location and scale: {size['side_information']:,} bytes",
        f"together: {stored:,} bytes, {tokens.bits_per_second:,.0f} bits/s per channel, 1/"
        f"{size['int16'] / stored:.1f} of 16-bit samples",
        f"{path}: {path.stat().st_size:,} bytes with its header",
        "correlation with the cleaned recording:",
    ]
    is_live = (original.std(axis=1) > 0) & (restored.std(axis=1) > 0)
    found = {
        name: float(np.corrcoef(original[row], restored[row])[0, 1])
        for row, name in enumerate(tokens.channel_names)
        if is_live[row]
    }
    lines += [f"  {name:<5} {value:.3f}" for name, value in found.items()]
    lines += [f"  {name:<5} dead" for name in tokens.channel_names if name not in found]
    lines.append(f"  mean  {np.mean(list(found.values())):.3f}")
    return "\n".join(lines) + "\n"
