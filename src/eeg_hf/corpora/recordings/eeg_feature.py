# SPDX-License-Identifier: Apache-2.0
"""The `Eeg` feature: a column of recordings, in analogy to `Audio`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Union

import datasets
import pyarrow as pa
from datasets.utils.file_utils import is_local_path, is_remote_url, xbasename
from datasets.utils.py_utils import string_to_dict

from ...processing.channels import canonical_names
from .formats import TABLE_EXTENSIONS, read_recording
from .recording_bundle import TemporaryFolder, fetch, open_recording, pack, unpack
from .stored_recording import Origin, remember, stored_value

if TYPE_CHECKING:
    import mne

_LARGEST_COLUMN = 2**31 - 1  # bytes of all values of one Arrow binary array


@dataclass
class Eeg:
    """A column of EEG recordings, which decodes to lazily read MNE Raw objects.

    A dataset with such a column can be opened only where eeg_hf is imported: elsewhere datasets raises
    `Feature type 'Eeg' not found`. To publish one, cast the column to `Eeg(decode=False)` and flatten it, or
    publish windows (`eeg_hf.corpora.prepare`), which hold built-in types only.

    Values may be a path (str or Path), a URL, the bytes of a file, `{"path": ..., "bytes": ...}`, an MNE Raw
    or None. A column stores the path, and bytes where they are given or requested (`push_to_hub`,
    `embed_table_storage`). The bytes of a recording of several files (.vhdr with .eeg and .vmrk, .set with
    .fdt, split FIF, an .mff folder, one with sidecars in a BIDS tree) are an uncompressed zip of them, the
    main file first, all under their names. A Raw is stored as FIF, samples in double precision; FIF keeps
    seven digits of the times of annotations.

    A recording in a BIDS tree is decoded with its sidecars: channel types, units, bad channels, positions,
    and events as annotations.

    Recordings from bytes or a URL are read from a temporary folder, which is deleted with the last Raw that
    reads from it. Call `load_data()` before sending such a Raw to another process.

    `map` stores a Raw of the column unchanged, or as FIF if it was modified. To find out, it is opened and
    compared again, which `input_columns="eeg"` avoids. For any other Raw return `Eeg().encode_example(raw)`:
    datasets encodes only its own types there. The formats `"numpy"` and `"torch"` cannot hold a Raw: exclude
    the column with `columns=` and `output_all_columns=True`.

    Args:
        sampling_rate: Rate in Hz to resample to, with MNE's anti-alias filter; None keeps the rate. Resampled
            recordings are loaded into memory.
        channels: Names of the channels to keep, in this order, in any spelling that `eeg_hf.channels` reads;
            they get their canonical names. None keeps all channels under the file's names.
        decode: Whether rows give Raw objects; otherwise they give `{"path": ..., "bytes": ...}`, for example
            to filter recordings that cannot be read.
        unit: `"V"`, `"mV"` or `"uV"`, the unit of tables of samples (CSV, TSV, TXT, Parquet), which do not
            state it; for them `sampling_rate` is their own rate.

    Raises:
        ValueError: If the rate is not positive, no channel is named, or a channel is named twice.

    Example:
        >>> from datasets import Dataset
        >>> recordings = Dataset.from_dict({"eeg": ["a.edf"]}).cast_column("eeg", Eeg(sampling_rate=200))
        >>> recordings.features["eeg"]
        Eeg(sampling_rate=200, channels=None, decode=True)
    """

    sampling_rate: float | None = None
    channels: Sequence[str] | None = None
    decode: bool = True
    unit: str | None = field(default=None, repr=False)
    id: str | None = field(default=None, repr=False)

    dtype: ClassVar[str] = "mne.io.BaseRaw"
    pa_type: ClassVar[pa.DataType] = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    _type: str = field(default="Eeg", init=False, repr=False)

    flatten = datasets.Nifti.flatten  # not specific to images

    def __post_init__(self) -> None:
        if self.sampling_rate is not None and not self.sampling_rate > 0:
            raise ValueError(f"sampling_rate must be positive or None, got {self.sampling_rate}")
        if self.channels is not None:
            self.channels = [self.channels] if isinstance(self.channels, str) else list(self.channels)
            if len(set(canonical_names(self.channels))) < max(len(self.channels), 1):
                raise ValueError(f"channels must be distinct names or None; got {self.channels}")

    def __call__(self) -> pa.DataType:
        """Return the Arrow type of the column."""
        return self.pa_type

    def encode_example(
        self, value: Union[str, Path, bytes, bytearray, Mapping[str, Any], "mne.io.BaseRaw"]
    ) -> dict[str, Any]:
        """Convert a value to the form that the column stores.

        Args:
            value: A path, a URL, bytes, a mapping with `path` or `bytes`, or an MNE Raw.

        Returns:
            `{"path": ..., "bytes": ...}`, one of which may be None.

        Raises:
            ValueError: If the value is of another type.
        """
        import mne

        if isinstance(value, str):
            return {"path": value, "bytes": None}
        if isinstance(value, Path):
            return {"path": str(value.absolute()), "bytes": None}
        if isinstance(value, bytes | bytearray):
            return {"path": None, "bytes": bytes(value)}
        if isinstance(value, Mapping):
            stored = {"path": value.get("path"), "bytes": value.get("bytes")}
            if stored != {"path": None, "bytes": None}:
                return stored
        elif isinstance(value, mne.io.BaseRaw):
            return stored_value(value) or _encode_raw(value)
        raise ValueError(
            "expected a path, bytes, a mapping with 'path' or 'bytes', or an MNE Raw, got"
            f" {value if isinstance(value, Mapping) else type(value).__name__}"
        )

    def decode_example(
        self, value: dict[str, Any], token_per_repo_id: dict[str, str | bool | None] | None = None
    ) -> "mne.io.BaseRaw":
        """Open a stored recording.

        Args:
            value: `{"path": ..., "bytes": ...}`.
            token_per_repo_id: Token for each private repository of the Hub.

        Returns:
            The recording, read lazily unless it was resampled.

        Raises:
            ValueError: If it is damaged, or lacks one of `channels`.
            FileNotFoundError: If it or a companion file is missing.
            ImportError: If its reader is not installed.
        """
        if not isinstance(value, Mapping):
            return value  # a Raw already: decoding twice changes nothing
        folder, path = _local(value, token_per_repo_id)
        raw = self._open(path)
        remember(raw, Origin(self, value["path"], value["bytes"] is not None, path, folder))
        return raw

    def _open(self, path: Path) -> "mne.io.BaseRaw":
        if path.suffix.lower() in TABLE_EXTENSIONS:
            raw = read_recording(path, sampling_rate=self.sampling_rate, unit=self.unit)
        else:
            raw = open_recording(path)
        if self.channels is not None:
            raw = _pick(raw, self.channels, path.name)
        if self.sampling_rate is not None and self.sampling_rate != raw.info["sfreq"]:
            raw = raw.load_data(verbose="ERROR").resample(self.sampling_rate, verbose="ERROR")
        return raw

    def cast_storage(self, storage: pa.Array) -> pa.StructArray:
        """Convert a column of paths, of bytes, or of mappings with either, to the stored form.

        Args:
            storage: Strings, binaries, or structs with `path` or `bytes` or both.
        """
        small = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}  # from pandas and polars
        return datasets.Nifti().cast_storage(storage.cast(small.get(storage.type, storage.type)))

    def embed_storage(
        self,
        storage: pa.StructArray,
        token_per_repo_id: dict[str, str | bool | None] | None = None,
        local_files: bool = True,
        remote_files: bool = True,
    ) -> pa.StructArray:
        """Embed the bytes of the recordings into the column.

        Args:
            storage: The column as it is stored.
            token_per_repo_id: Token for each private repository of the Hub.
            local_files: Whether to embed files of this machine.
            remote_files: Whether to embed files behind URLs.

        Returns:
            The column with bytes, and file names in place of paths.

        Raises:
            ValueError: If the recordings of one batch exceed 2 GiB, the limit of an Arrow array.
        """

        def is_embedded(path: str | None) -> bool:
            return path is not None and (
                (local_files and is_local_path(path)) or (remote_files and is_remote_url(path))
            )

        rows = []
        for value in storage.to_pylist():
            if value is not None and is_embedded(value["path"]):
                if value["bytes"] is None:
                    folder, path = _local(value, token_per_repo_id)
                    value["bytes"] = pack(path)
                    del folder  # not earlier: the path is in it
                value["path"] = xbasename(value["path"])
            rows.append(value)
        size = sum(len(value["bytes"] or b"") for value in rows if value is not None)
        if size > _LARGEST_COLUMN:
            raise ValueError(
                f"{len(rows)} recordings have {size / 2**30:.1f} GiB, an Arrow array takes 2: embed fewer at"
                " a time (batch_size=, or num_shards= of push_to_hub)"
            )
        return pa.array(rows, type=self.pa_type)


def _local(
    value: Mapping[str, Any], token_per_repo_id: Mapping[str, str | bool | None] | None
) -> tuple[TemporaryFolder | None, Path]:
    """Write a stored recording to disk; return its temporary folder, if it needs one, and its main file."""
    path, data = value["path"], value["bytes"]
    if path is None and data is None:
        raise ValueError("expected a recording with a path or bytes, got neither")
    if data is None and is_local_path(path):
        return None, Path(path).absolute()
    folder = TemporaryFolder()
    if data is not None:
        return folder, unpack(data, path, folder.path)
    source = string_to_dict(path.split("::")[-1], datasets.config.HUB_DATASETS_HFFS_URL)
    token = (token_per_repo_id or {}).get(source["repo_id"]) if source is not None else None
    return folder, fetch(path, folder.path, datasets.DownloadConfig(token=token))


def _encode_raw(raw: "mne.io.BaseRaw") -> dict[str, Any]:
    """Write a recording that was modified in memory as FIF, in double precision."""
    folder = TemporaryFolder()
    path = folder.path / "recording_raw.fif"
    raw.save(path, fmt="double", verbose="ERROR")
    return {"path": path.name, "bytes": pack(path)}


def _pick(raw: "mne.io.BaseRaw", channels: Sequence[str], name: str) -> "mne.io.BaseRaw":
    """Keep some channels, in their order, under their canonical names."""
    labels: dict[str, str] = {}
    for canonical, label in zip(canonical_names(raw.ch_names), raw.ch_names, strict=True):
        labels.setdefault(canonical, label)
    wanted = canonical_names(channels)
    missing = [channel for channel in wanted if channel not in labels]
    if missing:
        raise ValueError(f"{name} lacks the channels {', '.join(missing)}: it has {', '.join(raw.ch_names)}")
    raw.reorder_channels([labels[channel] for channel in wanted])
    raw.rename_channels({labels[channel]: channel for channel in wanted}, verbose="ERROR")
    return raw
