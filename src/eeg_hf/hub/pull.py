# SPDX-License-Identifier: Apache-2.0
"""Download a version from the Hub: complete, verified by hash, and without pickles."""

from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, snapshot_download

from .errors import HubError, explained

# transformers' Trainer pushes its settings as a pickle, which is not needed: it is not downloaded.
NOT_FETCHED = ("training_args.bin",)
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
RepoType = Literal["model", "dataset"]


def pull(
    repo_id: str, version: str | None = None, repo_type: RepoType = "model", token: str | None = None
) -> Path:
    """Download a version of a repository and check every file against the hash the Hub states.

    Args:
        repo_id: Such as `"org/eeg-foundation"`.
        version: A tag, branch or commit; the newest state by default.
        repo_type: `"model"` or `"dataset"`.
        token: Token to use instead of the stored one.

    Returns:
        The folder, for `from_pretrained` or `load_dataset`.

    Raises:
        HubError: If it cannot be reached, does not exist, holds a pickle, or arrives damaged.

    Example:
        >>> folder = pull("org/eeg-foundation", "v1.0")  # doctest: +SKIP
    """
    api = HfApi(token=token)
    with explained(repo_id, version):
        info = api.repo_info(repo_id, revision=version, repo_type=repo_type)
        files = api.list_repo_files(repo_id, revision=info.sha, repo_type=repo_type)
        pickles = [n for n in files if n.lower().endswith(PICKLES) and Path(n).name not in NOT_FETCHED]
        if pickles:
            raise HubError(
                f"{repo_id} holds a pickle ({pickles[0]}), which runs code when it is opened: ask its author "
                "for safetensors"
            )
        folder = Path(
            snapshot_download(
                repo_id,
                revision=info.sha,
                repo_type=repo_type,
                token=token,
                ignore_patterns=[f"*{name}" for name in NOT_FETCHED],
            )
        )
        checked = api.verify_repo_checksums(repo_id, repo_type=repo_type, revision=info.sha, token=token)
    missing = [name for name in checked.missing_paths if Path(name).name not in NOT_FETCHED]
    spoilt = [mismatch["path"] for mismatch in checked.mismatches] + missing
    if spoilt:
        for name in spoilt:
            _forget(folder / name)
        raise HubError(
            f"{repo_id}: {', '.join(sorted(spoilt)[:3])} arrived damaged and was removed: fetch it again"
        )
    return folder


def versions(repo_id: str, repo_type: RepoType = "model", token: str | None = None) -> list[str]:
    """List the versions (tags) of a repository, sorted.

    Raises:
        HubError: If it cannot be reached or does not exist.
    """
    with explained(repo_id):
        return sorted(
            tag.name for tag in HfApi(token=token).list_repo_refs(repo_id, repo_type=repo_type).tags
        )


def _forget(path: Path) -> None:
    """Remove a file and its blob from the cache."""
    if path.is_symlink():
        path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
