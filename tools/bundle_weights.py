# SPDX-License-Identifier: Apache-2.0
"""Pack trained weights into the package: half precision, card, signal contract, facts of the training.

    eeg-hf prepare prepare_eegmat
    eeg-hf prepare --corpus eegmmidb --subjects S001 --output_dir runs/data/eegmmidb
    eeg-hf pretrain pretrain_bundled
    eeg-hf finetune finetune_eegmat --model runs/bundled/eeg-foundation-tiny \
        --output_dir runs/bundled/eeg-foundation-tiny-arithmetic
    python tools/bundle_weights.py

Statistics of second-order tokens stay in single precision. Pretraining heads are left out.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from eeg_hf import EEGFeatureExtractor
from eeg_hf.cli.parsing import Command
from eeg_hf.corpora import SeenWindows
from eeg_hf.experiments.training_statistics import TrainingStatistics
from eeg_hf.hub import facts_from_run, model_card

ENCODER, CLASSIFIER = "eeg-foundation-tiny", "eeg-foundation-tiny-arithmetic"
MAX_BYTES = 2_000_000
"""What all weights of the package may weigh together."""
CAVEATS = (
    "Trained on about two hours of EEG: a start for small corpora, not a foundation model of thousands of "
    "hours",
)


@dataclass
class BundleArguments:
    """Where the runs are, and where the weights go."""

    runs: str = field(default="runs/bundled", metadata={"help": "Folder of the two runs."})
    data: list[str] = field(
        default_factory=lambda: ["runs/data/eegmat", "runs/data/eegmmidb"],
        metadata={"help": "Prepared corpora of the pretraining; the first is that of the classifier."},
    )
    output_dir: str = field(default="src/eeg_hf/bundled", metadata={"help": "Folder in the package."})


def run(args: BundleArguments) -> None:
    """Pack the encoder and the classifier."""
    roles = {
        ENCODER: (AutoModel, {"pretraining": args.data}),
        CLASSIFIER: (
            AutoModelForSequenceClassification,
            {"pretraining": args.data, "fine-tuning": args.data[:1], "evaluation": args.data[:1]},
        ),
    }
    for name, (auto_class, data) in roles.items():
        source, folder = Path(args.runs) / name, Path(args.output_dir) / name
        pack(auto_class.from_pretrained(source, dtype=torch.float32), source, folder)
        earlier = [Path(args.runs) / ENCODER] if name == CLASSIFIER else []
        facts = facts_from_run(
            source,
            title=name,
            data=data,
            pretrained=earlier,
            saw_test_subjects=False if name == CLASSIFIER else None,
            caveats=CAVEATS,
        )
        (folder / "README.md").write_text(describe(model_card(facts, name), name), encoding="utf-8")
    total = sum(path.stat().st_size for path in Path(args.output_dir).rglob("*") if path.is_file())
    if total > MAX_BYTES:
        raise ValueError(
            f"{args.output_dir}: {total:,} bytes, at most {MAX_BYTES:,} may come with the package"
        )
    sys.stdout.write(f"{args.output_dir}: {total:,} bytes\n")


def describe(card: str, name: str) -> str:
    """Return the card of weights that come with the package, without what is for the Hub."""
    kept = re.sub(r"With transformers and mne only.*?(?=^## )", "", card, flags=re.DOTALL | re.MULTILINE)
    return kept.replace(f'"{name}"', f'eeg_hf.bundled("{name}")')


def pack(model: PreTrainedModel, source: Path, folder: Path) -> None:
    """Write a model's weights in half precision, its extractor, and what is known of its training."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {
        name: value if ".features." in name or not value.is_floating_point() else value.half()
        for name, value in model.state_dict().items()
    }
    model.save_pretrained(folder, state_dict=half)
    EEGFeatureExtractor.from_pretrained(source).save_pretrained(folder)
    seen = SeenWindows.load(source)
    if seen is None:
        raise ValueError(f"{source} does not say which windows it has seen: train it anew")
    seen.save(folder)
    if (statistics := TrainingStatistics.load(source)) is not None:  # of classifiers, for eeg-hf monitor
        statistics.save(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes for the owner only


COMMAND = main = Command("bundle_weights", __doc__, run, (BundleArguments,), program="python tools/")

if __name__ == "__main__":
    main()
