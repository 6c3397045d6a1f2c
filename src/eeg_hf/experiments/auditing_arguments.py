# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf audit`."""

from dataclasses import dataclass, field


@dataclass
class AuditArguments:
    """What to look over."""

    data: list[str] = field(metadata={"help": "Prepared corpora, folders or Hub names."})
    json: str | None = field(default=None, metadata={"help": "File to write all figures to."})
