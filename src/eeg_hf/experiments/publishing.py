# SPDX-License-Identifier: Apache-2.0
"""Push a trained model or a prepared corpus to the Hub as a version."""

import json
import sys
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

import eeg_hf

from ..hub import CardFacts, Pushed, eval_result_entries, facts_from_run, model_card, push, push_folder
from .publishing_arguments import PushArguments


def run(args: PushArguments) -> None:
    """Push a model or a prepared corpus."""
    if args.model and not args.data:
        pushed = push_model(Path(args.model), args)
    elif args.data and not args.model:
        pushed = push_corpus(Path(args.data), args)
    else:
        raise ValueError("expected either --model or --data, to name what to push")
    sys.stdout.write(f"{pushed}\n" + (f"{pushed.url}\n" if pushed.url else ""))


def push_model(folder: Path, args: PushArguments) -> Pushed:
    """Push a model with its extractor, card, metrics and settings."""
    found = facts_from_run(folder)  # first, as its errors describe best what a folder lacks
    facts = CardFacts.read(args.facts) if args.facts else found
    if (facts.architecture, facts.parameters) != (found.architecture, found.parameters):
        raise ValueError(
            f"{args.facts} is about {facts.architecture} with {facts.parameters} parameters, but {folder} "
            f"holds {found.architecture} with {found.parameters}: collect the facts of this model"
        )
    model_class = getattr(eeg_hf, found.model_class, None)
    if not (isinstance(model_class, type) and issubclass(model_class, PreTrainedModel)):
        raise ValueError(f"{folder}/config.json names {found.model_class}, which is no model of eeg_hf")
    return push(
        model_class.from_pretrained(folder, use_safetensors=True, local_files_only=True),
        args.repo_id,
        args.version,
        feature_extractor=eeg_hf.EEGFeatureExtractor.from_pretrained(folder) if found.signal else None,
        card=model_card(facts, args.repo_id),
        metrics=read_optional(folder / "metrics.json"),
        eval_results=eval_result_entries(facts),
        training_args=read_settings(folder),
        private=args.private,
        overwrite=args.overwrite,
        dry_run=args.dry_run,
    )


def push_corpus(folder: Path, args: PushArguments) -> Pushed:
    """Push the folder of a prepared corpus."""
    if args.overwrite or args.facts:
        raise ValueError("--overwrite and --facts are for models: give the corpus the next version")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".partial"]
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    files = {name: size for name, size in files.items() if not name.startswith(".")}
    if args.dry_run:
        if "README.md" not in files:
            raise FileNotFoundError(f"{folder} has no card (README.md): complete its preparation first")
        return Pushed(args.repo_id, args.version, files)
    commit = push_folder(folder, args.repo_id, version=args.version, private=args.private)
    return Pushed(args.repo_id, args.version, files, commit)


def read_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of the training from its JSON files; training_args.bin is a pickle."""
    settings = read_optional(folder / "training_args.json")
    if settings is not None:
        return {name: value for name, value in settings.items() if not name.endswith("_token")}
    state = read_optional(folder / "trainer_state.json") or {}
    known = ("num_train_epochs", "max_steps", "global_step", "train_batch_size", "eval_steps", "best_metric")
    return {name: state[name] for name in known if name in state} or None


def read_optional(path: Path) -> dict[str, Any] | None:
    """Read a JSON file if it exists."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON ({error})") from None
