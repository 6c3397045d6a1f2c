# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf stream`."""

from dataclasses import dataclass
from typing import Any, Literal

from ..options import option


@dataclass
class StreamArguments:
    """A model, where samples come from, and where answers go."""

    words: list[str] = option("The model, as the first word without a name.", factory=list)
    model: str | None = option("Trained classifier or its export; default: the first word.", None)
    source: str = option("lsl:NAME, brainflow:synthetic, or a recording to replay.", "lsl:")
    sinks: list[str] = option(
        "-, a .csv file, lsl:NAME, ws://:PORT; several are allowed.", factory=lambda: ["-"]
    )
    hop_seconds: float | None = option("From answer to answer; default: the length of a window.", None)
    phase: Literal["minimum", "linear"] = option(
        "minimum answers soon, linear waits for the filters and equals the contract.", "minimum"
    )
    calibrate: float = option("Seconds at the start that decide what a recording would; 0 is off.", 0.0)
    unit: Literal["V", "mV", "uV"] | None = option("Of an LSL stream that states none.", None)
    channel_names: list[str] | None = option("Of an LSL stream that states none.", None)
    speed: str = option("Of a replayed file: 1, 10, max.", "1")
    seconds: float = option("End after this much of the stream; 0 for no end.", 0.0)
    wait_seconds: float = option("How long a source is waited for that is not there or went away.", 30.0)
    gap_seconds: float = option("Stamps that jump by more are a gap.", 0.1)
    queue_seconds: float = option("Samples held for a slow machine or consumer before they are dropped.", 5.0)
    device: str = option("Such as cpu or cuda.", "cpu")


def take_model(settings: dict[str, Any]) -> dict[str, Any]:
    """Read the first word as the model."""
    words = list(settings.get("words", []))
    if settings.get("model") is None and len(words) == 1:
        return {**settings, "model": words[0], "words": []}
    if settings.get("model") is None or words:
        raise ValueError(
            f"expected one model, got {len(words)} words: eeg-hf stream runs/classifier --source lsl:NAME"
        )
    return settings


__all__ = ["StreamArguments", "take_model"]
