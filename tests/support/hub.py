"""The Hugging Face Hub's HTTP interface on this machine, as far as the installed client (huggingface_hub) asks for it.

Repositories are made, files are asked about (preupload), large ones uploaded by Git LFS's batch interface and the rest
in the commit's lines of JSON; revisions, trees and files are read, the large ones by a redirection to where they lie.
Written from what the client sends and reads. Uploads by Xet, which the real Hub prefers, are not imitated.

    with serving() as hub:
        hub.repositories["user/name"][-1].files["config.json"]
"""

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_of_this_test"
LARGE = 10_000  # bytes from which a file goes to Git LFS; the real Hub: by its name, or 10 MB


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_id(content: bytes) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Commit:
    """One state of a repository."""

    files: dict[str, bytes]
    large: set[str]  # paths that lie in Git LFS
    summary: str = "initial commit"

    @property
    def sha(self) -> str:
        content = self.summary + json.dumps({path: sha256(content) for path, content in self.files.items()})
        return hashlib.sha1(content.encode()).hexdigest()


@dataclass
class Hub:
    """What it holds, and what was asked of it."""

    address: str = ""
    elsewhere: str = ""  # the same under another name: the client sends no token there
    repositories: dict[str, list[Commit]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    uploads: dict[str, bytes] = field(default_factory=dict)  # of Git LFS, by SHA-256
    requests: list[str] = field(default_factory=list)
    fail: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # part of a path: status to answer with

    def commit(self, name: str, lines: list[dict]) -> Commit:
        """Applies a commit's lines. Raises KeyError for a large file that was not uploaded."""
        header, *operations = lines
        last = self.repositories[name][-1]
        files, large = dict(last.files), set(last.large)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.uploads[value["oid"]]
                large.add(value["path"])
        self.repositories[name].append(Commit(files, large, header["value"]["summary"]))
        return self.repositories[name][-1]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._route()

    do_HEAD = do_POST = do_PUT = do_GET

    def _route(self) -> None:
        hub: Hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(f"{self.command} {path}")
        for part, status in hub.fail.items():
            if part in path:
                return self._json({"error": "not today"}, status)
        for pattern, answer in ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return answer(self, hub, **found.groupdict())
        return self._json({"error": f"{self.command} {path} is not imitated"}, 501)

    def _json(self, content, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(content).encode(), status, **headers)

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._json({"error": "Invalid username or password."}, 401)
        return False

    def _found(self, hub: Hub, name: str, revision: str | None = None) -> Commit | None:
        """The commit that is meant; where there is none, what the Hub answers."""
        commits = hub.repositories.get(name)
        if commits is None:
            self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        elif name in hub.gated:
            self._json({"error": "Access to this model is restricted"}, 403, X_Error_Code="GatedRepo")
        elif revision in (None, "main"):
            return commits[-1]
        else:
            for commit in commits:
                if commit.sha == revision:
                    return commit
            self._json({"error": "Invalid rev id"}, 404, X_Error_Code="RevisionNotFound")
        return None

    # ---- writing

    def create(self, hub: Hub) -> None:
        if not self._allowed():
            return
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        is_new = name not in hub.repositories
        hub.repositories.setdefault(name, [Commit({}, set())])
        self._json({"url": f"{hub.address}/{name}"}, 200 if is_new else 409)

    def validate(self, hub: Hub) -> None:
        """The front matter of a card."""
        front = json.loads(self.body)["content"].split("---\n")[1]
        wrong = [] if isinstance(yaml.safe_load(front), dict) else [{"message": "no front matter"}]
        self._json({"errors": wrong, "warnings": []}, 400 if wrong else 200)

    def preupload(self, hub: Hub, name: str) -> None:
        if self._allowed() and self._found(hub, name):
            self._json({"files": [{"path": file["path"], "shouldIgnore": False,
                                   "uploadMode": "lfs" if file["size"] >= LARGE else "regular"}
                                  for file in json.loads(self.body)["files"]]})  # fmt: skip

    def batch(self, hub: Hub, name: str) -> None:
        if self._allowed():
            self._json({"transfer": "basic", "objects": [
                {**one, "actions": {"upload": {"href": f"{hub.address}/lfs/{one['oid']}"},
                                    "verify": {"href": f"{hub.address}/verify"}}}
                for one in json.loads(self.body)["objects"]]})  # fmt: skip

    def upload(self, hub: Hub, oid: str) -> None:
        if sha256(self.body) != oid:
            return self._json({"error": "another content"}, 400)
        hub.uploads[oid] = self.body
        return self._send(b"")

    def verify(self, hub: Hub) -> None:
        asked = json.loads(self.body)
        there = len(hub.uploads.get(asked["oid"], b"")) == asked["size"]
        self._json({}, 200 if there else 404)

    def commit(self, hub: Hub, name: str) -> None:
        if self._allowed() and self._found(hub, name):
            made = hub.commit(name, [json.loads(line) for line in self.body.splitlines()])
            self._json({"success": True, "commitOid": made.sha, "commitUrl": f"{hub.address}/{name}/commit/{made.sha}"})

    # ---- reading

    def info(self, hub: Hub, name: str, revision: str | None = None) -> None:
        if commit := self._found(hub, name, revision):
            self._json({"id": name, "modelId": name, "sha": commit.sha, "private": False, "tags": [],
                        "siblings": [{"rfilename": path} for path in commit.files]})  # fmt: skip

    def tree(self, hub: Hub, name: str, revision: str) -> None:
        if commit := self._found(hub, name, revision):
            self._json([self._entry(commit, path) for path in commit.files])

    @staticmethod
    def _entry(commit: Commit, path: str) -> dict:
        content = commit.files[path]
        lfs = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
        return {"type": "file", "path": path, "size": len(content), "oid": git_id(content),
                **({"lfs": lfs} if path in commit.large else {})}  # fmt: skip

    def resolve(self, hub: Hub, name: str, revision: str, path: str) -> None:
        if not (commit := self._found(hub, name, revision)):
            return
        if path not in commit.files:
            return self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        content = commit.files[path]
        if path not in commit.large:
            return self._send(content, ETag=f'"{git_id(content)}"', X_Repo_Commit=commit.sha)
        place = f"{hub.elsewhere}/lfs/{sha256(content)}"
        return self._send(b"", 302, Location=place, X_Linked_Etag=f'"{sha256(content)}"', X_Repo_Commit=commit.sha,
                          X_Linked_Size=str(len(content)))  # fmt: skip

    def large(self, hub: Hub, oid: str) -> None:
        """As from a signed address: who else's token came here would have been given away."""
        assert "Authorization" not in self.headers
        self._send(hub.uploads[oid], ETag=f'"{oid}"')


_NAME = r"(?P<name>[^/]+/[^/]+?)"
ROUTES = [(pattern, answer) for pattern, answer in {
    r"POST /api/repos/create": _Answers.create, r"POST /api/validate-yaml": _Answers.validate,
    rf"POST /api/models/{_NAME}/preupload/main": _Answers.preupload,
    rf"POST /{_NAME}\.git/info/lfs/objects/batch": _Answers.batch,
    r"PUT /lfs/(?P<oid>\w+)": _Answers.upload, r"POST /verify": _Answers.verify,
    rf"POST /api/models/{_NAME}/commit/main": _Answers.commit,
    rf"GET /api/models/{_NAME}": _Answers.info, rf"GET /api/models/{_NAME}/revision/(?P<revision>[^/]+)": _Answers.info,
    rf"GET /api/models/{_NAME}/tree/(?P<revision>[^/]+)": _Answers.tree,
    rf"(GET|HEAD) /{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": _Answers.resolve,
    r"(GET|HEAD) /lfs/(?P<oid>\w+)": _Answers.large,
}.items()]  # fmt: skip


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub on 127.0.0.1 while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    hub = server.hub = Hub(*(f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
