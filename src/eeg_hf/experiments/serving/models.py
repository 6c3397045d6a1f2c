# SPDX-License-Identifier: Apache-2.0
"""The models that a server answers with."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...bundled_weights import find_weights
from ...processing.channels import STANDARD_19
from ..prediction.predicting import list_breaches, list_marks, load_pipeline

MADE_UP = "noise on the channels of its training"
_MADE_UP_SECONDS = 20.0  # longer than the filters of most contracts
_MIN_QUALITY = 0.5


class ServedModel:
    """A classifier or regressor with its signal contract.

    Args:
        name: Its name in addresses and answers.
        source: Folder or Hub name; it is in no answer.
        device: Such as cpu.

    Raises:
        ValueError: If the model has no signal contract, or several tasks.
    """

    def __init__(self, name: str, source: str, device: str) -> None:
        self.name = name
        self.classify = load_pipeline(source, device)
        config = self.classify.model.config
        if getattr(config, "tasks", None):
            raise ValueError(f"{source} has several tasks ({', '.join(config.tasks)}), expected one")
        self.extractor = self.classify.feature_extractor.to_dict()
        # One pass at a time: torch's threads are shared, and memory stays bounded
        self.worker = ThreadPoolExecutor(1, f"model {name}")

    def describe(self) -> dict[str, Any]:
        """Return what a client needs to know of the model."""
        config, contract = self.classify.model.config, self.extractor
        names = ("sampling_rate", "highpass_hz", "lowpass_hz", "reference", "channels", "window_seconds")
        labels = [str(label) for label in (config.id2label or {}).values()]
        return {
            "name": self.name,
            "architecture": str(config.model_type),
            "labels": labels if config.problem_type != "regression" and len(labels) > 1 else None,
            "signal_contract": {setting: contract.get(setting) for setting in names},
        }

    def make_up(self) -> dict[str, Any]:
        """Return noise on the channels of the training, as a request would bring it."""
        config, contract = self.classify.model.config, self.extractor
        names = contract["channels"] or getattr(config, "channel_names", None) or STANDARD_19
        rate = contract["sampling_rate"]
        count = round(max(contract["window_seconds"] or 0.0, _MADE_UP_SECONDS) * rate)
        noise = np.random.default_rng(0).normal(scale=20.0, size=(len(names), count))
        return {
            "samples": noise.round(1).tolist(),
            "sampling_rate": rate,
            "channel_names": list(names),
            "unit": "uV",
        }

    async def predict(
        self,
        features: Mapping[str, torch.Tensor],
        reports: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        batch_size: int,
    ) -> list[dict[str, Any]]:
        """Return an answer for each recording whose windows follow each other in `features`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.worker, lambda: self._predict(features, reports, options, batch_size)
        )

    def _predict(
        self,
        features: Mapping[str, torch.Tensor],
        reports: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        batch_size: int,
    ) -> list[dict[str, Any]]:
        dtype, size = self.classify.dtype, len(features["input_values"]) // len(reports)
        answers = []
        for number, report in enumerate(reports):
            part = {name: value[number * size : (number + 1) * size] for name, value in features.items()}
            part = {name: v.to(dtype) if v.is_floating_point() else v for name, v in part.items()}
            inputs = {"features": part, "report": dict(report), "channels": report["channels"]}
            outputs = self.classify.forward(inputs, window_batch_size=batch_size)
            found = self.classify.postprocess(outputs, **options)
            facts = {"seconds": report["duration_seconds"], "quality": report["quality"]}
            answers.append(
                {
                    **found,
                    **facts,
                    "marks": [*list_breaches(dict(report), _MIN_QUALITY), *list_marks(dict(report))],
                }
            )
        return answers


def load_models(words: Sequence[str], device: str) -> dict[str, ServedModel]:
    """Load the models that the words of a command line name.

    Args:
        words: `folder`, or `name=folder`; a folder alone has the name of its last part.
        device: Such as cpu.

    Raises:
        ValueError: If a name is not one for an address, or is there twice.
    """
    found: dict[str, ServedModel] = {}
    for word in words:
        name, separator, source = word.partition("=")
        if not separator:
            name, source = Path(word.rstrip("/")).name, word
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ValueError(f"models: expected a name of letters, digits, '-', '_' and '.', got {name!r}")
        if name in found:
            raise ValueError(f"models: {name} is there twice, write name=folder")
        found[name] = ServedModel(name, find_weights(source), device)
    return found
