# SPDX-License-Identifier: Apache-2.0
"""Main files of recordings, and their companions (`.eeg` and `.vmrk` of a `.vhdr`, `.fdt` of a `.set`)."""

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging

from ...legible_text import legible
from .containment import FOLLOW, leads_out, refuse_outside
from .eeglab_samples import named_samples
from .file_checks import check_size, next_fif, read_header_text, settings_of, sniff
from .memory_bound import refuse_channels

logger = logging.get_logger(__name__)

EXTENSIONS: tuple[str, ...] = (
    *(".edf", ".bdf", ".gdf", ".vhdr", ".ahdr", ".set", ".fif", ".fif.gz", ".cnt", ".mff", ".raw"),
    *(".eeg", ".lay", ".xdf", ".xdfz", ".cdt", ".dap", ".nedf", ".nxe", ".data"),
)
"""Extensions of recordings, in lower case; `.eeg` only for Nihon Kohden, `.data` only beside a
`.head` of Nicolet."""

TABLE_EXTENSIONS: tuple[str, ...] = (".csv", ".tsv", ".parquet", ".txt")
"""Extensions of tables, which are recordings only on request."""

CONVERTED_BY = {
    ".trc": "Micromed: export it as EDF+",
    ".e": "Nicolet or Natus: export it as EDF+",
    ".erd": "Natus XLTEK: export it as EDF+",
    ".mat": "MATLAB: save it as .set with EEGLAB, or as a table",
    ".mefd": "MEF3: save mne.io.read_raw(path) as FIF",
    ".poly5": "TMSi: export it as EDF+",
    ".rhd": "Intan: export it as EDF+",
    ".sig": "Stellate Harmonie: export it as EDF+",
    ".smr": "Spike2: export it as EDF+",
    ".smrx": "Spike2: export it as EDF+",
}
"""Extensions of formats that are not read -> the program or the command that writes one that is."""

# Later parts of a split FIF file, as MNE and BIDS name them.
_LATER_PART = re.compile(r".*(?:-[1-9]\d*|_split-(?!0*1_)\d+_\w+)\.fif(?:\.gz)?", re.IGNORECASE)
_FIRST_SPLIT = re.compile(r"(.*_split-)0*1(_\w+\.fif(?:\.gz)?)", re.IGNORECASE)
# FIF files of something else than a recording, by MNE's naming conventions.
_NO_RAW_FIF = re.compile(
    r".*[-_](?:epo|ave|evo|cov|ica|trans|src|bem|bem-sol|fwd|inv|eve|proj|annot|dense|head|lout|sol)"
    r"(?:-\d+)?\.fif(?:\.gz)?",
    re.IGNORECASE,
)
_PARTS_OF_CDT = (".dpa", ".dpo", ".cef", ".ceo", ".hpi")
FOOTER_KEY = b"eeg_hf"
"""Key of the metadata of a Parquet file of prepared windows."""
_BLOCK_BYTES, _NUM_BLOCKS = 4096, 5  # of the content of a file that tell it from another
_BYTES = {"INT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}


@dataclass(frozen=True)
class BrainVisionFiles:
    """The files of a BrainVision recording, checked against their header.

    Attributes:
        data: File of the samples.
        markers: File of the markers; None if there are none.
        overrides: Arguments of MNE's reader for files that were renamed since the header was written.
    """

    data: Path
    markers: Path | None
    overrides: dict[str, str]


def extension_of(path: Path) -> str:
    """Return a file's extension in lower case, `.fif.gz` as one."""
    name = path.name.lower()
    return ".fif.gz" if name.endswith(".fif.gz") else path.suffix.lower()


def companions(path: Path | str, follow_links: bool = False) -> list[Path]:
    """List the companions of a recording, the other files that it consists of.

    Args:
        path: Main file of a recording.
        follow_links: Whether companions may be links out of the recording's folder.

    Returns:
        Existing files, without the main file: data and markers of a BrainVision header, the data that an
        EEGLAB file names, later parts of a split FIF file, the files of an `.mff` folder, and so on; empty
        for a format of one file.

    Raises:
        FileNotFoundError: If a header names a file that does not exist.
        ValueError: If a header that names files is damaged, or names one outside of the recording's folder.

    Example:
        >>> companions("recordings/s01.vhdr")  # doctest: +SKIP
        [PosixPath('recordings/s01.eeg'), PosixPath('recordings/s01.vmrk')]
    """
    path = Path(path)
    if not (path.is_file() or path.is_dir()):  # opening a pipe would block
        return []
    parts = _parts_of(path, extension_of(path))
    refuse_outside(path, parts, follow_links)
    return parts


def _parts_of(path: Path, extension: str) -> list[Path]:
    if extension in (".vhdr", ".ahdr"):
        files = brainvision_files(path)
        return [file for file in (files.data, files.markers) if file]
    if extension == ".set":
        return eeglab_data(path)
    if extension == ".eeg":
        return [file for file in (_sibling(path, suffix) for suffix in (".21e", ".log", ".pnt")) if file]
    if extension == ".lay":
        return [persyst_data(path)]
    if extension in (".fif", ".fif.gz"):
        return _later_parts(path, extension)
    if extension == ".mff":
        return sorted(file for file in path.rglob("*") if file.is_file())
    return _parts_by_name(path, extension)


def eeglab_data(path: Path) -> list[Path]:
    """Find the file that holds the samples of an EEGLAB `.set`, as MNE looks for it; none for itself.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If the `.set` is damaged.
    """
    name = named_samples(path)
    own = _sibling(path, ".fdt")
    if name is None or path.parent / name == path:
        return []
    named = path.parent / name
    found = named if named.is_file() else own
    if found is None:
        raise FileNotFoundError(f"{path.name} names the data file {legible(name)}, which is not beside it")
    return [found]


def state_of(path: Path) -> dict[str, int | float | str]:
    """Return what shows whether a recording or a companion changed: sizes, times, a sample of the content.

    Args:
        path: Main file of the recording.

    Raises:
        OSError: If it does not exist.
    """
    status = path.stat()
    state: dict[str, int | float | str] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    try:
        parts = companions(path, follow_links=True)
        each = [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in parts]
    except (OSError, ValueError, ImportError):  # a damaged header; reported when the recording is read
        parts, each = [], []
    state["content"] = _sampled([path, *parts])
    return {**state, "parts": repr(each)} if each else state


def _sampled(files: Iterable[Path]) -> str:
    """Return a digest of a few blocks of each file: a copy may keep the size and the time."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        if not file.is_file():
            continue
        size = file.stat().st_size
        with file.open("rb", buffering=0) as content:
            for share in range(_NUM_BLOCKS):
                content.seek(max(0, size - _BLOCK_BYTES) * share // (_NUM_BLOCKS - 1))
                digest.update(content.read(_BLOCK_BYTES))
    return digest.hexdigest()


def find_recordings(folder: Path | str, tables: bool = False, follow_links: bool = False) -> list[Path]:
    """List the recordings in a folder and all folders below it, main files only.

    A recording that several paths lead to is listed once.

    Args:
        folder: The folder. An `.mff` folder in it is one recording; hidden files are skipped.
        tables: Whether `.csv`, `.tsv`, `.parquet` and `.txt` files are recordings too.
        follow_links: Whether links out of the folder are followed; by default a warning names them.

    Returns:
        Sorted paths.

    Example:
        >>> find_recordings("lab")  # doctest: +SKIP
        [PosixPath('lab/s01.vhdr'), PosixPath('lab/s02.edf')]
    """
    wanted = (*EXTENSIONS, *TABLE_EXTENSIONS) if tables else EXTENSIONS
    found: dict[Path, str | None] = {}
    others: list[Path] = []
    for path, real in _walk(Path(folder), follow_links):
        extension = extension_of(path)
        if extension in wanted and is_main_file(path):
            found[path] = real
        elif extension in CONVERTED_BY:
            others.append(path)
    if others:
        kinds = dict.fromkeys(CONVERTED_BY[extension_of(path)] for path in sorted(others))
        logger.warning_once(
            f"{folder}: {len(others)} files have formats that are not read and are left out, such as "
            f"{legible(others[0].name)} ({'; '.join(kinds)})"
        )
    if not any(found.values()):
        return sorted(found)
    # A link is left out where the file itself, or another link to it, is there
    once = {os.path.realpath(path): path for path, real in found.items() if real is None}
    for path in sorted(path for path, real in found.items() if real is not None):
        once.setdefault(str(found[path]), path)
    if twice := sorted(set(found) - set(once.values())):
        logger.warning(
            f"{folder}: {len(twice)} links lead to recordings that are there already: left out, such as "
            f"{legible(str(twice[0]))}"
        )
    return sorted(once.values())


def brainvision_files(path: Path) -> BrainVisionFiles:
    """Find the files that a BrainVision header names, and check them against it.

    Files that were renamed together with their header are found under its new name.

    Args:
        path: The header.

    Raises:
        FileNotFoundError: With the missing file.
        ValueError: If the header is damaged, or the data are shorter than header or markers require.
    """
    # Comments may contain lines that look like settings
    text = read_header_text(path).split("[Comment]")[0]
    header = settings_of(text)
    overrides: dict[str, str] = {}
    data = _named(path, header.get("DataFile"), (".eeg", ".dat"), "data", overrides)
    if data is None:
        raise ValueError(f"{path.name} has a damaged BrainVision header: it names no DataFile")
    markers = _named(path, header.get("MarkerFile"), (".vmrk", ".amrk"), "marker", overrides)
    try:
        count, interval = int(header["NumberOfChannels"]), float(header["SamplingInterval"])
        refuse_channels(path.name, count)
        channels = settings_of(text.split("[Coordinates]")[0])
        listed = sum(bool(value and re.fullmatch(r"Ch\d+", name)) for name, value in channels.items())
        if not (0 < count <= listed and 0 < interval < float("inf")):
            raise ValueError(f"{count} channels ({listed} described), {interval:g} us between samples")
        points = int(header.get("DataPoints") or 0)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name} has a damaged BrainVision header: {error}") from None
    if header.get("BinaryFormat") in _BYTES and extension_of(path) == ".vhdr":
        frame = count * _BYTES[header["BinaryFormat"]]  # bytes of one sample of all channels
        check_size(data, max(points, _last_marker(markers) - 1, 1) * frame)
        if data.stat().st_size % frame:
            raise ValueError(
                f"{data.name} of {path.name} is truncated: {data.stat().st_size} bytes are not a multiple of "
                f"the {frame} bytes of one sample of {count} channels"
            )
    return BrainVisionFiles(data, markers, overrides)


def persyst_data(path: Path) -> Path:
    """Find the data file that a Persyst header names.

    Raises:
        FileNotFoundError: If it is not beside the header.
        ValueError: If the header names none.
    """
    settings = {name.lower(): value for name, value in settings_of(read_header_text(path)).items()}
    if not settings.get("file"):
        raise ValueError(f"{path.name} is not a Persyst header: it names no data file")
    count = settings.get("waveformcount", "")
    refuse_channels(path.name, int(count) if count.isdecimal() else 0)
    data = path.parent / re.split(r"[\\/]", settings["file"])[-1]
    if not data.is_file():
        raise FileNotFoundError(f"{path.name} names the data file {data.name}, which is not beside it")
    return data


def _named(
    path: Path, name: str | None, suffixes: tuple[str, ...], what: str, overrides: dict[str, str]
) -> Path | None:
    """Find a file that a header names, or else the one with the name of the header; note the latter."""
    if not name:
        return None
    name = re.split(r"[\\/]", name.replace("$b", path.stem))[-1]
    named = path.parent / name
    found = named if named.is_file() else next(filter(None, (_sibling(path, s) for s in suffixes)), None)
    if found is None:
        raise FileNotFoundError(
            f"{path.name} names the {what} file {name}, but neither that nor {path.stem}{suffixes[0]} is "
            "beside it"
        )
    if found != named:
        logger.warning_once(
            f"{path.name} names the {what} file {name}, which does not exist: {found.name} is read"
        )
        overrides["data_fname" if what == "data" else "marker_fname"] = str(found.absolute())
    return found


def _last_marker(path: Path | None) -> int:
    """Return the greatest position in a marker file, counted from 1; 0 without markers."""
    if path is None:
        return 0
    text = read_header_text(path)
    if not re.match(r"Brain ?Vision.* Marker File", text):
        raise ValueError(f"{path.name} is not a BrainVision marker file: it starts with {text[:16]!r}")
    positions = re.findall(r"^Mk\d+=[^,\r\n]*,[^,\r\n]*,(\d{1,18}),", text, re.MULTILINE)
    return max(map(int, positions), default=0)


def _sibling(path: Path, suffix: str, exists: Callable[[Path], bool] = Path.is_file) -> Path | None:
    """Find the file of the same name with another suffix, in lower or upper case."""
    candidates = (path.with_suffix(spelling) for spelling in (suffix, suffix.upper()))
    return next((candidate for candidate in candidates if exists(candidate)), None)


def _parts_by_name(path: Path, extension: str) -> list[Path]:
    """List the parts of a Curry or Nicolet recording, which have its name."""
    if extension == ".cdt":  # Curry 8 and 9
        beside = (path.with_name(path.name + suffix) for suffix in _PARTS_OF_CDT)
        return [part for part in beside if part.is_file()]
    suffixes = {".dap": (".dat", ".rs3", ".cef", ".ceo"), ".data": (".head",)}.get(extension, ())
    return [part for part in (_sibling(path, suffix) for suffix in suffixes) if part]


def _later_parts(path: Path, extension: str) -> list[Path]:
    """List the later parts of a split FIF file: those that its parts name, else those named like it."""
    parts: list[Path] = []
    place = path
    while extension == ".fif" and (name := next_fif(place)) and (place.parent / name).is_file():
        place = place.parent / name
        if place in (path, *parts):
            raise ValueError(f"{path.name} is damaged: its parts name each other in a circle")
        parts.append(place)
        refuse_outside(path, [place], follow_links=True)
    if parts:
        return parts
    stem, ending = path.name[: -len(extension)], path.name[-len(extension) :]
    split = _FIRST_SPLIT.fullmatch(path.name)  # BIDS counts from split-01, MNE from -1
    while True:
        number = len(parts) + 1
        name = f"{split[1]}{number + 1:02d}{split[2]}" if split else f"{stem}-{number}{ending}"
        if not (path.parent / name).is_file():
            return parts
        parts.append(path.parent / name)


def _walk(folder: Path, follow_links: bool) -> Iterator[tuple[Path, str | None]]:
    """Yield files and .mff folders that are not hidden, each with its real path if it is a link.

    No folder is visited twice, whatever leads to it; those reached by links come last.
    """
    waiting, seen, outside = deque([folder]), set(), []
    while waiting:
        base = waiting.popleft()
        real = os.path.realpath(base)
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(base):
            path = base / entry.name
            is_link = entry.is_symlink()
            if entry.name.startswith("."):  # macOS writes ._name.edf beside name.edf
                continue
            if is_link and not follow_links and leads_out(path, folder):
                outside.append(path)
            elif _is_folder(entry) and not entry.name.lower().endswith(".mff"):
                waiting.append(path) if is_link else waiting.appendleft(path)
            else:
                yield path, os.path.realpath(path) if is_link and path.exists() else None
    if outside:
        logger.warning(
            f"{folder}: {len(outside)} links lead out of it and are left out, such as "
            f"{legible(str(outside[0]))}: {FOLLOW}"
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _entries(base: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(base) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        logger.warning(f"{error.filename} is left out: {error.strerror}")
        return []


def is_main_file(path: Path, exists: Callable[[Path], bool] = Path.is_file) -> bool:
    """Return whether a file with a recording's extension is one, and not a part of another.

    Args:
        path: The file.
        exists: Returns whether a file of the same folder is there.
    """
    extension = extension_of(path)
    if extension == ".parquet":
        return not _is_shard(path)
    if extension == ".eeg":  # data of BrainVision, or a recording of Nihon Kohden
        return not _sibling(path, ".vhdr", exists) and _is_nihon_kohden(path)
    if extension == ".data":
        return _sibling(path, ".head", exists) is not None
    if extension in (".fif", ".fif.gz"):
        first = re.sub(r"-\d+(?=\.fif)", "", path.name, flags=re.IGNORECASE)
        is_part = _LATER_PART.fullmatch(path.name) and (
            "_split-" in path.name or exists(path.with_name(first))
        )
        return not is_part and not _NO_RAW_FIF.fullmatch(path.name)
    return True


def _is_shard(path: Path) -> bool:
    """Return whether a Parquet file holds prepared windows; these may lie in the folder of the recordings."""
    import pyarrow.parquet as pq

    try:
        return path.is_file() and FOOTER_KEY in (pq.read_metadata(path).metadata or {})
    except (OSError, ValueError):
        return False


def _is_nihon_kohden(path: Path) -> bool:
    """Check a file's first bytes; True where they cannot be read, so that opening it reports the reason."""
    if not path.is_file():  # a dangling link; or a pipe, on which reading would block
        return True
    try:
        with path.open("rb") as file:
            return sniff(file.read(16)) == "Nihon Kohden"
    except OSError:
        return True


__all__ = [
    "CONVERTED_BY",
    "EXTENSIONS",
    "FOOTER_KEY",
    "TABLE_EXTENSIONS",
    "BrainVisionFiles",
    "brainvision_files",
    "companions",
    "extension_of",
    "find_recordings",
    "is_main_file",
    "persyst_data",
    "state_of",
]
