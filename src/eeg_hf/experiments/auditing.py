# SPDX-License-Identifier: Apache-2.0
"""Audit prepared corpora: what they hold, and what looks wrong."""

import sys

from ..corpora import audit, load_windows
from ..evaluation import write_json
from .auditing_arguments import AuditArguments


def run(args: AuditArguments) -> None:
    """Print the table and the warnings."""
    found = audit(*map(load_windows, args.data))
    if args.output:
        write_json(args.output, found.to_dict())
    sys.stdout.write(f"{found}\n")
