# SPDX-License-Identifier: Apache-2.0
"""The card of a prepared corpus: what a person, and `datasets`, must know to read its windows."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from ..corpus import Corpus
from .shard_job import Extractor
from .window_plan import WindowPlan

REPORT = "report.jsonl"
_CONSENT = """\
These are recordings of people, who consented to what the source of the corpus states: use them for nothing
else, and do not try to find out who they are. A window of EEG can tell one person from another."""


def window_card(
    corpus: Corpus, extractor: Extractor, plan: WindowPlan, report: Mapping[str, Any], digest: str
) -> str:
    """Write the card, whose header tells `datasets` which files make which configuration.

    Args:
        corpus: Its licence, citation and source are stated.
        extractor: Its settings are stated.
        plan: How the windows were cut.
        report: Counts, as `eeg_hf.corpora.prepare` returns them.
        digest: Changes with the windows. `datasets` knows a folder in its cache by its name and this header
            only, and would hand out the windows of another folder of that name, or those of yesterday.
    """
    header = {
        "license": corpus.hub_licence,
        "pretty_name": f"{corpus.title}, {plan.window_seconds:g}-s windows",
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
    unit = "whitened, without a unit" if corpus.is_whitened else "microvolt"
    dropped = ", ".join(f"{number} {why}" for why, number in sorted(report["dropped"].items())) or "none"
    channels = ", ".join(
        f"{number} recordings with {count}" for count, number in report["channel_counts"].items()
    )
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---

# {corpus.title}: windows

{report["windows"]} windows of {plan.window_seconds:g} s, {how}, from {report["recordings_ok"]} recordings
({report["hours"]:.2f} hours; {report["recordings_failed"]} recordings failed, see `{REPORT}`).
Windows dropped: {dropped}. Channels: {channels}. Recorded against: {corpus.reference}.
People: {report["subjects"]}. Split: {_split(corpus)}.

Prepared with eeg_hf; readable without it:

```python
import numpy as np
from datasets import load_dataset

row = load_dataset("path/to/this/folder", split="train")[0]
samples = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])  # (channels, time)
values = samples * np.array(row["scale"])[:, None]  # {unit}
```

`load_dataset("path/to/this/folder", "alignment")` holds the mean covariance of all windows of a subject,
for alignment without labels. Channels in `bad_channels` hold zeros. `signal_hash` is a hash of the samples
without their scale.

{_CONSENT if corpus.is_of_people else "Nobody was recorded."}

Licence: {corpus.licence}. Source: {corpus.url or corpus.title}. Cite: {corpus.citation}

```json
{settings}
```
"""


def _split(corpus: Corpus) -> str:
    """Say what the corpus or its literature has fixed."""
    if corpus.official_split_column is not None:
        return f"the column `{corpus.official_split_column}` holds train, validation or test"
    if corpus.official_split is not None:
        counts = ", ".join(f"{len(people)} {part}" for part, people in corpus.official_split.items())
        return f"the published one, by person ({counts})"
    return "none is published; split by `subject`, which is a person"


__all__ = ["REPORT", "window_card"]
