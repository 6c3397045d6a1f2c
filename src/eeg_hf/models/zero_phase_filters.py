# SPDX-License-Identifier: Apache-2.0
"""Recursive filters run forwards and backwards over windows, as `scipy.signal.sosfiltfilt` does, in torch.

A recursive filter that starts at rest is a convolution with its impulse response; started in the steady state
of the first sample it adds what is left of that. Both are computed by Fourier transforms in float64.
"""

import torch

_DECAY = 8
"""Periods of a transform, in windows, after which an impulse response counts as over."""


def filter_twice(values: torch.Tensor, sections: torch.Tensor) -> torch.Tensor:
    """Filter windows without a shift in phase.

    Args:
        values: (..., time).
        sections: (filters, sections, 6), second-order sections as scipy gives them.

    Returns:
        (..., filters, time), float64.
    """
    sections = sections.to(torch.float64)
    edge = 3 * pad_length(sections[0])
    values = values.to(torch.float64)
    head = 2 * values[..., :1] - values[..., 1 : edge + 1].flip(-1)
    tail = 2 * values[..., -1:] - values[..., -edge - 1 : -1].flip(-1)
    extended = torch.cat([head, values, tail], dim=-1)[..., None, :]  # (..., 1, time)
    response, rest = responses(sections, extended.shape[-1])
    forwards = _filter(extended, response, rest)
    backwards = _filter(forwards.flip(-1), response, rest).flip(-1)
    return backwards[..., edge : edge + values.shape[-1]]


def pad_length(sections: torch.Tensor) -> int:
    """Return the taps of a filter (sections, 6) as scipy counts them for the padding."""
    idle = min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
    return 2 * len(sections) + 1 - idle


def responses(sections: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the impulse response (filters, length), and what is left of a steady state of 1."""
    size = _DECAY * max(length, 2048)
    angles = torch.arange(size // 2 + 1, dtype=torch.float64, device=sections.device) * (2 * torch.pi / size)
    delays = torch.exp(-1j * angles[:, None] * torch.arange(3, device=sections.device))  # (frequencies, 3)
    numerator = sections[..., :3].to(delays.dtype) @ delays.mT  # (filters, sections, frequencies)
    denominator = sections[..., 3:].to(delays.dtype) @ delays.mT
    transfer = (numerator / denominator).prod(dim=-2)
    response = torch.fft.irfft(transfer, size)[..., :length]
    return response, transfer[..., :1].real - response.cumsum(dim=-1)


def _filter(values: torch.Tensor, response: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Filter (..., filters or 1, time) once, from the steady state of the first sample."""
    length = values.shape[-1]
    size = 1 << (2 * length - 1).bit_length()
    product = torch.fft.rfft(values, size) * torch.fft.rfft(response, size)
    return torch.fft.irfft(product, size)[..., :length] + values[..., :1] * rest


__all__ = ["filter_twice"]
