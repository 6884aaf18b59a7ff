"""Models on the Hugging Face Hub: a repository fetched, a folder pushed in one commit; what goes wrong is one line.

In: a name, `user/name`, or a folder. Out: a folder on this machine, the Hub's copy of which is kept in its client's
cache and serves where there is no network; or the address of the commit.

    folder = fetch("user/name")
    address = push("checkpoints/policy", "user/name")       # a token: `hf auth login`, or HF_TOKEN

A name is asked for at the Hub only where it cannot be a folder of this machine: two words and a slash, the first of
which is no folder here and none that this repository's programs make. What comes from there is read as JSON and
safetensors only.
"""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

FILES = ("config.json", "model.safetensors", "tokenizer.json", "sampling.json")  # all that a model of ours is made of
OURS = ("runs", "data", "pretrained", "checkpoints")  # folders that may not be there yet
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def is_hub_name(name: str | Path) -> bool:
    """Whether this can only be a name on the Hub; see the top of the file."""
    user = str(name).partition("/")[0]
    return bool(NAME.fullmatch(str(name))) and user not in OURS and not Path(user).is_dir()


def fetch(name: str, **how) -> Path:
    """The folder with the repository's files, those of FILES; how: `revision`, `token`, `cache_dir` … of
    `huggingface_hub.snapshot_download`. Raises ValueError, one line, where it cannot be had.
    """
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(FILES), **how))
    except Exception as error:  # the Hub's client raises a dozen kinds
        _explain(name, error, "fetched from", "name a folder (it was never fetched to here)")
    if not (folder / FILES[0]).is_file():
        raise ValueError(f"{name} on the Hugging Face Hub has no {FILES[0]}: it holds no model of ours")
    return folder


def push(
    folder: Path | str, name: str, *, private: bool | None = None, token: str | None = None, message: str = ""
) -> str:
    """Uploads the folder's files, in one commit, to a repository that is made where it is not there; whatever else lies
    in it stays. Returns the commit's address. Raises ValueError, one line, where that cannot be done.
    """
    folder, api = Path(folder), HfApi(token=token)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name on the Hugging Face Hub: write user/name")
    added = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        return str(api.create_commit(name, added, commit_message=message or "Push a model").commit_url)
    except Exception as error:
        _explain(name, error, "pushed to", "push it another day")


def push_saved(save: Callable[[Path], None], name: str, card: str, **how) -> str:
    """As `push`, of the folder that `save` writes, with `card` as its README.md; the folder is gone at the end."""
    with TemporaryDirectory() as folder:
        save(Path(folder))
        (Path(folder) / "README.md").write_text(card, encoding="utf-8")
        return push(folder, name, **how)


def _explain(name: str, error: Exception, done: str, instead: str) -> NoReturn:
    """Raises ValueError with the cause and the cure."""
    raise ValueError(f"{name} cannot be {done} the Hugging Face Hub: {_cause(error, instead)}") from error


def _cause(error: Exception, instead: str) -> str:
    """In one line; instead: what can be done where there is no network."""
    if isinstance(error.__cause__, HfHubHTTPError | httpx2.TransportError):  # what the client's word for it comes from
        error = error.__cause__
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        return "its owner gives it to those who ask: ask on its page, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return ("there is no such repository, or it is private and no token here opens it: look at the name, or log in "
                "with `hf auth login`")  # fmt: skip
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision"
    if status in (401, 403):
        return "no token here may do that: log in with `hf auth login`, as somebody who may"
    if constants.HF_HUB_OFFLINE or isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set: unset it, or {instead}"
    if status is not None:
        return f"it answers {status}, {_first_line(error)}"
    if isinstance(error, LocalEntryNotFoundError | httpx2.TransportError):
        return f"{constants.ENDPOINT} does not answer: look at the network, or {instead}"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
