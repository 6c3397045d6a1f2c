# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf view`."""

from dataclasses import dataclass

from ..options import option


@dataclass
class ViewArguments:
    """What to look at, and where the page is."""

    run: list[str] = option("Folder of eeg-hf study or finetune; the first word without a name.")
    data: str | None = option("Prepared corpus of the run; default: the windows of the study.", None)
    port: int = option("Port on this computer; 0 takes a free one.", 8765)
    browser: bool = option("Open the page in the browser.", True)

    def __post_init__(self) -> None:
        if len(self.run) != 1:
            raise ValueError(f"expected one folder of a study or a run, got {len(self.run)}")
        if not 0 <= self.port < 65536:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")
