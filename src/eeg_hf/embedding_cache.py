# SPDX-License-Identifier: Apache-2.0
"""Embeddings that were computed before, on the disk: by the samples, the weights and the signal contract.

They lie in `$HF_HOME/eeg_hf/embeddings`. `EEG_HF_EMBEDDING_CACHE` is the size that they may take in GB, and 0
switches the cache off; beyond it, those that were not read for longest go. Files are replaced as a whole, so
that several processes may share them, and hold a checksum: a damaged one is computed again.
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from transformers.utils import logging

from .atomic_files import atomic_path

logger = logging.get_logger(__name__)

SWITCH = "EEG_HF_EMBEDDING_CACHE"
DEFAULT_GB = 1.0
_UNSEEN_SHARE = 0.01
"""Share of the size that may be written before old files are looked for."""
_unseen: list[float] = [math.inf]
"""Bytes of each file that was written since; the first of a process looks for old ones."""
Arrays = dict[str, np.ndarray]


def fetch(key: str, compute: Callable[[], Arrays]) -> Arrays:
    """Return what is kept under a key, or compute and keep it.

    Args:
        key: Of `digest`.
        compute: Returns the arrays by name.
    """
    found = read(key)
    if found is None:
        found = compute()
        write(key, found)
    return found


def is_on() -> bool:
    """Return whether embeddings are kept."""
    return _most_bytes() > 0


def cache_folder() -> Path:
    """Return where embeddings are kept."""
    return Path(constants.HF_HOME) / "eeg_hf" / "embeddings"


def digest(*parts: Any) -> str:
    """Return a key of arrays, tensors, bytes, mappings of these, and anything that JSON can hold."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        _update(state, part)
    return state.hexdigest()


def digest_of_model(model: torch.nn.Module) -> str:
    """Return a key of a model's weights, settings and number format, and of the code that runs it."""
    config = getattr(model, "config", None)
    settings = config.to_dict() if config is not None else {}
    device = next((str(each.device.type) for each in model.parameters()), "cpu")
    versions = {"torch": torch.__version__, "code": _code_digest(), "device": device}
    settings = {name: value for name, value in settings.items() if not name.startswith("_")}
    return digest(type(model).__name__, settings, versions, model.state_dict())


def read(key: str) -> Arrays | None:
    """Return what is kept under a key; None where there is nothing, or it is damaged."""
    if not is_on():
        return None
    path = cache_folder() / f"{key}.safetensors"
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            expected = (file.metadata() or {}).get("checksum")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError):
        found, expected = {}, None
    if expected != digest(found):
        logger.warning(f"{path} is damaged: its embeddings are computed again")
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return None
    with contextlib.suppress(OSError):  # another process may have removed it, or the disk is read-only
        os.utime(path)
    return found


def write(key: str, arrays: Arrays) -> None:
    """Keep arrays under a key; where the disk does not allow it, they are computed again next time."""
    if not is_on():
        return
    kept = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    with contextlib.suppress(OSError):
        with atomic_path(cache_folder() / f"{key}.safetensors") as partial:
            save_file(kept, partial, metadata={"checksum": digest(kept)})
        # Looking at thousands of files takes as long as reading a few windows: not after each
        _unseen.append(sum(value.nbytes for value in kept.values()))
        if sum(_unseen) > _UNSEEN_SHARE * _most_bytes():
            _unseen.clear()
            _remove_oldest()


def _remove_oldest() -> None:
    """Remove what was not read for longest until the rest keeps within the size."""
    files = []
    for entry in os.scandir(cache_folder()):
        with contextlib.suppress(FileNotFoundError):  # another process removes files too
            status = entry.stat()
            files.append((status.st_mtime_ns, status.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= _most_bytes():
            return
        Path(path).unlink(missing_ok=True)
        total -= size


def _most_bytes() -> float:
    text = os.environ.get(SWITCH, "")
    try:
        return 1e9 * float(text or DEFAULT_GB)
    except ValueError as error:
        raise ValueError(f"{SWITCH}: expected a size in GB, or 0 for no cache, got {text!r}") from error


def _update(state: Any, part: Any) -> None:
    if isinstance(part, torch.Tensor):
        values = part.detach().cpu().contiguous()
        state.update(f"{values.dtype}{tuple(values.shape)}".encode())
        state.update(values.flatten().view(torch.uint8).numpy().tobytes() if values.numel() else b"")
    elif isinstance(part, np.ndarray):
        state.update(f"{part.dtype}{part.shape}".encode())
        state.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, Mapping):
        for name in sorted(part, key=str):
            state.update(f"{name}:".encode())
            _update(state, part[name])
    elif isinstance(part, bytes):
        state.update(part)
    else:
        state.update(json.dumps(part, sort_keys=True, default=str).encode() + b";")


@cache
def _code_digest() -> str:
    """Return a digest of the code between samples and embeddings."""
    root = Path(__file__).parent
    files = sorted([*(root / "models").glob("*.py"), *(root / "processing").glob("*.py")])
    return digest(*(path.read_bytes() for path in files))


__all__ = ["SWITCH", "cache_folder", "digest", "digest_of_model", "fetch", "is_on", "read", "write"]
