# SPDX-License-Identifier: Apache-2.0
"""Select the checkpoint from which a run resumes."""

import json
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments
from transformers.trainer_utils import sort_checkpoints
from transformers.utils import logging

logger = logging.get_logger(__name__)


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
    for path in reversed(sort_checkpoints(str(training_args.output_dir))):
        damage = find_damage(Path(path))
        if damage is None:
            return path
        logger.warning(f"{path} is damaged ({damage}): resuming from the checkpoint before it")
    return None


def find_damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint, None if a run can resume from it.

    A run that was killed or a disk that was full leaves files cut short. Every file is read once.
    """
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text())  # Trainer writes it last
        if not isinstance(state, dict) or "global_step" not in state:
            return "trainer_state.json is no state"
        weights = sorted(checkpoint.glob("*.safetensors"))
        if not weights:
            return "its weights are missing"
        for path in weights:
            with safe_open(path, "pt") as tensors:  # compares the header with the length of the file
                tensors.keys()
        for name in ("optimizer.pt", "scheduler.pt"):
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
        for path in sorted(checkpoint.glob("*.pt")):
            with zipfile.ZipFile(path) as archive:
                if (member := archive.testzip()) is not None:
                    return f"{path.name}: {member} does not match its checksum"
    except (OSError, ValueError, SafetensorError, zipfile.BadZipFile) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def is_finished(checkpoint: Path, training_args: TrainingArguments) -> bool:
    """Return whether a checkpoint is the end of the run that the arguments describe."""
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    if training_args.max_steps > 0:
        return state["global_step"] >= training_args.max_steps
    return state["global_step"] >= state["max_steps"] and (
        state["num_train_epochs"] >= training_args.num_train_epochs
    )
