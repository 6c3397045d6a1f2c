# SPDX-License-Identifier: Apache-2.0
"""What is hidden on some channels, guessed from the others at the same moment by a learned kernel.

The guess is that of a Gaussian process over the head (kriging; Rasmussen and Williams 2006, eq. 2.23,
https://gaussianprocess.org/gpml): K_hv (K_vv + s I)^-1 x_v, where K compares the places of two electrodes. A
Wiener filter needs a covariance for each montage; this kernel is a function of coordinates, good for any.
"""

import torch
from torch import nn

from .electrode_embedding import NUM_PLACE_FEATURES, place_features
from .temporal_encoder import UnitLinear

KERNEL_WIDTH = 64
FIRST_NOISE = -1.0  # the logit of a share of 0.27, about where training leaves it
LEAST_NOISE = 0.01  # a share of the variance, so that the system can be solved whatever was learned


class SpatialGuess(nn.Module):
    """Guess patches of channels from the same patches of the channels that are known."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = UnitLinear(NUM_PLACE_FEATURES, KERNEL_WIDTH)
        self.out = UnitLinear(KERNEL_WIDTH, KERNEL_WIDTH)
        self.noise = nn.Parameter(torch.tensor(FIRST_NOISE))  # logit of what a channel shares with no other

    def kernel(self, channel_positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (batch, channels, 3) in metres to covariances (batch, channels, channels), and the noise.

        The variance of a channel is 1, the noise among it: windows are normalised channel by channel.
        """
        places = place_features(channel_positions, self.dense.weight.dtype)
        features = nn.functional.normalize(self.out(nn.functional.gelu(self.dense(places))).float(), dim=-1)
        noise = LEAST_NOISE + (1 - LEAST_NOISE) * self.noise.float().sigmoid()
        return (1 - noise) * features @ features.mT, noise

    def forward(
        self, patches: torch.Tensor, is_known: torch.Tensor, channel_positions: torch.Tensor
    ) -> torch.Tensor:
        """Return a guess of every patch, shaped like them; those that are known should be kept.

        Args:
            patches: (batch, channels, num_patches, patch_size).
            is_known: (batch, channels, num_patches), True = may be looked at.
            channel_positions: (batch, channels, 3), metres.
        """
        with torch.autocast(patches.device.type, enabled=False):  # there is no solver for 16 bits
            kernel, noise = self.kernel(channel_positions)
            known = is_known.transpose(1, 2).unsqueeze(-1).to(kernel.dtype)  # (batch, patches, channels, 1)
            values = patches.transpose(1, 2).float() * known
            kernel = kernel[:, None] * known.mT  # columns: only what is known has a say
            # Unknown channels get a 1 on the diagonal and nothing else, and come out as 0
            system = kernel * known + torch.diag_embed(1 - (1 - noise) * known.squeeze(-1))
            guess = kernel @ torch.linalg.solve(system, values)
        return guess.transpose(1, 2).to(patches.dtype)
