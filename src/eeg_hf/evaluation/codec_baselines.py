# SPDX-License-Identifier: Apache-2.0
"""What every codec has to beat at the same bits, PCA with scalar quantisation, and what loses nothing: FLAC.

Transform coding by the book (Goyal 2001, https://doi.org/10.1109/79.952802): components that do not
correlate, each rounded by itself, bits where they reduce the error most (reverse water-filling, in whole
levels). soundfile, which codes FLAC, is the extra `eeg-hf[baselines]`.
"""

import io
from collections.abc import Iterable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA

LEVEL_CHOICES = np.unique(np.round(np.geomspace(1, 512, 40)).astype(int))
"""Numbers of levels that a component may have; more would change the error by nothing."""

_NUM_SAMPLES = 8192
"""Training patches that the step sizes are chosen on; all of them make the components."""
_LOADS = np.geomspace(0.8, 8.0, 16)
"""Half of a quantiser's range in standard deviations of its component."""
_SMALLEST_FLAC = 16  # samples of the shortest block of FLAC


class PCACodec(BaseEstimator):
    """Principal components of patches, each rounded to a few evenly spaced values.

    A component with L levels takes log2(L) bits, whatever its value: a fixed-length code, as that of a finite
    scalar quantizer, since the indices of all components can be one number in mixed radix. Levels are given
    out greedily: always where a bit reduces the squared error of the training patches most.

    Attributes:
        pca_: The components, most variance first.
        levels_: Levels of each component that is kept, (components,).
        steps_: Distance of two of its values, (components,), in units of the signal.

    Example:
        >>> patches = np.random.default_rng(0).normal(size=(1000, 8)).cumsum(axis=1)
        >>> codec = PCACodec().fit(patches, bits_per_patch=12)
        >>> error = patches - codec.decode(codec.encode(patches))
        >>> bool(codec.bits_per_patch <= 12 and (error**2).mean() < 0.05 * patches.var())
        True
    """

    def fit(self, patches: np.ndarray, bits_per_patch: float) -> "PCACodec":
        """Find components, levels and steps.

        Args:
            patches: (patches, patch_size) of training signals, in any unit.
            bits_per_patch: Bits that a patch may take.

        Raises:
            ValueError: If the patches have another shape, are not finite, or fewer than two, or there is not
                one bit.
        """
        patches = _check_patches(patches)
        if not bits_per_patch >= 1 or len(patches) < 2:
            raise ValueError(
                f"expected at least 1 bit per patch and 2 patches, got {bits_per_patch} and {len(patches)}"
            )
        # A component that is kept takes a bit or more
        num_components = min(int(bits_per_patch), *patches.shape)
        self.pca_ = PCA(num_components, svd_solver="covariance_eigh").fit(patches)
        drawn = np.random.default_rng(0).permutation(len(patches))[:_NUM_SAMPLES]
        curves = [_distortion_curve(component) for component in self.pca_.transform(patches[drawn]).T]
        distortions, steps = np.stack(curves, axis=1)  # (components, choices) each
        chosen = _spend_bits(distortions, bits_per_patch)
        self.levels_ = LEVEL_CHOICES[chosen]
        self.steps_ = steps[np.arange(num_components), chosen]
        return self

    @property
    def bits_per_patch(self) -> float:
        """Bits that a patch takes: at most those that `fit` was allowed."""
        return float(np.log2(self.levels_).sum())

    @property
    def num_parameters(self) -> int:
        """Numbers that decoding takes: mean, used components, their levels and steps."""
        return self.pca_.mean_.size + int((self.levels_ > 1).sum()) * (self.pca_.mean_.size + 2)

    def encode(self, patches: np.ndarray) -> np.ndarray:
        """Return the index of each component's value (patches, components), 0 to its levels - 1.

        Args:
            patches: (patches, patch_size).
        """
        patches = _check_patches(patches, self.pca_.mean_.size)
        return _nearest(self.pca_.transform(patches), self.levels_, self.steps_)

    def decode(self, indices: np.ndarray) -> np.ndarray:
        """Return patches (patches, patch_size).

        Args:
            indices: (patches, components), as `encode` returns them.

        Raises:
            ValueError: If there are more or fewer components, or an index that a component does not have.
        """
        indices = np.asarray(indices)
        shape = (len(self.levels_),)
        if indices.shape[1:] != shape or (indices < 0).any() or (indices >= self.levels_).any():
            raise ValueError(
                f"indices: expected (patches, {len(self.levels_)}) below {self.levels_.tolist()}, got "
                f"{indices.shape} from {indices.min(initial=0)} to {indices.max(initial=0)}"
            )
        return self.pca_.inverse_transform(_values(indices, self.levels_, self.steps_))


def flac_bits_per_sample(signals: Iterable[np.ndarray], sampling_rate: float) -> float:
    """Code 16-bit signals with FLAC (https://www.rfc-editor.org/rfc/rfc9639), each as a file of its own.

    Args:
        signals: int16 arrays (time,), one a channel and recording: what is long is coded better.
        sampling_rate: In Hz; FLAC writes it down rounded, and codes no better or worse for it.

    Returns:
        Bits a sample, the headers of the files among them; 16 without any coding.

    Raises:
        ImportError: If soundfile is not installed.
        ValueError: If a signal is not (time,) int16, or there is none.
    """
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise ImportError('soundfile is not installed: pip install "eeg-hf[baselines]"') from error
    num_bytes = num_samples = 0
    for signal in signals:
        signal = np.asarray(signal)
        if signal.ndim != 1 or signal.dtype != np.int16 or len(signal) < _SMALLEST_FLAC:
            raise ValueError(
                f"signals: expected int16 (time,) of {_SMALLEST_FLAC} samples or more, got {signal.dtype} "
                f"{signal.shape}"
            )
        file = io.BytesIO()
        soundfile.write(
            file, signal, max(1, round(sampling_rate)), "PCM_16", format="FLAC", compression_level=1.0
        )
        num_bytes, num_samples = num_bytes + file.getbuffer().nbytes, num_samples + len(signal)
    if not num_samples:
        raise ValueError("signals: expected at least one, got none")
    return 8 * num_bytes / num_samples


def _check_patches(patches: np.ndarray, patch_size: int | None = None) -> np.ndarray:
    patches = np.asarray(patches)
    if patches.ndim != 2 or patch_size not in (None, patches.shape[-1]) or not np.isfinite(patches).all():
        size = patch_size or "patch_size"
        raise ValueError(f"expected finite patches (patches, {size}), got {patches.shape}, or NaN among them")
    return patches


def _nearest(values: np.ndarray, levels: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the index of the nearest of values that lie evenly around 0."""
    return np.clip(np.floor(values / steps + levels / 2), 0, levels - 1).astype(int)


def _values(indices: np.ndarray, levels: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return (indices - (levels - 1) / 2) * steps


def _distortion_curve(component: np.ndarray) -> np.ndarray:
    """Return (2, choices): the least mean squared error with each number of levels, and its step."""
    curve = []
    for levels in LEVEL_CHOICES:
        steps = 2 * (component.std() or 1.0) * _LOADS[:, None] / levels
        errors = component - _values(_nearest(component, levels, steps), levels, steps)
        distortions = np.mean(errors**2, axis=1)
        best = int(distortions.argmin())
        curve.append((distortions[best], steps[best, 0]))
    return np.transpose(curve)


def _spend_bits(curves: np.ndarray, bits: float) -> np.ndarray:
    """Return the choice of levels of each component (components,) that `bits` are best spent on.

    Args:
        curves: (components, choices) least error of each.
        bits: How many there are.
    """
    costs = np.log2(LEVEL_CHOICES)
    chosen, everyone = np.zeros(len(curves), int), np.arange(len(curves))
    while True:
        extra = costs - costs[chosen, None]  # (components, choices)
        is_possible = (extra > 0) & (extra <= bits - costs[chosen].sum() + 1e-9)
        saved = curves[everyone, chosen][:, None] - curves
        gains = np.divide(saved, extra, out=np.zeros_like(curves), where=is_possible)
        component, choice = np.unravel_index(gains.argmax(), gains.shape)
        if gains[component, choice] <= 0:
            return chosen
        chosen[component] = choice
