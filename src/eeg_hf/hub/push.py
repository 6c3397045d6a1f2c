# SPDX-License-Identifier: Apache-2.0
"""Push a version of a model to the Hub: weights, code, card, metrics, settings, and a permanent tag."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi
from transformers.utils import logging

from .code import save_with_code
from .errors import HubError, explained
from .model_card import model_card
from .run_facts import facts_from_run

if TYPE_CHECKING:
    from transformers import FeatureExtractionMixin, PreTrainedModel, TrainingArguments

logger = logging.get_logger(__name__)

_VERSION = re.compile(r"v\d+(\.\d+){1,2}([-.]?(a|b|rc|dev)\d+)?")


@dataclass(frozen=True)
class Pushed:
    """What was pushed to the Hub, or would be.

    Attributes:
        repo_id: Repository.
        version: Tag of the version.
        files: Path in the repository -> size in bytes.
        commit: Hash of the commit; `None` in a dry run.
        url: Page of the version; `None` in a dry run.
    """

    repo_id: str
    version: str
    files: Mapping[str, int]
    commit: str | None = None
    url: str | None = None

    def __str__(self) -> str:
        size = sum(self.files.values()) / 1e6
        state = f"pushed as commit {self.commit}" if self.commit else "would be pushed"
        listed = "".join(f"\n  {number:>12,}  {path}" for path, number in self.files.items())
        return f"{self.repo_id} {self.version}: {len(self.files)} files, {size:.1f} MB, {state}{listed}"


def push(
    model: "PreTrainedModel",
    repo_id: str,
    version: str,
    *,
    feature_extractor: "FeatureExtractionMixin | None" = None,
    card: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    eval_results: Sequence[Any] = (),
    training_args: "TrainingArguments | Mapping[str, Any] | None" = None,
    private: bool | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    token: str | None = None,
) -> Pushed:
    """Push a model with its code as a version.

    The same call completes a push that was interrupted: what has arrived is not sent again.

    Args:
        model: A model of this package.
        repo_id: Such as `"org/eeg-foundation"`; created if missing.
        version: Such as `"v1.0"`; becomes a tag.
        feature_extractor: Pushed too, with its code.
        card: Text of the card, see `eeg_hf.hub.model_card`; by default one of what the saved files record.
        metrics: Pushed as `metrics.json`.
        eval_results: `huggingface_hub.EvalResultEntry`, which the Hub shows beside the model.
        training_args: Pushed as `training_args.json`, without tokens.
        private: Whether a new repository is private; the default of the organization if left out.
        overwrite: Whether an existing version may be moved to this state.
        dry_run: Push nothing, and return what would be pushed.
        token: Token to use instead of the stored one.

    Raises:
        ValueError: If the version is not of the form v1.0.
        HubError: If the version exists, or the Hub cannot be reached or refuses; one line each.

    Example:
        >>> pushed = push(model, "org/eeg-foundation", "v1.0", dry_run=True)  # doctest: +SKIP
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version: expected the form v1.0 or v1.0.2, got {version!r}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_with_code(model, folder, feature_extractor)
        if card is None:
            card = model_card(facts_from_run(folder), repo_id)
        _add_documents(folder, card, metrics, eval_results, training_args)
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in _all_files(folder)}
        if dry_run:
            return Pushed(repo_id, version, files)
        with explained(repo_id, version):
            api = HfApi(token=token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            _refuse_existing(api, repo_id, version, overwrite)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=f"{version}: {type(model).__name__}",
                delete_patterns="*",  # files of an older version only would be wrong here
            )
            if overwrite and version in _tags(api, repo_id):
                api.delete_tag(repo_id, tag=version)
            api.create_tag(repo_id, tag=version, revision=commit.oid)
            url = f"{api.endpoint}/{repo_id}/tree/{version}"
    return Pushed(repo_id, version, files, commit.oid, url)


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    version: str | None = None,
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Push a prepared corpus, or any folder of data, as a dataset repository.

    Args:
        folder: With a card `README.md`, as `eeg_hf.corpora.prepare` writes it.
        repo_id: Such as `"org/eegmat-windows"`.
        version: Tag of this state.
        private: Whether a new repository is private.
        token: Token to use instead of the stored one.

    Returns:
        The hash of the commit.

    Raises:
        FileNotFoundError: If the folder has no card, which says what the data may be used for.
        HubError: If the version exists, or the Hub cannot be reached or refuses.
    """
    folder = Path(folder)
    if not (folder / "README.md").is_file():
        raise FileNotFoundError(f"{folder} has no card (README.md): complete its preparation, or write one")
    with explained(repo_id, version):
        api = HfApi(token=token)
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        if version is not None:
            _refuse_existing(api, repo_id, version, overwrite=False, repo_type="dataset")
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, repo_type="dataset", ignore_patterns=[".*", "*.partial"]
        )
        if version is not None:
            api.create_tag(repo_id, tag=version, revision=commit.oid, repo_type="dataset")
    return str(commit.oid)


def _add_documents(
    folder: Path,
    card: str,
    metrics: Mapping[str, Any] | None,
    eval_results: Sequence[Any],
    training_args: "TrainingArguments | Mapping[str, Any] | None",
) -> None:
    """Write the card, metrics, settings and results beside the weights."""
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    (folder / "README.md").write_text(card, encoding="utf-8")
    if metrics is not None:
        _write_json(folder / "metrics.json", metrics)
    if training_args is not None:  # to_dict masks the tokens
        settings = training_args if isinstance(training_args, Mapping) else training_args.to_dict()
        _write_json(folder / "training_args.json", settings)
    if eval_results:
        path = folder / ".eval_results" / "results.yaml"
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(eval_result_entries_to_yaml(list(eval_results)), sort_keys=False))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")


def _all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _tags(api: HfApi, repo_id: str, repo_type: str = "model") -> list[str]:
    return [tag.name for tag in api.list_repo_refs(repo_id, repo_type=repo_type).tags]


def _refuse_existing(
    api: HfApi, repo_id: str, version: str, overwrite: bool, repo_type: str = "model"
) -> None:
    """Refuse to move a version that others may rely on."""
    if not overwrite and version in _tags(api, repo_id, repo_type):
        raise HubError(f"{repo_id} has a version {version} already: choose the next number, or set overwrite")
