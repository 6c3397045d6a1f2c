# SPDX-License-Identifier: Apache-2.0
"""Noise as rows of a prepared corpus, so that reading and fitting need no preparation."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from eeg_hf.corpora import Corpus, Recording
from eeg_hf.corpora.windows.encoding import encode_windows
from eeg_hf.processing.electrode_positions import electrode_positions

RATE_HZ = 200


def encode_noise(
    windows_uv: np.ndarray, corpus: Corpus, recording: Recording, channels: Sequence[str], first: int = 0
) -> pa.Table:
    """Return windows (windows, channels, time) in microvolts as rows, as if a recording were cut into them.

    Args:
        windows_uv: One after another in time, at `RATE_HZ`.
        corpus: Source of the licence and the names of labels.
        recording: Source of the labels.
        channels: Names of 10-20 electrodes.
        first: Number of the first window in its recording.
    """
    number, _, num_samples = windows_uv.shape
    return encode_windows(
        windows_uv,
        ((first + np.arange(number)) * num_samples / RATE_HZ).tolist(),
        [None] * number,
        corpus=corpus,
        recording=recording,
        recording_name="noise",
        label_names=corpus.label_names,
        channels=channels,
        bad_channels=(),
        channel_positions=electrode_positions(channels),
        sampling_rate=float(RATE_HZ),
        reference="average",
        alignment_group=f"{recording.corpus}/{recording.subject}",
    )
