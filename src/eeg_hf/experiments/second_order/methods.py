# SPDX-License-Identifier: Apache-2.0
"""The methods that are compared, by the name that the command line takes.

Each chooses its penalty and its threshold by grouped folds inside the training rows, in the same way.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, partial
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from transformers import set_seed

from ...collation.group_calibrations import REGIMES, balanced_weights
from ...corpora import load_windows
from ...evaluation.baselines import BandPower
from ...evaluation.welch_tangent_space import WelchTangentSpace
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training.convex_head import fit_head
from .corpus import Fold, StudyCorpus
from .statistics import WindowStatistics, make_encoder
from .vector_training import VectorDataset, VectorHead, standardize, train


class Method(ABC):
    """One row of a table.

    Args:
        corpus: The corpus, of which features are computed once.
    """

    title: str
    regimes: tuple[str, ...] = REGIMES

    def __init__(self, corpus: StudyCorpus) -> None:
        self.corpus = corpus
        self._remembered: tuple[bytes, Any] | None = None

    def remember(self, fold: Fold, compute: Callable[[], Any]) -> Any:
        """Return what `compute` returned the last time if the windows that recentre are still the same."""
        if not fold.is_reference.any():  # the training windows recentre
            return compute()
        key = fold.is_reference.tobytes()
        if self._remembered is None or self._remembered[0] != key:
            self._remembered = (key, compute())
        return self._remembered[1]

    @abstractmethod
    def score(self, fold: Fold) -> np.ndarray:
        """Return class probabilities (test, classes) of the test rows."""

    def score_linearly(self, features: np.ndarray, fold: Fold) -> np.ndarray:
        """Fit a convex head to the training rows of (rows, features)."""
        labels, groups = self.corpus.labels[fold.train], self.corpus.groups[fold.train]
        head = fit_head(features[fold.train], labels, groups)
        scores = np.full((len(fold.test), len(self.corpus.class_names)), -np.inf)
        logits = features[fold.test] @ head.weight.T + head.bias
        scores[:, : logits.shape[1]] = logits
        return softmax(scores, axis=1)


class SecondOrder(Method):
    """Our vectors and a convex head.

    Args:
        corpus: The corpus.
        title: Name of the row.
        features: `"all"`, or `"power"` for the log power alone, without what channels share.
        **fields: Fields of the config.
    """

    def __init__(
        self,
        corpus: StudyCorpus,
        title: str = "second-order vectors, convex head",
        features: str = "all",
        **fields: Any,
    ) -> None:
        super().__init__(corpus)
        self.title, self.features, self.fields = title, features, fields

    @cached_property
    def statistics(self) -> WindowStatistics:
        """Statistics of all windows."""
        encoder = make_encoder(self.corpus, **self.fields)
        return WindowStatistics.read(self.corpus.rows, self.corpus.extractor, encoder)

    def tokens(self, fold: Fold) -> torch.Tensor:
        """Return the vectors of all rows, (rows, bands, features)."""
        return self.remember(fold, partial(self.statistics.vectors, fold, self.corpus.subjects))

    def tokens_of(self, path: str) -> torch.Tensor:
        """Return the vectors of the windows of another corpus, recentred by their subjects.

        Raises:
            ValueError: If it was prepared at another rate.
        """
        rows, extractor = load_windows(path), EEGFeatureExtractor.from_pretrained(path)
        if extractor.sampling_rate != self.corpus.sampling_rate:
            raise ValueError(
                f"pretrain_data: expected {self.corpus.sampling_rate:g} Hz as in {self.corpus.args.data}, "
                f"{path} has {extractor.sampling_rate:g} Hz: prepare it again with --sampling_rate"
            )
        statistics = WindowStatistics.read(rows, extractor, self.statistics.model)
        every = np.ones(len(rows))
        return statistics.recentred_vectors(every > 0, np.array(rows["alignment_group"][:]), every)

    def vectors(self, fold: Fold) -> np.ndarray:
        """Return what the head reads, (rows, features)."""
        vectors = self.tokens(fold).numpy()
        if self.features == "power":
            vectors = vectors[:, :, -self.statistics.num_components :]
        return vectors.reshape(len(vectors), -1)

    def score(self, fold: Fold) -> np.ndarray:
        """Fit the head and score the test rows."""
        return self.score_linearly(self.vectors(fold), fold)


class BalancedSecondOrder(SecondOrder):
    """Our vectors; classes count alike where training subjects are recentred, so that shares may differ."""

    def __init__(self, corpus: StudyCorpus) -> None:
        super().__init__(corpus, title="second-order vectors, classes alike in the recentring")

    def tokens(self, fold: Fold) -> torch.Tensor:
        """Return the vectors of all rows; those of tested subjects are recentred as they are."""
        train, subjects = fold.train[fold.is_reference[fold.train]], self.corpus.subjects
        weights = np.ones(len(subjects))
        weights[train] = balanced_weights(self.corpus.labels[train], subjects[train])
        return self.statistics.vectors(fold, subjects, weights)


class GradientHead(SecondOrder):
    """Our vectors and a linear head that AdamW trains for 25 epochs, as heads of networks are."""

    def __init__(self, corpus: StudyCorpus) -> None:
        super().__init__(corpus, title="second-order vectors, head by AdamW")

    def score(self, fold: Fold) -> np.ndarray:
        """Train the head and score the test rows."""
        vectors = standardize(self.tokens(fold), fold.train).flatten(1)
        labels = torch.from_numpy(self.corpus.labels)
        counts = torch.bincount(labels[fold.train], minlength=len(self.corpus.class_names))
        set_seed(fold.seed)
        head = VectorHead(vectors.shape[1], len(fold.train) / counts.clamp(min=1) / len(counts))
        with TemporaryDirectory() as folder:
            rows = VectorDataset(features=vectors[fold.train], labels=labels[fold.train])
            settings = {"num_train_epochs": 25, "per_device_train_batch_size": 32, "learning_rate": 1e-3}
            train(head, rows, folder, weight_decay=0.01, seed=fold.seed, **settings)
        with torch.no_grad():
            return head(vectors[fold.test])["logits"].softmax(dim=-1).numpy()


class TangentSpace(Method):
    """The strongest classical method."""

    title = "tangent space, 12 Welch bands"

    @cached_property
    def covariances(self) -> np.ndarray:
        """Cross-spectra of all windows."""
        return WelchTangentSpace(self.corpus.sampling_rate).covariances(self.corpus.microvolts)

    def vectors(self, fold: Fold, model: WelchTangentSpace) -> dict[tuple[float, float], np.ndarray]:
        """Return the vectors of all rows for each pair of shrinkages."""
        subjects, found, references = self.corpus.subjects, self.covariances, None
        if model.is_aligned:
            rows = {name: fold.is_reference & (subjects == name) for name in np.unique(subjects)}
            references = {name: found[own].mean(axis=0) for name, own in rows.items()}
        else:
            model.recentre_by(found[fold.train])
        return {pair: model.vectors(found, subjects, pair, references) for pair in model.shrinkages}

    def score(self, fold: Fold) -> np.ndarray:
        """Fit and score, recentred as the fold may."""
        model = WelchTangentSpace(self.corpus.sampling_rate, is_aligned=bool(fold.is_reference.any()))
        vectors = self.remember(fold, partial(self.vectors, fold, model))
        labels, groups = self.corpus.labels[fold.train], self.corpus.groups[fold.train]
        model.fit_vectors({pair: values[fold.train] for pair, values in vectors.items()}, labels, groups)
        scores = np.zeros((len(fold.test), len(self.corpus.class_names)))
        scores[:, model.classes_] = model.predict_vectors(vectors[model.shrinkage_][fold.test])
        return scores


class BandPowers(Method):
    """Log power of five bands, recentred by each subject's mean where the regime allows it."""

    title = "band power"

    @cached_property
    def power(self) -> np.ndarray:
        """Log power of all windows, (rows, features)."""
        return BandPower(self.corpus.sampling_rate).transform(self.corpus.microvolts)

    def score(self, fold: Fold) -> np.ndarray:
        """Fit and score."""
        power, subjects = self.power.copy(), self.corpus.subjects
        if fold.is_reference.any():
            for name in np.unique(subjects):
                own = subjects == name
                power[own] -= power[own & fold.is_reference].mean(axis=0)
        return self.score_linearly(power, fold)


def _network(name: str, corpus: StudyCorpus) -> Method:
    from .networks import Network  # a network is a method: imported here, as it imports this module

    return Network(corpus, name)


def _locked(name: str, corpus: StudyCorpus, **settings: Any) -> Method:
    from . import locked_methods  # likewise

    return getattr(locked_methods, name)(corpus, **settings)


METHODS: dict[str, Callable[[StudyCorpus], Method]] = {
    "second_order": SecondOrder,
    "tangent_space": TangentSpace,
    "band_power": BandPowers,
    "chosen_features": partial(_locked, "ChosenFeatures"),
    "erp_covariances": partial(_locked, "Evoked", kind="erp"),
    "xdawn_covariances": partial(_locked, "Evoked", kind="xdawn"),
    "cca": partial(_locked, "SteadyState", num_bands=1),
    "fbcca": partial(_locked, "SteadyState", num_bands=5),
    # One thing of ours left out at a time
    "log_power": partial(SecondOrder, title="log power of the vectors alone", features="power"),
    "covariances": partial(SecondOrder, title="covariances, not split", second_order_split=False),
    "hardly_shrunk": partial(
        SecondOrder, title="hardly shrunk after recentring", second_order_shrinkage=0.05
    ),
    "gradient_head": GradientHead,
    "balanced": BalancedSecondOrder,
    "harmonics_8": partial(
        SecondOrder, title="8 harmonics", second_order_basis="harmonics", second_order_degree=2
    ),
    "harmonics_15": partial(
        SecondOrder, title="15 harmonics", second_order_basis="harmonics", second_order_degree=3
    ),
    # Networks of braindecode and of spd_learn
    "eegnet": partial(_network, "EEGNet"),
    "shallow": partial(_network, "ShallowFBCSPNet"),
    "conformer": partial(_network, "EEGConformer"),
    "green": partial(_network, "Green"),
    "tsmnet": partial(_network, "TSMNet"),
}


def build_method(name: str, corpus: StudyCorpus) -> Method:
    """Return a method by its name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in METHODS:
        raise ValueError(f"methods: expected some of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name](corpus)
