# SPDX-License-Identifier: Apache-2.0
"""The main job, whole and small: prepare, pretrain, fine-tune, compare, load again.

It takes minutes on a laptop's CPU.


    eeg-hf quickstart                                   # EEGMAT and eegmmidb: found, else
    downloaded eeg-hf quickstart --corpus simulated                # no data, no network
    EEG_HF_DATA=/data eeg-hf quickstart --output_dir runs/mine

Each step is one of the other scripts, run with the command that is printed: copy it and change it. Where
neither the recordings nor a network are there, simulated EEG takes their place, which is said.
"""

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForSequenceClassification
from transformers.utils import logging

from ..corpora import get_corpus
from ..training import parse_recipe

SCRIPTS = Path(__file__).parent
logger = logging.get_logger("eeg_hf.quickstart")


@dataclass
class QuickstartArguments:
    """Where to work, and how long."""

    output_dir: str = field(default="runs/quickstart", metadata={"help": "Everything goes here."})
    corpus: str = field(default="eegmat", metadata={"help": "eegmat, or simulated."})
    pretrain_epochs: float = field(default=5, metadata={"help": "Epochs of pretraining."})
    finetune_epochs: float = field(default=5, metadata={"help": "Epochs of fine-tuning at most."})
    num_proc: int = field(default=2, metadata={"help": "Processes of the preparation."})


def main() -> None:
    """Run every step."""
    (args,) = parse_recipe((QuickstartArguments,), description=__doc__)
    started = time.monotonic()
    folder = Path(args.output_dir)
    corpora = choose_corpora(args.corpus)
    data = {corpus: folder / "data" / corpus for corpus in corpora}
    for corpus, target in data.items():
        # one person of eegmmidb adds another montage, and not an hour of download
        only = ["--subjects", "S001"] if corpus == "eegmmidb" else []
        run("prepare.py", "--corpus", corpus, "--output_dir", target, "--num_proc", args.num_proc, *only)
    main_data, table = data[corpora[0]], ["--data", data[corpora[0]], "--label_column", "condition"]
    train_once(
        *(folder / "pretrained", "pretrain.py", SCRIPTS / "recipes/pretrain_tiny.yaml"),
        *("--data", *data.values(), "--num_train_epochs", args.pretrain_epochs),
    )
    finetune = ["finetune.py", SCRIPTS / "recipes/finetune_eegmat.yaml", *table]
    finetune += ["--num_train_epochs", args.finetune_epochs]
    train_once(folder / "classifier", *finetune, "--model_name_or_path", folder / "pretrained")
    train_once(folder / "from_scratch", *finetune)
    train_once(folder / "eegnet", *finetune, "--architecture", "eegnet")
    run(
        *("evaluate.py", *table, "--output_dir", folder, "--runs"),
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


def train_once(output_dir: Path, script: str, *arguments: object) -> None:
    """Run a training, resumed where it was interrupted; one that ended with this command before is kept."""
    command = [*arguments, "--output_dir", output_dir, "--resume_from_checkpoint", "true"]
    marker = output_dir / "finished"
    if marker.exists() and marker.read_text() == shlex.join(map(str, command)):
        sys.stdout.write(f"\n{output_dir} is there already; delete it to train anew\n")
        return
    run(script, *command)
    marker.write_text(shlex.join(map(str, command)))


def run(script: str, *arguments: object) -> None:
    """Print a command and run it; end where it fails."""
    command = ["python", str(SCRIPTS / script), *map(str, arguments)]
    sys.stdout.write(f"\n$ {shlex.join(command)}\n")
    sys.stdout.flush()
    done = subprocess.run([sys.executable, *command[1:]], check=False)
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


if __name__ == "__main__":
    main()
