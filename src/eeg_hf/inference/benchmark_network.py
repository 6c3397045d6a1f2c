# SPDX-License-Identifier: Apache-2.0
"""A pretrained encoder as the plain network that benchmarks of EEG models build and fine-tune themselves.

Open EEG Bench (https://pypi.org/project/open-eeg-bench, read at 0.6.0) builds `model_cls(n_chans, n_times,
n_outputs, sfreq, chs_info)` as braindecode does, replaces `final_layer`, and calls it with windows (batch,
channels, time).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModel

from ..bundled_weights import find_weights
from ..processing.electrode_positions import electrode_positions
from ..processing.feature_extraction_eeg import EEGFeatureExtractor


class BenchmarkNetwork(nn.Module):
    """Encoder and linear head, for windows of any channels, length and rate.

    Windows are resampled to the encoder's rate and normalised as its feature extractor does; filters and
    references are those of the windows as they come.

    Args:
        n_chans: Channels of a window.
        n_times: Samples of a window.
        n_outputs: Outputs of `final_layer`.
        sfreq: Rate of the windows in Hz.
        chs_info: `info["chs"]` of MNE: names of electrodes, whose places come from the template.
        pretrained: Weights: a folder, a name on the Hub, or `eeg-foundation-tiny`.
        unit_uv: The unit of the windows in microvolts, 1e6 for volts.

    Raises:
        ValueError: If electrodes are not described, or have no known place.
    """

    def __init__(
        self,
        n_chans: int,
        n_times: int,
        n_outputs: int,
        sfreq: float,
        chs_info: Sequence[Mapping[str, Any]] | None = None,
        *,
        pretrained: str = "eeg-foundation-tiny",
        unit_uv: float = 1e6,
    ) -> None:
        super().__init__()
        if chs_info is None or len(chs_info) != n_chans:
            got = "none" if chs_info is None else len(chs_info)
            raise ValueError(f"chs_info: expected the {n_chans} electrodes, got {got}: their places are read")
        source = find_weights(pretrained)
        self.encoder: Any = AutoModel.from_pretrained(source)
        self.extractor = EEGFeatureExtractor.from_pretrained(source)
        self.num_samples = round(n_times * self.extractor.sampling_rate / sfreq)
        self.unit_uv = unit_uv
        places = electrode_positions([str(channel["ch_name"]) for channel in chs_info])
        self.register_buffer("places", torch.from_numpy(np.asarray(places)), persistent=False)
        self.places: torch.Tensor
        self.final_layer: nn.Module = nn.Linear(self.encoder.config.hidden_size, n_outputs)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the output of `final_layer` for windows (batch, channels, time)."""
        values = resample(windows.float() * self.unit_uv, self.num_samples)
        values = self.extractor.normalize(values)
        places = self.places.expand(len(values), -1, -1)
        return self.final_layer(self.encoder(values, channel_positions=places).pooler_output)


def resample(values: torch.Tensor, num_samples: int) -> torch.Tensor:
    """Resample the last axis by its Fourier transform, as `scipy.signal.resample` does."""
    given = values.shape[-1]
    if given == num_samples:
        return values
    spectrum = torch.fft.rfft(values)[..., : num_samples // 2 + 1].clone()
    if min(given, num_samples) % 2 == 0:  # the frequency that both rates can just hold, or one half of it
        spectrum[..., -1] *= 2.0 if num_samples < given else 0.5
    return torch.fft.irfft(spectrum, n=num_samples) * (num_samples / given)


__all__ = ["BenchmarkNetwork", "resample"]
