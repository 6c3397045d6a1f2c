# SPDX-License-Identifier: Apache-2.0
"""Audit prepared corpora: what they hold, and what looks wrong."""

import sys
from dataclasses import asdict

from ..corpora import audit, load_windows
from ..evaluation import write_json
from .auditing_arguments import AuditArguments
from .checkpoint_windows import compare_with

SEEN = 1  # exit code


def run(args: AuditArguments) -> None:
    """Print the table, the warnings, and what each checkpoint has seen; exit with 1 if one has seen any."""
    corpora = [load_windows(source) for source in args.data]
    compared = [compare_with(checkpoint, corpora) for checkpoint in args.against]
    found = audit(*corpora)
    if args.output:
        verdicts = [{**asdict(each), "is_clean": each.is_clean} for each in compared]
        write_json(args.output, {**found.to_dict(), "against": verdicts})
    sys.stdout.write("\n".join([f"{found}", *(f"\n{each}" for each in compared)]) + "\n")
    if not all(each.is_clean for each in compared):
        sys.exit(SEEN)
