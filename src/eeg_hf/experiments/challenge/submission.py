# SPDX-License-Identifier: Apache-2.0
"""Pack two fine-tuned regressors for the EEG2025 challenge: one zip that does not need eeg_hf."""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_model
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from ...corpora.hbn import MONTAGE
from ...hub.code import code_files
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...processing.normalization import robust_statistics
from .arguments import SubmissionArguments

logger = logging.get_logger(__name__)

CHANNELS = [*(f"{MONTAGE}/E{number}" for number in range(1, 129)), "Cz"]
SAMPLING_RATE, NUM_SAMPLES = 100, 200
MICROVOLT = {"V": 1e6, "uV": 1.0}
TEMPLATES = Path(__file__).parent / "submission_files"


def run(args: SubmissionArguments) -> None:
    """Write the folder and the zip, and run them."""
    output_dir = Path(args.output_dir)
    if output_dir.exists() and any(output_dir.iterdir()):
        raise ValueError(f"output_dir: expected a new or empty folder, {output_dir} holds files")
    opened = {
        f"challenge_{number}": open_regressor(source)
        for number, source in enumerate((args.challenge1, args.challenge2), 1)
    }  # before anything is written, as it may refuse a model
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, (model, extractor) in opened.items():
        write_model(output_dir, name, model, extractor, MICROVOLT[args.unit])
    for source in (TEMPLATES / "submission.py", *code_files(robust_statistics)):
        shutil.copy(source, output_dir)
    path = pack(output_dir)
    sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.1f} MB\n{try_submission(path)}")


def open_regressor(source: str) -> tuple[PreTrainedModel, EEGFeatureExtractor]:
    """Load a fine-tuned model and its feature extractor.

    Raises:
        FileNotFoundError: If the folder holds no model.
        ValueError: If the model does not take the challenge's windows, or is no regression.
    """
    if not (Path(source) / "config.json").is_file():  # asking the Hub would take half a minute
        raise FileNotFoundError(f"{source}: expected the folder of a fine-tuned model, it has no config.json")
    model = AutoModelForSequenceClassification.from_pretrained(source)
    extractor = EEGFeatureExtractor.from_pretrained(source)
    config = model.config
    if config.tasks is not None or config.num_labels != 1:
        outputs = config.tasks or f"num_labels={config.num_labels}"
        raise ValueError(f"{source}: expected a regression (num_labels=1), got {outputs}")
    for rate in (config.sampling_rate, extractor.sampling_rate):
        if rate != SAMPLING_RATE:
            raise ValueError(f"{source}: expected a model of {SAMPLING_RATE} Hz, got {rate:g} Hz")
    if config.max_seq_length < NUM_SAMPLES:
        raise ValueError(
            f"{source}: expected {NUM_SAMPLES} samples or more, got max_seq_length={config.max_seq_length}"
        )
    unknown = [name for name in config.channel_names or ["no names"] if name not in CHANNELS]
    if unknown or config.channel_positions is None:
        raise ValueError(
            f"{source}: expected channels of the 129 of {MONTAGE} (E1 to E128, Cz) and their positions, got "
            f"{', '.join(unknown[:3]) or 'no positions'}: fine-tune on the challenge's data"
        )
    if extractor.alignment != "none":
        raise ValueError(
            f"{source}: expected alignment='none', got {extractor.alignment!r}: the challenge does not "
            "name the subject of a window"
        )
    if extractor.reference != "original":
        logger.warning(
            f"{source}: the feature extractor has reference={extractor.reference!r}, but the challenge's "
            "windows are used without rereferencing"
        )
    return model, extractor


def write_model(
    folder: Path, name: str, model: PreTrainedModel, extractor: EEGFeatureExtractor, to_microvolt: float
) -> None:
    """Write the weights, the settings and the code of a model."""
    save_model(model, str(folder / f"{name}.safetensors"))
    cls, config = type(model), model.config
    saved: dict[str, Any] = {
        "module": cls.__module__.split(".")[-1],
        "class": cls.__name__,
        "config": config.to_dict(),
        "input": {
            "rows": [CHANNELS.index(channel) for channel in config.channel_names],
            "channel_positions": config.channel_positions,
            "to_microvolt": to_microvolt,
            "normalization": extractor.normalization,
            "clip": extractor.clip,
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")
    for source in code_files(cls):
        shutil.copy(source, folder)


def try_submission(path: Path) -> str:
    """Unpack the zip, run it in a process without eeg_hf, and return its report of time and size.

    Raises:
        ValueError: If it does not run, or returns anything but one finite number per window.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(path, folder)
        command = [sys.executable, str(TEMPLATES / "try_submission.py"), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no error message"])[-1]
        raise ValueError(f"{path} does not run without eeg_hf: {reason}")
    return done.stdout


def pack(folder: Path) -> Path:
    """Put all files of a folder into a zip without a folder."""
    path = folder / "submission.zip"
    files = sorted(file for file in folder.iterdir() if file.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
    return path
