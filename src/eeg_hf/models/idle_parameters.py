# SPDX-License-Identifier: Apache-2.0
"""Parameters that take no part in the loss of a batch, but must have a gradient.

DistributedDataParallel waits for the gradient of every parameter. It can look for those that get none, but
Trainer forbids that under activation checkpointing. So what a training step leaves out stays in its graph.
"""

from collections.abc import Iterable

import torch
from torch import nn


def idle_zero(parameters: Iterable[nn.Parameter]) -> torch.Tensor | float:
    """Return 0 that depends on each parameter; add it to what the loss is made of.

    Args:
        parameters: Those without another part in the loss; frozen ones are left out.
    """
    return sum(0.0 * each.flatten()[0].float() for each in parameters if each.requires_grad)


__all__ = ["idle_zero"]
