# SPDX-License-Identifier: Apache-2.0
"""The body of a request as files in a folder of its own, which goes when the request is over."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...corpora.recordings.recording_files import EXTENSIONS, TABLE_EXTENSIONS, extension_of
from ...legible_text import legible, without_tags
from .reading import RefusedError

COMPANIONS = (
    ".vmrk",
    ".amrk",
    ".fdt",
    ".21e",
    ".log",
    ".pnt",
    ".dat",
    ".head",
    ".dpa",
    ".dpo",
    ".cef",
    ".ceo",
)
_PREFIX = "eeg-hf-serve-"
_NAME = re.compile(r"[^\x00-\x1f/\\:]{1,120}")
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][^\s\\/:'\",;]+)+[\\/]?")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")
_CHUNK_BYTES = 2**20


@contextlib.contextmanager
def upload_folder() -> Iterator[Path]:
    """Make a folder for uploads that is removed at the end; those of servers that were killed go too."""
    for stale in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        number = stale.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not _is_running(int(number)):
            shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def check_name(name: str | None) -> str:
    """Return the name of an uploaded file.

    Raises:
        RefusedError: If it is a path, hidden or not printable (422), or no format that is read (415).
    """
    name = name or ""
    if not _NAME.fullmatch(name) or name.startswith(".") or legible(name) != name:
        raise RefusedError(422, f"expected a plain file name such as s01.edf, got {legible(name)[:80]!r}")
    extension = extension_of(Path(name))
    if extension not in (*EXTENSIONS, *TABLE_EXTENSIONS, *COMPANIONS) or extension == ".mff":
        raise RefusedError(
            415,
            f"{name} has no format that is read here: expected {', '.join((*EXTENSIONS, *TABLE_EXTENSIONS))}",
        )
    return name


async def save(upload: Any, path: Path) -> None:
    """Copy an uploaded file to disk, readable by this user alone."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        while part := await upload.read(_CHUNK_BYTES):
            file.write(part)


def harmless(value: Any) -> Any:
    """Return an answer whose texts hold no paths, tokens, control characters or elements of HTML.

    Example:
        >>> harmless({"problem": "/tmp/x1/s01.edf has a channel <script>"})
        {'problem': 's01.edf has a channel &lt;script>'}
    """
    if isinstance(value, dict):
        return {harmless(key): harmless(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(entry) for entry in value]
    if not isinstance(value, str):
        return value
    text = _TOKEN.sub("hf_…", value)
    text = _PATH.sub(lambda found: _last_part(found[0]), text)
    return without_tags(legible(text))


def _last_part(path: str) -> str:
    parts = [part for part in re.split(r"[\\/]", path) if part]
    is_path = path.startswith(("/", "\\")) and len(parts) > 1 or path[1:2] == ":"
    return parts[-1] if is_path else path


def _is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
