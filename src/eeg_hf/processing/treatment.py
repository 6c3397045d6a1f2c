# SPDX-License-Identifier: Apache-2.0
"""What makes clean channels, before filtering, of those that were recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .bad_channels import interpolate
from .channel_selection import ChannelSelection
from .preprocessing_report import PreprocessingReport
from .referencing import assemble, rereference


@dataclass(frozen=True)
class Treatment:
    """Bad channels, interpolation and reference; the same for all stretches of a recording.

    Attributes:
        selection: The channels of the recording and the wanted ones.
        bad: Bad channels -> why.
        reference: `"average"`, `"original"` or `"electrodes"`.
        electrodes: The reference electrodes, if it is those.
        outlying: Good channels that the average leaves out -> why.
        interpolates: Whether missing and bad channels are filled.
        rate: Rate of the samples in Hz.
    """

    selection: ChannelSelection
    bad: Mapping[str, str]
    reference: str
    electrodes: Sequence[str]
    outlying: Mapping[str, str]
    interpolates: bool
    rate: float

    def apply(
        self, samples: np.ndarray, rows: dict[str, np.ndarray], report: PreprocessingReport
    ) -> np.ndarray:
        """Treat a stretch, whose array may be changed, and report what was done; (wanted channels, time)."""
        bad = dict(self.bad)
        for name in bad:
            rows[name][:] = 0.0
        if self.interpolates:
            filled = interpolate(rows, bad, self.selection, self.rate, self.outlying)
            report.interpolated_channels = filled
        report.reference = rereference(
            rows, bad, self.selection, self.reference, self.electrodes, self.outlying
        )
        data, report.bad_channels = assemble(samples, rows, bad, self.selection)
        return data

    def clean(self, samples: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Treat one of many stretches."""
        nothing = PreprocessingReport(original_sampling_rate=self.rate, sampling_rate=self.rate)
        return self.apply(samples, dict(zip(names, samples, strict=True)), nothing)


__all__ = ["Treatment"]
