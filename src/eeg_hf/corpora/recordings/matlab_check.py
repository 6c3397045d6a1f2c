# SPDX-License-Identifier: Apache-2.0
"""Check a MATLAB file (version 5) before scipy reads it: a damaged one crashes the process.

https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import math
import mmap
import struct
import zlib
from pathlib import Path

from .memory_bound import refuse_expansion

# Numbers are those of the specification. Type of an element -> bytes per number
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
_NUMERIC = range(6, 16)
_COMPLEX = 0x0800
_MAX_DEPTH = 40


class _Walker:
    """A walk over the elements of a file, each of which must lie within its parent."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.order = "<" if data[126:128] == b"IM" else ">"

    def numbers(self, form: str, start: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + form, self.data, start)

    def element(self, start: int, end: int, expected: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return type, first byte, length and end of an element, with its padding."""
        if start + 8 > end:
            raise ValueError(f"it ends at byte {end} within an element")
        kind, length = self.numbers("II", start)
        if kind >> 16:  # up to four bytes are stored within the element's header
            kind, length, first, behind = kind & 0xFFFF, kind >> 16, start + 4, start + 8
            is_whole = length <= 4
        else:
            first = start + 8
            behind = first + length + (-length % 8 if kind != _COMPRESSED else 0)
            is_whole = first + length <= end
        if not is_whole or kind not in expected:
            raise ValueError(f"an element of type {kind} at byte {start} promises {length} bytes")
        return kind, first, length, behind

    def data_of(self, start: int, end: int, count: int, is_text: bool = False) -> int:
        """Check that an element holds `count` numbers; return its end."""
        kind, _, length, behind = self.element(start, end, tuple(_ITEM_BYTES))
        promised = count * (1 if is_text else _ITEM_BYTES[kind])
        if length < promised if is_text else length != promised:
            raise ValueError(f"{count} values at byte {start} do not fit {length} bytes")
        return behind

    def matrix(self, start: int, end: int, depth: int = 0) -> int:
        """Check an array and its content; return its end."""
        _, first, length, behind = self.element(start, end, (_MATRIX,))
        if not length:
            return behind
        if depth > _MAX_DEPTH:
            raise ValueError("its structures are nested too deeply")
        end = first + length
        # Class and flags, then dimensions, then the name, then the content
        _, flags_at, num_bytes, position = self.element(first, end, (_UINT32,))
        if num_bytes != 8:
            raise ValueError(f"the flags at byte {first} have {num_bytes} bytes")
        (flags,) = self.numbers("I", flags_at)
        kind = flags & 0xFF
        if kind in (_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, *_NUMERIC):
            _, sizes_at, num_bytes, position = self.element(position, end, (_INT32,))
            sizes = self.numbers(f"{num_bytes // 4}i", sizes_at)
            if len(sizes) < 2 or len(sizes) > 32 or min(sizes) < 0 or num_bytes % 4:
                raise ValueError(f"an array at byte {start} has the shape {sizes}")
            position = self.element(position, end, (_INT8,))[3]  # its name
            self.content(kind, bool(flags & _COMPLEX), math.prod(sizes), position, end, depth)
        return behind

    def content(self, kind: int, is_complex: bool, count: int, position: int, end: int, depth: int) -> None:
        """Check the content of an array."""
        if kind == _CHAR or kind in _NUMERIC:
            for _ in range(2 if is_complex else 1):  # real and imaginary part
                position = self.data_of(position, end, count, is_text=kind == _CHAR)
        elif kind == _SPARSE:
            for _ in range(4 if is_complex else 3):  # rows, columns, real and imaginary part
                position = self.element(position, end, tuple(_ITEM_BYTES))[3]
        else:
            if kind == _OBJECT:
                position = self.element(position, end, (_INT8,))[3]
            if kind != _CELL:
                # The names of the fields, all padded to one width; every entry has an array for each
                _, width_at, num_bytes, position = self.element(position, end, (_INT32,))
                width = self.numbers("i", width_at)[0] if num_bytes == 4 else 0
                _, _, num_bytes, position = self.element(position, end, (_INT8,))
                if width < 1 or num_bytes % width:
                    raise ValueError(f"names of {num_bytes} bytes are no multiple of {width}")
                count *= num_bytes // width
            if 8 * count > end - position:
                raise ValueError(f"{count} fields at byte {position} do not fit {end - position} bytes")
            for _ in range(count):
                position = self.matrix(position, end, depth + 1)

    def compressed(self, first: int, length: int) -> None:
        """Decompress a variable without keeping it, which verifies its checksum."""
        unpacker, total = zlib.decompressobj(), 0
        try:
            for start in range(first, first + length, 2**16):
                chunk = self.data[start : min(start + 2**16, first + length)]
                while chunk:
                    total += len(unpacker.decompress(chunk, 2**22))
                    chunk = unpacker.unconsumed_tail
                    refuse_expansion("a variable", length, total)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if not unpacker.eof:
            raise ValueError(f"a compressed variable at byte {first} does not end")


def check_matlab(path: Path) -> None:
    """Check that all arrays of a MATLAB file lie within it and have the sizes they state.

    Args:
        path: A file of version 5 (written by `save -v6` and `-v7`).

    Raises:
        ValueError: If it is truncated or damaged, with the position.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            walker, position = _Walker(data), 128
            while position < len(data):
                kind, first, length, behind = walker.element(position, len(data), (_MATRIX, _COMPRESSED))
                if kind == _COMPRESSED:
                    walker.compressed(first, length)
                else:
                    walker.matrix(position, len(data))
                position = behind
            if len(data) <= 128:
                raise ValueError("it holds no variable")
        except (ValueError, struct.error) as error:
            raise ValueError(f"{path.name} is truncated or damaged: {error}") from None
