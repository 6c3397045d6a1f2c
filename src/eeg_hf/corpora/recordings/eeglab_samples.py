# SPDX-License-Identifier: Apache-2.0
"""Where the samples of an EEGLAB file are: in itself, or in the file that its field `data` names.

Only the headers of arrays are read, up to that field. MNE, scipy and HDF5 would follow any name in the file.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from .file_checks import require_package, sniff
from .memory_bound import bound_of, refuse_channels, refuse_expansion

_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _CHAR = 2, 4
_NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MAX_NAME_BYTES = 2**14
_MAX_OBJECTS = 100_000


def named_samples(path: Path) -> str | None:
    """Return the name of the file that holds the samples of a `.set`, as it is stored; None for itself.

    Raises:
        ValueError: If the file is damaged, or takes its samples from elsewhere by links of HDF5.
    """
    with path.open("rb") as file:
        head = file.read(128)
        if sniff(head) in ("MATLAB 7.3", "HDF5"):
            return _named_in_hdf5(path)
        order = "<" if head[126:128] == b"IM" else ">"
        name = None
        try:
            while name is None and (tag := file.read(8)) and len(tag) == 8:
                kind, length = struct.unpack(f"{order}II", tag)
                behind = file.tell() + length
                if kind == _COMPRESSED:
                    inner = _Stream(file, order, is_packed=True)
                    name = _find_name(inner, inner.tag()[1])
                elif kind == _MATRIX:
                    name = _find_name(_Stream(file, order), length)
                file.seek(behind)
        except (struct.error, zlib.error, EOFError, ValueError, OSError) as error:
            raise ValueError(f"{path.name} is truncated or damaged: {error}") from None
    return name or None


class _Stream:
    """Bytes of a file, decompressed if they are packed, read in one direction."""

    def __init__(self, file: BinaryIO, order: str, is_packed: bool = False) -> None:
        self.file, self.order = file, order
        self.unpacker = zlib.decompressobj() if is_packed else None
        self.position = 0
        self.bound = bound_of(os.fstat(file.fileno()).st_size)

    def read(self, count: int) -> bytes:
        if count > _MAX_NAME_BYTES:
            raise ValueError(f"a name of {count} bytes")
        return self._take(count)

    def skip(self, count: int) -> None:
        """Skip bytes; packed ones are decompressed and forgotten."""
        if self.unpacker is None:
            self.file.seek(count, 1)
            self.position += count
            return
        while count > 0:
            step = min(count, 2**20)
            self._take(step)
            count -= step

    def tag(self) -> tuple[int, int, bytes]:
        """Read the header of an element: type, bytes that follow, and content that lies within the header."""
        first = self.read(8)
        kind, length = struct.unpack(f"{self.order}II", first)
        if kind >> 16:  # up to four bytes are stored within the header
            return kind & 0xFFFF, 0, first[4 : 4 + min(kind >> 16, 4)]
        return kind, length, b""

    def element(self) -> tuple[int, bytes]:
        """Read a small element whole, with its padding."""
        kind, length, content = self.tag()
        if length:
            content = self.read(length)
            self.skip(-length % 8)
        return kind, content

    def _take(self, count: int) -> bytes:
        if self.unpacker is None:
            data = self.file.read(count)
        elif self.position + count > self.bound:
            raise ValueError(f"a variable wants more than {self.bound} bytes")
        else:
            data = b""
            while len(data) < count and not self.unpacker.eof:
                packed = self.unpacker.unconsumed_tail or self.file.read(2**16)
                if not packed:
                    break
                data += self.unpacker.decompress(packed, count - len(data))
        if len(data) < count:
            raise EOFError("it ends within an array")
        self.position += count
        return data


def _find_name(stream: _Stream, length: int, field: str = "", depth: int = 0) -> str | None:
    """Read one array, whose header was read; return the text of the field, empty where it holds samples."""
    end = stream.position + length
    if not length:
        return None
    kind = stream.element()[1][:4]
    kind_of_array = struct.unpack(f"{stream.order}I", kind)[0] & 0xFF
    sizes = stream.element()[1]
    name = field or stream.element()[1].decode("latin-1")
    if field:
        stream.element()  # the arrays of a structure have no name of their own
    if name == "nbchan":
        _refuse_too_many(stream)
    if name == "data" and kind_of_array != _CHAR:
        return ""
    if name == "data":
        coding, text = stream.element()
        return text.decode(_text_coding(coding, stream.order), "replace").rstrip("\0")
    if kind_of_array == _STRUCT and name == "EEG" and depth < 3:
        width = struct.unpack(f"{stream.order}i", stream.element()[1])[0]
        names = stream.element()[1]
        count = struct.unpack(f"{stream.order}ii", sizes[:8])
        if width < 1 or count != (1, 1):
            count = (0, 0)
        fields = [
            names[at : at + width].split(b"\0")[0].decode("latin-1") for at in range(0, len(names), width)
        ]
        for inner in fields * count[0]:
            _, size, _ = stream.tag()
            found = _find_name(stream, size, inner, depth + 1)
            if found is not None:
                return found
    stream.skip(end - stream.position)
    return None


def _refuse_too_many(stream: _Stream) -> None:
    """Read the number of channels, and refuse one that no recording has."""
    kind, content = stream.element()
    form = stream.order + _NUMBERS.get(kind, "")
    if len(form) == 2 and len(content) >= struct.calcsize(form):
        refuse_channels("its field nbchan", float(struct.unpack_from(form, content)[0]))


def _text_coding(kind: int, order: str) -> str:
    coding = _ENCODINGS.get(kind, "latin-1")
    return coding + ("-le" if order == "<" else "-be") if coding in ("utf-16", "utf-32") else coding


def _named_in_hdf5(path: Path) -> str | None:
    """Check the objects of a MATLAB 7.3 file; return the text of its field `data`."""
    require_package(path, "pymatreader")
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path, "r", locking=False) as file:
            _check_hdf5(path, file)
            holder = file.get("EEG", file)
            for _ in range(2):
                holder = holder.get("EEG", holder)
            count = holder.get("nbchan")
            if isinstance(count, h5py.Dataset) and count.size == 1 and count.dtype.kind in "fiu":
                refuse_channels(path.name, float(count[()].item()))
            data = holder.get("data")
            if not isinstance(data, h5py.Dataset) or data.attrs.get("MATLAB_class") != b"char":
                return None
            if data.size > _MAX_NAME_BYTES:
                raise ValueError(f"{path.name} is damaged: a name of {data.size} characters")
            return "".join(map(chr, data[()].ravel("K"))).rstrip("\0")
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path.name} is truncated or damaged: {error}") from None


def _check_hdf5(path: Path, file: Any) -> None:
    """Refuse an HDF5 file that takes anything from another file, or expands to far more than its size."""
    import h5py

    waiting, seen, num_bytes = [file], set(), 0
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):  # MATLAB writes no other
                raise ValueError(f"{path.name} has the link {name[:80]!r}, expected a file without links")
            found = group[name]
            where = h5py.h5o.get_info(found.id).addr
            if where in seen:
                continue
            seen.add(where)
            if isinstance(found, h5py.Group):
                waiting.append(found)
            elif isinstance(found, h5py.Dataset):
                if found.external or found.is_virtual:
                    raise ValueError(f"{path.name} takes samples from another file ({name[:80]!r}): not read")
                num_bytes += found.size * found.dtype.itemsize if found.shape is not None else 0
        if len(seen) > _MAX_OBJECTS:
            raise ValueError(f"{path.name} holds more than {_MAX_OBJECTS} objects")
    refuse_expansion(path.name, path.stat().st_size, num_bytes)


__all__ = ["named_samples"]
