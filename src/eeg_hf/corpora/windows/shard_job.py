# SPDX-License-Identifier: Apache-2.0
"""The job that writes one subject's shard."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...legible_text import legible
from ..corpus import Corpus, Recording
from .recording_report import RecordingReport
from .whole_file import read_footer
from .window_plan import WindowPlan

if TYPE_CHECKING:
    from ...processing.feature_extraction_eeg import EEGFeatureExtractor
    from .label_table import LabelTable

FORMAT_VERSION = 4
_MAX_NAME = 200  # file systems allow 255 bytes, of which partial files need some
# Settings of the extractor that apply when windows are read, not when they are cut
_NOT_IN_WINDOWS = ("normalization", "clip", "alignment")


@dataclass(frozen=True)
class ShardJob:
    """Everything needed to write one subject's shard, in this process or in another.

    Attributes:
        corpus: Reads the recordings.
        root: Folder that recordings are named relative to.
        output_dir: Folder of the prepared corpus.
        subject: The subject.
        recordings: All recordings of the subject, in order.
        extractor: Cleans the recordings.
        plan: Decides where windows lie.
        label_names: Columns of the labels -> `str` or `float`.
        label_table: Events listed beside the corpus, which replace its own.
        timeout_seconds: Time limit for one recording; 0 for none.
        unreadable: Names of recordings to skip -> why.
        may_exit: Whether the process runs only this job, and may be ended if a recording never ends.
    """

    corpus: Corpus
    root: Path
    output_dir: Path
    subject: str
    recordings: tuple[Recording, ...]
    extractor: "EEGFeatureExtractor"
    plan: WindowPlan
    label_names: Mapping[str, type[str] | type[float]]
    label_table: "LabelTable | None" = None
    timeout_seconds: float = 0.0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    may_exit: bool = False

    @property
    def data_path(self) -> Path:
        """Path of the windows."""
        # A subject's name may be longer than a file name, and contain characters that it may not
        name = f"{self.corpus.name}-{quote(self.subject, safe=' ')}"
        if len(name) > _MAX_NAME:
            name = f"{name[:_MAX_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return self.output_dir / "data" / f"{name}.parquet"

    @property
    def alignment_path(self) -> Path:
        """Path of the mean covariances."""
        return self.output_dir / "alignment" / self.data_path.name

    @property
    def marker_path(self) -> Path:
        """Path of a file that names the recording being prepared, in case it kills the process."""
        return self.data_path.with_name(f".{self.data_path.name}.current")

    def name_of(self, recording: Recording) -> str:
        """Return the path of a recording below the corpus's folder."""
        path = recording.path
        return legible((path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix())

    def fingerprint(self) -> str:
        """Return a digest of everything the shard depends on; for samples, of the files' sizes and times."""
        # Changing the keys or their values makes every existing corpus out of date
        made_of = {
            "format": FORMAT_VERSION,
            "corpus": self.corpus.name,
            "licence": self.corpus.licence,
            "labels": {name: kind.__name__ for name, kind in self.label_names.items()},
            "table": self.label_table.fingerprint if self.label_table else None,
            "extractor": _settings_of(self.extractor),
            "plan": self.plan.settings(),
            "recordings": [
                (self.name_of(r), r.session, r.run, r.task, dict(r.labels), _provenance(self.corpus, r))
                for r in self.recordings
            ],
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()

    def current_reports(self) -> list[RecordingReport] | None:
        """Return the reports of the shard; `None` unless it is there, of these files and settings."""
        fingerprint = self.fingerprint()
        footers = [read_footer(path) for path in (self.data_path, self.alignment_path)]
        if any(footer is None or footer["fingerprint"] != fingerprint for footer in footers):
            return None
        return [RecordingReport(**row) for row in (footers[0] or {})["rows"]]

    def clear(self) -> None:
        """Remove the shard of an earlier preparation."""
        self.data_path.unlink(missing_ok=True)
        self.alignment_path.unlink(missing_ok=True)


def _settings_of(extractor: "EEGFeatureExtractor") -> dict[str, Any]:
    """Return the settings that decide the windows; a setting that came later is left out where it is off."""
    settings = {k: v for k, v in extractor.to_dict().items() if k not in _NOT_IN_WINDOWS}
    if not settings.get("robust_reference"):
        settings.pop("robust_reference", None)
    return settings


def _provenance(corpus: Corpus, recording: Recording) -> dict[str, Any]:
    try:
        return dict(corpus.provenance(recording))
    except OSError as error:  # deleted since it was listed, which reading it will report
        return {"error": str(error)}
