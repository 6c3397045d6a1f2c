# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf audit`."""

from dataclasses import dataclass, field


@dataclass
class AuditArguments:
    """What to audit."""

    data: list[str] = field(metadata={"help": "Prepared corpora, folders or Hub names."})
    output: str | None = field(
        default=None, metadata={"help": "JSON file for all figures.", "formerly": ["json"]}
    )
