# SPDX-License-Identifier: Apache-2.0
"""Registration of the feature `Eeg` and the builder `eegfolder` with datasets."""

import contextlib
import inspect
import warnings
from collections.abc import Iterator
from functools import cache, wraps
from typing import Any

from datasets import packaged_modules
from datasets.features.features import _FEATURE_TYPES, register_feature
from datasets.load import DatasetModule, PackagedDatasetModuleFactory
from fsspec import filesystem

from . import eegfolder
from .eeg_feature import Eeg
from .folder_files import BIDS_SIDE_FILE, INFERRED_EXTENSIONS, PART_EXTENSIONS, SIDE_TABLE_EXTENSIONS


def register_recordings() -> None:
    """Register the feature and the builder; repeated calls do nothing."""
    if _FEATURE_TYPES.get(Eeg.__name__) is not Eeg:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # register_feature warns at each call that it is experimental
            register_feature(Eeg, Eeg.__name__)
    _register_eegfolder()


class _BidsSideFileName(str):
    """A file name that compares equal to the names of all side files of BIDS trees.

    datasets infers the builder from the most common extension, without the files in a list of metadata file
    names. Side tables are the most common files of a BIDS tree: with this name in the list they do not count.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and BIDS_SIDE_FILE.fullmatch(other) is not None

    __hash__ = str.__hash__


def _register_eegfolder() -> None:
    """Add the builder to the tables of datasets' own builders.

    The tables are private, but there is no public way. They are changed in place, because datasets.load holds
    the same objects. Extensions that datasets already knows keep their builders.
    """
    name, tables = "eegfolder", packaged_modules
    if name in tables._PACKAGED_DATASETS_MODULES:
        return
    source = inspect.getsource(eegfolder).splitlines()
    inferred = [spelt for extension in INFERRED_EXTENSIONS for spelt in (extension, extension.upper())]
    extensions = [spelt for e in eegfolder.EegFolder.EXTENSIONS for spelt in (e, e.upper())]
    parts = [spelt for e in (*PART_EXTENSIONS, *SIDE_TABLE_EXTENSIONS) for spelt in (e, e.upper())]
    for extension in inferred:
        tables._EXTENSION_TO_MODULE.setdefault(extension, (name, {}))
    tables._MODULE_TO_EXTENSIONS[name] = [*extensions, ".zip"]
    tables._MODULE_TO_METADATA_FILE_NAMES[name] = eegfolder.EegFolder.METADATA_FILENAMES
    tables._MODULE_TO_METADATA_EXTENSIONS[name] = parts
    tables._ALL_EXTENSIONS += inferred
    tables._ALL_ALLOWED_EXTENSIONS += [*extensions, *parts]
    tables._ALL_METADATA_FILENAMES.append(_BidsSideFileName("sub-*_*.tsv"))
    tables._PACKAGED_DATASETS_MODULES[name] = (eegfolder.__name__, tables._hash_python_lines(source))
    _list_folders_once()


def _list_folders_once() -> None:
    """Let datasets list a folder of recordings once, and not for each of 66 patterns of names of splits."""
    get_module = PackagedDatasetModuleFactory.get_module

    @wraps(get_module)
    def get_module_of_recordings(self: PackagedDatasetModuleFactory) -> DatasetModule:
        with _remembered_listings() if self.name == "eegfolder" else contextlib.nullcontext():
            return get_module(self)

    PackagedDatasetModuleFactory.get_module = get_module_of_recordings


@contextlib.contextmanager
def _remembered_listings() -> Iterator[None]:
    """Remember what the file system of this machine lists until the block ends."""
    local = filesystem("file")  # one object for all of fsspec

    @cache
    def listed(path: str, options: tuple[tuple[str, Any], ...]) -> Any:
        return type(local).find(local, path, **dict(options))

    def find(path: str, **options: Any) -> Any:
        found = listed(path, tuple(sorted(options.items())))
        return found.copy()  # fsspec changes it

    local.find = find
    try:
        yield
    finally:
        del local.find
