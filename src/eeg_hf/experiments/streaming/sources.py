# SPDX-License-Identifier: Apache-2.0
"""Where samples come from: a stream of LSL, a board of BrainFlow, a recording that is replayed."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from ...corpora.recordings.formats import read_recording
from ...suggestions import did_you_mean

if TYPE_CHECKING:
    import mne

PIECE_SECONDS = 0.1
_LSL_UNITS = {
    "microvolts": "uV",
    "uv": "uV",
    "µv": "uV",
    "microvolt": "uV",
    "v": "V",
    "volts": "V",
    "mv": "mV",
}


@dataclass
class Piece:
    """Samples that came together.

    Attributes:
        samples: Shape (channels, n).
        stamps: In seconds, shape (n,); None if the source has none.
        lost: Samples that are known to be missing before these.
        is_return: Whether the source had stopped before these, however short.
        arrived: When, on the clock `time.perf_counter`.
    """

    samples: np.ndarray
    stamps: np.ndarray | None = None
    lost: int = 0
    is_return: bool = False
    arrived: float = field(default_factory=time.perf_counter)


class SourceLostError(Exception):
    """The source stopped and may come back."""


class Source(ABC):
    """A stream of samples.

    Attributes:
        sampling_rate: In Hz.
        channel_names: Of all channels.
        unit: Of the samples.
        is_live: Whether samples come in their own time, so that they are lost if nobody takes them.
    """

    sampling_rate: float
    channel_names: list[str]
    unit: str
    is_live = True

    @abstractmethod
    def read(self) -> Piece | None:
        """Wait a moment and return new samples, none perhaps; None at the end.

        Raises:
            SourceLostError: If the source stopped.
        """

    def reopen(self) -> bool:
        """Look for a source that stopped; return whether it is back."""
        return False

    def close(self) -> None:
        """Give up the source."""
        return


class LslSource(Source):
    """A stream of the Lab Streaming Layer by its name; without a name, the only one of type EEG."""

    _seen: float  # when samples last came, in seconds of time.monotonic

    def __init__(
        self, name: str, unit: str | None, channel_names: Sequence[str] | None, wait_seconds: float
    ) -> None:
        self._pylsl = import_extra("pylsl")
        self._lost = self._pylsl.util.LostError
        self._name = name
        info = self._find(wait_seconds)
        self.sampling_rate = float(info.nominal_srate())
        if self.sampling_rate <= 0:
            raise ValueError(f"LSL stream {info.name()!r} has no regular rate: expected samples of EEG")
        self._open(info)
        info = self._inlet.info(timeout=5.0)  # with its description
        names, units = _describe_channels(info)
        self.channel_names = list(channel_names or names)
        if len(self.channel_names) != info.channel_count():
            raise ValueError(
                f"LSL stream {info.name()!r} has {info.channel_count()} channels and names"
                f" {len(self.channel_names)}: set channel_names"
            )
        stated = {_LSL_UNITS.get(text.lower()) for text in units}
        found = unit or (stated.pop() if len(stated) == 1 else None)
        if found is None:
            raise ValueError(
                f"LSL stream {info.name()!r} states no unit of its channels: set unit to uV or V"
            )
        self.unit = found

    def read(self) -> Piece | None:
        """Return what came within a twentieth of a second."""
        try:
            _, stamps = self._inlet.pull_chunk(
                timeout=0.05, max_samples=len(self._buffer), dest_obj=self._buffer
            )
        except self._lost as error:
            raise SourceLostError(f"the LSL stream {self._name or ''} stopped") from error
        if not stamps:
            if time.monotonic() - self._seen > 2.0 and not self._is_there():
                raise SourceLostError(f"the LSL stream {self._name} stopped")
            return Piece(np.zeros((len(self.channel_names), 0)), np.zeros(0))
        self._seen = time.monotonic()
        return Piece(self._buffer[: len(stamps)].T.astype(np.float64), np.array(stamps))

    def reopen(self) -> bool:
        """Look for the stream for a moment."""
        found = self._resolve(0.5)
        if not found:
            return False
        info = found[0]
        if (info.nominal_srate(), info.channel_count()) != (self.sampling_rate, len(self.channel_names)):
            raise ValueError(
                f"the LSL stream {self._name!r} came back with {info.channel_count()} channels at"
                f" {info.nominal_srate():g} Hz, it had {len(self.channel_names)} at {self.sampling_rate:g} Hz"
            )
        self.close()
        self._open(info)
        return True

    def close(self) -> None:
        """Close the inlet."""
        self._inlet.close_stream()

    def _open(self, info: Any) -> None:
        lsl = self._pylsl
        self._name, self._uid = info.name(), info.uid()
        self._inlet = lsl.StreamInlet(info, recover=False, processing_flags=lsl.proc_clocksync)
        most = max(round(2 * self.sampling_rate), 16)
        self._buffer = np.zeros((most, info.channel_count()), np.float32)
        self._inlet.open_stream(timeout=5.0)
        self._seen = time.monotonic()

    def _is_there(self) -> bool:
        self._seen = time.monotonic()
        # By its number: a stream of the same name may be another one that took its place
        return bool(self._pylsl.resolve_byprop("uid", self._uid, minimum=1, timeout=1.0))

    def _resolve(self, seconds: float) -> list[Any]:
        key, value = ("name", self._name) if self._name else ("type", "EEG")
        found: list[Any] = self._pylsl.resolve_byprop(key, value, minimum=1, timeout=seconds)
        return found

    def _find(self, wait_seconds: float) -> Any:
        """Return the stream, or say which there are."""
        found = self._resolve(wait_seconds)
        if len(found) == 1:
            return found[0]
        if found:
            names = sorted(info.name() for info in found)
            raise ValueError(f"{len(found)} LSL streams fit: {', '.join(names)}: expected one, lsl:NAME")
        others = sorted({info.name() for info in self._pylsl.resolve_streams(wait_time=1.0)})
        wanted = repr(self._name) if self._name else "of type EEG"
        hint = did_you_mean(self._name, others) if self._name else ""
        raise ValueError(
            f"no LSL stream {wanted} within {wait_seconds:g} s{hint or ''}; there are:"
            f" {', '.join(others) or 'none'}"
        )


class BrainFlowSource(Source):
    """A board of BrainFlow; `synthetic` needs no hardware."""

    unit = "uV"

    def __init__(self, name: str) -> None:
        import_extra("brainflow")
        from brainflow import board_shim
        from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams

        # BrainFlow 5.23 looks for its library by its module instead of its package, which Python 3.11 refuses
        board_shim.files = lambda _: files("brainflow")

        boards = {board.name.removesuffix("_BOARD").lower(): board.value for board in BoardIds}
        if name.lower() not in boards:
            hint = did_you_mean(name.lower(), list(boards)) or "; expected synthetic or a board of BrainFlow"
            raise ValueError(f"BrainFlow has no board {name!r}{hint}")
        board = boards[name.lower()]
        BoardShim.disable_board_logger()
        self.sampling_rate = float(BoardShim.get_sampling_rate(board))
        self.channel_names = list(BoardShim.get_eeg_names(board))
        self._rows = BoardShim.get_eeg_channels(board)[: len(self.channel_names)]
        self._counter = BoardShim.get_package_num_channel(board)
        self._last: float | None = None
        self._shim = BoardShim(board, BrainFlowInputParams())
        self._shim.prepare_session()
        self._shim.start_stream()

    def read(self) -> Piece | None:
        """Return what came within a twentieth of a second, with packages that the board's counter misses."""
        time.sleep(0.05)
        data = self._shim.get_board_data()
        numbers = data[self._counter]
        lost = 0
        if len(numbers):
            before = numbers[0] - 1 if self._last is None else self._last
            missed = (np.diff(np.r_[before, numbers]) - 1) % 256
            lost = int(missed.sum())
            self._last = float(numbers[-1])
        return Piece(data[self._rows], lost=lost)

    def close(self) -> None:
        """End the session."""
        self._shim.stop_stream()
        self._shim.release_session()


class FileSource(Source):
    """A recording, replayed."""

    unit = "V"

    def __init__(self, path: str, speed: str) -> None:
        try:
            self._speed = float("inf") if speed == "max" else float(speed)
        except ValueError:
            self._speed = 0.0
        if not self._speed > 0:
            raise ValueError(f"speed: expected a positive number or max, got {speed!r}")
        raw = choose_eeg(read_recording(path))
        self.is_live = self._speed < float("inf")
        self.sampling_rate, self.channel_names = float(raw.info["sfreq"]), list(raw.ch_names)
        self._pieces = read_pieces(raw)
        self._due = time.perf_counter()

    def read(self) -> Piece | None:
        """Return the next tenth of a second when its time has come."""
        samples = next(self._pieces, None)
        if samples is None:
            return None
        self._due += samples.shape[1] / self.sampling_rate / self._speed
        time.sleep(max(0.0, self._due - time.perf_counter()))
        return Piece(samples)


def choose_eeg(raw: "mne.io.BaseRaw") -> "mne.io.BaseRaw":
    """Return a recording without the channels that it declares as something else than EEG."""
    others = [kind for kind in raw.get_channel_types() if kind != "eeg"]
    return raw.copy().pick("eeg", verbose="ERROR") if others else raw


def read_pieces(raw: "mne.io.BaseRaw", seconds: float = PIECE_SECONDS) -> Iterator[np.ndarray]:
    """Yield the samples of a recording in V as a stream would bring them.

    Args:
        raw: The recording.
        seconds: Length of a piece.

    Yields:
        Samples, (channels, n); NaN in gaps, and in channels that the recording marks as bad.
    """
    rate = float(raw.info["sfreq"])
    gaps = []
    for mark in raw.annotations:
        if mark["description"].lower().startswith(("edge", "bad_acq_skip")):
            start = round((mark["onset"] - raw.first_time) * rate)
            gaps.append((start, start + max(1, round(mark["duration"] * rate))))
    size = max(1, round(seconds * rate))
    bad = [name in raw.info["bads"] for name in raw.ch_names]
    for first in range(0, raw.n_times, size):
        samples = raw.get_data(start=first, stop=min(first + size, raw.n_times))
        samples[bad] = np.nan
        for start, stop in gaps:
            samples[:, max(start - first, 0) : max(stop - first, 0)] = np.nan
        yield samples


def open_source(args: Any) -> Source:
    """Open the source that `--source` names."""
    kind, _, name = args.source.partition(":")
    if kind == "lsl":
        return LslSource(name, args.unit, args.channel_names, args.wait_seconds)
    if kind == "brainflow":
        return BrainFlowSource(name)
    return FileSource(args.source, args.speed)


def _describe_channels(info: Any) -> tuple[list[str], list[str]]:
    """Return labels and units of the channels in the description of an LSL stream."""
    names, units = [], []
    channel = info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        names.append(channel.child_value("label"))
        units.append(channel.child_value("unit"))
        channel = channel.next_sibling()
    return [name for name in names if name], units


def import_extra(name: str) -> Any:
    """Import a package of the extra `stream`.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise ImportError(f'{name} is not installed: pip install "eeg-hf[stream]"') from error


__all__ = ["Piece", "Source", "SourceLostError", "choose_eeg", "import_extra", "open_source", "read_pieces"]
