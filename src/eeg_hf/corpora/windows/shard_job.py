# SPDX-License-Identifier: Apache-2.0
"""All that decides one subject's shard."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ..corpus import Corpus, Recording
from ..recordings.recording_files import legible
from .recording_report import RecordingReport
from .whole_file import read_footer
from .window_plan import WindowPlan

if TYPE_CHECKING:
    import mne

    from .label_table import LabelTable

FORMAT_VERSION = 2
_MAX_NAME = 200  # file systems take 255 bytes, of which partial files need some
_NOT_IN_WINDOWS = (
    "normalization",
    "clip",
    "alignment",
)  # applied when windows are read, not when they are cut


class Extractor(Protocol):
    """What preparation needs of a feature extractor."""

    sampling_rate: float
    window_seconds: float | None

    def preprocess(self, raw: "mne.io.BaseRaw") -> tuple["mne.io.BaseRaw", Any]:
        """Clean a recording; return it with a report that has `to_dict()`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the settings."""
        ...

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> Any:
        """Write the settings to a folder."""
        ...


@dataclass(frozen=True)
class ShardJob:
    """All that is needed to write one subject's shard, in this process or in another.

    Attributes:
        corpus: How to read the recordings.
        root: Folder that recordings are named relative to.
        output_dir: Folder of the prepared corpus.
        subject: Whose shard it is.
        recordings: All of his recordings, in order.
        extractor: How to clean them.
        plan: How to cut them.
        label_names: Columns of the labels -> `str` or `float`.
        label_table: Events that the user lists beside the corpus; they take the place of its own.
        timeout_seconds: How long one recording may take, 0 for as long as it likes.
        unreadable: Names of recordings not to try -> why.
        may_exit: Whether the process is there for this alone, and ends if a recording never does.
    """

    corpus: Corpus
    root: Path
    output_dir: Path
    subject: str
    recordings: tuple[Recording, ...]
    extractor: Extractor
    plan: WindowPlan
    label_names: Mapping[str, type[str] | type[float]]
    label_table: "LabelTable | None" = None
    timeout_seconds: float = 0.0
    unreadable: Mapping[str, str] = field(default_factory=dict)
    may_exit: bool = False

    @property
    def data_path(self) -> Path:
        """Where the windows go."""
        # A subject's name may hold what a file's name may not, and be longer than that may be.
        name = f"{self.corpus.name}-{quote(self.subject, safe=' ')}"
        if len(name) > _MAX_NAME:
            name = f"{name[:_MAX_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return self.output_dir / "data" / f"{name}.parquet"

    @property
    def alignment_path(self) -> Path:
        """Where the covariance goes."""
        return self.output_dir / "alignment" / self.data_path.name

    @property
    def marker_path(self) -> Path:
        """Names the recording being prepared, so that it is known if the process dies of it."""
        return self.data_path.with_name(f".{self.data_path.name}.current")

    def name_of(self, recording: Recording) -> str:
        """Return a recording's path below the corpus's folder."""
        path = recording.path
        return legible((path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix())

    def fingerprint(self) -> str:
        """Digest all that the shard's bytes depend on; of the samples, their files' sizes and times."""
        made_of = {
            "format": FORMAT_VERSION,
            "corpus": self.corpus.name,
            "licence": self.corpus.licence,
            "labels": {name: kind.__name__ for name, kind in self.label_names.items()},
            "table": self.label_table.digest() if self.label_table else None,
            "extractor": {k: v for k, v in self.extractor.to_dict().items() if k not in _NOT_IN_WINDOWS},
            "plan": asdict(self.plan),
            "recordings": [
                (self.name_of(r), r.session, r.run, r.task, dict(r.labels), _provenance(self.corpus, r))
                for r in self.recordings
            ],
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()

    def current_reports(self) -> list[RecordingReport] | None:
        """Return the reports of the shard that is there; `None` if none is, of these files and settings."""
        fingerprint = self.fingerprint()
        footers = [read_footer(path) for path in (self.data_path, self.alignment_path)]
        if any(footer is None or footer["fingerprint"] != fingerprint for footer in footers):
            return None
        return [RecordingReport(**row) for row in (footers[0] or {})["rows"]]

    def clear(self) -> None:
        """Remove what an earlier preparation left of this shard."""
        self.data_path.unlink(missing_ok=True)
        self.alignment_path.unlink(missing_ok=True)


def _provenance(corpus: Corpus, recording: Recording) -> dict[str, Any]:
    try:
        return dict(corpus.provenance(recording))
    except OSError as error:  # gone since it was listed: reading it will report that
        return {"error": str(error)}


__all__ = ["FORMAT_VERSION", "Extractor", "ShardJob"]
