# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint was trained with: a run resumes with the same, or not at all.

Trainer restores the optimizer and the schedule of a checkpoint, so another learning rate has no effect. It
skips as many batches as were trained on, whatever is in them now. Both would pass in silence.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, TrainingArguments

from ..corpora import SeenWindows

FILE = "run_settings.json"
ARGUMENTS = (
    *("learning_rate", "weight_decay", "optim", "lr_scheduler_type", "warmup_steps", "max_grad_norm"),
    *("adam_beta1", "adam_beta2", "seed", "data_seed"),
)
# Of a config: what says where a model came from or how it runs, not what it is
NOT_OF_THE_MODEL = {"_name_or_path", "transformers_version", "dtype", "architectures", "auto_map"}


def describe_run(
    args: TrainingArguments, config: PreTrainedConfig | None, seen: SeenWindows | None
) -> dict[str, Any]:
    """Return the settings that a resumed run must share, as JSON holds them.

    The length of a run is none of them: it may go on for longer.

    Args:
        args: Of the training.
        config: Of the model.
        seen: Its windows; None if they are not known.
    """
    settings = {name: getattr(args, name) for name in ARGUMENTS}
    batch = args.train_batch_size * args.world_size * args.gradient_accumulation_steps
    settings["windows of a step"] = batch
    for name, value in (config.to_dict() if config is not None else {}).items():
        if name not in NOT_OF_THE_MODEL:
            settings[f"config.{name}"] = value
    if seen is not None:
        hashes = sorted(map(str, seen.table.column("signal_hash").to_pylist()))
        settings["windows (number, hash)"] = [
            len(hashes),
            hashlib.sha256("".join(hashes).encode()).hexdigest()[:12],
        ]
    return json.loads(json.dumps(settings, default=str))


def refuse_other_settings(checkpoint: str | Path, settings: dict[str, Any]) -> None:
    """Raise a ValueError that says what differs from the settings of a checkpoint.

    Checkpoints of older versions do not say, and are taken.
    """
    path = Path(checkpoint) / FILE
    if not path.is_file():
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [
        f"{name} {json.dumps(before[name])} -> {json.dumps(settings[name])}"
        for name in before
        if name in settings and before[name] != settings[name]
    ]
    if changed:
        raise ValueError(
            f"resume_from_checkpoint: {checkpoint} was trained with other settings "
            f"({', '.join(changed)}): resume with those, or train into another output_dir"
        )
