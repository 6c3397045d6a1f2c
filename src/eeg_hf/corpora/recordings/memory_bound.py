# SPDX-License-Identifier: Apache-2.0
"""The bound on what a small file may become in memory: a file of a megabyte must not want gigabytes."""

_FREE_BYTES = 2**28
_MAX_RATIO = 100  # recordings shrink by less than ten times, also sparse ones


def bound_of(num_packed: int) -> int:
    """Return the largest number of bytes that a file may decompress to."""
    return max(_FREE_BYTES, _MAX_RATIO * num_packed)


def refuse_expansion(name: str, num_packed: int, num_bytes: float) -> None:
    """Refuse a file that decompresses to more than a hundred times its size, above 256 MiB.

    Args:
        name: The file, for the message.
        num_packed: Its size in bytes.
        num_bytes: Bytes that its content takes.

    Raises:
        ValueError: If it is too large.
    """
    if num_bytes > bound_of(num_packed):
        raise ValueError(
            f"{name} of {num_packed} bytes wants {num_bytes / 2**20:.0f} MiB of memory, expected at most "
            f"{bound_of(num_packed) / 2**20:.0f}: it is damaged, or made to exhaust the memory"
        )


__all__ = ["bound_of", "refuse_expansion"]
