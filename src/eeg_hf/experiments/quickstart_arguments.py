# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf quickstart`."""

from dataclasses import dataclass, field


@dataclass
class QuickstartArguments:
    """Where to work, and how long."""

    output_dir: str = field(default="runs/quickstart", metadata={"help": "Everything goes here."})
    corpus: str = field(default="eegmat", metadata={"help": "eegmat, or simulated."})
    pretrain_epochs: float = field(default=5, metadata={"help": "Epochs of pretraining."})
    finetune_epochs: float = field(default=5, metadata={"help": "Epochs of fine-tuning at most."})
    num_proc: int = field(default=2, metadata={"help": "Processes of the preparation."})
