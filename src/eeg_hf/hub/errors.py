# SPDX-License-Identifier: Apache-2.0
"""Errors of the Hub in one line that says what to do, without tokens."""

import contextlib
import re
from collections.abc import Iterator

from huggingface_hub import errors

_TOKEN = re.compile(r"\b(?:hf|api_org|hf_oauth)_[A-Za-z0-9]{4,}")


class HubError(OSError):
    """A failure of the Hub or the connection to it that the user can fix."""


def without_tokens(text: str) -> str:
    """Return text with everything that looks like a token masked."""
    return _TOKEN.sub("hf_***", text)


@contextlib.contextmanager
def explained(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turn errors of the Hub client into one line each.

    Args:
        repo_id: Requested repository.
        revision: Requested version.

    Raises:
        HubError: Instead of the client's error, which becomes its cause.
    """
    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(
            f"{repo_id} is gated: ask for access on its page, log in with `hf auth login`, and try again"
        ) from _quiet(error)
    except errors.RevisionNotFoundError as error:
        raise HubError(
            f"{repo_id} has no version {revision or 'main'}: `eeg_hf.hub.versions({repo_id!r})` lists "
            "the existing ones"
        ) from _quiet(error)
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"{repo_id} is not on the Hub, or is private and you are not logged in: check the name, or run "
            "`hf auth login`"
        ) from _quiet(error)
    except (
        errors.LocalTokenNotFoundError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
    ) as error:
        raise HubError(_offline_or_anonymous(repo_id, error)) from _quiet(error)
    except errors.HfHubHTTPError as error:
        raise HubError(_by_status(repo_id, error)) from _quiet(error)
    except Exception as error:
        if isinstance(error, HubError):
            raise
        if "LFS batch API returned errors" in str(error):  # a ValueError of the client, whatever the reason
            reason = without_tokens(" ".join(str(error).split("`")[1:2]))
            raise HubError(f"the Hub does not take the files of {repo_id}: {reason}") from _quiet(error)
        if not _is_of_network(error):
            raise
        raise HubError(_unreachable(repo_id, error)) from _quiet(error)


def _offline_or_anonymous(repo_id: str, error: Exception) -> str:
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"no token to reach {repo_id} with: run `hf auth login`, or set HF_TOKEN"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{repo_id} cannot be reached: HF_HUB_OFFLINE is set; unset it, or use a local folder"
    return f"{repo_id} cannot be reached and is not in the cache: check the network, then try again"


def _by_status(repo_id: str, error: errors.HfHubHTTPError) -> str:
    status = error.response.status_code if error.response is not None else None
    known = {
        401: f"the Hub does not accept the token for {repo_id}: run `hf auth login` with a valid one",
        403: f"the token may not do this to {repo_id}: use one that can write",
        413: f"no storage left for {repo_id}: the quota is used up",
        507: f"no storage left for {repo_id}: the quota is used up",
        412: f"another process changed {repo_id} meanwhile: try again",
        429: "too many requests: wait a minute and try again",
    }
    reason = without_tokens(" ".join(str(error).split()))[:200]
    return known.get(status or 0, f"the Hub failed at {repo_id} ({reason}): what arrived is kept, try again")


def _unreachable(repo_id: str, error: Exception) -> str:
    reason = without_tokens(" ".join(str(error).split()))[:200] or type(error).__name__
    return f"the connection to the Hub broke at {repo_id} ({reason}): what arrived is kept, try again"


def _is_of_network(error: BaseException | None) -> bool:
    """Return whether an error comes from an HTTP client; huggingface_hub has changed its client before.

    The client wraps some of its errors into a RuntimeError, as its cause.
    """
    if error is None:
        return False
    package = type(error).__module__.split(".")[0]
    is_of_client = package.startswith(("httpx", "httpcore", "requests", "urllib3"))
    return (
        is_of_client or isinstance(error, ConnectionError | TimeoutError) or _is_of_network(error.__cause__)
    )


def _quiet(error: Exception) -> Exception | None:
    """Return the error as a cause, or None if its text holds a token."""
    return error if without_tokens(str(error)) == str(error) else None
