# SPDX-License-Identifier: Apache-2.0
"""What no row of a prepared corpus holds of its source: title, page, citation, reference, unit."""

import json
from pathlib import Path
from typing import Any

from transformers.utils import logging

from ...atomic_files import write_text
from ...legible_text import legible, without_tags
from ..corpus import Corpus

logger = logging.get_logger(__name__)

RECORD = "corpus.json"


def describe_corpus(corpus: Corpus) -> dict[str, Any]:
    """Return the record of a corpus; what is unknown is empty."""
    return {
        "name": corpus.name,
        "title": plain_text(corpus.title),
        "licence": plain_text(corpus.licence),
        "url": plain_text(corpus.url),
        "citation": plain_text(corpus.citation),
        "recorded_against": plain_text(corpus.reference),
        "unit": "whitened, without a unit" if corpus.is_whitened else "microvolt",
        "is_simulated": not corpus.is_of_people,
    }


def plain_text(text: str) -> str:
    """Return what a corpus's own files state of it on one line, without HTML."""
    return without_tags(legible(" ".join(text.split())))


def write_record(folder: Path, corpus: Corpus) -> None:
    """Write the record of a corpus beside its windows."""
    write_text(folder / RECORD, json.dumps(describe_corpus(corpus), indent=2, ensure_ascii=False) + "\n")


def read_record(folder: Path, name: str) -> dict[str, Any]:
    """Read the record of a prepared corpus.

    Args:
        folder: Of the prepared corpus. One of an earlier version has no record, which is logged.
        name: The column `corpus` of its windows.

    Raises:
        ValueError: If the record is not JSON.
    """
    path = folder / RECORD
    if not path.is_file():
        logger.warning(
            f"{path} does not exist: run eeg-hf prepare on {folder} again, which keeps its windows"
        )
        return {"name": name, "title": name, "is_simulated": name.startswith("simulated")}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: expected the record of a corpus as JSON ({error})") from None
