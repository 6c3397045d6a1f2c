# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf demo`."""

from dataclasses import dataclass

from ..options import option


@dataclass
class DemoArguments:
    """A model, and where its page is shown."""

    words: list[str] = option(
        "Trained model, folder or Hub name; the one of the package by default.", factory=list
    )
    host: str = option("Address to listen on; 0.0.0.0 for every network.", "127.0.0.1")
    port: int = option("Port to listen on; 0 chooses a free one.", 7860)
    space: str | None = option("Write a folder for a Space of the Hub instead, and end.", None)
    max_megabytes: float = option("Largest file.", 100.0)
    max_seconds: float = option("Longest recording.", 3600.0)
    timeout_seconds: float = option("Time for reading one recording.", 60.0)
    device: str = option("Such as cpu or cuda.", "cpu")

    @property
    def model(self) -> str:
        """The model of the page."""
        if len(self.words) > 1:
            raise ValueError(f"expected one model, got {', '.join(self.words)}")
        return self.words[0] if self.words else "eeg-foundation-tiny-arithmetic"

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_seconds", "timeout_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
