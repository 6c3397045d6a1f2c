# SPDX-License-Identifier: Apache-2.0
"""Look over prepared corpora before training on them: what is there, and what looks wrong."""

import json
import sys
from pathlib import Path

from ..corpora import audit, load_windows
from .auditing_arguments import AuditArguments


def run(args: AuditArguments) -> None:
    """Print the table and the warnings."""
    found = audit(*map(load_windows, args.data))
    if args.json:
        Path(args.json).write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{found}\n")
