# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf push`."""

from dataclasses import dataclass

from .options import option


@dataclass
class PushArguments:
    """What to push, and where."""

    repo_id: str = option("Repository, such as org/eeg-foundation-eegmat.")
    version: str = option("Tag, such as v1.0.")
    model: str | None = option("Folder of a saved model.", None)
    data: str | None = option("Folder of a prepared corpus, instead of a model.", None, formerly=["dataset"])
    facts: str | None = option("Facts of the card, from tools/make_cards.py.", None)
    private: bool | None = option("Whether a new repository is private.", None)
    overwrite: bool = option("Move an existing version to this model.", False)
    dry_run: bool = option("Only list what would be pushed.", False)
