# SPDX-License-Identifier: Apache-2.0
"""Read pickled arrays without executing code from the pickle.

`np.load(path, allow_pickle=True)` executes any code in the file. Here a pickle may only name the parts of
NumPy arrays; dicts, lists, strings and numbers need no names
(https://docs.python.org/3/library/pickle.html#restricting-globals). NumPy's own functions are not called by
the pickle either: a damaged or hostile dtype makes NumPy use numbers as addresses, and crash. Arrays are read
as plain descriptions, which are checked and converted to arrays afterwards, without a copy.
"""

import pickle
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

_MAGIC = b"\x93NUMPY"
_PLAIN_DTYPE = re.compile(r"[biuf]\d{1,2}|[US]\d{1,5}|O8?")


class _Dtype:
    """Description of the type of an array's items."""

    def __init__(self, spec: str, *_: object) -> None:
        if not isinstance(spec, str) or not _PLAIN_DTYPE.fullmatch(spec):
            raise ValueError(f"it has items of type {spec!r}, expected numbers or text")
        self.spec = spec
        self.dtype = np.dtype(spec)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|"):
            raise ValueError(f"it has items of byte order {state[1]!r}")
        self.dtype = np.dtype(f"{state[1]}{self.spec}")  # the rest of the state can crash NumPy


class _Array:
    """Description of an array."""

    state: tuple[object, tuple[int, ...], _Dtype, bool, bytes | list[object]]

    def __setstate__(self, state: tuple[object, tuple[int, ...], _Dtype, bool, bytes | list[object]]) -> None:
        self.state = state

    def restore(self) -> object:
        """Return the array; for an array of objects a list, or the object of a zero-dimensional one."""
        _, shape, kind, is_fortran, items = self.state
        if isinstance(items, list):
            content = [_restore(item) for item in items]
            return content if shape else content[0]
        return _from_buffer(items, kind, shape, "F" if is_fortran else "C")


def _from_buffer(items: bytes, kind: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    if kind.dtype.hasobject or order not in ("C", "F"):
        raise ValueError("it has an array of objects without a list of them")
    return np.frombuffer(items, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: _Dtype, item: bytes) -> object:
    return _from_buffer(item, kind, (1,), "C")[0]


_CORES = ("numpy.core", "numpy._core")  # names in NumPy 1 and NumPy 2
_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    **{(f"{core}.multiarray", "_reconstruct"): lambda *_: _Array() for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
}


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickler of arrays, lists, dicts, strings and numbers, which refuses everything else."""

    def find_class(self, module: str, name: str) -> object:
        """Return the replacement of a part of NumPy.

        Raises:
            ValueError: If the pickle names anything else.
        """
        if (module, name) not in _ADMITTED:
            raise ValueError(f"it names {module}.{name}, which is not an array and could run code")
        return _ADMITTED[module, name]


def load_restricted(path: Path) -> object:
    """Read an .npy file with pickled content, or a bare pickle.

    Args:
        path: The file.

    Returns:
        The saved object, with read-only arrays; for a zero-dimensional array of objects, its object.

    Raises:
        ValueError: If it is neither, is damaged, or names anything but arrays.
    """
    with path.open("rb") as file:
        try:
            if file.read(len(_MAGIC)) == _MAGIC:
                file.seek(0)
                return _load_npy(file)
            file.seek(0)
            return _restore(RestrictedUnpickler(file).load())
        except Exception as error:  # damaged pickles raise a dozen kinds of errors, including MemoryError
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path.name} is refused: {reason[:200]}") from None


def _load_npy(file: BinaryIO) -> object:
    """Read an .npy file: plain arrays by NumPy, arrays of objects by the restricted unpickler."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"version {version} of the .npy format is unknown")
    _, _, dtype = headers[version](file)
    if dtype.hasobject:
        return _restore(RestrictedUnpickler(file).load())
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _restore(value: object) -> object:
    """Replace the descriptions of arrays by arrays."""
    if isinstance(value, _Array):
        return value.restore()
    if isinstance(value, dict):
        return {key: _restore(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_restore(item) for item in value)
    return value
