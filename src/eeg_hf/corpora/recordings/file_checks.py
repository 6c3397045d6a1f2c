# SPDX-License-Identifier: Apache-2.0
"""Cheap checks of a recording file before it is opened.

Readers trust headers: they allocate the promised size, and read half a recording as a whole one. Here the
promised size is compared with that of the file before anything is allocated. EDF, BDF and GDF, whose headers
are similar, are checked in `signal_header`.
"""

import codecs
import gzip
import importlib.util
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from .ant_check import check_ant
from .matlab_check import check_matlab
from .memory_bound import refuse_channels, refuse_expansion

_HEAD_BYTES = 256
_LONE_NEWLINE = re.compile(rb"(?<!\r)\n")
_SAMPLE_BYTES = 2**20  # first part of the samples, enough to detect converted line endings
_MIN_NEWLINES = 32
_MAX_TEXT_BYTES = 2**26  # a million markers
_MAX_TAGS = 2_000_000  # of a FIF file: a day has 86,400 buffers of a second
CNT_BYTES = {"int16": 2, "int32": 4}
"""Bytes of a sample of a Neuroscan CNT file, which does not state them."""
# Tags of FIF that say which file comes next
_FIF_ROLE, _FIF_NAME, _FIF_NEXT, _MAX_FIF_NAME = 115, 118, 2, 4096

# First bytes -> format
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xffBIOSEMI", "BDF"),
    (b"GDF ", "GDF"),
    (b"MATLAB 5.0 MAT-file", "MATLAB"),
    (b"MATLAB 7.3 MAT-file", "MATLAB 7.3"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x00\x00\x00\x64\x00\x00\x00\x1f\x00\x00\x00\x14", "FIF"),
    (b"Version 3.", "Neuroscan CNT"),
    (b"RIFF", "ANT CNT"),
    (b"RF64", "ANT CNT"),
    (b"XDF:", "XDF"),
    (b"PAR1", "Parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"EEG-1100", "Nihon Kohden"),
    (b"EEG-1200", "Nihon Kohden"),
    (b"EEG-2100", "Nihon Kohden"),
    (b"QI-403A", "Nihon Kohden"),
    (b"DAE-2100D", "Nihon Kohden"),
    (b"version https://git-lfs", "Git LFS pointer (fetch the file with `git lfs pull`)"),
    (b"/annex/objects", "git-annex pointer (fetch the file with `git annex get`)"),
    (b"<", "XML or HTML"),
)

_COMPRESSED_CURRY = "{2912E8D8-F5C8-4E25-A8E7-A1385967DA09}"

# Extension -> (name of the format, formats that the first bytes may have)
_EXPECTED: dict[str, tuple[str, tuple[str, ...]]] = {
    ".edf": ("an EDF", ("EDF",)),
    ".bdf": ("a BDF", ("BDF",)),
    ".gdf": ("a GDF", ("GDF",)),
    ".vhdr": ("a BrainVision header", ("BrainVision header",)),
    ".ahdr": ("a BrainVision header", ("BrainVision header",)),
    ".set": ("an EEGLAB", ("MATLAB", "MATLAB 7.3", "HDF5")),
    ".fif": ("a FIF", ("FIF",)),
    ".fif.gz": ("a compressed FIF", ("gzip",)),
    ".cnt": ("a CNT", ("Neuroscan CNT", "ANT CNT")),
    ".eeg": ("a Nihon Kohden", ("Nihon Kohden",)),
    ".xdf": ("an XDF", ("XDF",)),
    ".xdfz": ("a compressed XDF", ("gzip",)),
    ".parquet": ("a Parquet", ("Parquet",)),
}


def sniff(head: bytes) -> str | None:
    """Return the format that a file's first bytes belong to, None for an unknown one."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:8].strip(b" \0") == b"0" and len(head) >= 8:  # the version, padded to 8 bytes
        return "EDF"
    if re.search(rb"Brain ?Vision", head[:64]):
        return "BrainVision header" if b"Header" in head[:80] else "BrainVision markers"
    if head and b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return "text"
    return None


def decode_text(content: bytes) -> str:
    """Decode text: UTF-8 with or without a byte-order mark, UTF-16 with one, else Latin-1."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_header_text(path: Path) -> str:
    """Read a text header or a list of markers.

    Raises:
        ValueError: If it is too large to be one.
    """
    size = path.stat().st_size
    if size > _MAX_TEXT_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, too many for a text header: it is something else")
    return decode_text(path.read_bytes())


def settings_of(text: str) -> dict[str, str]:
    r"""Return the lines `name=value` of a text header, without white space; the last of a name counts.

    Example:
        >>> settings_of("DataFile = a.eeg\nCh1=Fp1,,0.1\n[Coordinates]")
        {'DataFile': 'a.eeg', 'Ch1': 'Fp1,,0.1'}
    """
    # Not a regular expression: of white space at both ends of a value, it would try every division
    pairs = (line.partition("=") for line in text.split("\n"))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def check_signature(path: Path, extension: str) -> str | None:
    """Compare a file's first bytes with its extension.

    Returns:
        The format of the file, as `sniff` returns it.

    Raises:
        ValueError: If it is another format than its extension says.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    kind = sniff(head)
    if extension in _EXPECTED and kind not in _EXPECTED[extension][1]:
        name = _EXPECTED[extension][0]
        if not head:
            raise ValueError(f"{path.name} is not {name} file: it is empty")
        looks = f" and looks like {kind}" if kind else ""
        raise ValueError(f"{path.name} is not {name} file: it starts with {head[:16]!r}{looks}")
    if not head:
        raise ValueError(f"{path.name} is empty")
    return kind


def require_package(path: Path, module: str) -> None:
    """Refuse a file whose reader needs a package that is not installed.

    Raises:
        ImportError: With the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise ImportError(f'{path.name} needs the package {module}: pip install "eeg-hf[formats]"')


def check_size(path: Path, promised: int, data_start: int = 0) -> None:
    """Compare a file with the size that its header promises, and detect converted line endings.

    Args:
        path: The file.
        promised: Smallest size in bytes that the header allows.
        data_start: Position of the first sample.

    Raises:
        ValueError: If the file is shorter, or a program converted its line endings.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(data_start)
        block = file.read(_SAMPLE_BYTES)
    if not _LONE_NEWLINE.search(block):  # soon found in samples, unless a text tool made pairs of all
        newlines = block.count(b"\n")
        if newlines >= (_MIN_NEWLINES if size == promised else 4):
            raise ValueError(
                f"{path.name} has damaged line endings: all {newlines} LF bytes checked follow a CR, as when "
                "a program converts a binary file as text; get a fresh copy (Git: mark it -text)"
            )
    if size < promised:
        hint = ""
        if promised - size < 0.02 * promised and b"\r\n" not in block:
            hint = " (it has no CR LF: perhaps a program converted its line endings as if it were text)"
        raise ValueError(
            f"{path.name} is truncated: its header promises {promised} bytes, the file has {size}{hint}"
        )


def next_fif(path: Path) -> str | None:
    """Follow the tags of a FIF file to its end; return the name of the next part that it states, if any.

    Raises:
        ValueError: If a tag points out of the file or backwards, or the file ends before its last tag.
    """
    role, name = 0, None
    with path.open("rb") as file:
        for kind, first, num_bytes in _fif_tags(path):
            if kind in (_FIF_ROLE, _FIF_NAME) and num_bytes <= _MAX_FIF_NAME:
                file.seek(first)
                content = file.read(num_bytes)
                if kind == _FIF_ROLE:
                    role = int.from_bytes(content, "big")
                elif role == _FIF_NEXT:
                    name = content.decode("latin-1").rstrip("\0")
    return name


def _fif_tags(path: Path) -> Iterator[tuple[int, int, int]]:
    """Yield kind, first byte and number of bytes of every tag of a FIF file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = number = 0
        while position >= 0:
            number += 1
            if number > _MAX_TAGS:
                raise ValueError(f"{path.name} is damaged: it has more than {_MAX_TAGS} tags")
            file.seek(position)
            header = file.read(16)
            if len(header) < 16:
                raise ValueError(f"{path.name} is truncated: no last tag within its {size} bytes")
            kind, _, num_bytes, following = struct.unpack(">iiii", header)  # kind, type, size, next tag
            end = position + 16 + num_bytes
            if num_bytes < 0 or end > size:
                raise ValueError(
                    f"{path.name} is truncated or damaged: a tag at byte {position} promises {num_bytes} "
                    f"bytes, {size - position - 16} are left"
                )
            if 0 < following <= position:
                raise ValueError(f"{path.name} is damaged: its tag at byte {position} points backwards")
            yield kind, position + 16, num_bytes
            position = end if following == 0 else following


def check_gzip(path: Path) -> None:
    """Decompress a file once without keeping it, to find damage in its middle.

    Raises:
        ValueError: If it does not decompress to its end, or to far more than its size.
    """
    try:
        total, packed = 0, path.stat().st_size
        with gzip.open(path) as file:
            while block := file.read(2**20):
                total += len(block)
                refuse_expansion(path.name, packed, total)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is truncated or damaged: {error}") from None


def check_cnt(path: Path, kind: str | None, sample_format: str | None = None) -> None:
    """Check the counts of a Neuroscan CNT file: samples lie between its header and its event table.

    Args:
        path: The file.
        kind: `"Neuroscan CNT"` or `"ANT CNT"`.
        sample_format: `"int16"` or `"int32"`: then the number of samples is trusted where the position of the
            event table is not.

    Raises:
        ValueError: If the file is shorter than they say.
        ImportError: If it is an ANT file, which has the same extension, and antio is not installed.
    """
    if kind == "ANT CNT":
        require_package(path, "antio")
        check_ant(path)
        return
    with path.open("rb") as file:
        head = file.read(900)
    if len(head) < 900:
        raise ValueError(f"{path.name} is truncated: a CNT header has 900 bytes, the file has {len(head)}")
    (num_channels,) = struct.unpack_from("<H", head, 370)
    (events,) = struct.unpack_from("<I", head, 886)
    (num_samples,) = struct.unpack_from("<i", head, 864)
    refuse_channels(path.name, num_channels)
    data_start = 900 + 75 * num_channels  # after the headers of the channels
    size = path.stat().st_size
    if sample_format and num_channels and num_samples > 0 and events > size:
        check_size(path, data_start + num_samples * num_channels * CNT_BYTES[sample_format], data_start)
        return
    if not num_channels or events < data_start:
        raise ValueError(
            f"{path.name} has a damaged CNT header: {num_channels} channels, events at byte {events}"
        )
    if size < 2**31:  # the position does not fit into its field in larger files
        check_size(path, events, data_start)


def check_egi(path: Path) -> None:
    """Check the counts of an EGI simple binary file.

    Raises:
        ValueError: If it is none, or shorter than they say.
    """
    with path.open("rb") as file:
        head = file.read(36)
    # Version -> bytes per sample; the odd versions are segmented
    precision = {2: 2, 4: 4, 6: 8}.get(int.from_bytes(head[:4], "big"))
    if precision is None or len(head) < 36:
        raise ValueError(
            f"{path.name} is not a continuous EGI simple binary file: it starts with {head[:16]!r}"
        )
    _, num_channels, _, _, _, num_samples, num_events = struct.unpack_from(">hhhhhih", head, 20)
    if num_channels < 1 or num_samples < 1 or num_events < 0:
        raise ValueError(
            f"{path.name} has a damaged EGI header: {num_channels} channels, {num_samples} samples"
        )
    refuse_channels(path.name, num_channels + num_events)
    data_start = 36 + 4 * num_events
    check_size(path, data_start + precision * num_samples * (num_channels + num_events), data_start)


def check_mff(path: Path) -> None:
    """Check that an MFF folder has the files that every one has.

    Raises:
        FileNotFoundError: With the missing file.
        ImportError: If mffpy is not installed.
    """
    if not path.is_dir():
        raise ValueError(f"{path.name} is a file: an EGI .mff is a folder (unpack it first)")
    for name in ("info.xml", "epochs.xml", "signal1.bin"):
        if not (path / name).is_file():
            raise FileNotFoundError(f"{path.name} is not complete: {name} is missing")
    require_package(path, "mffpy")


def check_curry(path: Path) -> None:
    """Check that a Curry recording has its data and header, and the data the size that the header promises.

    Raises:
        FileNotFoundError: With the missing file.
        ValueError: If the header is damaged, the samples are compressed or epoched, or fewer than promised.
        ImportError: If curryreader is not installed.
    """
    is_old = path.suffix.lower() == ".dap"
    data = path.with_suffix(".dat") if is_old else path
    headers = [path] if is_old else [path.with_name(path.name + suffix) for suffix in (".dpa", ".dpo")]
    header = next((file for file in headers if file.is_file()), None)
    if header is None or not data.is_file():
        lacking = data.name if header else " or ".join(file.name for file in headers)
        raise FileNotFoundError(f"{path.name} is not complete: {lacking} is missing")
    found = settings_of(read_header_text(header))
    if found.get("DataGuid") == _COMPRESSED_CURRY:
        raise ValueError(f"{path.name} is compressed: save it as raw float in Curry, or export it")
    try:
        num_samples, num_channels = int(found["NumSamples"]), int(found["NumChannels"])
        num_trials = int(found.get("NumTrials", 1))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name} has a damaged Curry header: {error}") from None
    refuse_channels(path.name, num_channels)
    if num_trials > 1:
        raise ValueError(f"{path.name} is epoched ({num_trials} trials), expected a continuous recording")
    if found.get("DataFormat", "FLOAT") != "ASCII":
        check_size(data, 4 * num_samples * num_channels)
    require_package(path, "curryreader")


def check_nicolet(path: Path) -> None:
    """Check the number of channels of a Nicolet recording.

    Raises:
        ValueError: If it is that of no recording.
    """
    header = path.with_suffix(".head")
    count = settings_of(read_header_text(header)).get("num_channels", "") if header.is_file() else ""
    refuse_channels(path.name, int(count) if count.isdecimal() else 0)


def check_file(path: Path, extension: str, sample_format: str | None = None) -> str | None:
    """Check a recording file before it is opened, whatever its format.

    Args:
        path: An existing file, or an .mff folder.
        extension: Its extension in lower case, with the dot.
        sample_format: As of `check_cnt`.

    Returns:
        The format of its first bytes; None where unknown.

    Raises:
        ValueError: If it has another format than its extension, or is damaged or truncated.
        FileNotFoundError: If companion files are missing.
        ImportError: If its reader needs a package that is not installed.
    """
    if extension == ".mff":
        check_mff(path)
        return None
    kind = check_signature(path, extension)
    simple: dict[str, Callable[[Path], None]] = {
        ".fif.gz": check_gzip,
        ".xdfz": check_gzip,
        ".raw": check_egi,
        ".cdt": check_curry,
        ".dap": check_curry,
        ".data": check_nicolet,
    }
    if extension in simple:
        simple[extension](path)
    elif extension == ".set":
        check_matlab(path) if kind == "MATLAB" else require_package(path, "pymatreader")
    elif extension == ".cnt":
        check_cnt(path, kind, sample_format)
    elif extension == ".nedf":
        require_package(path, "defusedxml")
    return kind


__all__ = [
    "check_file",
    "check_signature",
    "check_size",
    "decode_text",
    "next_fif",
    "read_header_text",
    "require_package",
    "settings_of",
    "sniff",
]
