# SPDX-License-Identifier: Apache-2.0
"""Models as estimators of scikit-learn: for its cross-validation, searches and pipelines, and for MOABB."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
import mne
import numpy as np
import torch
from safetensors.torch import load, save
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data
from torch.utils.data import Dataset, default_collate
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    TrainingArguments,
)

from ...bundled_weights import find_weights
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import EEGTrainer, fit_classifier, fit_population
from ...training.frozen_features import collect_features, parts_of
from ..classifiers.arguments import HOSTED, FinetuneArguments
from ..classifiers.hosted import check_hosted
from ..classifiers.model import build_model, describe_channels, fit_to_windows
from ..classifiers.target import Target
from .array_input import ArrayInput, read_input

NEW = "eeg_foundation"
SMALL = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "overlap": 0.0,
    "second_order": True,
}
"""Fields of a new EEGFoundation, as in the recipe `finetune_tiny`."""


class _EEGEstimator(BaseEstimator):
    """What the estimators share: their settings, input, model and storage."""

    _auto_class: Any = AutoModelForSequenceClassification

    def __init__(
        self,
        model: str = NEW,
        *,
        sampling_rate: float | None = None,
        channel_names: Sequence[str] | None = None,
        info: mne.Info | None = None,
        unit: Literal["V", "mV", "uV"] = "uV",
        normalization: Literal["robust", "zscore", "microvolt", "none"] = "robust",
        config: dict[str, Any] | None = None,
        head: Literal["auto", "convex", "finetune"] = "auto",
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        random_state: Any = 0,
    ) -> None:
        self.model = model
        self.sampling_rate = sampling_rate
        self.channel_names = channel_names
        self.info = info
        self.unit = unit
        self.normalization = normalization
        self.config = config
        self.head = head
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        names = self.info["ch_names"] if self.info is not None else self.channel_names
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = names is not None and len(names) == 1
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings, and the model as a config and safetensors: a pickle of torch runs code."""
        state = super().__getstate__()
        if "model_" in state:
            network: PreTrainedModel = state["model_"]
            weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
            state = {**state, "model_": (type(network), network.config.to_dict(), save(weights))}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(packed := state.get("model_"), tuple):
            model_class, config, weights = packed
            network = model_class(model_class.config_class.from_dict(config))
            network.load_state_dict(load(weights))
            state = {**state, "model_": network.eval()}
        super().__setstate__(state)

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the fitted model as all models here: the Auto classes, pipelines and the Hub take it."""
        check_is_fitted(self)
        self.model_.save_pretrained(folder)
        self.extractor_.save_pretrained(folder)
        settings: dict[str, Any] = {"class": type(self).__name__, "num_features": self.n_features_in_}
        if hasattr(self, "parts_"):
            settings |= {"parts": self.parts_, "num_outputs": self._n_features_out}
        if hasattr(self, "classes_"):
            settings["classes"] = self.classes_.tolist()
        (Path(folder) / "estimator.json").write_text(json.dumps(settings), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path, **settings: Any) -> Any:
        """Return a fitted estimator from what `save_pretrained` wrote.

        Args:
            folder: Where it is.
            **settings: As of the class, such as `unit`; rate and channels are those of the model.

        Raises:
            ValueError: If another kind of estimator, or none, was saved there.
        """
        path = Path(folder) / "estimator.json"
        if not path.is_file():
            raise ValueError(f"{folder}: expected what save_pretrained of {cls.__name__} wrote, got none")
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["class"] != cls.__name__:
            raise ValueError(f"{folder}: expected a {cls.__name__}, got a {saved['class']}")
        extractor = AutoFeatureExtractor.from_pretrained(folder)
        own = {"sampling_rate": extractor.sampling_rate, "channel_names": extractor.channels}
        estimator = cls(str(folder), **{**own, **settings})
        estimator.model_ = cls._auto_class.from_pretrained(folder).eval()
        estimator.extractor_, estimator.n_features_in_ = extractor, saved["num_features"]
        estimator.channel_names_ = tuple(extractor.channels)
        if "parts" in saved:
            estimator.parts_, estimator._n_features_out = saved["parts"], saved["num_outputs"]
        if "classes" in saved:
            estimator.classes_ = np.array(saved["classes"])
        return estimator

    def _read(self, X: Any, is_new: bool) -> ArrayInput:
        """Return the input as windows; once fitted, at the rate and with the channels of the model."""
        if not isinstance(X, (mne.BaseEpochs, datasets.Dataset)):
            X = validate_data(self, X, reset=is_new, allow_nd=True, dtype=np.float32)
            if X.ndim == 2 and is_new and X.shape[1] < 2:
                raise ValueError(
                    f"expected windows of 2 samples or more, got {X.shape[1]} feature(s) (shape={X.shape})"
                )
        windows = read_input(X, self.sampling_rate, self.channel_names, self.info, self.unit)
        if is_new:
            self.n_features_in_ = getattr(self, "n_features_in_", len(windows.channel_names))
            self.channel_names_ = windows.channel_names
            return windows
        return windows.in_order(self.channel_names_).at_rate(self.extractor_.sampling_rate)

    @property
    def _source(self) -> str:
        """The folder of pretrained weights; empty for a new model."""
        return (
            "" if self.model in (NEW, "eegnet") or self.model.startswith(HOSTED) else find_weights(self.model)
        )

    def _choose_extractor(self, windows: ArrayInput) -> EEGFeatureExtractor:
        """Return the signal contract: that of pretrained weights, or one that says what the windows are."""
        if source := self._source:
            return EEGFeatureExtractor.from_pretrained(source)
        low, high = windows.band_hz
        return EEGFeatureExtractor(
            sampling_rate=windows.sampling_rate,
            highpass_hz=low,
            lowpass_hz=high,
            reference="original",
            channels=windows.channel_names,
            normalization=self.normalization,
            bad_channels="none",
            window_seconds=windows.values.shape[2] / windows.sampling_rate,
        )

    @property
    def _fields(self) -> dict[str, Any]:
        """Fields of a new EEGFoundation."""
        return {**SMALL, **(self.config or {})}

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))


class _EEGPredictor(_EEGEstimator):
    """Fit a head, or a network, to labels."""

    def _fit(self, windows: ArrayInput, target: Target, labels: Sequence[Any], groups: Any) -> None:
        """Build the model for these windows and train it."""
        self.extractor_ = self._choose_extractor(windows)
        windows = windows.at_rate(self.extractor_.sampling_rate)
        args, rows = self._arguments(), windows.describe(labels)
        seed = self._seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if args.is_hosted:
                check_hosted(args, rows, target)
            network: Any = build_model(args, self._source, rows, self.extractor_, target)
            encoded = target.encode(rows)
            inputs = _Inputs(windows.normalized(self.extractor_), encoded)
            if getattr(network.config, "second_order", False):
                fit_population(network, inputs, default_collate)
            if args.head == "convex":
                owners = np.arange(len(rows)) if groups is None else np.asarray(groups)
                fit_classifier(network, inputs, default_collate, encoded, owners)
            else:
                self._finetune(network, inputs, seed)
        self.model_ = network.cpu().eval()

    def _arguments(self) -> FinetuneArguments:
        """Return the settings as `eeg-hf finetune` knows them, and refuse what cannot be."""
        is_hosted = self.model == "eegnet" or self.model.startswith(HOSTED)
        head: Any = ("finetune" if is_hosted else "convex") if self.head == "auto" else self.head
        fields: dict[str, Any] = {"network": self.config or {}} if is_hosted else {"config": self._fields}
        args = FinetuneArguments(
            data="",
            label_column="label",
            architecture=self.model if is_hosted else NEW,
            model=self._source or None,
            head=head,
            label_smoothing=0.0,
            **fields,
        )
        args.check()
        return args

    def _finetune(self, network: PreTrainedModel, inputs: "_Inputs", seed: int) -> None:
        """Train all weights for a fixed number of epochs: nothing is selected."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                num_train_epochs=self.epochs,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                lr_scheduler_type="cosine",
                seed=seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                remove_unused_columns=False,
                dataloader_pin_memory=False,
            )
            EEGTrainer(network, arguments, train_dataset=inputs, data_collator=default_collate).train()

    @torch.no_grad()
    def _outputs(self, X: Any) -> np.ndarray:
        """Return what the model says of each window, (windows, outputs)."""
        check_is_fitted(self)
        inputs = self._read(X, is_new=False).normalized(self.extractor_)
        outputs = [self.model_(**batch).logits.float() for batch in _batches(inputs, self.batch_size)]
        return torch.cat(outputs).numpy().astype(float)


class EEGClassifier(ClassifierMixin, _EEGPredictor):
    """Classify windows with any model here, as an estimator of scikit-learn.

    Args:
        model: `"eeg_foundation"` (new weights), `"braindecode/"` and the name of a network, or the folder or
            Hub name of pretrained weights.
        sampling_rate: Rate of arrays in Hz.
        channel_names: Electrodes of arrays, in order.
        info: MNE's description, instead of both.
        unit: Of arrays.
        normalization: As in [`EEGFeatureExtractor`], for new weights.
        config: Fields of EEGFoundationConfig, or arguments of braindecode's class.
        head: `"convex"` fits a linear head to its optimum on the frozen encoder, `"finetune"` trains all
            weights; `"auto"` is convex, and for networks of braindecode finetune.
        epochs: Of `finetune`; all are run.
        batch_size: Windows of a step.
        learning_rate: Of `finetune`.
        random_state: Seed, or a generator of numpy.

    Attributes:
        classes_: The labels.
        model_: The fitted model of transformers.
        extractor_: Its feature extractor.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(20, 3, 400))
        >>> X[::2] *= np.array([1, 5, 1])[:, None]
        >>> y = np.arange(20) % 2
        >>> described = {"sampling_rate": 200, "channel_names": ["C3", "Cz", "C4"]}
        >>> EEGClassifier(**described, normalization="microvolt").fit(X, y).score(X, y)
        1.0
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> "EEGClassifier":
        """Fit to windows and their labels.

        Args:
            X: Array (windows, channels, time), `mne.Epochs`, or windows of a prepared corpus; clean ones.
            y: (windows,) labels.
            groups: (windows,) subjects, which the folds that choose the penalty of a convex head keep apart;
                without them windows count as independent.
        """
        windows = self._read(X, is_new=True)
        y = column_or_1d(y, warn=True)
        check_consistent_length(windows.values, y)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected two classes or more, got one class: {self.classes_.tolist()}")
        names = [str(label) for label in self.classes_]
        self._fit(windows, Target("label", names), [names[index] for index in indices], groups)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits (windows, classes); of two classes their difference (windows,)."""
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities (windows, classes)."""
        return torch.from_numpy(self._outputs(X)).softmax(dim=-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each window."""
        best = self._outputs(X).argmax(axis=1)  # which raises where nothing is fitted
        return self.classes_[best]


class EEGRegressor(RegressorMixin, _EEGPredictor):
    """Predict a number from windows with any model here; the arguments are those of [`EEGClassifier`]."""

    def fit(self, X: Any, y: Any, groups: Any = None) -> "EEGRegressor":
        """Fit to windows and their numbers (windows,), otherwise as [`EEGClassifier.fit`]."""
        windows = self._read(X, is_new=True)
        y = column_or_1d(y, warn=True).astype(float)
        check_consistent_length(windows.values, y)
        if not np.isfinite(y).all():
            raise ValueError("y: expected finite numbers, got NaN or infinity")
        if len(np.unique(y)) < 2:
            raise ValueError(f"y: expected two different numbers or more, got {y[0]:g} of n_samples={len(y)}")
        self._fit(windows, Target("label"), y.tolist(), groups)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the number of each window."""
        return self._outputs(X)[:, 0]


class EEGTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _EEGEstimator):
    """Turn windows into features, for any estimator of scikit-learn to read.

    New weights give the second-order vectors (covariances of frequency bands at their tangent space),
    pretrained ones what their encoder says, and the vectors too where they have them. The arguments are those
    of [`EEGClassifier`] that do not train.
    """

    _auto_class = AutoModel

    def __init__(
        self,
        model: str = NEW,
        *,
        sampling_rate: float | None = None,
        channel_names: Sequence[str] | None = None,
        info: mne.Info | None = None,
        unit: Literal["V", "mV", "uV"] = "uV",
        normalization: Literal["robust", "zscore", "microvolt", "none"] = "robust",
        config: dict[str, Any] | None = None,
        batch_size: int = 32,
        random_state: Any = 0,
    ) -> None:
        self.model = model
        self.sampling_rate = sampling_rate
        self.channel_names = channel_names
        self.info = info
        self.unit = unit
        self.normalization = normalization
        self.config = config
        self.batch_size = batch_size
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> "EEGTransformer":
        """Fit what is read of windows without labels: the statistics that recentre second-order vectors."""
        windows = self._read(X, is_new=True)
        if self.model == "eegnet" or self.model.startswith(HOSTED):
            raise ValueError(f"model: {self.model} has random weights: give the folder of trained ones")
        self.extractor_ = self._choose_extractor(windows)
        windows = windows.at_rate(self.extractor_.sampling_rate)
        rows = windows.describe([0] * len(windows))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed())
            if source := self._source:
                network = AutoModel.from_pretrained(source)
            else:
                fields = {
                    "sampling_rate": self.extractor_.sampling_rate,
                    **describe_channels(rows),
                    **self._fields,
                }
                network = AutoModel.from_config(
                    EEGFoundationConfig(**fit_to_windows(fields, rows, self.extractor_))
                )
        if getattr(network.config, "second_order", False):
            fit_population(network, _Inputs(windows.normalized(self.extractor_)), default_collate)
        self.model_ = network.eval()
        known = parts_of(network)  # an embedding by random weights says less than what has no weights
        self.parts_ = [*(known if self._source or len(known) == 1 else known[1:])]
        self._n_features_out = self._features(windows).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the features (windows, features)."""
        check_is_fitted(self)
        return self._features(self._read(X, is_new=False))

    def _features(self, windows: ArrayInput) -> np.ndarray:
        inputs = windows.normalized(self.extractor_)
        if self.model_.config.model_type != "eeg_foundation":
            with torch.no_grad():
                found = [
                    self.model_(**batch).pooler_output.flatten(1)
                    for batch in _batches(inputs, self.batch_size)
                ]
            return torch.cat(found).float().numpy()
        return collect_features(self.model_, _Inputs(inputs), default_collate, self.parts_, self.batch_size)


class _Inputs(Dataset):
    """Windows in memory as rows of a model's inputs."""

    def __init__(self, inputs: dict[str, torch.Tensor], labels: np.ndarray | None = None) -> None:
        self.columns = dict(inputs)
        if labels is not None:
            dtype = torch.float32 if labels.dtype.kind == "f" else torch.long
            self.columns["labels"] = torch.as_tensor(labels, dtype=dtype)

    def __len__(self) -> int:
        return len(self.columns["input_values"])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: column[index] for name, column in self.columns.items()}


def _batches(inputs: dict[str, torch.Tensor], size: int) -> Iterator[dict[str, torch.Tensor]]:
    for start in range(0, len(inputs["input_values"]), size):
        yield {name: column[start : start + size] for name, column in inputs.items()}
