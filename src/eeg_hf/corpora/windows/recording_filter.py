# SPDX-License-Identifier: Apache-2.0
"""Select the recordings of a corpus to prepare."""

from collections.abc import Collection, Mapping, Sequence

from transformers.utils import logging

from ..corpus import Recording

logger = logging.get_logger(__name__)

_FIELDS = ("subject", "session", "run", "task")


def keep_recordings(
    recordings: Sequence[Recording], keep: Mapping[str, Collection[str]] | None
) -> list[Recording]:
    """Keep the recordings whose fields or labels have one of the given values.

    Args:
        recordings: Recordings of one corpus.
        keep: `subject`, `session`, `run`, `task` or a label -> values; all conditions must hold. `None` keeps
            all recordings.

    Returns:
        The recordings kept, in order. Conditions that hold for all recordings are logged.

    Raises:
        ValueError: If a field does not exist, or no recording meets a condition; lists the existing values.
    """
    kept = list(recordings)
    for field, wanted in (keep or {}).items():
        labels = sorted({name for recording in recordings for name in recording.labels})
        if field not in _FIELDS and field not in labels:
            raise ValueError(f"keep: no field {field!r}: expected one of {', '.join((*_FIELDS, *labels))}")
        values = {wanted} if isinstance(wanted, str) else {str(value) for value in wanted}
        before, kept = kept, [recording for recording in kept if _value(recording, field) in values]
        if not kept:
            there = sorted({_value(recording, field) for recording in before})
            raise ValueError(
                f"keep: none of {len(before)} recordings has {field} {', '.join(sorted(values))}; there is "
                f"{', '.join(there[:10])}{', ...' if len(there) > 10 else ''}"
            )
        if len(kept) == len(before):
            logger.warning(
                f"keep: {field} leaves none of {len(before)} recordings out: is it what you meant?"
            )
        else:
            logger.info(f"keep: {field} keeps {len(kept)} of {len(before)} recordings")
    return kept


def _value(recording: Recording, field: str) -> str:
    return str(getattr(recording, field) if field in _FIELDS else recording.labels.get(field))
