# SPDX-License-Identifier: Apache-2.0
"""Measures of one recording: amplitude and unit, clipping, line noise, noisy channels, drift.

The rules are fixed: the same samples give the same answer, independent of labels and other recordings. They
follow PREP (https://doi.org/10.3389/fninf.2015.00016) and FASTER
(https://doi.org/10.1016/j.jneumeth.2010.07.015), which compare each channel with the median of its recording
by robust z scores. They deviate where these misfire: a z score of 5 must also be a factor of 3, since the
channels of a good recording may be so similar that 5 deviations mean nothing, and what cannot be measured
(too few channels, a montage in which no two neighbours correlate) is not judged.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .filtering import gain

FLAT_UV = 0.1
"""A channel with a standard deviation (uV) below this is dead."""

PLAUSIBLE_UV = (0.1, 1000.0)
"""A median |x| (uV) outside this range means that the unit is wrong."""

LARGEST_UV = 1e6
"""Largest |x| (uV) that a sample may have: a volt. More is a damaged file, whatever the unit."""

TYPICAL_UV = (2.0, 100.0)
"""Usual median |x| (uV) of EEG; narrower than a factor of 1000, so that at most one unit leads here."""

LARGEST_SWING_UV = 400.0
"""Largest peak-to-peak amplitude (uV) of EEG within a second; eye blinks reach 300 uV."""

CLIPPED_SHARE = 0.01
"""Share of a channel's samples at its own extreme above which `preprocess` warns."""

# EEG without line noise stays below a ratio of 1.5
_LINE_NOISE_RATIO = 3.0
_NOISY_Z, _NOISY_FACTOR, _GAIN_FACTOR = 5.0, 3.0, 10.0
_FEW_FACTOR = 5.0  # how many times as loud one of a few channels must be
_JUMP_UV, _JUMP_FACTOR = 600.0, 10.0  # twice an eye blink, and far more than the other channels move
_PAIRS_AT_ONCE = 4096  # of seconds; a day has 86,400
_LEAST_CHANNELS = 8  # fewer give no robust spread
# Good channels at the edge of a 19-electrode cap correlate with at least 0.4, noise with up to 0.25; a usual
# correlation above 0.6 shows that the electrodes of a recording lie close enough for the rule to apply
_BAD_CORRELATION, _USUAL_CORRELATION = 0.3, 0.6
_DRIFT_RATIO = 4.0
_UNIT_SLIPS: Mapping[int, str] = {
    6: "it looks as if the values are in uV but were read as V: scale them by 1e-6, or set unit='uV'",
    3: "it looks as if the values are in mV but were read as V: scale them by 1e-3",
    -3: "it looks as if the values are in mV but were read as uV: scale them by 1e3",
    -6: "it looks as if the values are in V but were read as uV: scale them by 1e6, or set unit='V'",
}


def measure_amplitude(channels: Sequence[np.ndarray] | np.ndarray, rate: float) -> float:
    """Measure the amplitude of live channels.

    Offsets and drifts of DC-coupled amplifiers reach many mV and do not depend on the unit, so the median of
    each second is subtracted first; if no channel moves within a second, the median of the whole channel.
    Seconds in which all channels are constant (a gap filled with zeros) do not count.

    Args:
        channels: Samples in V, one array of shape (time,) per channel.
        rate: Their rate in Hz.

    Returns:
        Median over channels of median |x| in uV, over at most 10 evenly spread seconds.
    """
    num_samples = len(channels[0])
    length = min(max(round(rate), 2), num_samples)
    starts = evenly_spread(num_samples, length, 10)
    blocks = _cut(channels, starts, length)
    moves = np.ptp(blocks, axis=-1).any(axis=0)  # (num_blocks,)
    if not moves.all() and num_samples > length:
        starts = _moving_starts(channels, length)
        blocks = _cut(channels, starts, length) if len(starts) else blocks
    amplitude = _median_deviation(blocks)
    if amplitude < PLAUSIBLE_UV[0]:
        amplitude = _median_deviation(blocks.reshape(len(blocks), 1, -1))
    return amplitude


def evenly_spread(num_samples: int, length: int, most: int) -> np.ndarray:
    """Return the starts of at most `most` evenly spread pieces of a recording."""
    return np.linspace(0, num_samples - length, num=min(most, num_samples // length)).astype(int)


def _cut(
    channels: Sequence[np.ndarray] | np.ndarray,
    starts: np.ndarray,
    length: int,
    precision: type[np.floating] = np.float64,
) -> np.ndarray:
    """Cut blocks in uV, (channels, num_blocks, length)."""
    blocks = np.empty((len(channels), len(starts), length), precision)
    for rows, samples in zip(blocks, channels, strict=True):
        for row, start in zip(rows, starts, strict=True):
            np.multiply(samples[start : start + length], 1e6, out=row, casting="same_kind")
    return blocks


def _moving_starts(channels: Sequence[np.ndarray] | np.ndarray, length: int) -> np.ndarray:
    """Find the starts of at most 10 evenly spread blocks in which a channel moves."""
    usable = len(channels[0]) // length * length
    moves = np.zeros(usable // length, dtype=bool)
    for samples in channels:
        moves |= np.ptp(samples[:usable].reshape(-1, length), axis=-1) > 0
    found = np.flatnonzero(moves)
    return found[np.linspace(0, len(found) - 1, num=min(10, len(found))).astype(int)] * length


def _median_deviation(blocks: np.ndarray) -> float:
    """Return the median over channels of |x - block median| of blocks (channels, num_blocks, length)."""
    ranked, length = np.sort(blocks, axis=-1), blocks.shape[-1]  # for short blocks faster than np.median
    deviation = blocks - ((ranked[..., (length - 1) // 2] + ranked[..., length // 2]) / 2)[..., None]
    np.abs(deviation, out=deviation)
    return float(np.median(np.median(deviation.reshape(len(blocks), -1), axis=-1)))


def check_amplitude(channels: Sequence[np.ndarray] | np.ndarray, rate: float) -> float:
    """Measure the amplitude of live channels and refuse one that cannot be EEG.

    Args:
        channels: Samples in V, one array of shape (time,) per channel.
        rate: Their rate in Hz.

    Returns:
        The result of `measure_amplitude`, in uV.

    Raises:
        ValueError: If it lies outside `PLAUSIBLE_UV`; names the likely error of the unit.
    """
    amplitude = measure_amplitude(channels, rate)
    low, high = PLAUSIBLE_UV
    if not low <= amplitude <= high:
        # EEG is about 10 uV: the power of 1000 nearest to the excess is the error of the unit
        exponent = 3 * int(np.clip(round(np.log10(max(amplitude, 1e-9) / 10) / 3), -2, 2))
        hint = _UNIT_SLIPS.get(exponent, "check the unit of the recording")
        still = np.mean([np.mean(np.diff(samples) == 0) for samples in channels])
        if amplitude < low and still > 0.5:
            hint = f"{still:.0%} of the samples repeat the one before: cut out the stretches without signal"
        raise ValueError(
            f"implausible amplitude: median |x| is {amplitude:.3g} uV, expected {low:g}-{high:g} uV; {hint}"
        )
    return amplitude


def unit_factor(
    channels: Sequence[np.ndarray] | np.ndarray, rate: float, amplitude: float | None = None
) -> float:
    """Find the factor that corrects a wrong unit, if exactly one does.

    Args:
        channels: Samples in what the file calls V, one array of shape (time,) per channel.
        rate: Their rate in Hz.
        amplitude: Result of `measure_amplitude`, if it is known.

    Returns:
        1e-6, 1e-3, 1e3 or 1e6 if the amplitude lies outside `PLAUSIBLE_UV` and the factor brings it into
        `TYPICAL_UV`, together with the amplitude at 1-30 Hz: mains hum of some mV is no error of the unit.
        1.0 otherwise, and for less than two seconds.
    """
    length = round(2 * rate)
    if len(channels[0]) < length:
        return 1.0
    amplitude = measure_amplitude(channels, rate) if amplitude is None else amplitude
    if PLAUSIBLE_UV[0] <= amplitude <= PLAUSIBLE_UV[1]:
        return 1.0
    in_band, _ = _band_amplitudes(*_spectra(_blocks(channels, length, 60), rate), rate)
    both = (amplitude, float(np.median(in_band)))
    low, high = TYPICAL_UV
    return next((f for f in (1e-6, 1e-3, 1e3, 1e6) if all(low <= value * f <= high for value in both)), 1.0)


def clipped_share(samples: np.ndarray, extremes: Sequence[float] | None = None) -> float:
    """Measure how much of a channel lies at the limit of its analogue-to-digital converter.

    Args:
        samples: One channel as recorded, in any unit, shape (time,).
        extremes: Its smallest and its largest sample, if they are known.

    Returns:
        Share of the samples that equal the channel's maximum or minimum in runs of three or more, which
        single peaks do not form. Zeros do not count: programs fill gaps with them.
    """
    count = 0
    for extreme in filter(None, extremes or (samples.min(), samples.max())):
        places = np.flatnonzero(samples == extreme)
        if len(places) >= 3:
            # Runs of consecutive places end where the next place is further than one sample
            ends = np.flatnonzero(np.diff(places, append=places[-1] + 2) > 1)
            runs = np.diff(ends, prepend=-1)
            count += int(runs[runs >= 3].sum())
    return count / len(samples)


def line_noise(data: np.ndarray, rate: float) -> tuple[dict[str, float], float | None]:
    """Measure whether 50 or 60 Hz stands out of the spectrum.

    Args:
        data: Samples in any unit, shape (channels, time); only the first minute is used.
        rate: Their rate in Hz.

    Returns:
        Power at `"50"` and `"60"` Hz, if below the Nyquist frequency, over the power 2 to 5 Hz beside it,
        median over channels; and the louder of the two if its ratio is three or more, else `None`.
    """
    from scipy import signal  # takes a second to import

    data = data[:, : round(60 * rate)]
    frequencies, power = signal.welch(data, rate, nperseg=min(data.shape[1], round(2 * rate)))
    spectrum = np.median(power, axis=0)  # (frequencies,)
    ratios: dict[str, float] = {}
    for line in (50.0, 60.0):
        distance = np.abs(frequencies - line)
        beside = spectrum[(distance > 2) & (distance < 5)]
        if line + 1 < rate / 2 and beside.size:
            ratios[f"{line:g}"] = float(spectrum[distance <= 1].max() / np.median(beside))
    loudest = max(ratios, key=lambda key: ratios[key], default=None)
    return ratios, None if loudest is None or ratios[loudest] < _LINE_NOISE_RATIO else float(loudest)


def noisy_channels(channels: Mapping[str, np.ndarray], rate: float) -> dict[str, str]:
    """Find the channels that differ from the others of their recording as electrodes without contact do.

    Each measure is the median over up to 60 evenly spread pieces of two seconds, so that blinks and movements
    do not count. A channel is noisy if, by more than five robust deviations from the median channel,

    * its amplitude at 1-30 Hz is more than ten times the usual, or more than three times without a
    correlation
      of 0.6 with another channel, as strong alpha rhythms and epileptic foci have,
    * it is less than a tenth,
    * its amplitude above 30 Hz, without the line, is more than three times the usual and more than its own
      EEG,

    or if its largest correlation with any other channel (1-30 Hz) is below 0.3 while the recording's usual
    one is above 0.6. Loudness is measured against the median over channels, which a noisy channel moves less
    than a mean; quietness and correlation against the recording's own reference, since after re-referencing a
    dead channel carries the signal of the others.

    Args:
        channels: Good unipolar channels in V by name, each of shape (time,).
        rate: Their rate in Hz.

    Returns:
        Name -> reason. Empty for fewer than 8 channels or less than 2 seconds.
    """
    length = round(2 * rate)
    names = list(channels)
    if len(names) < _LEAST_CHANNELS or len(channels[names[0]]) < length:
        return {}
    # Against the recording's own reference
    own = _blocks(list(channels.values()), length, 60)  # (channels, num_blocks, length), uV
    spectra, frequencies = _spectra(own, rate)
    quietness, _ = _band_amplitudes(spectra, frequencies, rate)
    correlation = _largest_correlations(spectra, frequencies)
    # Against the median over channels
    spectra, _ = _spectra(own - np.median(own, axis=0), rate)
    loudness, hiss = _band_amplitudes(spectra, frequencies, rate)
    z_loud, z_quiet, z_hiss = (
        _robust_z(loudness, _NOISY_FACTOR),
        _robust_z(quietness, _GAIN_FACTOR),
        _robust_z(hiss, _NOISY_FACTOR),
    )
    is_alone = (correlation < _USUAL_CORRELATION) | (loudness > _GAIN_FACTOR * np.median(loudness))
    is_judged = np.median(correlation) > _USUAL_CORRELATION
    why: dict[str, str] = {}
    for row, name in enumerate(names):
        if z_loud[row] > _NOISY_Z and is_alone[row]:
            why[name] = f"noisy: {loudness[row] / np.median(loudness):.0f} times as loud as the others"
        elif z_quiet[row] < -_NOISY_Z:
            why[name] = f"noisy: {quietness[row] / np.median(quietness):.2g} of the others' amplitude"
        elif z_hiss[row] > _NOISY_Z and hiss[row] > loudness[row]:
            why[name] = f"noisy: {hiss[row] / np.median(hiss):.0f} times the others' high frequencies"
        elif is_judged and correlation[row] < _BAD_CORRELATION:
            why[name] = f"noisy: correlates with no other channel (at most {correlation[row]:.2f})"
    return why


def loud_channels(
    channels: Mapping[str, np.ndarray], rate: float, lowpass_hz: float | None = None
) -> dict[str, float]:
    """Find the channels that would dominate an average of all.

    Args:
        channels: Good unipolar channels in V by name, each of shape (time,).
        rate: Their rate in Hz.
        lowpass_hz: Frequencies above it do not count.

    Returns:
        Name -> how many times as loud as the median channel, from 1 Hz on: more than three times, and five
        robust deviations away; with fewer than 8 channels, more than five times; of two channels, as the
        other one. Empty for a single channel or less than 2 seconds.
    """
    length = round(2 * rate)
    names = list(channels)
    if len(names) < 2 or len(channels[names[0]]) < length:
        return {}
    # (channels, num_blocks, length), uV; half of the time in single precision
    blocks = _blocks(list(channels.values()), length, 15, np.float32)
    is_many = len(names) >= _LEAST_CHANNELS
    if is_many:
        ranked = np.sort(blocks, axis=0)  # a third of the time of np.median
        blocks -= (ranked[(len(names) - 1) // 2] + ranked[len(names) // 2]) / 2
    spectra, frequencies = _spectra(blocks, rate)
    end = min(100.0 if lowpass_hz is None else lowpass_hz, 0.4 * rate)
    first, last = np.searchsorted(frequencies, [1, np.nextafter(end, np.inf)])
    parts = np.ascontiguousarray(spectra[..., first:last]).view(blocks.dtype)  # real, imaginary, real, ...
    power = np.einsum("...f,...f->...", parts, parts)
    loudness = np.sqrt(np.median(power, axis=-1))  # (channels,)
    usual = float(np.median(loudness) if len(names) > 2 else loudness.min())
    ratio = loudness / max(usual, 1e-6)
    is_loud = _robust_z(loudness, _NOISY_FACTOR) > _NOISY_Z if is_many else ratio > _FEW_FACTOR
    return {name: float(ratio[row]) for row, name in enumerate(names) if is_loud[row]}


def jumping_channels(channels: Mapping[str, np.ndarray], rate: float) -> dict[str, float]:
    """Find the channels with a step or a peak that the others do not have.

    Args:
        channels: Good unipolar channels in V by name, each of shape (time,).
        rate: Their rate in Hz.

    Returns:
        Name -> largest swing within two seconds, in uV: more than 600, and ten times that of the median
        channel. Empty for fewer than 3 channels.
    """
    return jumps(list(channels), *swings(list(channels.values()), rate))


def swings(samples: Sequence[np.ndarray] | np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return highest and lowest sample of each piece of a second, the last of which may be shorter.

    Args:
        samples: One array of shape (time,) per channel.
        rate: Their rate in Hz.

    Returns:
        Two arrays (channels, pieces).
    """
    if not len(samples):
        return np.zeros((0, 1)), np.zeros((0, 1))
    starts = np.arange(0, len(samples[0]), max(round(rate), 1))
    highest = np.stack([np.maximum.reduceat(row, starts) for row in samples])
    lowest = np.stack([np.minimum.reduceat(row, starts) for row in samples])
    return highest, lowest


def jumps(names: Sequence[str], highest: np.ndarray, lowest: np.ndarray) -> dict[str, float]:
    """Find the channels of `jumping_channels` by the results of `swings`."""
    if len(names) < 3:
        return {}
    largest = np.zeros(len(names))
    for start in range(0, max(highest.shape[1] - 1, 1), _PAIRS_AT_ONCE):
        high, low = (found[:, start : start + _PAIRS_AT_ONCE + 1] for found in (highest, lowest))
        if high.shape[1] > 1:  # pairs of neighbours, so that a step between two pieces counts
            high, low = np.maximum(high[:, 1:], high[:, :-1]), np.minimum(low[:, 1:], low[:, :-1])
        swing_uv = (high - low) * 1e6
        least = np.maximum(_JUMP_UV, _JUMP_FACTOR * np.median(swing_uv, axis=0))
        largest = np.maximum(largest, np.where(swing_uv > least, swing_uv, 0.0).max(axis=1))
    return {name: float(swing) for name, swing in zip(names, largest, strict=True) if swing > 0}


def describe_outliers(jumping: Mapping[str, float], loud: Mapping[str, float]) -> dict[str, str]:
    """Return name -> reason for the results of `jumps` (uV) and `loud_channels`."""
    why = {name: f"swings by {swing:.0f} uV, unlike the others" for name, swing in jumping.items()}
    return why | {name: f"{ratio:.1f} times as loud as the others" for name, ratio in loud.items()}


def drift_ratio(data: np.ndarray, rate: float, taps: np.ndarray | None = None) -> float:
    """Measure how loud drifts are in relation to EEG, after a high-pass if one is given.

    Args:
        data: Samples in any unit, shape (channels, time).
        rate: Their rate in Hz.
        taps: Filter that will be applied, as `design_band_pass` returns it.

    Returns:
        Amplitude below 1 Hz over that at 1-30 Hz, median over channels and pieces of 20 seconds; 0 for
        recordings shorter than that.
    """
    length = round(20 * rate)
    moving = [row for row in data if row.any()]
    if data.shape[1] < length or not moving:
        return 0.0
    spectra, frequencies = _spectra(_blocks(moving, length, 15), rate)
    power = np.abs(spectra) ** 2
    if taps is not None:
        power *= gain(taps, frequencies, rate) ** 2
    # (channels, num_blocks)
    slow = power[..., (frequencies > 0) & (frequencies < 1)].sum(axis=-1)
    eeg = power[..., (frequencies >= 1) & (frequencies <= 30)].sum(axis=-1)
    return float(np.median(np.sqrt(slow / np.maximum(eeg, 1e-30))))


def needs_highpass(data: np.ndarray, rate: float, taps: np.ndarray | None) -> bool:
    """Return whether drifts will be four times as loud as EEG after a filter; see `drift_ratio`."""
    return drift_ratio(data, rate, taps) > _DRIFT_RATIO


def usable_share(data: Iterable[np.ndarray], rate: float) -> float:
    """Measure the quality of a clean recording.

    Args:
        data: Clean samples in V, bad and masked channels zero: arrays of shape (time,), each of a channel or
            of a stretch of whole seconds of one.
        rate: Their rate in Hz.

    Returns:
        Share, 0 to 1, of the pieces of one second and one channel that are not flat and have a peak-to-peak
        amplitude below 400 uV.
    """
    count = total = 0
    for row in data:
        length = min(max(round(rate), 1), len(row))
        usable = len(row) // length * length
        total += usable
        pieces = row[:usable].reshape(-1, length)
        swing_uv = (pieces.max(axis=1) - pieces.min(axis=1)) * 1e6
        count += length * int(((swing_uv > FLAT_UV) & (swing_uv < LARGEST_SWING_UV)).sum())
    return count / total


def _blocks(
    channels: Sequence[np.ndarray] | np.ndarray,
    length: int,
    most: int,
    precision: type[np.floating] = np.float64,
) -> np.ndarray:
    """Cut at most `most` evenly spread blocks in uV, without offset, (channels, num_blocks, length)."""
    starts = evenly_spread(len(channels[0]), length, most)
    blocks = _cut(channels, starts, length, precision)
    blocks -= blocks.mean(axis=-1, keepdims=True)
    return blocks


def _spectra(blocks: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return spectra of tapered blocks, scaled so that |x|^2 sums to the variance, and their frequencies."""
    from scipy import fft

    length = blocks.shape[-1]
    taper = np.hanning(length)
    taper *= np.sqrt(2 / (length * (taper**2).sum()))
    spectra = fft.rfft(blocks * taper.astype(blocks.dtype))
    return spectra, fft.rfftfreq(length, 1 / rate)


def _band_amplitudes(
    spectra: np.ndarray, frequencies: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return amplitudes at 1-30 Hz and above 30 Hz without the line, uV, median over blocks, (channels,)."""
    power = np.abs(spectra) ** 2
    # Within 2 Hz of a multiple of 50 or 60 Hz, or of 0
    is_line = (np.abs((frequencies + 25) % 50 - 25) < 2) | (np.abs((frequencies + 30) % 60 - 30) < 2)
    bands = (
        (frequencies >= 1) & (frequencies <= 30),
        (frequencies > 30) & (frequencies < min(100, 0.4 * rate)) & ~is_line,
    )
    low, high = (np.sqrt(np.median(power[..., band].sum(axis=-1), axis=-1)) for band in bands)
    return low, high


def _largest_correlations(spectra: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return the largest |correlation| of each channel with another at 1-30 Hz, (channels,)."""
    band = spectra[..., (frequencies >= 1) & (frequencies <= 30)].transpose(1, 0, 2)  # (blocks, channels, f)
    covariance = np.matmul(band, band.conj().transpose(0, 2, 1)).real
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 1e-30))
    correlation = covariance / (deviation[:, :, None] * deviation[:, None, :])
    # The median over blocks comes first: among 63 others one always happens to agree for two seconds
    typical = np.abs(np.median(correlation, axis=0))  # (channels, channels)
    np.fill_diagonal(typical, 0.0)
    largest: np.ndarray = typical.max(axis=1)
    return largest


def _robust_z(values: np.ndarray, least_factor: float) -> np.ndarray:
    """Return robust z scores of log amplitudes; a factor below `least_factor` never reaches `_NOISY_Z`."""
    logs = np.log(np.maximum(values, 1e-6))
    away = logs - np.median(logs)
    spread = 1.4826 * np.median(np.abs(away))
    scores: np.ndarray = away / max(spread, np.log(least_factor) / _NOISY_Z)
    return scores


__all__ = [
    "CLIPPED_SHARE",
    "FLAT_UV",
    "LARGEST_UV",
    "LARGEST_SWING_UV",
    "PLAUSIBLE_UV",
    "TYPICAL_UV",
    "check_amplitude",
    "clipped_share",
    "describe_outliers",
    "drift_ratio",
    "evenly_spread",
    "jumping_channels",
    "jumps",
    "line_noise",
    "loud_channels",
    "measure_amplitude",
    "needs_highpass",
    "noisy_channels",
    "swings",
    "unit_factor",
    "usable_share",
]
