# SPDX-License-Identifier: Apache-2.0
"""A folder for a Space of the Hub: the same page, with the model beside it."""

import shutil
from importlib.metadata import version
from pathlib import Path

import eeg_hf

from ...bundled_weights import bundled_names

_APP = '''"""The page of eeg_hf for one model: https://huggingface.co/docs/hub/spaces-sdks-gradio."""

from eeg_hf.experiments.demo.arguments import DemoArguments
from eeg_hf.experiments.demo.demo import run

run(DemoArguments(words=[{model!r}], host="0.0.0.0", port=7860))
'''
_README = """---
title: EEG demo
emoji: 🧠
colorFrom: indigo
colorTo: gray
sdk: gradio
sdk_version: {gradio}
python_version: "3.12"
app_file: app.py
pinned: false
license: apache-2.0
tags: [eeg, eeg_hf]
{models}---

# EEG demo

Drop a recording and see the answer of `{name}`: scores of each window, quality, attributions, embeddings.
A research model, not a medical device. Do not upload recordings of people who have not agreed to it.

Written by `eeg-hf demo --space`; to publish: `hf upload USER/SPACE . --repo-type space`.
"""


def write_space(folder: Path, model: str) -> None:
    """Write `app.py`, `README.md` with its front matter, `requirements.txt`, and a local model.

    Args:
        folder: New or empty.
        model: Folder (copied), Hub name or bundled name.

    Raises:
        ValueError: If the folder holds other files, or the model's folder holds none.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"space: expected a new or empty folder, {folder} holds files")
    source, name, models = Path(model), model, ""
    if model in bundled_names() and not source.exists():
        pass
    elif source.is_dir():
        if not (source / "config.json").exists():
            raise ValueError(f"{model} holds no config.json: expected a trained model")
        name = source.resolve().name
        kept = ("*.json", "*.safetensors", "*.onnx", "*.md", "*.parquet")
        files = [path for pattern in kept for path in sorted(source.glob(pattern))]
        (folder / "model").mkdir(parents=True)
        for path in files:  # no optimizer, no checkpoints of the training
            shutil.copy(path, folder / "model" / path.name)
        model = "model"
    else:
        models = f"models: [{model}]\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(_APP.format(model=model))
    (folder / "README.md").write_text(_README.format(gradio=version("gradio"), name=name, models=models))
    (folder / "requirements.txt").write_text(f"eeg-hf[demo,formats]=={eeg_hf.__version__}\n")
