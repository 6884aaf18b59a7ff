"""A temporary folder whose processes and files are gone when we are, whatever ends us.

In: nothing. Out: a folder to run programs in. A small shell waits on a pipe that only this process holds open: when we
close it, or die of anything (exception, Ctrl-C, SIGTERM, SIGKILL), the shell ends the game and the display that name
the folder in their command lines, and removes the folder and the shared memory named after it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

__all__ = ["PREFIX", "Home"]

PREFIX = "vlpt-luanti-"
WATCH = r"""
trap '' INT TERM HUP
read _
end() {
    for entry in $(grep -laF "$VLPT_HOME" /proc/[0-9]*/cmdline 2>/dev/null); do
        case "$(tr '\0' ' ' <"$entry")" in Xvfb*|*/minetest*) ;; *) continue ;; esac
        entry=${entry#/proc/}; kill "$1" "${entry%/cmdline}" 2>/dev/null && ended=yes
    done
}
ended=; end -TERM; [ -z "$ended" ] || { sleep 0.5; end -KILL; }
name=${VLPT_HOME##*/}
for _ in 1 2 3 4 5; do rm -rf "$VLPT_HOME" "/dev/shm/$name" "/dev/shm/sem.$name" && break; sleep 0.2; done
"""


class Home:
    """A folder under the system's temporary folder; `path` is its place."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._watcher = subprocess.Popen(
            ["sh", "-c", WATCH], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "VLPT_HOME": str(self.path)}, start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        """Has the watcher do its work, and waits for it. Safe to call twice."""
        self._watcher.stdin.close()
        self._watcher.wait()
