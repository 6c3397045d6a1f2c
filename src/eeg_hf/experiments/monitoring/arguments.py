# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf monitor`."""

from dataclasses import dataclass
from typing import Any

from ..options import option


@dataclass
class MonitorArguments:
    """A model, and the recordings that it meets."""

    inputs: list[str] = option("Recordings, folders, or patterns such as 'lab/*.edf'.")
    model: str | None = option("Trained model, folder or Hub name; default: the first word.", None)
    output_dir: str = option("Folder of the log and the page; a later call appends.", "runs/monitor")
    false_alarm_rate: float = option(
        "Share of calls that may raise an alarm while nothing has changed.", 0.01
    )
    recent: int = option("Last recordings of the log that are compared with the training together.", 50)
    fail_on_alarm: bool = option("End with exit code 1 after an alarm, or where a file was not read.", False)
    corpus_options: dict[str, Any] = option(
        'Options of a folder, such as \'{"unit": "uV", "sampling_rate": 250}\'.', factory=dict
    )
    device: str = option("Such as cpu or cuda.", "cpu")

    def check(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            ValueError: Says which, and what is expected.
        """
        if not 0 < self.false_alarm_rate < 1:
            raise ValueError(
                f"false_alarm_rate: expected a share between 0 and 1, got {self.false_alarm_rate}"
            )
        if self.recent < 2:
            raise ValueError(f"recent: expected 2 recordings or more, got {self.recent}")


__all__ = ["MonitorArguments"]
