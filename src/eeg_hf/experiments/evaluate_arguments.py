# SPDX-License-Identifier: Apache-2.0
"""What may be told."""

from dataclasses import dataclass, field
from glob import glob
from pathlib import Path


@dataclass
class EvaluateArguments:
    """What to compare, on what."""

    data: list[str] = field(
        metadata={"help": "Prepared corpus, folder or Hub name; with --codecs one or several."}
    )
    output_dir: str = field(metadata={"help": "Where metrics.json, report.md and the picture go."})
    # Classifiers
    label_column: str | None = field(
        default=None, metadata={"help": "Column of the labels: compare classifiers."}
    )
    class_names: list[str] | None = field(
        default=None, metadata={"help": "Classes in order; default: those found."}
    )
    runs: list[str] = field(
        default_factory=list, metadata={"help": "name=folder of runs of eeg-hf finetune."}
    )
    model: str | None = field(default=None, metadata={"help": "A saved classifier to test on the test part."})
    baselines: bool = field(default=True, metadata={"help": "Fit the classical baselines."})
    folds: int = field(default=0, metadata={"help": "Cross-validate over so many folds instead of --split."})
    # Codecs
    codecs: list[str] = field(
        default_factory=list,
        metadata={"help": "name=folder of runs of eeg-hf train-tokenizer: compare codecs."},
    )

    def check(self) -> None:
        """Raise a ValueError where it is not clear what to compare."""
        if bool(self.label_column) == bool(self.codecs):
            got = "both" if self.codecs else "neither"
            raise ValueError(f"expected --label_column (classifiers) or --codecs (codecs), got {got}")
        if not self.codecs and len(self.data) > 1:
            raise ValueError(f"data: expected one corpus to compare classifiers on, got {len(self.data)}")
        given = {"runs": self.runs, "model": self.model, "folds": self.folds, "class_names": self.class_names}
        if self.codecs and any(given.values()):
            names = ", ".join(f"--{name}" for name, value in given.items() if value)
            raise ValueError(f"{names}: for classifiers only; codecs take --codecs and --split")


def named_folders(option: str, runs: list[str]) -> list[tuple[str, list[Path]]]:
    """Return name and folders of each `name=pattern`; several folders are seeds of one thing.

    Args:
        option: Whose values these are, for the errors.
        runs: Such as `"pretrained=runs/cv/pretrained-*"`.

    Raises:
        FileNotFoundError: If no folder matches.
    """
    found = []
    for run in runs:
        name, _, pattern = run.partition("=")
        folders = [Path(folder) for folder in sorted(glob(pattern))]
        if not folders:
            raise FileNotFoundError(f"{option}: no folder matches {pattern!r}, expected name=folder")
        found.append((name, folders))
    return found
