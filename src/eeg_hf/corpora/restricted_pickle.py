# SPDX-License-Identifier: Apache-2.0
"""Read pickled arrays without running what a pickle may contain.

`np.load(path, allow_pickle=True)` executes whatever the file's author put into it. Here a pickle may name the
few functions that rebuild NumPy arrays and nothing else; the rest of the format (dicts, lists, strings,
numbers) needs no names. https://docs.python.org/3/library/pickle.html#restricting-globals
"""

import pickle
from pathlib import Path
from typing import BinaryIO

import numpy as np

_MAGIC = b"\x93NUMPY"
_CORES = ("numpy.core", "numpy._core")  # as NumPy 1 and NumPy 2 call it
_ADMITTED = {
    *(("numpy", name) for name in ("ndarray", "dtype", "str_", "float32", "float64", "int32", "int64")),
    *((f"{core}.multiarray", name) for core in _CORES for name in ("_reconstruct", "scalar")),
    *((f"{core}.numeric", "_frombuffer") for core in _CORES),
}


class RestrictedUnpickler(pickle.Unpickler):
    """Rebuild arrays, lists, dicts, strings and numbers; refuse everything else by its name."""

    def find_class(self, module: str, name: str) -> object:
        """Return one of the functions that rebuild arrays.

        Raises:
            ValueError: If the pickle names another.
        """
        if (module, name) not in _ADMITTED:
            raise ValueError(f"it names {module}.{name}, which is no array and could run code")
        return super().find_class(module, name)


def load_restricted(path: Path) -> object:
    """Read an .npy file with pickled content, or a bare pickle.

    Args:
        path: The file.

    Returns:
        What was saved; of an array that holds one object, that object.

    Raises:
        ValueError: If it is neither, is damaged, or names anything but arrays.
    """
    with path.open("rb") as file:
        try:
            if file.read(len(_MAGIC)) == _MAGIC:
                file.seek(0)
                content = _load_npy(file)
            else:
                file.seek(0)
                content = RestrictedUnpickler(file).load()
        except Exception as error:  # damaged pickles end in a dozen kinds of errors, MemoryError among them
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path.name} is refused: {reason[:200]}") from None
    if isinstance(content, np.ndarray) and content.dtype == object and content.ndim == 0:
        return content.item()
    return content


def _load_npy(file: BinaryIO) -> object:
    """Read an .npy file: plain arrays by NumPy, those of objects by the restricted unpickler."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the .npy format is not known")
    _, _, dtype = read_header(file)
    if dtype.hasobject:
        return RestrictedUnpickler(file).load()
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


__all__ = ["RestrictedUnpickler", "load_restricted"]
