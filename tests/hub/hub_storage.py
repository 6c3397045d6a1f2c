# SPDX-License-Identifier: Apache-2.0
"""What a Hub holds: repositories with commits, branches and tags, and the faults that a test asks for."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Blob:
    """A file's content: its git hash, its size, and its SHA-256 where it is stored beside git."""

    oid: str
    size: int
    sha256: str | None
    path: Path

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    oid: str
    title: str
    parent: str | None
    files: dict[str, Blob]


@dataclass
class Repository:
    """A repository with its branches and tags."""

    kind: str
    name: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit_to(self, branch: str, title: str, files: dict[str, Blob]) -> Commit:
        parent = self.branches.get(branch)
        identity = json.dumps([self.name, title, parent, sorted((k, v.etag) for k, v in files.items())])
        commit = Commit(hashlib.sha1(identity.encode()).hexdigest(), title, parent, files)
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid
        return commit

    def find(self, revision: str) -> Commit | None:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(oid)

    def history(self, revision: str) -> Iterator[Commit]:
        commit = self.find(revision)
        while commit is not None:
            yield commit
            commit = self.commits.get(commit.parent or "")


@dataclass
class Fault:
    """What goes wrong, with which requests, how often.

    Attributes:
        method: Of the requests.
        path: Regular expression searched for in their path.
        times: How often still.
        status: Answer with this status.
        code: `X-Error-Code` of that answer.
        cut: Close the connection after so many bytes of the body were sent or received.
        delay: Wait so many seconds.
        etag: Claim this hash.
        corrupt: Flip the first byte of the body.
    """

    method: str
    path: str
    times: int = 1
    status: int | None = None
    code: str | None = None
    cut: int | None = None
    delay: float = 0.0
    etag: str | None = None
    corrupt: bool = False


class HubError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code
