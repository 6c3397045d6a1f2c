# SPDX-License-Identifier: Apache-2.0
"""What the preparation warned of, changed or guessed, counted by kind over all recordings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .recording_report import RecordingReport

FEW_TO_AVERAGE = 8  # channels, the average of which is far from neutral
_POOR = 0.5  # share of a recording that looks like EEG
_NUM_EXAMPLES = 2
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d.,]*(e[-+]?\d+)?(?!\w)%?")
_REPEATED = re.compile(r"…(?:\s*\([^()]*\))?(?:(?:,| and)? …(?:\s*\([^()]*\))?)*")


@dataclass(frozen=True)
class Finding:
    """Something that was found in some recordings.

    Attributes:
        kind: In words, with `…` for what differs between recordings.
        num_recordings: In how many.
        examples: Some of them: the recording, and the words that it got.
    """

    kind: str
    num_recordings: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        number = f"{self.num_recordings} recording{'s' * (self.num_recordings != 1)}"
        return f"{number}: {self.kind} (such as {'; '.join(self.examples)})"


def summarize_findings(reports: Sequence[RecordingReport]) -> list[Finding]:
    """Count what was found by kind, the most frequent first.

    Args:
        reports: Of all recordings, also of those that failed.
    """
    found: dict[str, list[str]] = {}
    for report in reports:
        kinds: dict[str, str] = {}
        for kind, words in _findings(report):
            kinds.setdefault(kind, words)
        for kind, words in kinds.items():
            found.setdefault(kind, []).append(f"{report.path}: {words}" if words else report.path)
    findings = [Finding(kind, len(each), tuple(each[:_NUM_EXAMPLES])) for kind, each in found.items()]
    return sorted(findings, key=lambda finding: (-finding.num_recordings, finding.kind))


def _findings(report: RecordingReport) -> Iterator[tuple[str, str]]:
    """Yield the kind and the words of everything that was found in a recording."""
    decisions: Mapping[str, Any] = report.decisions or {}
    names = [report.path, report.path.rpartition("/")[2], *decisions.get("channels", ())]
    names += [*decisions.get("renamed_channels", ()), *decisions.get("dropped_channels", ())]
    if report.reason:
        yield f"not prepared: {_kind(report.reason, names)}", report.reason
    for text in (*report.warnings, *decisions.get("warnings", ())):
        yield _kind(text, names), text
    if not decisions:
        return
    listed = {
        "channels left out on the word of their labels": [
            name for name, why in decisions["dropped_channels"].items() if "label" in why
        ],
        "bad channels set to zero": decisions["bad_channels"],
        "missing channels": decisions["missing_channels"],
        "interpolated channels": decisions["interpolated_channels"],
    }
    yield from ((kind, ", ".join(found)) for kind, found in listed.items() if found)
    good = len(set(decisions["channels"]) - set(decisions["bad_channels"]))
    if decisions["reference"] == "average" and good < FEW_TO_AVERAGE:
        yield (
            f"the average of fewer than {FEW_TO_AVERAGE} electrodes, no neutral reference",
            f"{good} electrodes",
        )
    if decisions["is_upsampled"]:
        rate = decisions["original_sampling_rate"]
        yield "upsampled: nothing above half of the recorded rate", f"recorded at {rate:g} Hz"
    if decisions["quality"] < _POOR:
        quality = decisions["quality"]
        yield "less than half was measured and looks like EEG", f"{quality:.0%}"


def _kind(text: str, names: Sequence[str]) -> str:
    """Return a warning without what differs between recordings: names of files and channels, numbers."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return _REPEATED.sub("…", _NUMBER.sub("…", text))


__all__ = ["FEW_TO_AVERAGE", "Finding", "summarize_findings"]
