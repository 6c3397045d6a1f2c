# SPDX-License-Identifier: Apache-2.0
"""On two processes of 8 windows: the losses that one process of 16 must find."""

from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from eeg_hf import InfoNCE, MovieISCLoss
from eeg_hf.models.contrast import ContrastiveProjectionHead
from eeg_hf.models.modeling_eeg_clip import matching_loss

LOSSES = ("info_nce", "matching", "movie_isc", "movie_isc_across", "movie_isc_of_one")


class Contrast(torch.nn.Module):
    """A projection head with batch normalisation and one of the losses, both with what they learn."""

    def __init__(self, loss: str) -> None:
        super().__init__()
        self.loss = loss
        self.head = ContrastiveProjectionHead(6, 4)
        self.contrast = (MovieISCLoss if loss.startswith("movie") else InfoNCE)(0.3, is_learnable=True)

    def forward(self, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss of the windows of this process."""
        if self.loss in ("info_nce", "matching"):
            both = self.head(torch.cat([rows["windows"], rows["views"]])).chunk(2)
            if self.loss == "info_nce":
                return self.contrast(*both)
            return matching_loss(*both, rows["images"], 1 / self.contrast.temperature())
        return self.contrast(self.head(rows["windows"]), rows[self.loss], rows["seconds"], rows["people"])


def draw_windows() -> dict[str, torch.Tensor]:
    """Return 16 windows of 4 people at 4 moments: who is alike lies in both halves of 8."""
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(16, 6, generator=generator)
    films, people = torch.tensor([11, 12]).repeat(8), torch.arange(4).repeat_interleave(4)
    return {
        "windows": windows,
        "views": windows + 0.3 * torch.randn(16, 6, generator=generator),
        "images": torch.tensor([1, 2, 3, 4, 1, 5, 6, 7, 2, 8, 9, 10, 3, 3, 11, 12]),  # across the halves too
        "movie_isc": films,
        # Only the first and the third person: all their pairs lie across the processes
        "movie_isc_across": torch.where(people % 2 == 0, films, -1),
        # The first process has no window with a positive
        "movie_isc_of_one": torch.cat([films[:4] + 2, torch.full((4,), -1), films[8:]]),
        "seconds": torch.tensor([0.0, 0.0, 9.0, 9.0]).repeat(4),
        "people": people,
    }


def find(loss: str, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the loss of these rows, the gradients of all that is learned, and running statistics."""
    torch.manual_seed(1)
    module = Contrast(loss)
    is_distributed = torch.distributed.is_initialized()
    trained = DistributedDataParallel(module) if is_distributed else module
    value = trained(rows)
    value.backward()
    value = value.detach()
    if is_distributed:
        torch.distributed.all_reduce(value)
        value /= torch.distributed.get_world_size()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    return {"loss": value, **gradients, **dict(module.named_buffers())}


def main(path: Path) -> None:
    """Share the windows between the processes and write what they find."""
    own = slice(8 * torch.distributed.get_rank(), 8 * torch.distributed.get_rank() + 8)
    rows = {name: values[own] for name, values in draw_windows().items()}
    found = {loss: find(loss, rows) for loss in LOSSES}
    if torch.distributed.get_rank() == 1:
        torch.save(found, path)
