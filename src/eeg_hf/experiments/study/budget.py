# SPDX-License-Identifier: Apache-2.0
"""How much of a study fits into a given time; what does not is left out and told in the report."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...atomic_files import write_text

if TYPE_CHECKING:
    import pandas as pd

FILE = "budget.json"
_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600}
_SHARE_OF_PREPARATION = 0.3
_SAMPLES_PER_SECOND = 4e6
"""Samples of all channels that one process reads, cleans and writes in a second, a careful guess."""
_PREPARED_SAMPLES_PER_SECOND = 8e6
"""Prepared samples of all channels from which our model is fitted and tested in a second, such a guess."""
_FITS_OF_BASELINES, _FITS_OF_DETAILS = 3, 2
"""What the baselines of a fold cost, and a look at its model, in fits of our model."""
_REPORT_SECONDS = 20.0
_FEWEST_FOLDS = 2


@dataclass(frozen=True)
class Work:
    """What of a study is done.

    Attributes:
        folds: Of subjects.
        regimes: That are compared.
        baselines: Whether classical methods are fitted.
        details: Whether the models are looked at beyond their scores.
        choices: Fits of a fold that test the choice of the kept model; 0 leaves the test out.
        left_out: What is not done, in words.
    """

    folds: int
    regimes: tuple[str, ...]
    baselines: bool = True
    details: bool = True
    choices: int = 0
    left_out: tuple[str, ...] = ()

    def cost(self, fit_seconds: float) -> float:
        """Return the seconds that it takes, by what one fit takes."""
        fits = self.folds * (len(self.regimes) + self.choices)
        return fits * fit_seconds + self.table_cost(fit_seconds) + self.report_cost(fit_seconds)

    def table_cost(self, fit_seconds: float) -> float:
        """Return the seconds that a table takes."""
        return self.baselines * self.folds * _FITS_OF_BASELINES * fit_seconds

    def report_cost(self, fit_seconds: float) -> float:
        """Return the seconds that a report takes."""
        return _REPORT_SECONDS + self.details * self.folds * _FITS_OF_DETAILS * fit_seconds


@dataclass
class Budget:
    """A time, and when it began.

    Attributes:
        text: As given, such as `10min`; None for no limit.
        started: When the study began, by `time.monotonic`.
    """

    text: str | None
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The whole of it; infinite without a limit."""
        return parse_seconds(self.text) if self.text else float("inf")

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - (time.monotonic() - self.started)


def parse_seconds(text: str) -> float:
    """Return the seconds of `90s`, `10min` or `1.5 h`.

    Raises:
        ValueError: If it is no such time.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in {**_UNITS, "": 1} or float(match[1]) == 0:
        raise ValueError(f"budget: expected a time such as 90s, 10min or 1h, got {text!r}")
    return float(match[1]) * _UNITS.get(match[2], 60)


def preparation_seconds(table: "pd.DataFrame", processes: int) -> float:
    """Return what it may take to prepare recordings, by what `read_facts` returns of them."""
    samples = table["seconds"] * table["num_channels"] * table["sampling_rate"]
    return float(samples.sum()) / _SAMPLES_PER_SECOND / max(processes, 1)


def expected_fit_seconds(table: "pd.DataFrame", sampling_rate: float) -> float:
    """Return what a fit of our model may take on recordings that are prepared at a rate in Hz."""
    samples = table["seconds"] * table["num_channels"] * sampling_rate
    return 1 + float(samples.sum()) / _PREPARED_SAMPLES_PER_SECOND


def choose_subjects(
    table: "pd.DataFrame", labels: Sequence[str], seconds: float, processes: int
) -> list[str]:
    """Return the subjects whose recordings are prepared in a share of the time: all, or a part of each group.

    Args:
        table: Recordings, as `read_facts` returns them.
        labels: Columns whose values each part shall hold.
        seconds: Of the whole study.
        processes: Of the preparation.
    """
    share = seconds * _SHARE_OF_PREPARATION / preparation_seconds(table, processes)
    firsts = table.groupby("subject", sort=True).first()
    subjects = firsts.index.to_series().map(lambda name: "/".join(map(str, firsts.loc[name, list(labels)])))
    if share >= 1:
        return sorted(subjects.index)
    chosen: list[str] = []
    for _, names in subjects.groupby(subjects):
        number = max(_FEWEST_FOLDS, round(share * len(names)))
        chosen += list(names.index[:: max(len(names) // number, 1)][:number])
    return sorted(chosen)


def choose_work(wanted: Work, seconds: float, fit_seconds: float) -> Work:
    """Return as much of the wanted work as fits.

    Details go first, then the test of the choice, regimes, folds and baselines.

    Args:
        wanted: All of it.
        seconds: That are left.
        fit_seconds: What one fit of our model took.
    """
    first = wanted.regimes[:1]
    short = replace(wanted, details=False, choices=0)
    choices = [wanted, replace(wanted, details=False), short]
    folds = range(wanted.folds, _FEWEST_FOLDS - 1, -1)
    choices += [replace(short, folds=number, regimes=first) for number in folds]
    choices.append(replace(choices[-1], baselines=False))
    chosen = next((work for work in choices if work.cost(fit_seconds) <= seconds), choices[-1])
    left_out = []
    if wanted.details and not chosen.details:
        left_out.append("the learning curve, embeddings, what decides and what flips predictions")
    if wanted.choices and not chosen.choices:
        left_out.append("a test of the choice of the kept model: the best row is somewhat too good")
    if len(chosen.regimes) < len(wanted.regimes):
        left_out.append(f"the regimes {', '.join(wanted.regimes[len(chosen.regimes) :])}")
    if chosen.folds < wanted.folds:
        left_out.append(f"{wanted.folds - chosen.folds} of {wanted.folds} folds")
    if wanted.baselines and not chosen.baselines:
        left_out.append("all baselines: nothing says whether a simple method does as well")
    return replace(chosen, left_out=tuple(left_out))


def keep_work(folder: Path, work: Work, key: str) -> None:
    """Write down what was chosen, so that a study that is started again does the same."""
    write_text(folder / FILE, json.dumps({"key": key, **asdict(work)}, indent=2) + "\n")


def kept_work(folder: Path, key: str) -> Work | None:
    """Return what was chosen when the same study was started before."""
    path = folder / FILE
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if content.pop("key", None) != key:
        return None
    content = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    return Work(**content)
