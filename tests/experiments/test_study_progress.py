# SPDX-License-Identifier: Apache-2.0
"""The one bar of a study."""

import io
import re

import pytest
from transformers.utils import logging

from eeg_hf.experiments.study.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def shown_bars():
    """Show bars, which a test before may have switched off."""
    was_shown = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    yield
    if not was_shown:
        logging.disable_progress_bar()


def test_bars_inside_a_step_move_the_bar_of_the_study(tmp_path, capsys):
    with Progress() as progress:
        progress.plan({tmp_path / "one": 30.0, tmp_path / "two": 70.0})
        with progress.step(tmp_path / "one", "first"):
            pass
        shares = []
        with progress.step(tmp_path / "two", "second"):
            for _ in logging.tqdm(range(2), unit="fold"):
                for _ in logging.tqdm(range(2), unit="fit"):
                    shares.append(progress.bar.n)
            list(logging.tqdm(range(3), desc="Loading weights", unit="it"))
    assert shares == pytest.approx([30.0, 47.5, 65.0, 82.5])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("study:   0 %, 01:") and lines[0].endswith("left: first")
    assert lines[-1] == "study: 100 %, 00:00 left: second"
    assert logging.is_progress_bar_enabled()


def test_a_study_that_goes_on_begins_where_it_was(tmp_path, capsys):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "finished").write_text("eeg-hf finetune")
    with Progress() as progress:
        progress.plan({tmp_path / "one": 60.0, tmp_path / "two": 40.0})
        inside = progress.step(tmp_path / "two", "second")
        with inside, logging.tqdm(total=4, initial=2, unit="recording") as bar:
            bar.update(2)
        assert progress.bar.initial == pytest.approx(80.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("study:  60 %, 00:40 left")
    with Progress() as progress:
        progress.plan({tmp_path / "one": 60.0, tmp_path / "two": 40.0})
        with progress.step(tmp_path / "one", "first, of other settings", is_finished=False):
            assert progress.bar.n == 0


def test_a_log_has_few_lines(tmp_path, capsys):
    with Progress() as progress:
        progress.plan({tmp_path / "one": 1000.0})
        with progress.step(tmp_path / "one", "many fits"):
            for _ in logging.tqdm(range(1000), unit="fit"):
                pass
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and not re.search(r"[\r\x1b]", "".join(lines))


def test_lines_are_written_above_the_bar_of_a_terminal(tmp_path, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdout", screen)
    with Progress() as progress:
        progress.plan({tmp_path / "one": 10.0})
        with progress.step(tmp_path / "one", "first"):
            print("a line", "of two words")
    # What a terminal shows: a carriage return begins the line anew
    shown = [line.rpartition("\r")[2] for line in screen.getvalue().split("\n")]
    assert "a line of two words" in shown and "first" in screen.getvalue()
