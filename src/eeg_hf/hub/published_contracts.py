# SPDX-License-Identifier: Apache-2.0
"""What published weights of braindecode's foundation models were trained on, as their authors state it.

None of these weights could be fetched where this was written. The rates, bands and units are those of the
papers and of braindecode's documentation; what no source states is left open, and `note` says what is only
close.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..processing.feature_extraction_eeg import EEGFeatureExtractor

_TEN_TWENTY = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz"),
    *("C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)
_BIPOLAR = (
    *("Fp1-F7", "F7-T7", "T7-P7", "P7-O1", "Fp2-F8", "F8-T8", "T8-P8", "P8-O2"),
    *("Fp1-F3", "F3-C3", "C3-P3", "P3-O1", "Fp2-F4", "F4-C4", "C4-P4", "P4-O2"),
)


@dataclass(frozen=True)
class PublishedContract:
    """The signals that weights were trained on.

    Attributes:
        architecture: Class in `braindecode.models` that classifies with these weights.
        sampling_rate: In Hz.
        band_hz: Edges of the filters in Hz, None for none.
        notch_hz: Line frequency that was removed.
        reference: As in [`EEGFeatureExtractor`].
        channels: In order; None where any electrodes with a known name or place will do.
        normalization: As in [`EEGFeatureExtractor`].
        clip: As in [`EEGFeatureExtractor`].
        input_scaling: As in [`BraindecodeConfig`].
        seconds: Length of windows in the training, for which nothing is new to the network.
        source: Where this is stated.
        note: What differs from the training, in a sentence; empty if nothing is known to.
    """

    architecture: str
    sampling_rate: float
    band_hz: tuple[float | None, float | None]
    notch_hz: float | None
    reference: Literal["average", "original"]
    channels: tuple[str, ...] | None
    normalization: Literal["zscore", "microvolt", "none"]
    clip: float | None
    input_scaling: Literal["none", "millivolt", "percentile_95", "bendr"]
    seconds: float
    source: str
    note: str = ""

    def extractor(self, **settings: Any) -> EEGFeatureExtractor:
        """Return the contract as a feature extractor; electrodes that a recording lacks are interpolated.

        Args:
            **settings: Of [`EEGFeatureExtractor`], where the contract leaves them open, such as `channels`.

        Raises:
            ValueError: If one contradicts the contract.
        """
        low, high = self.band_hz
        fixed: dict[str, Any] = {
            "sampling_rate": self.sampling_rate,
            "highpass_hz": low,
            "lowpass_hz": high,
            "reference": self.reference,
            "normalization": self.normalization,
            "clip": self.clip,
        }
        if self.channels is not None:
            fixed["channels"] = list(self.channels)
        broken = [name for name, value in settings.items() if name in fixed and value != fixed[name]]
        if broken:
            name = broken[0]
            raise ValueError(
                f"{name}: the weights of {self.architecture} were trained with {fixed[name]!r}, got "
                f"{settings[name]!r}"
            )
        is_bipolar = self.channels is not None and any("-" in name for name in self.channels)
        usual = {
            "notch_hz": self.notch_hz,
            "window_seconds": self.seconds,
            "missing_channels": "error" if is_bipolar else "interpolate",
        }
        return EEGFeatureExtractor(**{**usual, **settings, **fixed})


CONTRACTS: Mapping[str, PublishedContract] = {
    "Labram": PublishedContract(
        "Labram", 200, (0.1, 75), 50, "original", None, "microvolt", None, "none", 4, "arXiv 2405.18765"
    ),
    "BIOT": PublishedContract(
        *("BIOT", 200, (None, None), None, "original", _BIPOLAR, "none", None, "percentile_95", 10),
        "arXiv 2305.10351",
    ),
    "CBraMod": PublishedContract(
        *("CBraMod", 200, (0.3, 75), 60, "original", _TEN_TWENTY, "microvolt", None, "none", 30),
        "arXiv 2412.07236",
        "Other sets of electrodes than the 19 run too, but were not trained on.",
    ),
    "EEGPT": PublishedContract(
        *("EEGPT", 256, (None, None), None, "average", None, "none", None, "millivolt", 4),
        "NeurIPS 2024, EEGPT",
    ),
    "REVE": PublishedContract(
        *("REVE", 200, (0.5, 99.5), None, "original", None, "zscore", 15.0, "none", 10),
        "arXiv 2510.21585",
        "The authors standardised whole recordings, here each window and channel is.",
    ),
    "BENDR": PublishedContract(
        *("BENDR", 256, (None, None), None, "original", _TEN_TWENTY, "none", None, "bendr", 60),
        "arXiv 2101.12037",
        "The twentieth input, the amplitude relative to a corpus, is 0 as where no such amplitude is stated.",
    ),
    **{
        name: PublishedContract(
            *(name, 128, (0.5, 40), None, "original", None, "none", None, "none", 16),
            "arXiv 2403.11772",
        )
        for name in ("SignalJEPA_Contextual", "SignalJEPA_PostLocal", "SignalJEPA_PreLocal")
    },
}
"""By architecture."""
