# SPDX-License-Identifier: Apache-2.0
"""A Hub on this machine: enough of the protocol for the real clients to create, push, tag and load.

Written from what `huggingface_hub` 2.4 sends. Repositories live in memory, their blobs in a folder. Faults
are asked for with `HubServer.fail`.
"""

import base64
import hashlib
import json
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_storage import Blob, Commit, Fault, HubError, Repository

_DATE = "2026-01-01T00:00:00.000Z"
_LFS_SUFFIXES = (".safetensors", ".bin", ".parquet", ".pt", ".npy", ".fif", ".edf", ".png", ".pkl")
_BLOCK = 1 << 20


class HubServer:
    """A Hub that listens on loopback while the context is open.

    Args:
        folder: Where blobs are stored.
        users: Token -> name of its user; a user may write everywhere.
        capacity: Bytes it can hold, for a Hub that is full.
    """

    def __init__(
        self, folder: Path, users: dict[str, str] | None = None, capacity: int | None = None
    ) -> None:
        self.folder = folder
        self.users = {"hf_good": "org"} if users is None else users
        self.capacity = capacity
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True

    def __enter__(self) -> "HubServer":
        (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path, token: str | None = "hf_good") -> dict[str, str]:
        """Return what must be set before a client is imported."""
        wanted = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        return wanted if token is None else {**wanted, "HF_TOKEN": token}

    def fail(self, method: str, path: str, **what: Any) -> Fault:
        """Let requests go wrong from now on."""
        fault = Fault(method, path, **what)
        self.faults.append(fault)
        return fault

    def store(self, content: bytes, sha256: str | None = None) -> Blob:
        """Keep the content of a small file, or describe a large one that was uploaded before."""
        if sha256 is not None:
            path = self.blob_path(sha256)
            return Blob(hashlib.sha1(sha256.encode()).hexdigest(), path.stat().st_size, sha256, path)
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        path = self.blob_path(oid)
        path.write_bytes(content)
        return Blob(oid, len(content), None, path)

    def blob_path(self, oid: str) -> Path:
        return self.folder / "blobs" / oid

    def read(self, name: str, path: str, revision: str = "main", kind: str = "model") -> bytes:
        """Return a file of a repository."""
        commit = self.repositories[kind, name].find(revision)
        assert commit is not None, f"no revision {revision}"
        return commit.files[path].path.read_bytes()

    def files(self, name: str, revision: str = "main", kind: str = "model") -> list[str]:
        """List the files of a repository."""
        commit = self.repositories[kind, name].find(revision)
        return sorted(commit.files) if commit else []

    def has_room(self, size: int) -> bool:
        used = sum(path.stat().st_size for path in (self.folder / "blobs").iterdir())
        return self.capacity is None or used + size <= self.capacity


_ID = r"(?P<name>[\w.-]+/[\w.-]+)"
_API = rf"/api/(?P<kind>model|dataset)s/{_ID}"


class _Handler(BaseHTTPRequestHandler):
    """Answer one client."""

    hub: ClassVar[HubServer]
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query, path = parse_qs(address.query), unquote(address.path)
        self.hub.requests.append((self.command, path))
        self.fault = self._find_fault(path)
        self.body_read = False
        try:
            if self.fault:
                time.sleep(self.fault.delay)
                if self.fault.status is not None:
                    raise HubError(self.fault.status, "asked for by the test", self.fault.code)
            for method, pattern, handle in _ROUTES:
                match = re.fullmatch(pattern, path)
                if match and self.command in method.split():
                    with self.hub.lock if self.command != "PUT" else nullcontext():
                        answer = handle(self, **match.groupdict())
                    if answer is not None:
                        self._send_json(200, answer)
                    return
            raise HubError(404, f"no such endpoint: {self.command} {path}")
        except HubError as error:
            self._drain()
            headers = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
            errors = [{"message": str(error)}]
            self._send_json(error.status, {"error": str(error), "errors": errors, "warnings": []}, headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _find_fault(self, path: str) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times > 0 and fault.method == self.command and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    # -- what every answer needs ---------------------------------------------------------------------------

    def _send_json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        self.body_read = True
        return b"".join(self._blocks())

    def _blocks(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().strip() or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            block = self.rfile.read(min(left, _BLOCK))
            if not block:
                raise ConnectionResetError("the client went away")
            left -= len(block)
            yield block

    def _drain(self) -> None:
        """Read what the client still sends, so that it comes to read the answer."""
        if not self.body_read:
            self.body_read = True
            for _ in self._blocks():
                pass

    def _user(self) -> str | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return self.hub.users.get(token)

    def _require_user(self) -> str:
        user = self._user()
        if user is None:
            raise HubError(401, "Invalid username or password.")
        return user

    def _repository(self, kind: str, name: str, write: bool = False) -> Repository:
        if write:
            self._require_user()
        repository = self.hub.repositories.get((kind, name))
        if repository is None or (repository.private and self._user() is None):
            raise HubError(401 if self._user() is None else 404, "Repository not found", "RepoNotFound")
        return repository

    def _commit(self, repository: Repository, revision: str) -> Commit:
        commit = repository.find(revision)
        if commit is None:
            raise HubError(404, f"Revision not found: {revision}", "RevisionNotFound")
        return commit

    # -- accounts and repositories ---------------------------------------------------------------------------

    def whoami(self) -> Any:
        user = self._require_user()
        return {"type": "user", "name": user, "fullname": user, "orgs": [], "auth": {"type": "access_token"}}

    def create_repository(self) -> Any:
        user, wanted = self._require_user(), json.loads(self._body())
        kind, name = wanted.get("type") or "model", f"{wanted.get('organization') or user}/{wanted['name']}"
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.hub.repositories:
            self._send_json(409, {"error": "You already created this repo", "url": url, "id": name})
            return None
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        repository = Repository(kind, name, private)
        repository.commit_to("main", "initial commit", {".gitattributes": self.hub.store(b"")})
        self.hub.repositories[kind, name] = repository
        return {"url": url, "name": name, "id": name}

    def delete_repository(self) -> Any:
        user, wanted = self._require_user(), json.loads(self._body())
        name = f"{wanted.get('organization') or user}/{wanted['name']}"
        self._repository(wanted.get("type") or "model", name)
        del self.hub.repositories[wanted.get("type") or "model", name]
        return {}

    def change_settings(self, kind: str, name: str) -> Any:
        repository, wanted = self._repository(kind, name, write=True), json.loads(self._body())
        repository.private = wanted.get("private", repository.private)
        repository.gated = bool(wanted.get("gated", repository.gated))
        return {}

    def check_access(self, kind: str, name: str) -> Any:
        repository = self._repository(kind, name)
        if repository.gated and self._user() is None:
            raise HubError(403, "Access to this repository is restricted", "GatedRepo")
        return {}

    def list_repositories(self, kind: str) -> Any:
        wanted = {value for name in ("filter", "search") for value in self.query.get(name, [])}
        author = (self.query.get("author") or [None])[0]
        described = [
            self._describe(repository, self._commit(repository, "main"))
            for (own, _), repository in self.hub.repositories.items()
            if own == kind and (not repository.private or self._user())
        ]
        return [
            d
            for d in described
            if wanted <= {*d["tags"], d["id"]} and author in (None, d["id"].split("/")[0])
        ]

    def validate_card(self) -> Any:
        content = json.loads(self._body())["content"]
        header = _front_matter(content)
        errors = []
        if header is None:
            return {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
        if not isinstance(header, dict):
            errors.append("the metadata must be a mapping")
        else:
            if "license" in header and not isinstance(header["license"], str | list):
                errors.append('"license" must be a string')
            if not isinstance(header.get("tags", []), list):
                errors.append('"tags" must be an array')
            for entry in header.get("model-index") or []:
                if not {"name", "results"} <= set(entry):
                    errors.append('"model-index[0]" needs a name and results')
        if errors:
            raise HubError(400, "; ".join(errors))
        return {"errors": [], "warnings": []}

    # -- reading ---------------------------------------------------------------------------------------------

    def describe(self, kind: str, name: str, revision: str = "main") -> Any:
        repository = self._repository(kind, name)
        return self._describe(repository, self._commit(repository, revision))

    def _describe(self, repository: Repository, commit: Commit) -> dict[str, Any]:
        card = commit.files.get("README.md")
        header = _front_matter(card.path.read_text(encoding="utf-8")) if card else None
        header = header if isinstance(header, dict) else {}
        siblings = [
            {"rfilename": path, "size": blob.size, "blobId": blob.oid, **_lfs(blob)}
            for path, blob in sorted(commit.files.items())
        ]
        return {
            "_id": hashlib.sha1(repository.name.encode()).hexdigest()[:24],
            "id": repository.name,
            "modelId": repository.name,
            "author": repository.name.split("/")[0],
            "sha": commit.oid,
            "lastModified": _DATE,
            "createdAt": _DATE,
            "private": repository.private,
            "gated": "auto" if repository.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [*map(str, header.get("tags") or [])],
            "pipeline_tag": header.get("pipeline_tag"),
            "library_name": header.get("library_name"),
            "cardData": header,
            "siblings": siblings,
        }

    def list_tree(self, kind: str, name: str, revision: str, folder: str | None = None) -> Any:
        commit = self._commit(self._repository(kind, name), revision)
        prefix = f"{folder.strip('/')}/" if folder and folder.strip("/") else ""
        is_recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries: dict[str, Any] = {}
        for path, blob in sorted(commit.files.items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts) if is_recursive else min(len(parts), 2)):
                parent = prefix + "/".join(parts[:depth])
                entries[parent] = {"type": "directory", "oid": _oid(parent), "size": 0, "path": parent}
            if is_recursive or len(parts) == 1:
                entries[path] = _entry(path, blob)
        if prefix and not entries:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        return list(entries.values())

    def describe_paths(self, kind: str, name: str, revision: str) -> Any:
        commit = self._commit(self._repository(kind, name), revision)
        body = self._body().decode()
        is_json = "json" in (self.headers.get("Content-Type") or "")
        wanted = json.loads(body)["paths"] if is_json else parse_qs(body).get("paths", [])
        found = [_entry(path, commit.files[path]) for path in wanted if path in commit.files]
        folders = [
            p for p in wanted if p not in commit.files and any(f.startswith(f"{p}/") for f in commit.files)
        ]
        return found + [{"type": "directory", "oid": _oid(p), "size": 0, "path": p} for p in folders]

    def list_refs(self, kind: str, name: str) -> Any:
        repository = self._repository(kind, name)
        return {
            "branches": [
                {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": oid}
                for branch, oid in repository.branches.items()
            ],
            "tags": [
                {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
                for tag, oid in repository.tags.items()
            ],
            "converts": [],
        }

    def list_commits(self, kind: str, name: str, revision: str) -> Any:
        repository = self._repository(kind, name)
        self._commit(repository, revision)
        return [
            {"id": c.oid, "title": c.title, "message": "", "date": _DATE, "authors": [{"user": "org"}]}
            for c in repository.history(revision)
        ]

    def send_file(self, name: str, revision: str, path: str, prefix: str | None = None) -> None:
        repository = self._repository("dataset" if prefix else "model", name)
        if repository.gated and self._user() is None:
            raise HubError(403, "Access to this repository is restricted", "GatedRepo")
        commit = self._commit(repository, revision)
        if path not in commit.files:
            raise HubError(404, f"Entry not found: {path}", "EntryNotFound")
        self._send_blob(commit, commit.files[path])

    def _send_blob(self, commit: Commit, blob: Blob) -> None:
        first, last = 0, blob.size - 1
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if span:
            first, last = int(span[1]), min(int(span[2] or last), last)
            if first > last:
                raise HubError(416, "range not satisfiable")
        fault = self.fault or Fault("", "")
        etag = fault.etag or blob.etag
        self.send_response(206 if span else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit.oid)
        self.send_header("Accept-Ranges", "bytes")
        if blob.sha256:
            self.send_header("X-Linked-Etag", f'"{etag}"')
            self.send_header("X-Linked-Size", str(blob.size))
        if span:
            self.send_header("Content-Range", f"bytes {first}-{last}/{blob.size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if self.command == "HEAD":
            return
        with blob.path.open("rb") as file:
            file.seek(first)
            self._send_blocks(file.read, last - first + 1, fault)

    def _send_blocks(self, read: Callable[[int], bytes], left: int, fault: Fault) -> None:
        sent = 0
        while left:
            block = read(min(left, _BLOCK))
            if fault.corrupt and sent == 0:
                block = bytes([block[0] ^ 0xFF]) + block[1:]
            if fault.cut is not None and sent + len(block) > fault.cut:
                self.wfile.write(block[: fault.cut - sent])
                self._hang_up()
                return
            self.wfile.write(block)
            sent, left = sent + len(block), left - len(block)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    # -- writing ---------------------------------------------------------------------------------------------

    def announce(self, kind: str, name: str, revision: str) -> Any:
        repository = self._repository(kind, name, write=True)
        commit = repository.find(revision)
        files = json.loads(self._body())["files"]
        return {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(_LFS_SUFFIXES) else "regular",
                    "shouldIgnore": False,
                    "oid": commit.files[file["path"]].oid
                    if commit and file["path"] in commit.files
                    else None,
                }
                for file in files
            ]
        }

    def plan_upload(self, name: str, prefix: str | None = None) -> Any:
        self._repository("dataset" if prefix else "model", name, write=True)
        wanted = json.loads(self._body())["objects"]
        objects = []
        for item in wanted:
            answer: dict[str, Any] = {"oid": item["oid"], "size": item["size"]}
            if not self.hub.has_room(item["size"]):
                answer["error"] = {"code": 413, "message": "no room left: the storage quota is used up"}
            elif not self.hub.blob_path(item["oid"]).exists():
                answer["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}", "header": {}}}
            objects.append(answer)
        return {"transfer": "basic", "objects": objects}

    def receive(self, oid: str) -> Any:
        self.body_read = True
        digest, received = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self.hub.folder, delete=False) as file:
            partial = Path(file.name)
            try:
                for block in self._blocks():
                    digest.update(block)
                    file.write(block)
                    received += len(block)
                    if self.fault and self.fault.cut is not None and received > self.fault.cut:
                        self._hang_up()
                        return None
                if digest.hexdigest() != oid:
                    raise HubError(400, "the content is not what its hash says")
                shutil.move(partial, self.hub.blob_path(oid))
            finally:
                partial.unlink(missing_ok=True)
        return {}

    def commit(self, kind: str, name: str, revision: str) -> Any:
        repository = self._repository(kind, name, write=True)
        lines = [json.loads(line) for line in self._body().splitlines() if line]
        header = lines[0]["value"]
        if revision not in repository.branches:
            raise HubError(404, f"Revision not found: {revision}", "RevisionNotFound")
        if header.get("parentCommit") not in (None, repository.branches[revision]):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(self._commit(repository, revision).files)
        for line in lines[1:]:
            _apply(self.hub, files, line["key"], line["value"])
        commit = repository.commit_to(revision, header["summary"], files)
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}/commit/{commit.oid}"
        return {"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""}

    def create_tag(self, kind: str, name: str, revision: str) -> Any:
        repository, tag = self._repository(kind, name, write=True), json.loads(self._body())["tag"]
        if tag in repository.tags:
            raise HubError(409, f"Tag {tag} already exists")
        repository.tags[tag] = self._commit(repository, revision).oid
        return {}

    def delete_tag(self, kind: str, name: str, revision: str) -> Any:
        repository = self._repository(kind, name, write=True)
        if repository.tags.pop(revision, None) is None:
            raise HubError(404, f"Tag {revision} does not exist", "RevisionNotFound")
        return {}

    def create_branch(self, kind: str, name: str, revision: str) -> Any:
        repository, wanted = self._repository(kind, name, write=True), json.loads(self._body() or b"{}")
        if revision in repository.branches:
            raise HubError(409, f"Reference {revision} already exists")
        repository.branches[revision] = self._commit(repository, wanted.get("startingPoint") or "main").oid
        return {}

    def delete_branch(self, kind: str, name: str, revision: str) -> Any:
        if self._repository(kind, name, write=True).branches.pop(revision, None) is None:
            raise HubError(404, f"Branch {revision} does not exist", "RevisionNotFound")
        return {}


def _apply(hub: HubServer, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
    """Apply one line of a commit."""
    path = value["path"]
    if key == "file":
        files[path] = hub.store(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if not hub.blob_path(value["oid"]).exists():
            raise HubError(400, f"{path} was not uploaded")
        files[path] = hub.store(b"", value["oid"])
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise HubError(404, f"{path} does not exist", "EntryNotFound")
    elif key == "deletedFolder":
        for inside in [name for name in files if name.startswith(f"{path.rstrip('/')}/")]:
            del files[inside]
    else:
        raise HubError(400, f"unknown operation {key}")


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    return {"type": "file", "oid": blob.oid, "size": blob.size, "path": path, **_lfs(blob)}


def _lfs(blob: Blob) -> dict[str, Any]:
    if blob.sha256 is None:
        return {}
    return {"lfs": {"oid": blob.sha256, "sha256": blob.sha256, "size": blob.size, "pointerSize": 134}}


def _oid(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def _front_matter(text: str) -> Any:
    match = re.match(r"---\s*\n(.*?)\n---\s*(?:\n|$)", text, re.DOTALL)
    if match is None:
        return None
    try:
        return yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise HubError(400, f"the metadata is not YAML: {error}") from None


_REVISION = r"(?P<revision>[^/]+|refs/[^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create_repository),
    ("DELETE", "/api/repos/delete", _Handler.delete_repository),
    ("POST", "/api/validate-yaml", _Handler.validate_card),
    ("GET", "/api/(?P<kind>model|dataset)s", _Handler.list_repositories),
    ("GET", _API, _Handler.describe),
    ("GET", rf"{_API}/revision/{_REVISION}", _Handler.describe),
    ("PUT POST", rf"{_API}/settings", _Handler.change_settings),
    ("GET", rf"{_API}/auth-check", _Handler.check_access),
    ("GET", rf"{_API}/refs", _Handler.list_refs),
    ("GET", rf"{_API}/commits/{_REVISION}", _Handler.list_commits),
    ("GET", rf"{_API}/tree/{_REVISION}(?P<folder>/.*)?", _Handler.list_tree),
    ("POST", rf"{_API}/paths-info/{_REVISION}", _Handler.describe_paths),
    ("POST", rf"{_API}/preupload/{_REVISION}", _Handler.announce),
    ("POST", rf"{_API}/commit/{_REVISION}", _Handler.commit),
    ("POST", rf"{_API}/tag/{_REVISION}", _Handler.create_tag),
    ("DELETE", rf"{_API}/tag/{_REVISION}", _Handler.delete_tag),
    ("POST", rf"{_API}/branch/{_REVISION}", _Handler.create_branch),
    ("DELETE", rf"{_API}/branch/{_REVISION}", _Handler.delete_branch),
    ("POST", rf"/(?P<prefix>datasets/)?{_ID}\.git/info/lfs/objects/batch", _Handler.plan_upload),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", _Handler.receive),
    ("GET HEAD", rf"/(?P<prefix>datasets/)?{_ID}/resolve/{_REVISION}/(?P<path>.+)", _Handler.send_file),
)
