# SPDX-License-Identifier: Apache-2.0
"""A recording and all files that belong to it as one object of bytes.

Many recordings are several files that name each other: header, samples and markers of BrainVision, `.set` and
`.fdt` of EEGLAB, the parts of a FIF file above 2 GB, the folder of an EGI recording. In a BIDS tree the
sidecars belong to it too. They are stored as an uncompressed zip in which every file keeps its name.
"""

import contextlib
import io
import os
import re
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import DownloadConfig
from datasets.utils.file_utils import xbasename, xdirname, xjoin, xlistdir, xopen, xwalk

from .bids import read_bids
from .bids_tree import bids_root, is_in_bids_tree, sidecars
from .containment import OutsideError
from .eeglab_samples import named_samples
from .file_checks import read_header_text, settings_of, sniff
from .folder_files import PARTS
from .formats import EXTENSIONS, companions, read_recording

if TYPE_CHECKING:
    import mne

_SIDECARS = ("eeg.json", "channels.tsv", "electrodes.tsv", "coordsystem.json", "events.tsv")

# Format of `sniff` -> extension of bytes without a name
_EXTENSION_OF = {
    "EDF": ".edf",
    "BDF": ".bdf",
    "GDF": ".gdf",
    "FIF": ".fif",
    "gzip": ".fif.gz",
    "MATLAB": ".set",
    "MATLAB 7.3": ".set",
    "HDF5": ".set",
    "XDF": ".xdf",
    "Neuroscan CNT": ".cnt",
    "ANT CNT": ".cnt",
    "Nihon Kohden": ".eeg",
}
_TEXT_HEADERS = (".vhdr", ".ahdr", ".lay")


class TemporaryFolder:
    """A folder that is deleted with the last object that refers to it.

    It is an attribute of a lazily read recording. A copy made by `Raw.copy()` reads the same files, so it
    must refer to the same object.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="eeg_hf-"))
        weakref.finalize(self, _delete, self.path, os.getpid())

    def __deepcopy__(self, memo: dict[int, object]) -> "TemporaryFolder":
        return self


def _delete(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker drops its copy while the parent still reads
        shutil.rmtree(path, ignore_errors=True)


def open_recording(path: Path) -> "mne.io.BaseRaw":
    """Open a recording lazily; in a BIDS tree, its sidecars are applied.

    Raises:
        ValueError: If it is damaged or of an unknown format.
        FileNotFoundError: If it or a part of it is missing.
        ImportError: If its reader is not installed.
    """
    if is_in_bids_tree(path):
        return read_bids(path)
    return read_recording(path)


def pack(path: Path) -> bytes:
    """Return a recording as bytes: its file, or a zip of all its files.

    Args:
        path: The main file, or the folder of the recording.

    Returns:
        The bytes of the file if it is the only one. Otherwise an uncompressed zip whose first entry is the
        main file; names are relative to the main file's folder, or to the root of the BIDS tree.
    """
    inner = (
        [folder for folder in sorted(path.rglob("*/")) if not folder.is_symlink()] if path.is_dir() else []
    )
    files = [path, *inner, *_companions(path), *_sidecar_files(path)]
    if len(files) == 1:
        return path.read_bytes()
    root = bids_root(path) if is_in_bids_tree(path) else path.parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in files:
            name = file.relative_to(root).as_posix() + "/" * file.is_dir()
            # ZipInfo's default date: the same recording gives the same bytes at any time
            archive.writestr(zipfile.ZipInfo(name), b"" if file.is_dir() else file.read_bytes())
    return buffer.getvalue()


def unpack(data: bytes, name: str | None, folder: Path) -> Path:
    """Write the bytes of a recording into a folder.

    Args:
        data: Result of `pack`, or the bytes of any recording of one file.
        name: Its file name or path, whose extension states the format; by default the first bytes do.
        folder: An empty folder.

    Returns:
        The main file.

    Raises:
        ValueError: If the zip is damaged, or the format is unknown.
    """
    if data[:4] == b"PK\x03\x04":
        return _unzip(data, folder)
    file_name = xbasename(name) if name else "recording"
    if not file_name.lower().endswith(EXTENSIONS):
        extension = _EXTENSION_OF.get(sniff(data[:256]) or "")
        if extension is None:
            raise ValueError(
                f"{name or 'bytes without a path'}: expected a path with the extension of a recording, or"
                f" bytes that begin like one, got {data[:16]!r}"
            )
        file_name += extension
    path = folder / file_name
    path.write_bytes(data)
    return path


def fetch(url: str, folder: Path, download_config: DownloadConfig | None = None) -> Path:
    """Download a recording and all its files under their own names.

    Args:
        url: Any URL that fsspec reads, also into archives (`zip://a.vhdr::https://...`).
        folder: An empty folder.
        download_config: Holds the token.

    Returns:
        The main file.

    Raises:
        FileNotFoundError: If the recording does not exist.
    """
    # The local folder mirrors the remote one from the root of the BIDS tree, or from the file's folder
    levels = _levels(url)
    main = folder / _relative(url, levels[-1])
    if main.suffix.lower() == ".mff":
        top = None
        for at, _, names in xwalk(url, download_config=download_config):
            top = top or at  # in the spelling of fsspec
            for name in names:
                inner = xjoin(at, name)
                _download(inner, main / _relative(inner, top), download_config)
        return main
    # Companions and sidecars are found by name among empty files, and then downloaded
    outline = _outline(levels, folder, download_config)
    _download(url, main, download_config)
    parts = {*_companions(main), *_sidecar_files(main), *_named_parts(main, outline)}
    for path in sorted(parts):
        if path in outline:
            _download(outline[path], path, download_config)
        elif not outline:  # a web server: a file that does not exist is not an error
            with contextlib.suppress(FileNotFoundError):
                _download(xjoin(levels[0], path.name), path, download_config)
    for path in outline.keys() - parts - {main}:
        path.unlink()
    return main


def _levels(url: str) -> list[str]:
    """List the folders that may hold files of a recording, from its own up to the root of its BIDS tree."""
    levels = [xdirname(url)]
    if is_in_bids_tree(Path(url.partition("::")[0])):
        while not xbasename(levels[-1]).startswith("sub-"):
            levels.append(xdirname(levels[-1]))
        levels.append(xdirname(levels[-1]))
    return levels


def _outline(levels: list[str], folder: Path, download_config: DownloadConfig | None) -> dict[Path, str]:
    """Create an empty file for every remote one, so that code can look at names; return path -> URL.

    The result is empty for web servers, whose folders datasets cannot list.
    """
    outline: dict[Path, str] = {}
    if levels[0].startswith(("http://", "https://")):
        return outline
    for level in levels:
        names = xlistdir(level, download_config=download_config)
        for name in names:
            path = folder / _relative(xjoin(level, name), levels[-1])
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_dir():  # the folder of the level below
                path.touch()
                outline[path] = xjoin(level, name)
    return outline


def _named_parts(main: Path, outline: Iterable[Path]) -> set[Path]:
    """List the files that may belong to a recording: those named in its header, and those named like it."""
    names = [main.stem + extension for extension in PARTS.get(main.suffix.lower(), ())]
    if main.suffix.lower() in _TEXT_HEADERS:
        settings = settings_of(read_header_text(main))
        named = [settings[key] for key in ("DataFile", "MarkerFile", "File") if settings.get(key)]
        names += [re.split(r"[\\/]", name.replace("$b", main.stem))[-1] for name in named]
    elif main.suffix.lower() == ".set":
        with contextlib.suppress(ValueError, ImportError):  # reported when it is opened
            names += [re.split(r"[\\/]", named_samples(main) or main.name)[-1]]
    there = {path.name.lower(): path for path in outline if path.parent == main.parent}
    return {there.get(name.lower(), main.parent / name) for name in names}


def _download(url: str, path: Path, download_config: DownloadConfig | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with xopen(url, "rb", download_config=download_config) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _relative(url: str, root: str) -> str:
    return url.split("::")[0].removeprefix(root.split("::")[0]).lstrip("/")


def _companions(path: Path) -> list[Path]:
    """Return the companions of a recording; none for a damaged one, which raises when it is opened."""
    try:
        return companions(path)
    except OutsideError:  # never stored without its samples
        raise
    except (ValueError, FileNotFoundError):
        return []


def _sidecar_files(path: Path) -> list[Path]:
    if not is_in_bids_tree(path):
        return []
    return [sidecar for name in _SIDECARS for sidecar in sidecars(path, name)]


def _refuse_overlap(entries: Iterable[zipfile.ZipInfo], num_bytes: int) -> None:
    """Refuse a zip without compression whose entries are larger than itself."""
    total = sum(max(entry.file_size, entry.compress_size) for entry in entries)
    if total > num_bytes:
        raise ValueError(f"the zip of this recording has {num_bytes} bytes and promises {total}: refused")


def _unzip(data: bytes, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("expected an uncompressed zip of a recording, got a compressed one")
            # Entries that share their bytes would become many times the size of the zip
            _refuse_overlap(archive.infolist(), len(data))
            places = [archive.extract(entry, folder) for entry in archive.infolist()]
            return Path(places[0])  # not the name in the zip, which may point out of the folder
    except (zipfile.BadZipFile, IndexError, OSError) as error:
        raise ValueError(f"the zip of this recording is damaged: {error}") from None
