# SPDX-License-Identifier: Apache-2.0
"""The main job, whole and small: prepare, pretrain, fine-tune, compare, load again."""

import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForSequenceClassification
from transformers.utils import logging

from ..corpora import get_corpus
from .quickstart_arguments import QuickstartArguments

logger = logging.get_logger("eeg_hf.quickstart")


def run(args: QuickstartArguments) -> None:
    """Run every step."""
    started = time.monotonic()
    folder = Path(args.output_dir)
    corpora = choose_corpora(args.corpus)
    data = {corpus: folder / "data" / corpus for corpus in corpora}
    for corpus, target in data.items():
        # one person of eegmmidb adds another montage, and not an hour of download
        only = ["--subjects", "S001"] if corpus == "eegmmidb" else []
        run_verb("prepare", "--corpus", corpus, "--output_dir", target, "--num_proc", args.num_proc, *only)
    main_data, table = data[corpora[0]], ["--data", data[corpora[0]], "--label_column", "condition"]
    train_once(
        *(folder / "pretrained", "pretrain", "pretrain_tiny"),
        *("--data", *data.values(), "--num_train_epochs", args.pretrain_epochs),
    )
    finetune = ["finetune", "finetune_eegmat", *table]
    finetune += ["--num_train_epochs", args.finetune_epochs]
    train_once(folder / "classifier", *finetune, "--model_name_or_path", folder / "pretrained")
    train_once(folder / "from_scratch", *finetune)
    train_once(folder / "eegnet", *finetune, "--architecture", "eegnet")
    run_verb(
        *("evaluate", *table, "--output_dir", folder, "--runs"),
        f"EEGFoundation tiny, pretrained={folder / 'classifier'}",
        f"EEGFoundation tiny, from scratch={folder / 'from_scratch'}",
        f"EEGNet (braindecode)={folder / 'eegnet'}",
    )
    load_again(folder)
    warn_if_simulated(corpora, main_data)
    logger.warning(f"done in {(time.monotonic() - started) / 60:.1f} minutes: see {folder / 'report.md'}")


def choose_corpora(corpus: str) -> list[str]:
    """Return the corpora to use: the real ones if they can be had, else the simulated one."""
    if corpus == "simulated":
        return ["simulated"]
    try:
        get_corpus(corpus).locate()
        get_corpus("eegmmidb").locate(subjects=["S001"])
    except (OSError, RuntimeError) as error:
        logger.warning(f"no recordings: {error}")
        return ["simulated"]
    return [corpus, "eegmmidb"]


def warn_if_simulated(corpora: list[str], data: Path) -> None:
    """Say loudly that nothing was recorded."""
    if corpora == ["simulated"]:
        logger.warning(
            f"SIMULATED EEG: neither recordings nor network were there, so {data} was made by a generator "
            "and the table "
            "says nothing about people. Set EEG_HF_DATA, or connect, and run again for the real thing."
        )


def train_once(output_dir: Path, verb: str, *arguments: object) -> None:
    """Run a training, resumed where it was interrupted; one that this very command finished is kept."""
    command = [*arguments, "--output_dir", output_dir, "--resume_from_checkpoint", "true"]
    marker = output_dir / "finished"
    if marker.exists() and marker.read_text() == shlex.join(map(str, command)):
        sys.stdout.write(f"\n{output_dir} is there already; delete it to train anew\n")
        return
    run_verb(verb, *command)
    marker.write_text(shlex.join(map(str, command)))


def run_verb(verb: str, *arguments: object) -> None:
    """Print a command and run it; end where it fails."""
    words = list(map(str, arguments))
    sys.stdout.write(f"\n$ {shlex.join(['eeg-hf', verb, *words])}\n")
    sys.stdout.flush()
    done = subprocess.run([sys.executable, "-m", "eeg_hf.cli.main", verb, *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def load_again(folder: Path) -> None:
    """Load what was saved the way a user will, and run it."""
    extractor = AutoFeatureExtractor.from_pretrained(folder / "classifier")
    classifier = AutoModelForSequenceClassification.from_pretrained(folder / "classifier")
    encoder = AutoModel.from_pretrained(folder / "pretrained")
    samples = int(extractor.sampling_rate * extractor.window_seconds)
    eeg = torch.randn(1, classifier.config.num_channels, samples)
    with torch.no_grad():
        logits, embeddings = classifier(eeg).logits, encoder.get_embeddings(eeg)
    logger.warning(
        f"{folder}/classifier and {folder}/pretrained load with the Auto classes: logits "
        f"{tuple(logits.shape)}, "
        f"embeddings {tuple(embeddings.shape)}, {encoder.num_parameters():,} parameters"
    )
