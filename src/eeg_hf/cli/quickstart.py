# SPDX-License-Identifier: Apache-2.0
"""Run the whole way on a small scale: prepare, pretrain, fit classifiers, compare, load again.

    eeg-hf quickstart                                   # EEGMAT and eegmmidb, found or downloaded
    eeg-hf quickstart --corpus simulated                # no data, no network
    EEG_HF_DATA=/data eeg-hf quickstart --output_dir runs/mine

It takes minutes on a laptop's CPU. The table has two parts: subjects of whom nothing was used before the
test, and subjects whom their unlabelled windows recentre. Weights are pretrained anew, without the tested
subjects. Simulated EEG also has a ceiling, the best decoder, which knows the simulation. Each step is
another command of eeg-hf, which is printed: copy and change it. Without recordings and network, simulated
EEG is used, and a warning says so.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from .parsing import Command
from .steps import run_once, run_verb

RESUMED = ("--resume_from_checkpoint", "true")


@dataclass
class QuickstartArguments:
    """Where to work, and how long."""

    output_dir: str = field(default="runs/quickstart", metadata={"help": "Folder for everything."})
    corpus: str = field(default="eegmat", metadata={"help": "eegmat or simulated."})
    pretrain_epochs: float = field(default=3, metadata={"help": "Epochs of pretraining."})
    finetune_epochs: float = field(default=5, metadata={"help": "Epochs of EEGNet, the baseline, at most."})
    num_subjects: int = field(default=60, metadata={"help": "Simulated subjects."})
    num_proc: int = field(default=2, metadata={"help": "Processes of the preparation."})


def run(args: QuickstartArguments) -> None:
    """Run every step in this process."""
    started = time.monotonic()
    folder = Path(args.output_dir)
    corpora = choose_corpora(args.corpus)
    data = {corpus: folder / "data" / corpus for corpus in corpora}
    for corpus, target in data.items():
        # One subject of eegmmidb adds another montage, without an hour of download
        only = ["--subjects", "S001"] if corpus == "eegmmidb" else []
        if corpus == "simulated":
            only = ["--corpus_options", json.dumps({"num_subjects": args.num_subjects})]
        run_verb("prepare", "--corpus", corpus, "--output_dir", target, "--num_proc", args.num_proc, *only)
    # A third of EEGMAT's subjects is tested: the four of its published split decide nothing
    split = ["--split", "fold", "--num_folds", 3] if corpora[0] == "eegmat" else []
    table = ["--data", data[corpora[0]], "--label_column", "condition", *split]

    pretrain = ["pretrain", "pretrain_tiny", "--data", *data.values(), *split]
    run_once(folder / "pretrained", *pretrain, "--num_train_epochs", args.pretrain_epochs, *RESUMED)
    runs = train_classifiers(folder, ["finetune", "finetune_eegmat", *table], args.finetune_epochs)
    named = [f"{name}={run}" for name, run in runs.items()]
    run_verb("evaluate", *table, "--output_dir", folder, "--runs", *named)

    load_again(folder)
    if corpora == ["simulated"]:
        warn(
            f"SIMULATED EEG: neither recordings nor network were found, so {data['simulated']} is simulated "
            "and the table says nothing about real EEG. Set EEG_HF_DATA, or connect, and run again."
        )
    warn(f"done in {(time.monotonic() - started) / 60:.1f} minutes: see {folder / 'report.md'}")


def train_classifiers(folder: Path, finetune: list[object], epochs: float) -> dict[str, Path]:
    """Train the rows of the table, and return the folder of each by its name.

    Args:
        folder: Of the quickstart, with the pretrained weights.
        finetune: The command and what all rows share.
        epochs: Of EEGNet.
    """
    runs = {}
    for regime, suffix, alias in (("unseen", "", ""), ("all", "_aligned", ", aligned")):
        for name, start in (("pretrained", ["--model", folder / "pretrained"]), ("from scratch", [])):
            place = "classifier" if start else "from_scratch"
            run = runs[f"EEGFoundation tiny, {name}{alias}"] = folder / f"{place}{suffix}"
            run_once(run, *finetune, *start, "--regime", regime, *RESUMED)
    run = runs["EEGNet (braindecode)"] = folder / "eegnet"
    network = ["--architecture", "eegnet", "--head", "finetune", "--num_train_epochs", epochs]
    run_once(run, *finetune, *network, *RESUMED)
    return runs


def choose_corpora(corpus: str) -> list[str]:
    """Return the real corpora if they are here or can be downloaded, otherwise the simulated one."""
    from ..corpora import get_corpus

    if corpus == "simulated":
        return ["simulated"]
    try:
        get_corpus(corpus).locate()
        get_corpus("eegmmidb").locate(subjects=["S001"])
    except (OSError, RuntimeError) as error:
        warn(f"no recordings: {error}")
        return ["simulated"]
    return [corpus, "eegmmidb"]


def load_again(folder: Path) -> None:
    """Load the saved models as users do, and run them."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModel, AutoModelForSequenceClassification

    extractor = AutoFeatureExtractor.from_pretrained(folder / "classifier")
    classifier = AutoModelForSequenceClassification.from_pretrained(folder / "classifier")
    encoder = AutoModel.from_pretrained(folder / "pretrained")
    num_samples = int(extractor.sampling_rate * extractor.window_seconds)
    eeg = torch.randn(1, classifier.config.num_channels, num_samples)
    with torch.no_grad():
        logits, embeddings = classifier(eeg).logits, encoder.get_embeddings(eeg)
    warn(
        f"{folder}/classifier and {folder}/pretrained load with the Auto classes: "
        f"logits {tuple(logits.shape)}, embeddings {tuple(embeddings.shape)}, "
        f"{encoder.num_parameters():,} parameters"
    )


def warn(message: str) -> None:
    """Log a message."""
    from transformers.utils import logging

    logging.get_logger(__name__).warning(message)


COMMAND = main = Command("quickstart", __doc__ or "", run, (QuickstartArguments,))

if __name__ == "__main__":
    main()
