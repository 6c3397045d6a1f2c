# SPDX-License-Identifier: Apache-2.0
"""One bar over all steps of a study, with the time that is left."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import datasets
from tqdm.auto import tqdm
from transformers.utils import logging

_FORMAT = "{percentage:3.0f}% |{bar:20}| {remaining} left: {desc}"
_LINE = "study: {percentage:3.0f} %, {remaining} left: {desc}"
_TRUSTED_SECONDS = 30.0
"""How long expected seconds are believed rather than measured ones."""
_UNITS = ("recording", "fold", "fit", "figure")
"""Of bars that are a part of a step; others, such as of weights being loaded, tell nothing of it."""
_LINES = 10
"""Lines at most, beside one for each step, where no terminal draws a line anew."""


class _StudyBar(tqdm):
    """A bar of expected seconds, which tell the time that is left until enough was measured."""

    @property
    def format_dict(self) -> Any:
        facts = super().format_dict
        done = facts["n"] - facts["initial"]
        return {**facts, "rate": (done + _TRUSTED_SECONDS) / (facts["elapsed"] + _TRUSTED_SECONDS)}


class _StudyLines(_StudyBar):
    """The same where lines are kept, such as a file: a few of them."""

    shown: tuple[str, int] | None = None

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Write a line where a step begins or a tenth of the whole is done."""
        now = (self.desc, int(_LINES * self.n / (self.total or 1) + 1e-9))
        if self.desc and now != self.shown:
            self.shown = now
            sys.stderr.write(f"{self}\n")


class _StepBar(tqdm):
    """A bar inside a step: it is not seen, and moves that of the study."""

    study: "Progress | None" = None

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Move the bar of the study."""
        if self.study is not None:
            self.study.show()

    def close(self) -> None:
        """Count no longer."""
        if self.study is not None:
            self.study.inner = [bar for bar in self.study.inner if bar is not self]
        super().close()


class _AboveBar(io.TextIOBase):
    """A stream whose lines are written above a bar."""

    def __init__(self, stream: TextIO, bar: tqdm) -> None:
        self.stream, self.bar, self.rest = stream, bar, ""

    def write(self, text: str) -> int:
        """Write the lines that are whole."""
        lines, end, self.rest = (self.rest + text).rpartition("\n")
        if end:
            self.bar.clear()
            self.stream.write(lines + end)
            self.stream.flush()
            self.bar.refresh()
        return len(text)


class Progress:
    """The steps of a study on one bar.

    Bars of transformers' `logging.tqdm` that open inside a step move it instead of being drawn; those of
    Trainer and datasets are not drawn. Where no terminal draws it anew, it is a line for each step and each
    tenth of the whole.
    """

    def __init__(self) -> None:
        self.costs: dict[Path, float] = {}
        self.finished: set[Path] = set()
        self.skipped: set[Path] = set()
        self.skipped_part = 0.0
        self.current = Path()
        self.share = 0.0
        self.inner: list[_StepBar] = []
        self.is_drawn = sys.stderr.isatty()
        drawn = {"file": sys.stderr, "bar_format": _FORMAT, "dynamic_ncols": True}
        written = {"file": io.StringIO(), "bar_format": _LINE}
        kind = _StudyBar if self.is_drawn else _StudyLines
        self.bar: tqdm = kind(total=1.0, smoothing=0, leave=False, **(drawn if self.is_drawn else written))
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> "Progress":
        if logging.is_progress_bar_enabled():
            logging.disable_progress_bar()
            self.stack.callback(logging.enable_progress_bar)
        if datasets.is_progress_bar_enabled():
            datasets.disable_progress_bars()
            self.stack.callback(datasets.enable_progress_bars)
        self.stack.callback(logging.set_tqdm_hook, logging.set_tqdm_hook(self.open_inside))
        self.stack.callback(self.bar.close)
        if self.is_drawn:
            above = _AboveBar(sys.stdout, self.bar), _AboveBar(sys.stderr, self.bar)
            self.stack.enter_context(contextlib.redirect_stdout(above[0]))
            self.stack.enter_context(contextlib.redirect_stderr(above[1]))
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def plan(self, costs: Mapping[Path, float]) -> None:
        """Set what each step is expected to cost.

        Args:
            costs: Folder that a step writes -> seconds. Steps that finished before take no time.
        """
        self.costs = dict(costs)
        before = {folder for folder in costs if (folder / "finished").exists()} - self.finished
        self.finished |= before
        self.skipped |= before

    @contextlib.contextmanager
    def step(self, folder: Path, title: str, is_finished: bool = False) -> Iterator[None]:
        """Run a step inside.

        Args:
            folder: That it writes.
            title: What it does.
            is_finished: Whether it was done before.
        """
        for steps in (self.finished, self.skipped):
            (steps.add if is_finished else steps.discard)(folder)
        self.current, self.share = folder, 0.0
        self.bar.set_description_str(title, refresh=False)
        self.show()
        yield
        self.finished.add(folder)
        self.inner.clear()
        self.show()

    def show(self) -> None:
        """Draw the bar as things are."""
        share = 0.0
        for bar in reversed(self.inner):  # a bar inside another is a part of one of its rounds
            share = min((bar.n + share) / bar.total, 1.0) if bar.total else share
        self.share = max(self.share, share)  # a bar that closes does not take back what is done
        now = 0.0 if self.current in self.finished else self.costs.get(self.current, 0.0) * self.share
        self.bar.total = sum(self.costs.values()) or 1.0
        self.bar.initial = self._sum(self.skipped) + self.skipped_part
        self.bar.n = self._sum(self.finished) + now
        self.bar.refresh()

    def open_inside(self, factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tqdm:
        """Return a bar for a part of the step; what is done already takes no time."""
        settings = {"file": io.StringIO(), "mininterval": 0, "miniters": 0, "leave": False}
        bar = _StepBar(*args, **{**kwargs, **settings})
        if bar.total and not self.inner:
            self.skipped_part += self.costs.get(self.current, 0.0) * bar.n / bar.total
        if bar.unit in _UNITS:
            bar.study = self
            self.inner.append(bar)
        return bar

    def _sum(self, folders: set[Path]) -> float:
        return sum(self.costs.get(folder, 0.0) for folder in folders)
