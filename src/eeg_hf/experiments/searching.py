# SPDX-License-Identifier: Apache-2.0
"""Settings chosen by Optuna on inner folds of training subjects, through Trainer.hyperparameter_search."""

import contextlib
import copy
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from datasets import DatasetDict
from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import IntervalStrategy
from transformers.utils import logging

from ..atomic_files import write_text
from ..corpora.windows.ray_engine import cluster
from ..evaluation import write_json
from ..suggestions import did_you_mean
from ..tables import markdown_table

logger = logging.get_logger(__name__)

DEFAULT_SPACE: Mapping[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "weight_decay": {"low": 0.0, "high": 0.2},
}
STUDY = "search"
STORAGE = "search.db"
ScoreFold = Callable[[Mapping[str, Any], DatasetDict, Path], float]
"""Trains one inner fold with some settings in a folder, and returns its score."""
Arguments = TypeVar("Arguments", bound=Any)


@dataclass(frozen=True)
class Found:
    """What a search chose.

    Attributes:
        settings: Name -> value.
        score: Mean over the inner folds of the metric that selects epochs.
    """

    settings: dict[str, Any]
    score: float


def check_space(space: Mapping[str, Any], arguments: type) -> None:
    """Refuse a name that is no setting of Trainer or of a command, and a range that is none.

    Args:
        space: Name -> a list of values, or a mapping with `low`, `high` and perhaps `log`.
        arguments: The dataclass with the options of the command.

    Raises:
        ValueError: If there is one.
    """
    known = [field.name for cls in (TrainingArguments, arguments) for field in fields(cls)]
    for name, values in space.items():
        if name not in known and not name.startswith("config."):
            raise ValueError(
                f"--search_space: no setting {name!r}{did_you_mean(name, known)}; others are config.*"
            )
        is_choice = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 1
        is_range = isinstance(values, Mapping) and {"low", "high"} <= values.keys() <= {"low", "high", "log"}
        if is_range and not values["low"] < values["high"]:
            raise ValueError(f"--search_space: {name}: expected low below high, got {dict(values)}")
        if not (is_choice or is_range):
            raise ValueError(
                f"--search_space: {name}: expected a list of values or "
                f'{{"low": 1e-4, "high": 1e-2, "log": true}}, got {values!r}'
            )


def apply_settings(
    args: Arguments, training_args: TrainingArguments, settings: Mapping[str, Any], block: str = "config"
) -> tuple[Arguments, TrainingArguments]:
    """Return the options of a command and of Trainer with other settings.

    Args:
        args: The options of the command.
        training_args: Those of Trainer.
        settings: Name -> value; `config.*` are fields of the model.
        block: Option of the command that holds these fields.
    """
    own: dict[str, Any] = {name: value for name, value in settings.items() if hasattr(args, name)}
    model = {name.removeprefix("config."): value for name, value in settings.items() if "." in name}
    own[block] = {**getattr(args, block), **model}
    others = {name: value for name, value in settings.items() if name not in own and "." not in name}
    return replace(args, **own), replace_arguments(training_args, others)


def replace_arguments(training_args: TrainingArguments, changes: Mapping[str, Any]) -> TrainingArguments:
    """Return a copy with other values; `dataclasses.replace` would undo what was set up meanwhile."""
    copied = copy.copy(training_args)
    for name, value in changes.items():
        setattr(copied, name, value)
    return copied


def _no_model() -> Any:
    """Return what Trainer asks for; the models that are trained are those of the folds."""
    return nn.Linear(1, 1)


class FoldSearch(Trainer):
    """A Trainer whose training is one of every inner fold, and whose objective is their mean score.

    Args:
        args: Of the trainings; a search reads the folder and the seed.
        score: See [`ScoreFold`].
        splits: The inner folds.
        space: What to search.
    """

    def __init__(
        self,
        args: TrainingArguments,
        score: ScoreFold,
        splits: Sequence[DatasetDict],
        space: Mapping[str, Any],
    ) -> None:
        super().__init__(args=args, model_init=_no_model)
        self.score = score
        self.splits = splits
        self.space = space
        self.objective: float | None = None
        self.place = Path.cwd()  # paths of the settings are relative to it, and Ray's processes are elsewhere

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Return the settings of a trial."""
        found = {}
        for name, values in self.space.items():
            if not isinstance(values, Mapping):
                found[name] = trial.suggest_categorical(name, list(values))
            elif isinstance(values["low"], int) and isinstance(values["high"], int):
                found[name] = trial.suggest_int(
                    name, values["low"], values["high"], log=values.get("log", False)
                )
            else:
                found[name] = trial.suggest_float(
                    name, values["low"], values["high"], log=values.get("log", False)
                )
        return found

    def train(self, resume_from_checkpoint: Any = None, trial: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train every fold with the settings of a trial: one of Optuna, or settings that Ray drew."""
        drawn = dict(trial) if isinstance(trial, Mapping) else None
        settings = self.suggest(trial) if drawn is None else drawn
        folder = Path(str(self.args.output_dir)) / f"trial-{uuid.uuid4().hex}"
        with contextlib.chdir(self.place):
            scores = [
                self.score(settings, parts, folder / f"fold-{at}") for at, parts in enumerate(self.splits)
            ]
        shutil.rmtree(folder, ignore_errors=True)  # the weights of a trial are of no further use
        self.objective = float(np.mean(scores))
        if drawn is None:
            trial.set_user_attr("scores", scores)
        else:
            keep_drawn_trial(self, drawn, scores)
        logger.warning(f"{self.objective:.3f} with {settings}")


def keep_drawn_trial(search: FoldSearch, settings: Mapping[str, Any], scores: Sequence[float]) -> None:
    """Report a trial to Ray, and keep it where Optuna keeps its own: table and resumption are the same."""
    from ray import tune

    optuna = import_optuna()
    ranges = {
        name: optuna.distributions.CategoricalDistribution(list(values))
        if not isinstance(values, Mapping)
        else optuna.distributions.IntDistribution(values["low"], values["high"], values.get("log", False))
        if isinstance(values["low"], int) and isinstance(values["high"], int)
        else optuna.distributions.FloatDistribution(values["low"], values["high"], values.get("log", False))
        for name, values in search.space.items()
    }
    value = float(np.mean(scores))
    kept = optuna.trial.create_trial(
        params=dict(settings), distributions=ranges, value=value, user_attrs={"scores": list(scores)}
    )
    storage = f"sqlite:///{(Path(str(search.args.output_dir)) / STORAGE).resolve()}"
    optuna.load_study(study_name=STUDY, storage=storage).add_trial(kept)
    tune.report({"objective": value})


def search_on_ray(search: FoldSearch, num_trials: int, direction: str, seed: int) -> None:
    """Draw settings at random and train them all over a cluster, or over the cores of this machine."""
    from ray import tune
    from ray.tune.search import BasicVariantGenerator

    def draw(values: Any) -> Any:
        if not isinstance(values, Mapping):
            return tune.choice(list(values))
        low, high, is_log = values["low"], values["high"], values.get("log", False)
        if isinstance(low, int) and isinstance(high, int):
            return (tune.lograndint if is_log else tune.randint)(low, high + 1)
        return (tune.loguniform if is_log else tune.uniform)(low, high)

    space = {name: draw(values) for name, values in search.space.items()}
    with cluster():
        search.hyperparameter_search(
            lambda _: space,
            n_trials=num_trials,
            direction=direction,
            backend="ray",
            storage_path=str((Path(str(search.args.output_dir)) / "ray").resolve()),
            search_alg=BasicVariantGenerator(random_state=seed),
            verbose=0,
        )


def search_settings(
    training_args: TrainingArguments,
    space: Mapping[str, Any],
    num_trials: int,
    score: ScoreFold,
    splits: Sequence[DatasetDict],
    direction: Literal["maximize", "minimize"],
    engine: Literal["local", "ray"] = "local",
) -> Found:
    """Search settings, and write a table of the trials and a picture of what mattered to `search/`.

    A search that was stopped goes on: finished trials are kept in `search.db`.

    Args:
        training_args: Of the trainings; the search takes the seed and the folder.
        space: What to search; see `check_space`.
        num_trials: Trials in all.
        score: See [`ScoreFold`].
        splits: The inner folds.
        direction: `"maximize"` or `"minimize"`.
        engine: `"local"`, Optuna in this process, or `"ray"`, settings drawn at random on a cluster of Ray.

    Raises:
        ImportError: If Optuna or Ray is not installed.
        ValueError: If several processes train.
    """
    if training_args.world_size > 1:
        raise ValueError(f"--search: takes one process, got {training_args.world_size}: train without launch")
    optuna = import_optuna()
    folder = Path(str(training_args.output_dir)) / "search"
    folder.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{(folder / STORAGE).resolve()}"
    kept: dict[str, Any] = {"study_name": STUDY, "storage": storage, "load_if_exists": True}
    study = optuna.create_study(direction=direction, **kept)
    # A trial that was stopped in the middle says nothing, and its settings may be drawn again
    left = num_trials - sum(trial.state.is_finished() for trial in study.trials)
    if left > 0:
        unused = {"eval_strategy": IntervalStrategy.NO, "load_best_model_at_end": False, "report_to": []}
        args = replace_arguments(training_args, {"output_dir": str(folder.resolve()), **unused})
        search = FoldSearch(args, score, splits, space)
        seed = args.seed + num_trials - left
        if engine == "ray":
            search_on_ray(search, left, direction, seed)
        else:
            sampler = optuna.samplers.TPESampler(seed=seed)
            search.hyperparameter_search(
                search.suggest, n_trials=left, direction=direction, backend="optuna", sampler=sampler, **kept
            )
    study = optuna.load_study(study_name=STUDY, storage=storage)
    write_trials(study, folder)
    found = Found(dict(study.best_params), float(study.best_value))
    logger.warning(f"search of {num_trials} trials: {found.score:.3f} with {found.settings}")
    return found


def import_optuna() -> Any:
    """Return the module, or raise an ImportError that says how to install it."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ImportError('optuna is not installed: pip install "eeg-hf[sweep]"') from error
    return optuna


def write_trials(study: Any, folder: Path) -> None:
    """Write `trials.json`, `trials.md` and, where the trials differ, `importance.png`."""
    done = [trial for trial in study.trials if trial.value is not None]
    is_best_first = study.direction.name == "MAXIMIZE"
    ordered = sorted(done, key=lambda trial: trial.value, reverse=is_best_first)
    rows = [
        {
            "trial": trial.number,
            "score": trial.value,
            "scores": trial.user_attrs.get("scores"),
            "settings": trial.params,
        }
        for trial in ordered
    ]
    importance: dict[str, float] = {}
    if len({row["score"] for row in rows}) > 1 and len(rows) > len(rows[0]["settings"]):
        from optuna.importance import get_param_importances

        importance = {name: float(share) for name, share in get_param_importances(study).items()}
        draw_importance(importance, len(rows), folder / "importance.png")
    write_json(folder / "trials.json", {"trials": rows, "importance": importance})
    lines = [
        {
            "Trial": str(row["trial"]),
            "Score": f"{row['score']:.3f}",
            **{
                name: f"{value:.3g}" if isinstance(value, float) else str(value)
                for name, value in row["settings"].items()
            },
        }
        for row in rows
    ]
    write_text(folder / "trials.md", f"{markdown_table(lines, ['Trial'])}\n")


def draw_importance(importance: Mapping[str, float], num_trials: int, path: Path) -> None:
    """Draw the share of the variance over trials that each setting explains (fANOVA)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 0.5 + 0.35 * len(importance)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(importance), list(importance.values()))
    axes.invert_yaxis()
    axes.set_xlabel(f"share of the variance of {num_trials} trials")
    figure.savefig(path, dpi=120)
