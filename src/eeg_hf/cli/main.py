# SPDX-License-Identifier: Apache-2.0
"""EEG foundation models in the Hugging Face ecosystem: from recordings to a model, one verb per step.

    eeg-hf prepare --corpus eegmat --output_dir runs/data/eegmat
    eeg-hf pretrain pretrain_tiny --data runs/data/eegmat --output_dir runs/pretrained
    eeg-hf finetune finetune_eegmat --model runs/pretrained --output_dir runs/classifier
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --output_dir runs/table

`eeg-hf VERB --help` describes one verb. Several processes: `accelerate launch -m eeg_hf.cli.pretrain …`.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import eeg_hf

from ..suggestions import did_you_mean

VERBS = {
    "Data": ("prepare", "audit"),
    "Models": ("pretrain", "finetune", "train-phases", "train-tokenizer", "train-clip", "train-ensemble"),
    "Results": (
        "evaluate",
        "evaluate-second-order",
        "evaluate-infilling",
        "evaluate-contrast",
        "evaluate-eeg2025",
        "make-submission",
    ),
    "Use": ("study", "view", "predict", "monitor", "export", "stream", "serve", "demo"),
    "Tokens and images": (
        "store-as-tokens",
        "embed-images",
        "export-embeddings",
        "eval-retrieval",
        "reconstruct-images",
    ),
    "Sharing": ("push",),
    "This installation": ("selftest", "quickstart", "recipes", "info", "completion"),
}
FORMER = {"push-to-hub": "push", "train-hydra": "train-tokenizer"}


def main(words: Sequence[str] | None = None) -> None:
    """Run a verb. An unknown verb ends with one line and exit code 2.

    Args:
        words: The command line without the program; default: that of this process.
    """
    words = list(sys.argv[1:] if words is None else words)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return
    if words[0] in ("-V", "--version"):
        sys.stdout.write(f"eeg-hf {eeg_hf.__version__}\n")
        return
    verb = words[0].replace("_", "-")
    if verb in FORMER:
        sys.stderr.write(f"eeg-hf: {words[0]} is now {FORMER[verb]}\n")
        verb = FORMER[verb]
    known = [name for names in VERBS.values() for name in names]
    if verb not in known:
        hint = did_you_mean(verb, known) or "; `eeg-hf --help` lists the commands"
        sys.stderr.write(f"eeg-hf: unknown command {words[0]!r}{hint}\n")
        sys.exit(2)
    try:
        importlib.import_module(f".{verb.replace('-', '_')}", __package__).main(words[1:])
    except KeyboardInterrupt:
        sys.stderr.write(f"eeg-hf {verb}: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:  # `eeg-hf recipes | head`
        sys.exit(141)


def overview() -> str:
    """Return the help of the whole command: examples, then every verb with one line."""
    lines = [
        "usage: eeg-hf VERB [recipe] [setting=value ...] [--option value ...]",
        "",
        (__doc__ or "").strip(),
    ]
    for title, names in VERBS.items():
        lines += ["", f"{title}:", *(f"  {name:22}{summarize(name)}" for name in names)]
    return "\n".join(lines) + "\n"


def summarize(verb: str) -> str:
    """Return the first line of a verb's docstring, read without importing the module."""
    source = Path(__file__).with_name(f"{verb.replace('-', '_')}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
