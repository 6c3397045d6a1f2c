# SPDX-License-Identifier: Apache-2.0
"""Download the files of a server that has a SHA256SUMS.txt, as PhysioNet has for every project.

The checksums come from the server with each download and are not part of this package: PhysioNet has replaced
files (their headers, for better anonymity) without a new version number, and a pinned list would refuse the
current ones.

A file gets its name when it is complete and its checksum is correct, so an interrupted download continues
when it is started again.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import logging

if TYPE_CHECKING:
    import pooch

logger = logging.get_logger(__name__)

CACHE_VARIABLE = "EEG_HF_CACHE"
CHECKSUMS = "SHA256SUMS.txt"
_CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})\s+\*?(\S.*?)\s*")


def cache_folder(name: str) -> Path:
    """Return the folder of downloaded files: `$EEG_HF_CACHE/<name>`, else in the user's cache folder."""
    import pooch

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("eeg_hf")) / name


def is_complete(folder: Path, wanted: re.Pattern[str]) -> bool:
    """Return whether a folder holds all wanted files of the list that was downloaded with them."""
    listed = folder / CHECKSUMS
    if not listed.is_file():
        return False
    names = _read_checksums(listed.read_text(), wanted)
    return bool(names) and all((folder / name).is_file() for name in names)


def fetch_listed(base_url: str, folder: Path, wanted: re.Pattern[str], retries: int = 3) -> Path:
    """Download the wanted files in `<base_url>/SHA256SUMS.txt` that are not in a folder yet.

    Args:
        base_url: Folder of the files on the server, without a slash at the end.
        folder: Folder to download to, with the paths of the list below it.
        wanted: Pattern that the whole path of a file in the list must match.
        retries: How often a file is requested again after its connection broke.

    Returns:
        `folder`, complete.

    Raises:
        ConnectionError: If a file cannot be downloaded, with the URL and how to go on.
        ValueError: If a file arrives with a wrong checksum, or the list has no wanted file.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")  # a line for each of 1,526 files would drown the progress bar
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CHECKSUMS).unlink(missing_ok=True)  # pooch does not update a file without a known checksum
    listed = pooch.create(folder, f"{base_url}/", registry={CHECKSUMS: None}, retry_if_failed=retries)
    checksums = _read_checksums(Path(_fetch(listed, CHECKSUMS)).read_text(errors="replace"), wanted)
    if not checksums:
        (folder / CHECKSUMS).unlink()
        raise ValueError(
            f"{base_url}/{CHECKSUMS} names none of the files expected: is something else answering there?"
        )
    files = pooch.create(folder, f"{base_url}/", registry=checksums, retry_if_failed=retries)
    missing = [name for name in checksums if not (folder / name).is_file()]
    for name in logging.tqdm(missing, desc=f"downloading {folder.name}", unit="file"):
        _fetch(files, name)
    return folder


def _fetch(source: "pooch.Pooch", name: str) -> str:
    """Fetch one file; raise errors of one line with advice."""
    import requests

    url = source.get_url(name)
    try:
        return source.fetch(name)
    except requests.exceptions.RequestException as error:
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"could not download {url} into {source.path}: {reason}. Complete files are kept: run again to "
            f"continue; or put the corpus into another folder and set EEG_HF_DATA to the folder above it"
        ) from None
    except ValueError as error:
        reason = " ".join(str(error).split())[:400]
        raise ValueError(
            f"{url} arrived damaged and was not kept: {reason}; run again to download it again"
        ) from None


def _read_checksums(text: str, wanted: re.Pattern[str]) -> dict[str, str]:
    """Parse `sha256 name` lines; a name that matches the pattern cannot point out of the folder."""
    lines = (_CHECKSUM_LINE.fullmatch(line) for line in text.splitlines())
    return {line[2]: line[1] for line in lines if line and wanted.fullmatch(line[2])}
