# SPDX-License-Identifier: Apache-2.0
"""The result of an explanation: numbers by channel, time and band, as figures and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mne
import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DIGITS = 5


@dataclass(frozen=True)
class Explanation:
    """Attributions of the score of one class, or of one value, to channel, time and band.

    A positive number speaks for the class. With `integrated_gradients` the numbers of a window sum to
    `outputs - baseline_outputs`, up to the error of the integral.

    Attributes:
        method: One of `METHODS`.
        target: The class or value explained.
        channels: Names of the channels.
        positions: (channels, 3) in metres in the head frame.
        times: (times,), middle of each stretch in seconds after the start of a window.
        bands: Name -> edges in Hz, in the order of the values.
        values: (windows, channels, times, bands) float32.
        spans: (start, end) of each window in seconds of the recording.
        outputs: (windows,), score of the target: its logit minus the mean of the others, or the value.
        baseline_outputs: (windows,), the same of what the windows are compared with.
    """

    method: str
    target: str
    channels: tuple[str, ...]
    positions: np.ndarray
    times: np.ndarray
    bands: Mapping[str, tuple[float, float]]
    values: np.ndarray
    spans: Sequence[tuple[float, float]]
    outputs: np.ndarray
    baseline_outputs: np.ndarray

    @property
    def by_channel_and_band(self) -> np.ndarray:
        """(channels, bands): the sum over the times, averaged over windows."""
        mean: np.ndarray = self.values.sum(axis=2).mean(axis=0)
        return mean

    def most_important(self, count: int = 5) -> list[dict[str, Any]]:
        """Return the channels and bands with the largest absolute attribution, largest first."""
        table, names = self.by_channel_and_band, list(self.bands)
        order = np.argsort(-np.abs(table), axis=None)[:count]
        cells = [np.unravel_index(index, table.shape) for index in order]
        return [
            {"channel": self.channels[row], "band": names[column], "value": float(table[row, column])}
            for row, column in cells
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists and numbers that JSON holds; an open edge of a band is None."""
        edges = {name: [low, high if np.isfinite(high) else None] for name, (low, high) in self.bands.items()}
        arrays = {
            name: _rounded(getattr(self, name))
            for name in ("positions", "times", "values", "outputs", "baseline_outputs")
        }
        return {
            "method": self.method,
            "target": self.target,
            "channels": list(self.channels),
            "bands": edges,
            "spans": [list(span) for span in self.spans],
            "most_important": self.most_important(),
            **arrays,
        }

    def plot_topomap(self) -> "Figure":
        """Draw one head for each band, on one scale: red speaks for the class, blue against it."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.1 * len(self.bands) + 0.8, 2.8), layout="constrained")
        self._draw_heads(figure, figure.subplots(1, len(self.bands), squeeze=False)[0])
        figure.suptitle(f"{self.target}: {self.method.replace('_', ' ')}, mean of {len(self.values)} windows")
        return figure

    def plot(self) -> "Figure":
        """Draw the heads of `plot_topomap`, and below them channels over time and over bands."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2.1 * len(self.bands) + 0.8, 7.2), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.7))
        heads, tables = parts
        self._draw_heads(heads, heads.subplots(1, len(self.bands), squeeze=False)[0])
        over_time, over_bands = tables.subplots(1, 2, width_ratios=(2, 1), sharey=True)
        spread = (float(self.times[-1] + self.times[0]) if len(self.times) else 1.0) or 1.0
        _image(over_time, self.values.sum(axis=3).mean(axis=0), (0, spread))
        over_time.set(xlabel="seconds after the start of a window", title="all bands")
        over_time.set_yticks(
            range(len(self.channels)), self.channels, fontsize=max(4, 10 - len(self.channels) // 10)
        )
        _image(over_bands, self.by_channel_and_band, (-0.5, len(self.bands) - 0.5))
        over_bands.set_xticks(range(len(self.bands)), list(self.bands), rotation=45)
        over_bands.set(title="all times")
        figure.suptitle(f"{self.target}: {self.method.replace('_', ' ')}, mean of {len(self.values)} windows")
        return figure

    def _draw_heads(self, figure: Any, axes: Sequence[Any]) -> None:
        table = self.by_channel_and_band
        drawn = None
        for axis, (name, edges), values in zip(axes, self.bands.items(), table.T, strict=True):
            drawn = draw_head(axis, values, self.channels, self.positions, float(np.abs(table).max()))
            axis.set_title(f"{name}\n{describe_edges(edges)}", fontsize=9)
        if drawn is not None:
            figure.colorbar(drawn, ax=list(axes), shrink=0.7, label="attribution")


def draw_head(
    axis: Any, values: np.ndarray, channels: Sequence[str], positions: np.ndarray, limit: float
) -> Any:
    """Draw values (channels,) on a head, from -limit to limit; electrodes at one place are averaged."""
    places = dict(zip(channels, np.asarray(positions, float), strict=True))
    info = mne.create_info(list(channels), 100.0, "eeg", verbose="ERROR")
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="ERROR")
    limit = limit or 1.0
    image, _ = mne.viz.plot_topomap(
        values, info, axes=axis, show=False, cmap="RdBu_r", vlim=(-limit, limit), contours=0, sphere="auto"
    )
    return image


def describe_edges(edges: tuple[float, float]) -> str:
    """Return the edges of a band as text.

    Example:
        >>> describe_edges((30.0, float("inf")))
        'from 30 Hz'
    """
    low, high = edges
    if not np.isfinite(high):
        return f"from {low:g} Hz" if low else "all frequencies"
    return f"{low:g} to {high:g} Hz"


def _image(axis: Any, table: np.ndarray, extent: tuple[float, float]) -> None:
    limit = float(np.abs(table).max()) or 1.0
    place = (*extent, len(table) - 0.5, -0.5)
    axis.imshow(table, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, extent=place)


def _rounded(values: np.ndarray) -> Any:
    """Return nested lists of numbers with five significant digits, which is all that an attribution has."""
    flat = [float(f"{value:.{_DIGITS}g}") for value in np.asarray(values, float).ravel()]
    return np.array(flat).reshape(np.shape(values)).tolist()
