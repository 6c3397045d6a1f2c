# SPDX-License-Identifier: Apache-2.0
"""The card of a prepared corpus: what readers, and `datasets`, need to know about its windows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ..corpus import Corpus
from .corpus_record import describe_corpus, plain_text
from .shard_job import ShardJob

CARD = "README.md"
REPORT = "report.jsonl"
UNFINISHED = ".huggingface.yaml"
"""Hides a folder from `datasets` while it is prepared: it would return rows of any file that it finds."""
UNFINISHED_TEXT = 'configs: "this corpus is unfinished: wait until eeg-hf prepare ends, or run it again"\n'
_CONSENT = """\
These are recordings of people, who consented to what the source of the corpus states: use them for nothing
else, and do not try to find out who they are. A window of EEG can tell one person from another."""
_SIMULATED = "Nobody was recorded."


def window_card(jobs: Sequence[ShardJob], summary: Mapping[str, Any]) -> str:
    """Return the card; its header lists the configurations of the folder for `datasets`.

    Args:
        jobs: Jobs of all subjects, which share corpus, extractor and plan.
        summary: Counts, as `eeg_hf.corpora.prepare` returns them.
    """
    corpus, extractor, plan = jobs[0].corpus, jobs[0].extractor, jobs[0].plan
    # `datasets` finds a folder in its cache by the folder's name and this header alone: without a digest that
    # changes with the windows, it returns those of an earlier run, or of another folder of that name
    digest = hashlib.sha256("".join(job.fingerprint() for job in jobs).encode()).hexdigest()[:16]
    header = {
        "license": corpus.hub_licence,
        "pretty_name": f"{plain_text(corpus.title)}, {plan.window_seconds:g}-s windows",
        "tags": ["eeg", "eeg_hf"],
        "configs": [
            {"config_name": name, "data_files": f"{folder}/*.parquet", "description": digest, **default}
            for name, folder, default in (
                ("windows", "data", {"default": True}),
                ("alignment", "alignment", {}),
            )
        ],
    }
    settings = json.dumps(extractor.to_dict(), indent=2, sort_keys=True, default=str)
    how = {
        "fixed": f"every {plan.stride_seconds:g} s",
        "events": f"{plan.tmin:+g} s from the onset of each event",
        "annotations": f"every {plan.stride_seconds:g} s within each event",
    }[plan.segments]
    dropped = ", ".join(f"{number} {why}" for why, number in sorted(summary["dropped"].items())) or "none"
    channels = ", ".join(
        f"{number} recordings with {count}" for count, number in summary["channel_counts"].items()
    )
    record = describe_corpus(corpus)
    source = record["url"] or record["title"]
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---

# {record["title"]}: windows

{summary["windows"]} windows of {plan.window_seconds:g} s, {how}, from {summary["recordings_ok"]} recordings
({summary["hours"]:.2f} hours; {summary["recordings_failed"]} recordings failed, see `{REPORT}`).
Windows dropped: {plain_text(dropped)}. Channels: {channels}. Recorded against: {record["recorded_against"]}.
Subjects: {summary["subjects"]}. Split: {_split(corpus)}.

{_findings(summary["findings"])}Prepared with eeg_hf; readable without it:

```python
import numpy as np
from datasets import load_dataset

row = load_dataset("path/to/this/folder", split="train")[0]
samples = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])  # (channels, time)
values = samples * np.array(row["scale"])[:, None]  # {record["unit"]}
```

`load_dataset("path/to/this/folder", "alignment")` holds the mean covariance of all windows of a subject,
for alignment without labels. Channels in `bad_channels` hold zeros. `signal_hash` is a hash of the samples
without their scale.

{_CONSENT if corpus.is_of_people else _SIMULATED}

Licence: {record["licence"]}. Source: {source}. Cite: {record["citation"]}

```json
{settings}
```
"""


def _findings(findings: Sequence[str]) -> str:
    """Return what was warned of, changed or guessed, as a list; nothing where there is nothing."""
    if not findings:
        return ""
    listed = "\n".join(f"* {plain_text(finding)}" for finding in findings)
    return f"Warned of, changed or guessed (each recording: `{REPORT}`):\n\n{listed}\n\n"


def _split(corpus: Corpus) -> str:
    """Describe the split that the corpus or its literature fixes."""
    if corpus.official_split_column is not None:
        return f"the column `{corpus.official_split_column}` holds train, validation or test"
    if corpus.official_split is not None:
        counts = ", ".join(f"{len(subjects)} {part}" for part, subjects in corpus.official_split.items())
        return f"the published one, by subject ({counts})"
    return "none is published; split by `subject`"
