# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf audit`."""

from dataclasses import dataclass

from .options import option


@dataclass
class AuditArguments:
    """What to audit."""

    data: list[str] = option("Prepared corpora, folders or Hub names.")
    against: list[str] = option(
        "Checkpoints (folder, name in models/registry, Hub name): what have they seen of the data?",
        factory=list,
    )
    output: str | None = option("JSON file for all figures.", None, formerly=["json"])
