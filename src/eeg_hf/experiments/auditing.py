# SPDX-License-Identifier: Apache-2.0
"""Audit prepared corpora or recordings: what they hold, and what looks wrong."""

import sys
from dataclasses import asdict
from pathlib import Path

from ..corpora import audit, audit_recordings, get_corpus, load_windows
from ..evaluation import write_json
from .auditing_arguments import AuditArguments
from .checkpoint_windows import compare_with

SEEN = 1  # exit code


def run(args: AuditArguments) -> None:
    """Print the table, the warnings, and what each checkpoint has seen; exit with 1 if one has seen any."""
    for path in map(Path, args.data):
        if path.is_file():
            raise ValueError(
                f"audit: {path} is a file, expected a folder of recordings or of prepared windows, such as "
                f"{path.absolute().parent}"
            )
    are_recordings = [_holds_recordings(Path(path)) for path in args.data]
    if any(are_recordings):
        _audit_recordings(args, all(are_recordings))
        return
    corpora = [load_windows(source) for source in args.data]
    compared = [compare_with(checkpoint, corpora) for checkpoint in args.against]
    found = audit(*corpora)
    if args.output:
        verdicts = [{**asdict(each), "is_clean": each.is_clean} for each in compared]
        write_json(args.output, {**found.to_dict(), "against": verdicts})
    sys.stdout.write("\n".join([f"{found}", *(f"\n{each}" for each in compared)]) + "\n")
    if not all(each.is_clean for each in compared):
        sys.exit(SEEN)


def _audit_recordings(args: AuditArguments, are_all: bool) -> None:
    """Print the table of one folder of recordings."""
    if not are_all or len(args.data) > 1 or args.against:
        raise ValueError(
            "audit: expected prepared corpora, or one folder of recordings and no --against, got "
            f"{', '.join(args.data)}"
        )
    found = audit_recordings(get_corpus(args.corpus, **args.corpus_options), args.data[0])
    if args.output:
        write_json(args.output, found.to_dict())
    sys.stdout.write(f"{found}\n")


def _holds_recordings(folder: Path) -> bool:
    """Return whether a folder is one of recordings, and not one that `prepare` has written, even in part."""
    if not folder.is_dir() or (folder / "preprocessor_config.json").exists():
        return False
    return not any(True for kind in ("", "data") for _ in (folder / kind).glob("*.parquet"))
