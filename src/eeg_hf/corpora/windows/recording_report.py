# SPDX-License-Identifier: Apache-2.0
"""The report of one recording: how it was cleaned and cut, or why it failed."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class RecordingReport:
    """One line of `report.jsonl`, and one entry of the footer of the subject's shard.

    Attributes:
        path: Path of the recording below the corpus's folder.
        subject: The subject.
        session: The session.
        run: The run.
        task: The task.
        status: `"ok"` if the recording gave at least one window.
        reason: Why the recording failed, in one line.
        seconds: Duration of the recording.
        num_windows: Number of windows written.
        dropped: Reason -> number of windows dropped for it.
        events_named: Keys of `event_labels` that occur among the recording's events.
        decisions: What the cleaning did, as `PreprocessingReport.to_dict` returns it.
        warnings: Warnings raised while the recording was read and cleaned.
    """

    path: str
    subject: str
    session: str
    run: str
    task: str
    status: Literal["ok", "failed"] = "failed"
    reason: str | None = None
    seconds: float | None = None
    num_windows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    events_named: list[str] = field(default_factory=list)
    decisions: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether the recording gave at least one window."""
        return self.status == "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain Python values, which it shares."""
        return dict(vars(self))
