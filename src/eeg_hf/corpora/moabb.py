# SPDX-License-Identifier: Apache-2.0
"""Any dataset of MOABB, the Mother of All BCI Benchmarks, as a corpus.

https://moabb.neurotechx.com and https://doi.org/10.5281/zenodo.10034223

MOABB downloads, reads and names the recordings. Without a paradigm they are whole recordings with the
dataset's events; with one (`"LeftRightImagery"`, `"P300"`, `"SSVEP"`, ...) they are its epochs, filtered as
in MOABB's benchmarks.

Traps:

* An event's onset is where the dataset's interval of interest begins, which may be seconds after the cue
  (2 s in BNCI2014_001), and its duration is that of the interval.
* MOABB's arrays are in microvolt, but its Raw and Epochs are in volts, as MNE's; only these are used here.
* MNE's epochs include both ends: 3 s at 128 Hz are 385 samples. The last one is cut off.
* Sessions and runs are known only after a subject is loaded, so listing the recordings loads (and downloads)
  all subjects, one at a time. Choose them with `subjects`.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging

from ..suggestions import did_you_mean
from .corpus import Corpus, Event, Recording, annotated, refuse_idle

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

_FOLDER_VARIABLE = "MNE_DATA"


class MOABB(Corpus):
    """One dataset of MOABB; subjects, sessions and runs have MOABB's names.

    Args:
        dataset: Name of a class in `moabb.datasets`, or an instance of such a class or of your own.
        paradigm: Name of a class in `moabb.paradigms`, `None` for whole recordings.
        dataset_options: Arguments of the dataset's class.
        paradigm_options: Arguments of the paradigm's class, such as `{"fmin": 4, "fmax": 40}`.
        subjects: Subjects to load; all by default.

    Events: those of the dataset by name (`left_hand`, `Target`, ...), which is the label; with a paradigm,
        each of its epochs.

    Raises:
        ImportError: If moabb is not installed.
        ValueError: If there is no such dataset, paradigm or subject, or they do not fit each other.
    """

    name = "moabb"
    has_events = True

    def __init__(
        self,
        dataset: Any = "BNCI2014_001",
        paradigm: str | None = None,
        dataset_options: Mapping[str, Any] | None = None,
        paradigm_options: Mapping[str, Any] | None = None,
        subjects: Collection[str | int] | None = None,
    ) -> None:
        try:
            import moabb
            import moabb.datasets
            import moabb.paradigms
        except ImportError as error:
            raise ImportError(f'corpus moabb needs moabb: pip install "eeg-hf[moabb]" ({error})') from None
        if paradigm is None:
            refuse_idle(self.name, {"paradigm_options": paradigm_options}, "no paradigm is given")
        if not isinstance(dataset, str):
            refuse_idle(self.name, {"dataset_options": dataset_options}, "the dataset is made already")
        if isinstance(dataset, str):
            dataset = _construct(moabb.datasets, dataset, "dataset", dataset_options)
        self._dataset = dataset
        self._paradigm = None
        if paradigm is not None:
            self._paradigm = _construct(moabb.paradigms, paradigm, "paradigm", paradigm_options)
            if len(getattr(self._paradigm, "filters", ())) > 1:  # a filter bank
                raise ValueError(f"paradigm {paradigm} gives several bands of each epoch, expected one")
            if not self._paradigm.is_valid(dataset):
                raise ValueError(
                    f"paradigm {paradigm} does not fit {type(dataset).__name__}, whose paradigm is "
                    f"{dataset.paradigm} with events {', '.join(dataset.event_id)}"
                )
        self._known = {str(subject): subject for subject in dataset.subject_list}
        self._subjects = self._chosen(subjects)
        self._made_of = f"moabb {moabb.__version__} {dataset.code} {paradigm} {paradigm_options}"
        self._describe(dataset)

    def _describe(self, dataset: Any) -> None:
        """Set licence, DOI and reference as MOABB states them."""
        label = type(dataset).__name__
        about = dataset.metadata
        licence = (about and about.documentation.license) or "unknown"
        doi = dataset.doi or (about and about.documentation.doi)
        self.name = f"moabb_{label.lower()}"
        self.title = f"{label} (MOABB)"
        self.licence = str(licence)
        self.url = f"https://doi.org/{doi}" if doi else MOABB.url
        self.citation = f"{label}, {self.url}; through {MOABB.citation}"
        self.reference = str((about and about.acquisition.reference) or MOABB.reference)
        self.num_subjects = len(self._known)

    def _chosen(self, subjects: Collection[str | int] | None) -> list[str]:
        """Return the names of the chosen subjects."""
        wanted = list(self._known) if subjects is None else [str(subject) for subject in subjects]
        unknown = [subject for subject in wanted if subject not in self._known]
        if unknown:
            raise ValueError(
                f"{type(self._dataset).__name__} has no subject {', '.join(unknown)}: it has "
                f"{', '.join(self._known)}"
            )
        return wanted

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Return the folder in which moabb keeps its data: `root`, else `$MNE_DATA`, else `~/mne_data`.

        moabb downloads missing files when recordings are listed or read, whatever `download` is.
        """
        import mne

        if subjects is not None:
            self._subjects = self._chosen(subjects)
        if not download:
            logger.warning_once(f"{self.name}: moabb downloads missing files even with download=False")
        return Path(root or mne.get_config(_FOLDER_VARIABLE) or Path.home() / "mne_data").absolute()

    def _find_recordings(self, root: Path) -> Iterable[Recording]:
        """Load the chosen subjects one after the other.

        Raises:
            ConnectionError: If moabb could load none of them.
        """
        found: list[Recording] = []
        failures: list[str] = []
        for subject in self._subjects:
            folder = Path(root).absolute() / self.name / f"subject_{subject}"
            try:
                runs = self._load(subject, Path(root).absolute())
            except Exception as error:  # network, server and reader raise many kinds
                failures.append(f"subject {subject}: {' '.join(str(error).split())[:200]}")
                if len(failures) == 2 and not found:
                    break  # without a network each takes half a minute to fail
                continue
            task = self._dataset.paradigm
            found += [Recording(folder / s / r, self.name, subject, s, r, task) for s, r in runs]
        if not found:
            raise ConnectionError(
                f"moabb could load no subject of {self.title}, {failures[0]}; it needs a network, or the "
                f"dataset in {root}"
            )
        if failures:
            logger.warning(f"{self.name}: {len(failures)} subjects could not be loaded, {failures[0]}")
        return found

    def read(self, recording: Recording) -> "mne.io.BaseRaw | mne.BaseEpochs":
        """Return a run as MOABB reads it, or the epochs of a paradigm, in volts."""
        runs = self._load(recording.subject, recording.path.parents[3])
        opened: mne.io.BaseRaw | mne.BaseEpochs = runs[recording.session, recording.run]
        return opened

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the events of the dataset; for epochs, one for each."""
        import mne

        if not isinstance(raw, mne.BaseEpochs):
            return [event for event in annotated(raw) if event.name in self._dataset.event_id]
        seconds = len(raw.times) / raw.info["sfreq"]
        return [Event(i * seconds, seconds, str(name)) for i, name in enumerate(raw.metadata["event"])]

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Describe dataset, paradigm and version of moabb; its files are not looked at."""
        return {"made_of": self._made_of}

    def _load(self, subject: str, root: Path) -> dict[tuple[str, str], Any]:
        """Load all runs of a subject: (session, run) -> Raw or Epochs."""
        os.environ[_FOLDER_VARIABLE] = str(root)  # where moabb looks, and MNE without a config file
        return _load(self._dataset, self._paradigm, self._known[subject])


@lru_cache(maxsize=1)  # the runs of one subject are read one after another, but loaded together
def _load(dataset: Any, paradigm: Any, subject: Any) -> dict[tuple[str, str], Any]:
    """Load all runs of a subject with MOABB."""
    if paradigm is None:
        sessions = dataset.get_data(subjects=[subject])[subject]
        return {(str(s), str(r)): raw for s, runs in sessions.items() for r, raw in runs.items()}
    epochs, names, table = paradigm.get_data(dataset, subjects=[subject], return_epochs=True)
    epochs.metadata = table.assign(event=list(names)).reset_index(drop=True)
    epochs.crop(include_tmax=False)
    return {
        (str(session), str(run)): epochs[rows]
        for (session, run), rows in epochs.metadata.groupby(["session", "run"], sort=False).indices.items()
    }


def _construct(module: Any, name: str, what: str, options: Mapping[str, Any] | None) -> Any:
    """Construct a class of moabb by its name."""
    names = [key for key, kind in vars(module).items() if isinstance(kind, type)]
    if name not in names:
        hint = did_you_mean(name, names, n=3, cutoff=0.4) or f": see dir({module.__name__})"
        raise ValueError(f"moabb has no {what} {name!r}{hint}")
    try:
        return getattr(module, name)(**(options or {}))
    except TypeError as error:
        raise ValueError(f"moabb: {what} {name} rejects {dict(options or {})}: {error}") from None
