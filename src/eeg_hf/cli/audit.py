# SPDX-License-Identifier: Apache-2.0
"""Look over prepared corpora before training on them: what is there, and what looks wrong.

    eeg-hf audit runs/data/eegmat
    eeg-hf audit runs/data/hbn runs/data/tuab --json audit.json

Copies of one corpus in another are found where both are given. The exit code is 0 whatever is found.
"""

import argparse
import json
import sys
from pathlib import Path

from ..corpora import audit, load_windows
from ..training import run_main


def run() -> None:
    """Print the table and the warnings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", help="Prepared corpora, folders or Hub names.")
    parser.add_argument("--json", type=Path, help="File to write all figures to.")
    args = parser.parse_args()
    found = audit(*map(load_windows, args.folders))
    if args.json:
        args.json.write_text(json.dumps(found.to_dict(), indent=2) + "\n")
    sys.stdout.write(f"{found}\n")


def main() -> None:
    """Run the command."""
    run_main(run, "eeg_hf.audit")


if __name__ == "__main__":
    main()
