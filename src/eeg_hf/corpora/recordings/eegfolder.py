# SPDX-License-Identifier: Apache-2.0
"""`load_dataset("eegfolder", data_dir=...)`: a folder of recordings as a dataset, as audiofolder for sounds.

NOTE: datasets replaces `os.path`, `open` and `pathlib.Path` in the module of a builder, so that they accept
    URLs too. Code that needs real paths is in other modules.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, DownloadConfig, Features, SplitGenerator
from datasets.builder import Key
from datasets.packaged_modules.folder_based_builder import folder_based_builder
from transformers.utils import logging

from .eeg_feature import Eeg
from .folder_files import is_part, left_out, main_files, own_files, under_own_name
from .folder_metadata import bids_rows, metadata_rows, row_features
from .formats import EXTENSIONS

logger = logging.get_logger(__name__)

Rows = Mapping[str, Mapping[str, Any]]


@dataclass
class EegFolderConfig(folder_based_builder.FolderBasedBuilderConfig):
    """Options of `load_dataset("eegfolder", ...)`.

    Attributes:
        drop_labels: True for no `label` column, False for one in any case. By default there is one where all
            recordings lie at the same depth, in two folders or more.
        drop_metadata: True to ignore `metadata.csv` and the like, and the tables of a BIDS tree.
        unit: `"V"`, `"mV"` or `"uV"`: read tables of samples (CSV, TSV, TXT, Parquet) as recordings in this
            unit.
        sampling_rate: Rate in Hz of those tables; for other recordings, the rate to resample to.
        follow_links: Whether links out of the folder are followed.
    """

    drop_labels: bool | None = None
    drop_metadata: bool | None = None
    unit: str | None = None
    sampling_rate: float | None = None
    decode_num_threads: int = 4
    follow_links: bool = False


class EegFolder(folder_based_builder.FolderBasedBuilder):
    """Recordings of a folder, a zip or a repository of the Hub, one row each, in the column `eeg`.

    Splits come from words in the names of folders or files (`train`, `test`, ...), as in every dataset of
    files. Further columns come from the first of these that exists: `metadata.csv`, `metadata.jsonl` or
    `metadata.parquet` with a column `file_name`; a BIDS tree (`subject`, `session`, `task`, `run`, and the
    columns of participants.tsv and sessions.tsv); the folders' names, as `label`. Companions, side tables and
    all other files give no rows.

    `load_dataset("folder")` selects this builder where most files are recordings with an unambiguous
    extension. Name the builder for the others: `.raw`, `.lay`, Nihon Kohden's `.eeg`, and `.mff` folders.
    Tables of samples (CSV) are read as recordings if `unit` and `sampling_rate` are set.
    """

    BASE_FEATURE = Eeg
    BASE_COLUMN_NAME = "eeg"
    BUILDER_CONFIG_CLASS = EegFolderConfig
    EXTENSIONS: list[str] = list(EXTENSIONS)
    METADATA_FILENAMES: list[str] = [
        *("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet", "metadata.xlsx"),
    ]

    def _split_files_and_metadata_and_archives(
        self, data_files: list[str]
    ) -> tuple[list[str], list[str], list[str]]:
        data_files = own_files(self._folder, data_files, self.config.follow_links)
        # Unlike the parent's rule, this one excludes rec.edf.event, and folders, which cannot be downloaded
        metadata_names = self.config.metadata_filenames or self.METADATA_FILENAMES
        metadata = [file for file in data_files if file.rpartition("/")[2] in metadata_names]
        tables = set(metadata)
        samples = [file for file in data_files if file not in tables]
        files = [file for file in self._main_files(samples) if not _is_folder(file)]
        return files, metadata, [file for file in data_files if file.lower().endswith(".zip")]

    def _base_feature(self) -> Eeg:
        return Eeg(sampling_rate=self.config.sampling_rate, unit=self.config.unit)

    def _main_files(self, names: list[str]) -> list[str]:
        return main_files(names, tables=self.config.unit is not None)

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        # Companions and sidecars are downloaded too, under their own names, but give no rows
        parts: dict[str, list[str]] = {}
        for split, files in (self.config.data_files or {}).items():
            urls = own_files(self._folder, filter(is_part, files), self.config.follow_links)
            parts[split] = _own_names(urls, dl_manager.download(urls))
        splits = super()._split_generators(dl_manager)
        if any(split.gen_kwargs["add_metadata"] for split in splits):
            return splits  # the parent's columns of metadata.csv
        names = [name for files in parts.values() for name in files]
        found: dict[str, list[str]] = {}
        for split in splits:
            files, inside = _places(split.gen_kwargs["files"])
            found[split.name] = [
                *files,
                *filter(_is_folder, main_files(parts[split.name])),
                *self._main_files(inside),
            ]
            names += inside
        everything = [file for files in found.values() for file in files]
        self._report_left_out(everything)
        rows = self._describe(everything, names)
        for split in splits:
            split.gen_kwargs["files"] = [(file, rows[file]) for file in found[split.name] if file in rows]
            split.gen_kwargs["metadata_files"] = ()  # a list would have to be as long as that of the files
        return splits

    @property
    def _folder(self) -> str:
        return "/".join(part for part in (self.base_path, self.config.data_dir) if part)

    def _report_left_out(self, files: list[str]) -> None:
        if missing := left_out(self._folder, files):
            logger.warning(
                f"{len(missing)} of {len(missing) + len(files)} recordings in {self._folder} are in no split,"
                f" such as {missing[0]}: only files with words like test in their names became splits;"
                " data_files={'train': '**'} takes all"
            )

    def _describe(self, files: list[str], names: list[str]) -> Rows:
        """Return the columns of each recording beside `eeg`, and set the features."""
        if not files:
            raise ValueError(
                f"no recording among the files of {self.config.data_dir or self.base_path}: expected"
                f" {', '.join(EXTENSIONS)}"
            )
        download_config = DownloadConfig(token=self.token, storage_options=self.storage_options)
        rows: Rows = {} if self.config.drop_metadata else bids_rows(files, names, download_config)
        features = row_features(rows.values())
        if not rows:
            rows, features = _label_by_folder(files, self.config.drop_labels)
        elif left_out := sorted(set(files) - rows.keys()):
            logger.warning(
                f"{len(left_out)} of {len(files)} recordings are not part of the BIDS tree and left out, such"
                f" as {left_out[0]}; drop_metadata=True takes all recordings, without the tree's columns"
            )
        if self.config.features is None:
            self.info.features = Features({self.BASE_COLUMN_NAME: self._base_feature(), **features})
        return rows

    def _read_metadata(self, metadata_file: str, metadata_ext: str = "") -> Iterator[pa.Table]:
        """Read a metadata file as `eeg-hf prepare` does: columns in any spelling, `001` as text."""
        if self.config.features is not None or metadata_ext == ".parquet":
            yield from super()._read_metadata(metadata_file, metadata_ext)
            return
        file = str(metadata_file)
        config = DownloadConfig(token=self.token, storage_options=self.storage_options)
        table = metadata_rows(file, self._described_by(file), config)
        wanted = self.config.filters
        if wanted is not None:
            table = table.filter(pq.filters_to_expression(wanted) if isinstance(wanted, list) else wanted)
        if len(table):
            yield table

    def _described_by(self, table: str) -> list[str]:
        """List the recordings in and below the folder of a table, if it is the only one there."""
        folder = table.rpartition("/")[0] + "/"
        every = [file for files in (self.config.data_files or {}).values() for file in files]
        names = self.config.metadata_filenames or self.METADATA_FILENAMES
        others = [file for file in every if file.rpartition("/")[2] not in names]
        if len(every) - len(others) != 1:
            return []
        return [file.removeprefix(folder) for file in self._main_files(others) if file.startswith(folder)]

    def _generate_shards(self, files: Any, add_metadata: bool, **others: Any) -> Iterator[str]:
        if add_metadata:
            yield from super()._generate_shards(files=files, add_metadata=add_metadata, **others)
        else:
            yield from (file for file, _ in files)

    def _generate_examples(
        self, files: Any, add_metadata: bool, **others: Any
    ) -> Iterator[tuple[Key, dict[str, Any]]]:
        if add_metadata:
            yield from super()._generate_examples(files=files, add_metadata=add_metadata, **others)
            return
        # Filters as of Parquet datasets: rows are compared before a recording is opened
        wanted = self.config.filters
        condition = pq.filters_to_expression(wanted) if isinstance(wanted, list) else wanted
        for index, (file, columns) in enumerate(files):
            row = {self.BASE_COLUMN_NAME: file, **columns}
            if condition is None or len(pa.Table.from_pylist([row]).filter(condition)):
                yield Key(index, 0), row


def _label_by_folder(files: list[str], drop_labels: bool | None) -> tuple[Rows, Features]:
    """Label each recording by the name of its folder, unless labels are dropped."""
    folders = {file: file.partition("::")[0].split("/")[:-1] for file in files}
    names = sorted({folder[-1] if folder else "" for folder in folders.values()})
    is_regular = len(names) > 1 and len({len(folder) for folder in folders.values()}) == 1
    if drop_labels or (drop_labels is None and not is_regular):
        return {file: {} for file in files}, Features()
    return {file: {"label": folder[-1]} for file, folder in folders.items()}, Features(
        label=ClassLabel(names=names)
    )


def _places(entries: Iterable[tuple[str, str | None, Any]]) -> tuple[list[str], list[str]]:
    """Return the downloaded paths of recordings, and the names inside of archives."""
    entries = list(entries)
    files = [(original, now) for original, archive, now in entries if archive is None]
    inside = [name for _, archive, names in entries if archive is not None for name in names]
    return _own_names([original for original, _ in files], [now for _, now in files]), inside


def _own_names(originals: Iterable[str], downloaded: Iterable[str]) -> list[str]:
    return [under_own_name(str(old), str(now)) for old, now in zip(originals, downloaded, strict=True)]


def _is_folder(file: str) -> bool:
    return file.partition("::")[0].lower().endswith(".mff")
