# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf audit`."""

from dataclasses import dataclass
from typing import Any

from .options import option


@dataclass
class AuditArguments:
    """What to audit."""

    data: list[str] = option("Prepared corpora, folders or Hub names; or one folder of recordings.")
    against: list[str] = option(
        "Checkpoints (folder, name in models/registry, Hub name): what have they seen of the data?",
        factory=list,
    )
    output: str | None = option("JSON file for all figures.", None, formerly=["json"])
    corpus: str = option("How recordings are read; docs/data.md lists the corpora.", "folder")
    corpus_options: dict[str, Any] = option(
        'Options of that corpus: \'{"sampling_rate": 250, "unit": "uV"}\' for tables.', factory=dict
    )
