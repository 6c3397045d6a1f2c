# SPDX-License-Identifier: Apache-2.0
"""Another process that holds a folder until the test lets it go."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from eeg_hf.folder_lock import locked_folder


def _hold(folder: Path, shared: bool, connection: Connection) -> None:
    with locked_folder(folder, "first", shared):
        connection.send("held")
        connection.recv()


class Holder:
    """Holds a folder for writing in another process, inside of a `with` block."""

    def __init__(self, folder: Path, shared: bool = False) -> None:
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe()
        self.process = context.Process(target=_hold, args=(folder, shared, theirs), daemon=True)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid or 0

    def __enter__(self) -> "Holder":
        self.process.start()
        assert self._ours.poll(30) and self._ours.recv() == "held"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.is_alive():
            self._ours.send("go")
        self.process.join()
