# SPDX-License-Identifier: Apache-2.0
"""Look at recordings before they are prepared: what each file holds, and what looks wrong.

Each recording is opened, and up to ten minutes of it are cleaned with the settings of `EEGFeatureExtractor`,
so that the table shows what `prepare` will say.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...processing.channels import parse_channel
from ...processing.electrode_positions import positions_from_raw
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ..corpus import NOT_EVENTS, Corpus, Recording, annotated
from .file_checks import sniff
from .format_facts import format_name
from .recording_files import legible

if TYPE_CHECKING:
    import mne

_LONGEST_SECONDS = 600.0
_GAPS = ("edge", "bad boundary", "bad_acq_skip")
_SHOWN = 5


@dataclass
class RecordingAudit:
    """One recording.

    Attributes:
        path: Path below the folder.
        format: Name of the format.
        subject: The subject, as `prepare` will see them.
        sampling_rate: In Hz.
        channels: Number of channels by kind.
        seconds: Duration.
        median_uv: Median |x| of the EEG; `None` if it cannot be EEG in the stated unit.
        unit_factor: What the samples have to be multiplied with to be volts, 1 if they are.
        gaps: Number of gaps and joins, which no window crosses.
        bad_seconds: Seconds annotated as bad.
        events: Name of an event -> count.
        positions: `"file"` or `"names"`, where the EEG channels' positions are from, or those without one.
        bad_channels: Channel -> why.
        quality: Share of the signal that looks like EEG, 0 to 1.
        warnings: What readers and cleaning warned of.
        reason: Why the recording cannot be used; `None` if it can.
    """

    path: str
    format: str
    subject: str = ""
    sampling_rate: float | None = None
    channels: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    median_uv: float | None = None
    unit_factor: float = 1.0
    gaps: int = 0
    bad_seconds: float = 0.0
    events: dict[str, int] = field(default_factory=dict)
    positions: str = ""
    bad_channels: dict[str, str] = field(default_factory=dict)
    quality: float | None = None
    warnings: list[str] = field(default_factory=list)
    reason: str | None = None


@dataclass(frozen=True)
class RecordingsAudit:
    """The recordings of a folder, and warnings; `print` it.

    Attributes:
        rows: One entry per recording.
        warnings: What looks wrong over all of them.
    """

    rows: Sequence[RecordingAudit]
    warnings: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as built-in types, for JSON."""
        return {"recordings": [asdict(row) for row in self.rows], "warnings": list(self.warnings)}

    def __str__(self) -> str:
        table = pd.DataFrame([_cells(row) for row in self.rows]).to_string(index=False)
        said = [f"{row.path}: {text}" for row in self.rows for text in (row.reason, *row.warnings) if text]
        return "\n".join([table, "", *said, "", *(self.warnings or ["nothing looks wrong over all"])])


def audit_recordings(corpus: Corpus, root: Path | str | None = None) -> RecordingsAudit:
    """Look at all recordings of a corpus.

    Args:
        corpus: The corpus, such as `FolderCorpus`.
        root: Its folder; `None` for the one that `corpus.locate()` finds.

    Raises:
        FileNotFoundError: If there is no recording.

    Example:
        >>> print(audit_recordings(get_corpus("folder"), "our_recordings"))  # doctest: +SKIP
    """
    root = corpus.locate(root)
    recordings = corpus.recordings(root)
    if not recordings:
        raise FileNotFoundError(f"{root} holds no recording")
    rows = [_audit(corpus, recording, root) for recording in recordings]
    return RecordingsAudit(rows, _compare(rows))


def _audit(corpus: Corpus, recording: Recording, root: Path) -> RecordingAudit:
    """Describe one recording; what it raises is its reason."""
    path = recording.path
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    row = RecordingAudit(legible(name), format_name(path, _kind(path)), recording.subject)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            raw = corpus.read(recording)
            _describe(row, corpus, recording, raw)
            _clean(row, raw)
        except Exception as error:  # a damaged file can raise anything
            row.reason = legible(" ".join(str(error).split()))[:400]
    texts = [legible(" ".join(str(warning.message).split()))[:400] for warning in caught]
    row.warnings = list(dict.fromkeys([*texts, *row.warnings]))
    return row


def _kind(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return sniff(file.read(16))


def _describe(
    row: RecordingAudit, corpus: Corpus, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs"
) -> None:
    """Fill in what the header and the annotations tell."""
    row.sampling_rate = float(raw.info["sfreq"])
    row.channels = dict(Counter(raw.get_channel_types()))
    row.seconds = float(raw.times[-1] + 1 / row.sampling_rate)
    marks = annotated(raw) if hasattr(raw, "first_time") else []
    kinds = [(mark, mark.name.lower()) for mark in marks]
    row.gaps = len({round(m.onset, 3) for m, kind in kinds if kind.startswith(_GAPS)})
    bad = sorted((m.onset, m.onset + m.duration) for m, kind in kinds if kind.startswith("bad"))
    ends = np.maximum.accumulate([0.0, *(end for _, end in bad)])  # spans may overlap
    row.bad_seconds = round(sum(max(0.0, b - max(a, end)) for (a, b), end in zip(bad, ends, strict=False)), 3)
    events = corpus.events(recording, raw) if corpus.has_events else []
    names = Counter(event.name for event in events if not event.name.lower().startswith(NOT_EVENTS))
    row.events = dict(names.most_common())


def _clean(row: RecordingAudit, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> None:
    """Fill in what cleaning tells; epochs are not cleaned."""
    if not hasattr(raw, "crop_by_annotations"):
        return
    row.positions = _positions(raw)
    part = raw.copy().crop(0, min(_LONGEST_SECONDS, raw.times[-1]))
    rate = float(raw.info["sfreq"])
    low = min(45.0, 0.4 * rate)
    extractor = EEGFeatureExtractor(lowpass_hz=low, adaptive=True, unknown_channels="drop")
    try:
        _, report = extractor.preprocess(part)
    except ValueError as error:
        if "average reference" not in str(error):
            raise
        extractor.reference = "original"
        _, report = extractor.preprocess(part)
        row.warnings.append("no average reference: prepare with reference='original'")
    row.median_uv, row.unit_factor = round(report.amplitude_uv, 3), report.scale_uv
    row.bad_channels, row.quality = dict(report.bad_channels), report.quality
    row.warnings += report.warnings


def _positions(raw: "mne.io.BaseRaw") -> str:
    """Say where the positions of the EEG channels are from."""
    eeg = raw.copy().pick("eeg", exclude=())
    in_file = [bool(np.isfinite(ch["loc"][:3]).all() and ch["loc"][:3].any()) for ch in eeg.info["chs"]]
    known = np.isfinite(positions_from_raw(eeg, prefer="file")).all(axis=1)
    unknown = [
        name
        for name, is_known in zip(eeg.ch_names, known, strict=True)
        if not is_known and not parse_channel(name).is_bipolar
    ]
    if unknown:
        return f"unknown: {', '.join(unknown[:_SHOWN])}{', ...' if len(unknown) > _SHOWN else ''}"
    return "file" if all(in_file) else "names"


def _compare(rows: Sequence[RecordingAudit]) -> list[str]:
    """Return what looks wrong over all recordings."""
    usable = [row for row in rows if row.reason is None]
    found = []
    if len(usable) < len(rows):
        found.append(f"{len(rows) - len(usable)} of {len(rows)} recordings cannot be used")
    rates = Counter(f"{row.sampling_rate:g}" for row in usable)
    if len(rates) > 1:
        found.append(f"{len(rates)} sampling rates: {', '.join(f'{n} at {r} Hz' for r, n in rates.items())}")
    sets = Counter(tuple(sorted(row.channels.items())) for row in usable)
    if len(sets) > 1:
        found.append(f"{len(sets)} numbers of channels")
    slips = [row.path for row in usable if row.unit_factor != 1.0]
    if slips:
        found.append(f"the unit of {len(slips)} recordings is not the one stated, such as {slips[0]}")
    gaps = [row for row in usable if row.gaps]
    if gaps:
        found.append(f"{len(gaps)} recordings have gaps, which no window crosses")
    subjects = {row.subject for row in rows}
    if len(subjects) == 1 < len(rows):
        found.append(f"all recordings are of one subject, {rows[0].subject}")
    return found


def _cells(row: RecordingAudit) -> dict[str, str]:
    events = ", ".join(f"{name} {count}" for name, count in list(row.events.items())[:_SHOWN])
    return {
        "recording": row.path,
        "format": row.format,
        "subject": row.subject,
        "Hz": "" if row.sampling_rate is None else f"{row.sampling_rate:g}",
        "channels": ", ".join(f"{count} {kind}" for kind, count in row.channels.items()),
        "seconds": "" if row.seconds is None else f"{row.seconds:.1f}",
        "median uV": "" if row.median_uv is None else f"{row.median_uv:.3g}",
        "unit": "as stated" if row.unit_factor == 1.0 else f"x {row.unit_factor:g}",
        "gaps": str(row.gaps),
        "bad s": f"{row.bad_seconds:g}",
        "events": events + (", ..." if len(row.events) > _SHOWN else ""),
        "positions": row.positions,
        "bad channels": str(len(row.bad_channels)),
        "quality": "" if row.quality is None else f"{row.quality:.2f}",
    }
