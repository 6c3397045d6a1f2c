# SPDX-License-Identifier: Apache-2.0
"""Run a study of second-order models and write its results, tables and figure."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...atomic_files import write_text
from ...collation.group_calibrations import REGIMES
from ...evaluation import chance_level, collect_provenance, write_json
from .arguments import SecondOrderArguments
from .comparison import run_methods
from .corpus import StudyCorpus
from .label_efficiency import run_label_efficiency, summarize_labels
from .label_shift import run_label_shift, summarize_shift
from .methods import build_method
from .tables import labels_table, methods_table, plot_labels, shift_table

# What may grow from one run to the next: predictions that are there stay valid
_GROWING = ("output_dir", "parts", "methods", "regimes", "seeds", "features")


def run(args: SecondOrderArguments) -> None:
    """Run the parts that are asked for; a run that was killed goes on where it stopped."""
    args.check()
    if unknown := sorted(set(args.regimes) - set(REGIMES)):
        raise ValueError(f"regimes: expected some of {', '.join(REGIMES)}, got {', '.join(unknown)}")
    corpus = StudyCorpus.load(args)
    for name in args.methods:
        build_method(name, corpus)  # an unknown name ends here, not after an hour
    folder = Path(args.output_dir)
    refuse_other_settings(args, folder / "settings.json")
    results: dict[str, Any] = {}
    tables = []
    if "methods" in args.parts:
        results["methods"] = run_methods(corpus, folder / "predictions")
        tables.append(methods_table(results["methods"]))
    if "label_efficiency" in args.parts:
        results["label_efficiency"] = summarize_labels(run_label_efficiency(corpus, folder / "few_labels"))
        tables.append(labels_table(results["label_efficiency"]))
        plot_labels(results["label_efficiency"], folder / "few_labels.png")
    if "label_shift" in args.parts:
        results["label_shift"] = summarize_shift(run_label_shift(corpus, folder / "label_shift"))
        tables.append(shift_table(results["label_shift"]))
    results["provenance"] = collect_provenance(
        dataset=", ".join(corpus.rows.unique("corpus")),
        licence=", ".join(corpus.rows.unique("licence")),
        seeds=args.seeds,
        chance=chance_level(corpus.labels),
        split=f"{args.folds} folds by {'blocks of windows' if args.block_windows else args.group_column}",
        windows=len(corpus.rows),
    )
    write_json(folder / "results.json", results)
    text = "\n\n".join(tables) + "\n"
    write_text(folder / "tables.md", text)
    sys.stdout.write(text)


def refuse_other_settings(args: SecondOrderArguments, path: Path) -> None:
    """Store the settings, or raise a ValueError where the folder holds results of others."""
    own = {name: value for name, value in asdict(args).items() if name not in _GROWING}
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name, value in own.items() if stored.get(name, value) != value]
        if differing:
            raise ValueError(
                f"{path.parent} holds results with other settings of {', '.join(differing)}: choose another "
                "--output_dir"
            )
    write_json(path, own)
