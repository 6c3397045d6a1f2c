# SPDX-License-Identifier: Apache-2.0
"""Recordings among the file names of a folder, which may be on a server or in an archive."""

import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from transformers.utils import logging

from ...legible_text import legible
from .containment import FOLLOW, leads_out
from .file_checks import sniff
from .formats import EXTENSIONS, TABLE_EXTENSIONS, find_recordings
from .recording_files import is_main_file

logger = logging.get_logger(__name__)

PARTS: Mapping[str, tuple[str, ...]] = {
    ".vhdr": (".eeg", ".dat", ".vmrk"),
    ".ahdr": (".eeg", ".amrk"),
    ".set": (".fdt",),
    ".lay": (".dat",),
    ".eeg": (".21e", ".pnt", ".log"),
    ".cdt": (".cdt.dpa", ".cdt.dpo", ".cdt.cef", ".cdt.ceo"),
    ".dap": (".dat", ".rs3", ".cef", ".ceo"),
    ".data": (".head",),
}
"""Extension of a main file -> extensions of its companions of the same name."""

PART_EXTENSIONS: tuple[str, ...] = tuple(sorted({each for parts in PARTS.values() for each in parts}))
"""Extensions of companions."""

SIDE_TABLE_EXTENSIONS: tuple[str, ...] = (".tsv", ".json")
"""Extensions of the side files of a BIDS tree."""

INFERRED_EXTENSIONS: tuple[str, ...] = tuple(
    # The others are also used for photographs, sounds and layouts, or are not extensions of files
    extension
    for extension in EXTENSIONS
    if extension not in (".raw", ".eeg", ".lay", ".mff", ".fif.gz", ".data")
)
"""Extensions by which `load_dataset("folder")` infers that the folder holds recordings."""

BIDS_SIDE_FILE = re.compile(
    r"(participants|dataset_description|(sub|ses|task|acq)-.*_(channels|electrodes|events|sessions|scans"
    r"|coordsystem|eeg))\.(tsv|json)"
)
"""Names of the side files of a BIDS tree, which outnumber its recordings."""


def main_files(names: Iterable[str], tables: bool = False) -> list[str]:
    """Select the main files of recordings from file names.

    Args:
        names: Paths or URLs, also into archives (`zip://a.edf::https://...`).
        tables: Whether tables of samples are recordings too.

    Returns:
        The names that `find_recordings` would find if they were one folder, in the given order. An EGI
        recording is its `.mff` folder. `.eeg` files of Nihon Kohden are recognised by their first bytes, so
        only on this machine.
    """
    wanted = (*EXTENSIONS, *TABLE_EXTENSIONS) if tables else EXTENSIONS
    names = list(names)
    there = set(names)
    found: dict[str, None] = {}
    for name in names:
        hop, separator, rest = name.partition("::")
        top, is_inside, _ = hop.partition(".mff/")
        if is_inside:
            found[top + ".mff" + separator + rest] = None
        elif hop.lower().endswith(wanted) and not hop.rpartition("/")[2].startswith("."):
            if hop.lower().endswith(".eeg"):
                is_main = _is_nihon_kohden(name)
            else:
                is_main = is_main_file(Path(hop), partial(_is_listed, there, hop, separator + rest))
            if is_main:
                found[name] = None
    return list(found)


def _is_listed(names: Collection[str], hop: str, rest: str, path: Path) -> bool:
    """Return whether a file beside `hop`, perhaps in an archive, is among the names."""
    folder, slash, _ = hop.rpartition("/")
    return f"{folder}{slash}{path.name}{rest}" in names


def own_files(folder: str, names: Iterable[str], follow_links: bool = False) -> list[str]:
    """Leave out the links that lead out of a folder on this machine; a warning counts them."""
    names, home = list(names), Path(folder).expanduser().absolute() if folder else None
    if home is None or follow_links or not home.is_dir():
        return names
    outside = {name for name in names if Path(name).is_relative_to(home) and leads_out(Path(name), home)}
    if outside:
        logger.warning(
            f"{home}: {len(outside)} files are links out of it and left out, such as "
            f"{legible(min(outside))}: {FOLLOW}"
        )
    return [name for name in names if name not in outside]


def left_out(folder: str, files: Iterable[str]) -> list[str]:
    """List the recordings of a folder on this machine that are not among `files`; none for a URL."""
    there = {str(path) for path in find_recordings(Path(folder).expanduser().resolve())} if folder else set()
    return sorted(there - set(files))


def is_part(name: str) -> bool:
    """Return whether a file may be a companion or sidecar of a recording."""
    return ".mff/" in name or name.lower().endswith(
        (*PART_EXTENSIONS, *SIDE_TABLE_EXTENSIONS, ".fif", ".fif.gz")
    )


def under_own_name(original: str, downloaded: str) -> str:
    """Restore the name of a downloaded file, and its place beside the other files of a recording.

    Downloads from elsewhere than the Hub are named by a hash, but readers need the extension, and headers
    name companions.

    Args:
        original: The URL.
        downloaded: Path of the downloaded file.

    Returns:
        Path of a link to it in a copy of the server's folders, or its own path where the name is right.
    """
    parts = [part for part in re.split("[:/]+", original) if part not in ("", ".", "..")]
    if "://" in downloaded or Path(downloaded).name == parts[-1]:
        return downloaded
    link = Path(downloaded).parent.joinpath("eegfolder", *parts)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.hardlink_to(downloaded)  # not a symbolic one, which would lead out of the recording's folder
    except OSError:
        shutil.copyfile(downloaded, link)
    return str(link)


def _is_nihon_kohden(name: str) -> bool:
    if not name.lower().endswith(".eeg") or not Path(name).is_file():
        return False
    with Path(name).open("rb") as file:
        return sniff(file.read(16)) == "Nihon Kohden"
