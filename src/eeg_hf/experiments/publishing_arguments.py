# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf push`."""

from dataclasses import dataclass, field


@dataclass
class PushArguments:
    """What to push, and where."""

    repo_id: str = field(metadata={"help": "Repository, such as org/eeg-foundation-eegmat."})
    version: str = field(metadata={"help": "Tag, such as v1.0."})
    model: str | None = field(default=None, metadata={"help": "Folder of a saved model."})
    data: str | None = field(
        default=None,
        metadata={"help": "Folder of a prepared corpus, instead of a model.", "formerly": ["dataset"]},
    )
    facts: str | None = field(default=None, metadata={"help": "Facts of the card, from tools/make_cards.py."})
    private: bool | None = field(default=None, metadata={"help": "Whether a new repository is private."})
    overwrite: bool = field(default=False, metadata={"help": "Move an existing version to this model."})
    dry_run: bool = field(default=False, metadata={"help": "Only list what would be pushed."})
