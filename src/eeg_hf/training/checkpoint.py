# SPDX-License-Identifier: Apache-2.0
"""Which checkpoint to go on from."""

import json
import re
from pathlib import Path

from transformers import TrainingArguments


def resume_checkpoint(training_args: TrainingArguments) -> str | None:
    """Return the checkpoint that `resume_from_checkpoint` means.

    `true` means the last whole one in the output folder, or none where there is none yet: so one command line
    serves the first start and every restart. Trainer's own search takes the last folder, even if writing it
    was cut short.

    Args:
        training_args: Of the run.
    """
    wanted = training_args.resume_from_checkpoint
    if wanted is None or str(wanted).lower() in ("false", "no"):
        return None
    if str(wanted).lower() not in ("true", "yes"):
        return str(wanted)
    folders = Path(str(training_args.output_dir)).glob("checkpoint-*")
    steps = {int(match[1]): folder for folder in folders if (match := re.search(r"-(\d+)$", folder.name))}
    whole = [step for step, folder in steps.items() if is_whole(folder)]
    return str(steps[max(whole)]) if whole else None


def is_whole(checkpoint: Path) -> bool:
    """Return whether a checkpoint was written to its end: Trainer writes its state last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return True
