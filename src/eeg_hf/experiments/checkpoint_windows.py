# SPDX-License-Identifier: Apache-2.0
"""Which windows and subjects of some corpora a checkpoint has seen, as the file beside its weights says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets import Dataset, concatenate_datasets
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from transformers.utils import logging

from ..corpora import ContaminationError, SeenWindows
from ..corpora.windows.seen_windows import FILE
from ..hub.errors import explained
from ..hub.registry import LocalRegistry

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class Comparison:
    """What a checkpoint has seen of some windows.

    Attributes:
        checkpoint: Its folder or name.
        subjects: Subjects that it has seen, as `corpus/subject`.
        trained: Those of them that gradients came from; the others selected epochs or settings.
        num_subjects: Subjects of the windows.
        num_seen: Windows whose very samples it has seen.
        num_windows: Windows in all.
    """

    checkpoint: str
    subjects: tuple[str, ...]
    trained: tuple[str, ...]
    num_subjects: int
    num_seen: int
    num_windows: int

    @property
    def is_clean(self) -> bool:
        """Whether it has seen neither a subject nor a window."""
        return not self.subjects and not self.num_seen

    def __str__(self) -> str:
        if self.is_clean:
            return (
                f"CLEAN: {self.checkpoint} has seen none of {self.num_subjects} subjects and none of "
                f"{self.num_windows} windows"
            )
        verdict = (
            f"SEEN: {self.checkpoint} has seen {len(self.subjects)} of {self.num_subjects} subjects and "
            f"{self.num_seen} of {self.num_windows} windows by their samples: a test on them shows nothing"
        )
        selected = sorted(set(self.subjects) - set(self.trained))
        named = {"trained on": self.trained, "selected on": selected}
        return "\n".join([verdict, *(f"{use}: {', '.join(names)}" for use, names in named.items() if names)])


def compare_with(checkpoint: str, corpora: Sequence[Dataset]) -> Comparison:
    """Compare what a checkpoint has seen with the windows of some corpora.

    Args:
        checkpoint: Folder of weights or of the folds of a run, version in the local registry (`name` or
            `name/v1.0`), or repository on the Hub (`organisation/name`, with `@version` for one of its own).
        corpora: Prepared windows.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it does not say what it has seen.
    """
    seen = load_seen(checkpoint)
    light = [rows.select_columns(_columns(rows)) for rows in corpora]
    rows = concatenate_datasets(light)
    overlap, trained = seen.overlap(rows), seen.trained.overlap(rows)
    return Comparison(
        checkpoint, overlap.subjects, trained.subjects, overlap.num_subjects, overlap.num_windows, len(rows)
    )


def judge_checkpoints(
    checkpoints: Iterable[Path | str],
    parts: Mapping[str, Dataset],
    tested: str,
    policy: Literal["refuse", "mark"],
) -> dict[str, str]:
    """Compare what checkpoints have seen with the windows that test them.

    Args:
        checkpoints: Folders of weights.
        parts: Part of the split -> windows. Subjects that the split trains on may be known.
        tested: The part that is tested; what has seen the part `train` is no surprise.
        policy: Whether to refuse contaminated checkpoints, or to mark them.

    Returns:
        Checkpoint -> what is held against its row, in words; for the provenance of a report.

    Raises:
        ContaminationError: If one has seen windows that test it, unless it is to be marked.
    """
    fitted = [rows for part, rows in parts.items() if part != tested or tested == "train"]
    notes: dict[str, str] = {}
    for checkpoint in map(str, checkpoints):
        seen = SeenWindows.load(checkpoint)
        overlap = None if seen is None else seen.overlap(parts[tested], fitted)
        if overlap is None:
            notes[checkpoint] = "unknown what it has seen"
        elif overlap and tested != "train":
            if policy == "refuse":
                raise ContaminationError(
                    f"{checkpoint} was trained on {overlap.describe()}: test it on others, or take "
                    "--contaminated mark"
                )
            notes[checkpoint] = f"contaminated: has seen {overlap.describe()}"
            logger.warning(f"{checkpoint} is {notes[checkpoint]}")
    return notes


def load_seen(checkpoint: str) -> SeenWindows:
    """Return what a checkpoint has seen; of a run of several folds, what any of its models has."""
    folder = Path(checkpoint)
    if not folder.is_dir():
        name, _, version = checkpoint.partition("/")
        registry = LocalRegistry()
        folder = registry.path(name, version or None) if name in registry.names() else _download(checkpoint)
    found = [SeenWindows.load(part) for part in (folder, *sorted(folder.glob("fold-*")))]
    known = [each for each in found if each is not None]
    if not known:
        raise ValueError(
            f"{checkpoint} does not say which windows it was trained on: it has no {FILE}, which trainings "
            "of eeg_hf write beside their weights"
        )
    seen = known[0]
    for more in known[1:]:
        seen |= more
    return seen


def _download(checkpoint: str) -> Path:
    """Fetch the file of a repository, and return its folder."""
    name, _, version = checkpoint.partition("@")
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise FileNotFoundError(
            f"{checkpoint} is neither a folder, nor in models/registry, nor a Hub name such as "
            "organisation/model"
        )
    with explained(name, version or None):
        try:
            return Path(hf_hub_download(name, FILE, revision=version or None)).parent
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return Path(hf_hub_download(name, "config.json", revision=version or None)).parent


def _columns(rows: Dataset) -> list[str]:
    return [name for name in ("corpus", "subject", "signal_hash") if name in rows.column_names]


__all__ = ["Comparison", "compare_with", "judge_checkpoints", "load_seen"]
