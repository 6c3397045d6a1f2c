# SPDX-License-Identifier: Apache-2.0
"""Select the checkpoint from which a run resumes."""

import json
from pathlib import Path

from transformers import TrainingArguments
from transformers.trainer_utils import sort_checkpoints


def resume_checkpoint(training_args: TrainingArguments) -> str | None:
    """Return the checkpoint that `resume_from_checkpoint` means, None to start anew.

    `true` means the last complete one in the output folder, or None if there is none yet, so that one command
    line serves the first start and every restart. Trainer's own search takes the last folder, even if writing
    it was cut short.

    Args:
        training_args: Arguments of the run.
    """
    # A folder, or text that stands for true or false: command lines know no booleans here
    wanted = training_args.resume_from_checkpoint
    if wanted is None or str(wanted).lower() in ("false", "no"):
        return None
    if str(wanted).lower() not in ("true", "yes"):
        return str(wanted)
    complete = [path for path in sort_checkpoints(str(training_args.output_dir)) if is_complete(Path(path))]
    return complete[-1] if complete else None


def is_complete(checkpoint: Path) -> bool:
    """Return whether a checkpoint was written to its end: Trainer writes its state last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return True
