# SPDX-License-Identifier: Apache-2.0
"""Try every architecture of braindecode inside transformers, and write docs/braindecode.md.

    python tools/list_braindecode.py

For each one: the same output as the bare network, one step of Trainer's loss, the same output after
save_pretrained and from_pretrained. Sizes are 19 electrodes at 200 Hz, windows of 2, 10 or 30 s, the first
that an architecture accepts.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import mne
import torch
from tqdm import tqdm

from eeg_hf import BraindecodeConfig, BraindecodeForSequenceClassification
from eeg_hf.atomic_files import write_text
from eeg_hf.models.modeling_braindecode import build_network, forward_options, list_architectures
from eeg_hf.processing.electrode_positions import electrode_positions
from eeg_hf.tables import escape_cell, markdown_table

PAGE = Path(__file__).parents[1] / "docs/braindecode.md"
NAMES = [*("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz"), *("C4", "T8", "P7", "P3", "Pz")]
NAMES += ["P4", "P8", "O1", "O2"]
SECONDS = (2, 10, 30)
RATE_HZ, NUM_CLASSES, BATCH = 200, 3, 2
HEAD = """# Architectures of braindecode

`BraindecodeForSequenceClassification` hosts the networks of [braindecode](https://braindecode.org) {version},
as transformers hosts those of timm: a config, safetensors, the Auto classes, Trainer, pipelines, the Hub. The
network is braindecode's own (BSD-3-Clause).

```python
from eeg_hf import BraindecodeConfig, BraindecodeForSequenceClassification

config = BraindecodeConfig(architecture="EEGConformer", num_channels=19, num_samples=400, num_labels=2)
model = BraindecodeForSequenceClassification(config)
```

Train one by its name, or compare several:

```bash
eeg-hf finetune finetune_tiny --data runs/data/eegmat --label_column condition --head finetune \\
    --architecture braindecode/EEGConformer
eeg-hf evaluate --data runs/data/eegmat --label_column condition --folds 5 --output_dir runs/networks \\
    --methods braindecode/EEGNet braindecode/Labram
```

`--network '{{"num_layers": 2}}'` passes arguments of braindecode's class. A network is tried on a window
first: one that needs other channels or lengths is refused in one line.

## Weights that others published

```python
from eeg_hf.hub import load_published

published = load_published("labram.pt", "Labram", channels=["C3", "Cz", "C4"], window_seconds=4)
print(published.report.describe())
published.save_pretrained("runs/labram")  # for eeg-hf finetune --model and pipelines
```

Every tensor is accounted for; a partial load is refused unless `allow_partial=True`. The feature extractor
has the rate, the filters, the unit and the reference that the weights were trained with, and interpolates or
derives the channels that a recording lacks. Known are Labram, BIOT, CBraMod, EEGPT, REVE, BENDR and
SignalJEPA. **None of these weights could be fetched here**: the tests write checkpoints in the layouts that
are published (a folder of safetensors, a plain dictionary, LaBraM's `student.` in `model`, Lightning's
`state_dict`). REVE cannot be built without its table of positions, which braindecode downloads.

## All architectures

Tried by `python tools/list_braindecode.py` with 19 electrodes at 200 Hz: {passed} of {tried}
architectures give the output of the bare network bit for bit, have finite gradients in one step, and give the
same output after `save_pretrained` and `from_pretrained`.
"""


def main() -> None:
    """Try all and write the page."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    mne.set_log_level("ERROR")
    import braindecode

    rows = [try_architecture(name) for name in tqdm(list_architectures(), "architectures")]
    passed = sum(row["Verdict"] == "equal" for row in rows)
    head = HEAD.format(version=braindecode.__version__, passed=passed, tried=len(rows))
    table = markdown_table(rows, ["Architecture", "Verdict"])
    write_text(PAGE, f"{head}\n{table}\n")
    sys.stdout.write(f"{passed} of {len(rows)}: {PAGE}\n")


def try_architecture(name: str) -> dict[str, str]:
    """Return the row of an architecture."""
    row = {"Architecture": name, "Parameters": "–", "Window": "–", "Verdict": ""}
    for seconds in SECONDS:
        places = electrode_positions(NAMES)
        config = BraindecodeConfig(
            architecture=name,
            num_channels=len(NAMES),
            num_samples=RATE_HZ * seconds,
            sampling_rate=float(RATE_HZ),
            channel_names=NAMES,
            channel_positions=[list(map(float, place)) for place in places],
            num_labels=NUM_CLASSES,
        )
        try:
            verdict, size = judge(config)
        except Exception as error:  # the reason is what the page is for
            row["Verdict"] = escape_cell(str(error))[:160]
            continue
        return {**row, "Parameters": f"{size:,}", "Window": f"{seconds} s", "Verdict": verdict}
    return row


def judge(config: BraindecodeConfig) -> tuple[str, int]:
    """Compare the hosted network with the bare one; return a verdict and the number of parameters."""
    windows = torch.randn(BATCH, config.num_channels, config.num_samples)
    torch.manual_seed(0)
    bare = build_network(config).eval()
    torch.manual_seed(0)
    hosted = BraindecodeForSequenceClassification(config).eval()
    size = sum(weight.numel() for weight in hosted.parameters())
    with torch.no_grad():
        expected = output_of(lambda: bare(windows, **forward_options(bare, config)))
        if not torch.equal(hosted(windows).logits, expected):
            return "other output than the bare network", size
    hosted.train()
    torch.manual_seed(0)
    hosted(windows, labels=torch.arange(BATCH)).loss.backward()
    gradients = [weight.grad for weight in hosted.parameters() if weight.grad is not None]
    if not gradients or not all(gradient.isfinite().all() for gradient in gradients):
        return "no finite gradient", size
    hosted.eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        expected = output_of(lambda: hosted(windows).logits)
        hosted.save_pretrained(folder)
        loaded = BraindecodeForSequenceClassification.from_pretrained(folder).eval()
        if not torch.equal(output_of(lambda: loaded(windows).logits), expected):
            return "other output after a file", size
    return "equal", size


def output_of(compute: Any) -> torch.Tensor:
    """Return an output that depends on no other random number than seed 0."""
    torch.manual_seed(0)
    return compute()


if __name__ == "__main__":
    main()
