# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf serve`."""

from dataclasses import dataclass
from typing import Any

from ..options import option


@dataclass
class ServeArguments:
    """Models, and what a stranger may ask of them."""

    models: list[str] = option(
        "Trained models: a folder, a Hub name, or name=folder; the first is the default.", factory=list
    )
    host: str = option("Address to listen on; 0.0.0.0 for every network.", "127.0.0.1")
    port: int = option("Port to listen on; 0 chooses a free one.", 8000)
    max_megabytes: float = option("Largest body of a request.", 100.0)
    max_seconds: float = option("Longest recording.", 3600.0)
    max_channels: int = option("Most channels of a recording.", 512)
    max_files: int = option("Most files of one request.", 32)
    timeout_seconds: float = option("Time for one request, from the first byte to the answer.", 60.0)
    concurrency: int = option("Recordings that are read at the same time, each in its own process.", 2)
    max_waiting: int = option("Requests that may wait; further ones get 503.", 64)
    reader_megabytes: float = option("Memory that reading one recording may take.", 2048.0)
    batch_size: int = option("Windows in one forward pass.", 32)
    device: str = option("Such as cpu or cuda.", "cpu")

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_seconds", "timeout_seconds", "reader_megabytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("max_channels", "max_files", "concurrency", "max_waiting", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")


def require_models(settings: dict[str, Any]) -> dict[str, Any]:
    """Refuse a command line without a model."""
    if not settings.get("models"):
        raise ValueError("expected a model: eeg-hf serve runs/classifier")
    return settings
