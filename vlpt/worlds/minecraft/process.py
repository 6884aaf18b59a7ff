"""The game as a process that is asked and waited for, and ended with all that it started when it does not answer.

In: the game's python, which game and task, seconds to wait. Out: answers of bridge.py.

    game = GameProcess("envs/minerl/bin/python", "minerl", "HumanSurvival"); game.ask("reset", 900, seed=3); game.end()

The game starts Java in a session of its own, behind a script and an X server, so that neither a process group nor a
parent finds it. What we start carries a mark in its environment, which all its children inherit: what is ended is what
carries this mark, and nothing else. A small shell does so when we die of anything: it waits on a pipe that only we
hold.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import tempfile
import time
import uuid
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["GameFailed", "GameProcess", "marked"]

BRIDGE = Path(__file__).with_name("bridge.py")
MARK = "VLPT_MINECRAFT"
GRACE_S = 1.0  # between asking what is left to end and ending it
LAST_LINES = 12  # of the game's log, in an error
START_S = 300.0  # for the game's packages to be imported
WATCH = r"""
trap '' INT TERM HUP
read _
for _ in 1 2 3 4 5 6 7 8 9 10; do
    ended=
    for entry in $(grep -laF "VLPT_MINECRAFT=$VLPT_WATCHED" /proc/[0-9]*/environ 2>/dev/null); do
        entry=${entry#/proc/}; kill -KILL "${entry%/environ}" 2>/dev/null && ended=yes
    done
    [ -z "$ended" ] && break
    sleep 0.1
done
rm -rf "$VLPT_FOLDER"
"""


class GameFailed(RuntimeError):
    """The game ended, hung or refused; the message carries its last log lines."""


class GameProcess:
    """One game. Raises GameFailed as `ask`; `end` is safe to call twice."""

    def __init__(self, python: str, game: str, task: str, behind: Sequence[str] = ()) -> None:
        """behind: the words of a command that runs the python, as xvfb-run."""
        self.mark = uuid.uuid4().hex
        folder = tempfile.mkdtemp(prefix="vlpt-minecraft-")  # MineStudio leaves its logs where it stands
        self._log = Path(folder) / "game.log"
        log = os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._answers, theirs = os.pipe()  # not stdout: some xvfb-run mixes that with stderr
        self._process = subprocess.Popen(
            [*behind, python, str(BRIDGE), str(theirs)], stdin=subprocess.PIPE, stdout=log, stderr=log,
            cwd=folder, env={**os.environ, MARK: self.mark}, start_new_session=True, pass_fds=[theirs],
        )  # fmt: skip
        os.close(theirs)
        os.close(log)
        watcher = subprocess.Popen(["sh", "-c", WATCH], stdin=subprocess.PIPE, start_new_session=True,
                                   env={**os.environ, "VLPT_WATCHED": self.mark, "VLPT_FOLDER": folder})  # fmt: skip
        self._finalizer = weakref.finalize(self, _end, self._process, watcher, self.mark, self._answers, os.getpid())
        self.ask("make", START_S, game=game, task=task)

    def ask(self, what: str, wait_s: float, **details) -> Any:
        """What the game answers. Raises GameFailed, having ended the game, where it fails or takes longer than that."""
        message = json.dumps({"ask": what, **details}).encode()
        until = time.monotonic() + wait_s
        try:
            self._process.stdin.write(struct.pack("!I", len(message)) + message)
            self._process.stdin.flush()
            answer, pov = json.loads(self._part(until)), self._part(until)
        except TimeoutError:
            self._fail(f"did not answer '{what}' within {wait_s:g} seconds")
        except (OSError, EOFError):
            self._fail(f"ended at '{what}'")
        except BaseException:  # Ctrl-C leaves half an answer in the pipe
            self.end()
            raise
        if "error" in answer:
            self._fail(f"failed at '{what}': {answer['error']}")
        return {**answer["ok"], "pov": pov} if answer["ok"] else None

    def end(self) -> None:
        """Ends the game and all that it started."""
        self._finalizer()

    def close(self, wait_s: float = 20.0) -> None:
        """Asks the game to end by itself, then ends what is left."""
        if self._finalizer.alive:
            try:
                self.ask("close", wait_s)
            except GameFailed:
                pass  # it is ended already
        self.end()

    def _part(self, until: float) -> bytes:
        size, = struct.unpack("!I", self._read(4, until))
        return self._read(size, until)

    def _read(self, size: int, until: float) -> bytes:
        content = b""
        while len(content) < size:
            if not select.select([self._answers], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            if not (part := os.read(self._answers, size - len(content))):
                raise EOFError
            content += part
        return content

    def _fail(self, what: str):
        lines = self.last_lines()
        self.end()
        raise GameFailed(f"Minecraft {what}; its last lines:\n{lines}")

    def last_lines(self) -> str:
        """The end of what the game printed."""
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"    {line[:200]}" for line in lines)


def marked(mark: str) -> list[int]:
    """Processes that carry the mark, ours and our user's only, as no others show their environment."""
    found, wanted = [], f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # another's, or gone
                pass
    return found


def _end(process: subprocess.Popen, watcher: subprocess.Popen, mark: str, answers: int, owner: int) -> None:
    if os.getpid() != owner:  # a forked child must not end its parent's game
        return
    with suppress(OSError):
        process.stdin.close()
    until = time.monotonic() + GRACE_S
    _signal(mark, signal.SIGTERM)
    while marked(mark) and time.monotonic() < until:
        process.poll()
        time.sleep(0.05)
    for _ in range(20):  # what is being started meanwhile, too
        _signal(mark, signal.SIGKILL)
        process.poll()
        if not marked(mark):
            break
        time.sleep(0.05)
    process.wait()
    watcher.stdin.close()
    watcher.wait()
    os.close(answers)


def _signal(mark: str, number: int) -> None:
    for pid in marked(mark):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
