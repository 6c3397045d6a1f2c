# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf store-as-tokens`."""

from dataclasses import dataclass, field


@dataclass
class TokensArguments:
    """What to store, with which codec."""

    codec: str | None = field(
        default=None, metadata={"help": "Folder or Hub name of a codec and its feature extractor."}
    )
    recording: str | None = field(default=None, metadata={"help": "A recording; else one of the corpus."})
    corpus: str = field(default="simulated", metadata={"help": "Whose first recording to take."})
    output_dir: str = field(default="runs/tokens", metadata={"help": "Where the files go."})
    start: float = field(default=0.0, metadata={"help": "Where the picture begins, in seconds."})
    seconds: float = field(default=5.0, metadata={"help": "How much of it the picture shows."})
    channels: int = field(default=6, metadata={"help": "How many channels the picture shows at most."})
