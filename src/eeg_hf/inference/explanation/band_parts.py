# SPDX-License-Identifier: Apache-2.0
"""Windows as sums of frequency bands, and the noise that stands in for what is removed."""

import math
from collections.abc import Mapping

import torch

BANDS: dict[str, tuple[float, float]] = {
    "delta": (0.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, math.inf),
}
"""Default bands in Hz, lower edge included; together they hold every frequency."""
_REST = "rest"


def complete_bands(bands: Mapping[str, tuple[float, float]] | None = None) -> dict[str, tuple[float, float]]:
    """Return bands that do not overlap; those of `BANDS` by default.

    Args:
        bands: Name -> lower (included) and upper (excluded) edge in Hz.

    Raises:
        ValueError: If a band is empty, or two overlap.
    """
    found = {name: (float(low), float(high)) for name, (low, high) in (bands or BANDS).items()}
    if bad := [name for name, (low, high) in found.items() if not 0 <= low < high]:
        raise ValueError(f"bands: expected 0 <= low < high in Hz, got {bad[0]} {found[bad[0]]}")
    ordered = sorted(found.items(), key=lambda item: item[1])
    for (first, (_, end)), (second, (start, _)) in zip(ordered, ordered[1:], strict=False):
        if start < end:
            raise ValueError(f"bands: {first} and {second} overlap between {start:g} and {end:g} Hz")
    return found


def split_bands(
    values: torch.Tensor, sampling_rate: float, bands: Mapping[str, tuple[float, float]]
) -> dict[str, torch.Tensor]:
    """Split windows into parts that sum to them, by their Fourier coefficients.

    Args:
        values: (batch, channels, time).
        sampling_rate: In Hz.
        bands: Name -> edges in Hz.

    Returns:
        Name -> (batch, channels, time); `rest` where the bands leave frequencies out.

    Example:
        >>> values = torch.randn(1, 2, 200)
        >>> parts = split_bands(values, 100.0, {"alpha": (8.0, 13.0)})
        >>> bool(torch.allclose(parts["alpha"] + parts["rest"], values, atol=1e-5))
        True
    """
    length = values.shape[-1]
    spectrum = torch.fft.rfft(values.float(), dim=-1)
    frequencies = torch.fft.rfftfreq(length, 1 / sampling_rate).to(values.device)
    left = torch.ones_like(frequencies, dtype=torch.bool)
    parts = {}
    for name, (low, high) in bands.items():
        inside = (frequencies >= low) & (frequencies < high)
        parts[name] = torch.fft.irfft(spectrum * inside, n=length, dim=-1)
        left &= ~inside
    if left.any():
        parts[_REST] = torch.fft.irfft(spectrum * left, n=length, dim=-1)
    return parts


def featureless_noise(
    values: torch.Tensor, channel_mask: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """Return pink noise (power as 1/f) without correlations, as strong as each window and zero where it is.

    Zeros would be a worse stand-in: the logarithm of their power is far from that of any recording.

    Args:
        values: (batch, channels, time), zeros where padded.
        channel_mask: (batch, channels) bool, True = real.
        generator: Of the phases.
    """
    spectrum = torch.fft.rfft(torch.randn(values.shape, generator=generator), dim=-1)
    frequency = torch.arange(spectrum.shape[-1], dtype=torch.float32).clamp(min=1)
    noise = torch.fft.irfft(spectrum / frequency.sqrt(), n=values.shape[-1], dim=-1).to(values.device)
    is_real = (values != 0).any(dim=1, keepdim=True).expand(values.shape)
    if channel_mask is not None:
        is_real = is_real & channel_mask.bool()[:, :, None]
    power = (values.float() ** 2 * is_real).sum(dim=(1, 2)) / is_real.sum(dim=(1, 2)).clamp(min=1)
    noise = noise / noise.std(dim=-1, keepdim=True).clamp(min=1e-12)
    return noise * power.sqrt()[:, None, None] * is_real
