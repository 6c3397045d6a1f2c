# SPDX-License-Identifier: Apache-2.0
"""Predict masked patches of some channels from the other channels at the same time, by a learned kernel.

The prediction is that of a Gaussian process over the head (kriging; Rasmussen and Williams 2006, eq. 2.23,
https://gaussianprocess.org/gpml): K_mv (K_vv + s I)^-1 x_v, where K compares the positions of two electrodes.
A Wiener filter needs a covariance for each montage; this kernel is a function of coordinates and fits any.
"""

import torch
from torch import nn

from .electrode_embedding import NUM_PLACE_FEATURES, place_features
from .parameter_dtype import parameter_dtype
from .scalar_parameter import register_scalar
from .temporal_encoder import UnitLinear

KERNEL_WIDTH = 64
FIRST_NOISE = -1.0  # logit of a share of 0.27, close to its value after training
LEAST_NOISE = 0.01  # share of the variance; keeps the system solvable whatever was learned


class SpatialGuess(nn.Module):
    """Predict patches of channels from the same patches of the known channels."""

    noise: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.dense = UnitLinear(NUM_PLACE_FEATURES, KERNEL_WIDTH)
        self.out = UnitLinear(KERNEL_WIDTH, KERNEL_WIDTH)
        register_scalar(self, "noise", FIRST_NOISE)  # logit of the share that channels do not share

    def kernel(self, channel_positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (batch, channels, 3) in metres to covariances (batch, channels, channels), and the noise.

        The variance of a channel, noise included, is 1: windows are normalised for each channel.
        """
        places = place_features(channel_positions, parameter_dtype(self.dense))
        # Unit vectors (batch, channels, KERNEL_WIDTH), whose products are correlations
        features = nn.functional.normalize(self.out(nn.functional.gelu(self.dense(places))).float(), dim=-1)
        noise = LEAST_NOISE + (1 - LEAST_NOISE) * self.noise.float().sigmoid()
        return (1 - noise) * features @ features.mT, noise

    def forward(
        self, patches: torch.Tensor, is_known: torch.Tensor, channel_positions: torch.Tensor
    ) -> torch.Tensor:
        """Return a prediction of every patch, in the shape of the patches; the caller keeps known ones.

        Args:
            patches: (batch, channels, num_patches, patch_size).
            is_known: (batch, channels, num_patches), True = used for the prediction.
            channel_positions: (batch, channels, 3), metres.
        """
        with torch.autocast(patches.device.type, enabled=False):  # no solver takes 16 bits
            kernel, noise = self.kernel(channel_positions)
            known = is_known.transpose(1, 2).unsqueeze(-1).to(kernel.dtype)  # (batch, patches, channels, 1)
            values = patches.transpose(1, 2).float() * known  # (batch, patches, channels, patch_size)
            kernel = kernel[:, None] * known.mT  # columns of unknown channels are zero
            # Rows of unknown channels are those of the identity, so that their solution is 0
            system = kernel * known + torch.diag_embed(1 - (1 - noise) * known.squeeze(-1))
            guess = kernel @ torch.linalg.solve(system, values)
        return guess.transpose(1, 2).to(patches.dtype)
