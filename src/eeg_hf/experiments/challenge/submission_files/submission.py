# SPDX-License-Identifier: Apache-2.0
"""Two regressors of eeg_hf for the EEG2025 challenge, with torch, transformers and safetensors alone.

Beside this file are, for each challenge, `challenge_<n>.safetensors` (weights) and `challenge_<n>.json`
(config and preprocessing of the input), and the code of both models.
"""

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model

FOLDERS = (Path(__file__).resolve().parent, Path("/app/input/res"), Path("/app/input"))
CODE = "eeg_hf_code"  # the files use relative imports, so they need a package
SAMPLING_RATE = 100.0
MICROVOLT_SCALE = 100.0  # what normalization="microvolt" divides by


def resolve_path(name: str) -> Path:
    """Return the path of a file of the submission."""
    for folder in FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is in none of {', '.join(map(str, FOLDERS))}")


def import_code(module: str) -> types.ModuleType:
    """Import a file beside this one as a module of a package."""
    package = types.ModuleType(CODE)
    package.__path__ = [str(resolve_path(f"{module}.py").parent)]
    sys.modules.setdefault(CODE, package)
    return importlib.import_module(f"{CODE}.{module}")


class ChallengeModel(torch.nn.Module):
    """A regressor with the preprocessing of its input.

    Args:
        model: Maps normalised windows to logits (batch, 1) in the unit of the target.
        settings: Rows of the challenge's windows that the model takes, their positions in metres, the factor
            to microvolts, the normalisation and its limit.
    """

    positions: torch.Tensor

    def __init__(self, model: torch.nn.Module, settings: dict[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.rows = settings["rows"]
        self.to_microvolt = settings["to_microvolt"]
        self.normalization = settings["normalization"]
        self.clip = settings["clip"]
        self.register_buffer("positions", torch.tensor(settings["channel_positions"]))

    def forward(self, eeg: torch.Tensor) -> torch.Tensor:
        """Map windows (batch, 129, time) at 100 Hz to predictions (batch, 1)."""
        values = eeg[:, self.rows].float() * self.to_microvolt
        values = torch.where(values.isfinite().all(dim=-1, keepdim=True), values, 0.0)
        is_real = values.amax(dim=-1) > values.amin(dim=-1)  # Cz, the reference, is always dead
        is_real |= ~is_real.any(dim=1, keepdim=True)  # a window of zeros gets a number, not NaN
        return self.model(
            self.normalize(values) * is_real[..., None],
            channel_positions=self.positions.expand(len(values), -1, -1),
            channel_mask=is_real,
        ).logits.float()

    def normalize(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise and clip (batch, channels, time) in microvolts as the feature extractor does."""
        if self.normalization == "none":
            return values
        if self.normalization == "microvolt":
            values = values / MICROVOLT_SCALE
        else:
            code = import_code("normalization")
            statistics = {"robust": code.robust_statistics, "zscore": code.mean_and_deviation}
            center, scale = statistics[self.normalization](values, None)
            values = (values - center) / scale
        return values if self.clip is None else values.clamp(-self.clip, self.clip)


class Submission:
    """The interface that the challenge calls."""

    def __init__(self, SFREQ: float, DEVICE: torch.device | str) -> None:  # noqa: N803 (the organisers' names)
        if SFREQ != SAMPLING_RATE:
            raise ValueError(f"SFREQ: expected {SAMPLING_RATE:g} Hz, got {SFREQ}")
        self.device = DEVICE

    def get_model_challenge_1(self) -> torch.nn.Module:
        """Return the regressor of response times in seconds."""
        return self.load("challenge_1")

    def get_model_challenge_2(self) -> torch.nn.Module:
        """Return the regressor of the trait."""
        return self.load("challenge_2")

    def load(self, name: str) -> torch.nn.Module:
        """Build a model and load its weights, all of which must match."""
        saved = json.loads(resolve_path(f"{name}.json").read_text(encoding="utf-8"))
        modeling = import_code(saved["module"])
        model_class = getattr(modeling, saved["class"])
        model = model_class(model_class.config_class.from_dict(saved["config"]))
        load_model(model, resolve_path(f"{name}.safetensors"))
        return ChallengeModel(model, saved["input"]).to(self.device).eval()
