# SPDX-License-Identifier: Apache-2.0
"""Open a recording file of any format: EDF, BDF, GDF, BrainVision, EEGLAB, FIF, CNT, EGI, XDF, tables...

MNE reads the files. This module adds: one-line errors for files that are truncated, damaged or of another
format than their name says; conversion to volts where MNE guesses the unit; annotations where a pause lies
between two samples.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers.utils import logging

from ...legible_text import legible
from .containment import refuse_outside
from .file_checks import CNT_BYTES, check_file, check_size
from .gaps import joins_of, mark_joins, mark_missing_runs
from .memory_bound import refuse_channels
from .recording_files import (
    CONVERTED_BY,
    EXTENSIONS,
    TABLE_EXTENSIONS,
    brainvision_files,
    companions,
    extension_of,
    find_recordings,
    persyst_data,
)
from .signal_header import calibrate, close_gaps, is_mixed, read_edf_header, read_gdf_header
from .table_recording import read_table
from .xdf_recording import read_xdf

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

_MAIN_FILE = {
    **{".vmrk": ".vhdr", ".eeg": ".vhdr", ".fdt": ".set", ".amrk": ".ahdr", ".head": ".data"},
    **{".dpa": "", ".dpo": "", ".rs3": ".dap"},
}
_TROUBLE = re.compile(r"corrupt|truncat|unexpected end", re.IGNORECASE)
# MNE's words about annotations and triggers that it drops or shortens
_LEFT_OUT = re.compile(
    r"(?:omitted|limited|ignor|dropp|outside|expanding).*(?:annotation|event|marker|trigger)"
    r"|(?:annotation|event|marker|trigger).*(?:omitted|limited|ignor|dropp|outside|expanding)",
    re.IGNORECASE,
)
_RATES_HZ = (0.1, 1e6)


def read_recording(
    path: Path | str,
    *,
    sampling_rate: float | None = None,
    unit: str | None = None,
    delimiter: str | None = None,
    sample_format: str | None = None,
    follow_links: bool = False,
) -> "mne.io.BaseRaw":
    """Open a recording of any format in volts; its samples are not loaded where the format allows it.

    Where a pause lies between two samples, the second one has the annotation `BAD boundary` without a
    duration. Channels without a scale in the header are in `info["bads"]`.

    Args:
        path: Main file of a recording (`.vhdr`, not `.eeg`), or an EGI `.mff` folder.
        sampling_rate: In Hz. Required for a table; for other formats it is checked against the file's own.
        unit: `"V"`, `"mV"` or `"uV"`. Required for a table; for other formats used where the file has none.
        delimiter: Separator of the cells of a text table; detected by default.
        sample_format: `"int16"` or `"int32"`, for Neuroscan CNT files whose counts do not tell.
        follow_links: Whether the other files of the recording may be links out of its folder.

    Returns:
        The recording. EDF files whose EEG channels have several rates, tables and XDF files are loaded.

    Raises:
        ValueError: If the file is damaged, truncated, epoched or of another format than its name says, names
            files outside of its folder, or needs a rate or unit; in one line that names the file.
        FileNotFoundError: If it or a companion file is missing.
        ImportError: If its reader needs a package that is not installed.

    Example:
        >>> raw = read_recording("s01.csv", sampling_rate=256, unit="uV")  # doctest: +SKIP
        >>> raw.get_data().shape  # doctest: +SKIP
        (4, 15360)
    """
    path = Path(path)
    extension = extension_of(path)
    if sample_format not in (None, *CNT_BYTES):
        raise ValueError(f"sample_format must be int16, int32 or None, got {sample_format!r}")
    with _in_one_line(path):
        _check_exists(path, extension)
        kind = check_file(path, extension, sample_format)
        companions(path, follow_links)  # refuses those that lie elsewhere, before anything reads them
        if extension in TABLE_EXTENSIONS:
            raw, joins = read_table(path, sampling_rate, unit, delimiter)
        elif extension in (".xdf", ".xdfz"):
            raw, joins = read_xdf(path, unit)
        elif extension in (".edf", ".bdf", ".gdf"):
            raw, joins = _read_signals(path, extension, unit)
        else:
            options = {"data_format": sample_format} if kind == "Neuroscan CNT" and sample_format else {}
            raw, joins = _open(path, extension, kind, **options), []
        refuse_outside(path, [file for file in raw.filenames if file is not None], follow_links)
        joins += joins_of(path, raw, extension, kind)
        _check_opened(path, raw, sampling_rate)
        _make_legible(raw)
        mark_joins(raw, joins)
        if extension == ".gdf":
            mark_missing_runs(raw, joins)
    return raw


def takes_unit(path: Path) -> bool:
    """Return whether `unit` matters to a file: a table, or one that can lack a unit and does not state it."""
    extension = extension_of(path)
    if extension not in (".edf", ".bdf", ".gdf"):
        return extension in (*TABLE_EXTENSIONS, ".xdf", ".xdfz")
    try:
        header = read_gdf_header(path) if extension == ".gdf" else read_edf_header(path, extension)
    except (OSError, ValueError):  # reported when it is read
        return True
    return any(signal.is_eeg and not signal.unit for signal in header.signals)


def _read_signals(path: Path, extension: str, unit: str | None) -> "tuple[mne.io.BaseRaw, list[float]]":
    """Open an EDF, BDF or GDF file; return it and where records are joined over a gap, in seconds."""
    header = read_gdf_header(path) if extension == ".gdf" else read_edf_header(path, extension)
    with warnings.catch_warnings():
        if header.is_discontinuous:  # close_gaps restores what MNE leaves out behind the first pause
            warnings.simplefilter("ignore", RuntimeWarning)
        try:
            raw = _open(path, extension)
        except Exception as error:
            if "latin1" not in str(error):
                raise
            raw = _open(path, extension, encoding="latin1")  # annotations that violate the specification
    calibrate(raw, header, unit)
    if is_mixed(header):
        raw.load_data(verbose="ERROR")  # MNE reads parts of slower channels from the wrong position
    return raw, close_gaps(raw, header) if header.is_discontinuous else []


def _open(path: Path, extension: str, kind: str | None = None, **options: Any) -> "mne.io.BaseRaw":
    """Open a file with MNE; raise on its warnings of a damaged file, log the others."""
    import mne

    if extension in (".vhdr", ".ahdr"):
        options["overrides"] = brainvision_files(path).overrides
    elif extension == ".lay":
        persyst_data(path)
    elif extension == ".data":
        options["ch_type"] = "eeg"
    reader = {
        ".raw": mne.io.read_raw_egi,
        ".cnt": mne.io.read_raw_ant if kind == "ANT CNT" else mne.io.read_raw_cnt,
        ".dap": mne.io.read_raw_curry,
    }.get(extension, mne.io.read_raw)
    with warnings.catch_warnings(record=True) as caught, mne.utils.use_log_level("WARNING"):
        warnings.simplefilter("always")
        raw = reader(path, preload=False, **options)
    for warning in caught:
        message = legible(" ".join(str(warning.message).split()))[:2000]
        if _TROUBLE.search(message):
            raise ValueError(f"{path.name} is damaged: {message}")
        if _LEFT_OUT.search(message):
            warnings.warn(f"{path.name}: {message}", RuntimeWarning, stacklevel=2)
        logger.info(f"{path.name}: {message}")
    if extension == ".nxe":  # MNE leaves eXimia's numbers in uV
        for channel, kind_of in enumerate(raw.get_channel_types()):
            raw._cals[channel] *= 1e-6 if kind_of in ("eeg", "eog") else 1.0
    if extension == ".set" and raw.filenames[0] is not None and raw.filenames[0].suffix.lower() == ".fdt":
        check_size(raw.filenames[0], 4 * len(raw.ch_names) * raw.n_times)
    return raw


def _check_exists(path: Path, extension: str) -> None:
    """Refuse a path that does not exist, or is only a part of a recording."""
    if not path.exists():
        link = "; it is a dangling link (git-annex or DataLad: get the file first)"
        raise FileNotFoundError(f"{path} does not exist{link if path.is_symlink() else ''}")
    if path.is_dir() and extension != ".mff":
        raise ValueError(f"{path.name} is a folder, expected a recording")
    if not (path.is_file() or path.is_dir()):  # opening a pipe would block
        raise ValueError(f"{path.name} is a pipe, socket or device, expected a recording")
    if extension in CONVERTED_BY:
        raise ValueError(f"{path.name} has a format that is not read, that of {CONVERTED_BY[extension]}")
    main = path.with_suffix(_MAIN_FILE.get(extension, path.suffix))
    if main != path and (extension != ".eeg" or main.exists()):
        raise ValueError(f"{path.name} is a part of a recording: open {main.name}")


def _check_opened(path: Path, raw: "mne.io.BaseRaw", sampling_rate: float | None) -> None:
    """Refuse a recording without a sane size or rate, and one whose ends cannot be read."""
    import mne

    rate = raw.info["sfreq"]
    if not (np.isfinite(rate) and _RATES_HZ[0] <= rate <= _RATES_HZ[1]):
        raise ValueError(f"{path.name} states an impossible sampling rate of {rate:g} Hz")
    if sampling_rate is not None and abs(rate / sampling_rate - 1) > 1e-3:
        raise ValueError(f"{path.name} has a rate of {rate:g} Hz, expected sampling_rate={sampling_rate:g}")
    if not raw.ch_names or raw.n_times < 1:
        raise ValueError(f"{path.name} is empty: {len(raw.ch_names)} channels, {raw.n_times} samples")
    refuse_channels(path.name, len(raw.ch_names))
    raw.get_channel_types()  # fails where a channel has a kind that does not exist
    with mne.utils.use_log_level("ERROR"):
        for start in (0, raw.n_times - 1):
            try:
                raw.get_data(start=start, stop=start + 1)
            except (AssertionError, IndexError) as error:  # what readers raise where a file ends too early
                place = f"sample {start} of {raw.n_times}"
                raise ValueError(f"{path.name} is truncated: {place} is not there") from error


def _make_legible(raw: "mne.io.BaseRaw") -> None:
    """Escape control characters in the names of channels and events, which reach terminals and pages."""
    renamed = {name: legible(name) for name in raw.ch_names if legible(name) != name}
    if renamed:
        raw.rename_channels(renamed, allow_duplicates=True, verbose="ERROR")
    texts = raw.annotations.description
    if any(legible(text) != text for text in texts):
        raw.annotations.description = np.array([legible(text) for text in texts])


@contextlib.contextmanager
def _in_one_line(path: Path) -> Iterator[None]:
    """Convert any error of a reader to one line that names the file."""
    try:
        yield
    except Exception as error:
        message = " ".join(str(error).split()) or type(error).__name__
        trials = re.search(r"number of trials is (\d+)", message)
        if trials:
            message = f"{path.name} is epoched ({trials[1]} trials), expected a continuous recording"
        elif "module is needed" in message and not isinstance(error, ImportError):
            raise ImportError(f"{path.name} needs a package that is not installed: {message}") from error
        elif "data_format" in message:  # MNE's word
            message = (
                f"{path.name} does not tell whether its samples have 2 or 4 bytes: set "
                "sample_format='int16' or 'int32'"
            )
        elif path.suffix.lower() == ".set" and "has no attribute 'get'" in message:
            message = f"{path.name} has an empty EEG.chaninfo, which MNE cannot read: save it again in EEGLAB"
        if path.name not in message:
            message = f"{path.name} cannot be read: {message}"
        kind = next((k for k in (FileNotFoundError, ImportError) if isinstance(error, k)), ValueError)
        raise kind(legible(message)[:500]) from error


__all__ = [
    "EXTENSIONS",
    "TABLE_EXTENSIONS",
    "companions",
    "find_recordings",
    "read_recording",
    "takes_unit",
]
