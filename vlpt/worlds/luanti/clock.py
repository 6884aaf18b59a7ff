"""The game's clock: libfaketime reading a file that we replace, so that the world stands still between steps.

In: seconds to advance. Out: the environment under which a program lives by this clock.
"""

from __future__ import annotations

import ctypes
import glob
import itertools
import os
import struct
import time
from pathlib import Path

__all__ = ["LIBRARY", "Clock", "shared_files"]

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
EPOCH_S = 1_790_000_000  # any moment will do; the same one every time, so that runs repeat
# libfaketime turns "wait until 50 ms from now" into "the moment the program was started, plus the faked time since,
# plus 50 ms". Under a frozen clock that moment has passed, and three of the game's threads would spin: three quarters
# of the processor time of a step. We hand it a start sixty years ahead instead, through the memory that it shares
# between processes: frozen, those threads sleep until a packet wakes them (every step sends one); running, nothing
# changes.
AHEAD_S = 60 * 365 * 86_400
# In the order of libfaketime's system_time_s (0.9.10).
CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW, time.CLOCK_BOOTTIME)


def shared_files(home: Path) -> tuple[Path, Path]:
    """Where the memory and the semaphore named after `home` lie: what must be removed at the end."""
    return Path("/dev/shm") / home.name, Path("/dev/shm") / f"sem.{home.name}"


class Clock:
    """A clock that first runs with the real one, and after `freeze` moves only by `advance`."""

    def __init__(self, home: Path) -> None:
        """Raises RuntimeError when the system gives no shared memory."""
        self._home = home
        self._began_s, self._now_s = time.clock_gettime(time.CLOCK_MONOTONIC), 0.0
        memory, _ = shared_files(home)
        starts = (divmod(time.clock_gettime_ns(clock) + AHEAD_S * 10**9, 10**9) for clock in CLOCKS)
        # libfaketime's ft_shared_s: ticks, file_idx, then the start on four clocks, (seconds, nanoseconds) each
        memory.write_bytes(struct.pack("<10q", 0, 0, *itertools.chain(*starts)).ljust(4096, b"\0"))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sem_open.restype = ctypes.c_void_p
        if not libc.sem_open(f"/{home.name}".encode(), os.O_CREAT | os.O_EXCL, ctypes.c_uint(0o600), ctypes.c_uint(1)):
            raise RuntimeError(f"cannot make a semaphore in /dev/shm: {os.strerror(ctypes.get_errno())}")
        self._write("@" + _date(EPOCH_S + AHEAD_S))

    def environment(self) -> dict[str, str]:
        """What to add to a program's environment."""
        return {"LD_PRELOAD": glob.glob(LIBRARY)[0], "FAKETIME_TIMESTAMP_FILE": str(self._home / "clock"), "TZ": "UTC",
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_RESET": "1",
                "FAKETIME_SHARED": f"/{self._home.name} /{self._home.name}"}  # fmt: skip

    def freeze(self) -> None:
        """Stops the clock at the moment that it shows."""
        self._now_s = time.clock_gettime(time.CLOCK_MONOTONIC) - self._began_s
        self.advance(0.001)

    def advance(self, seconds: float) -> None:
        """Moves the frozen clock."""
        self._now_s += seconds
        moment_s = EPOCH_S + self._now_s
        self._write(_date(moment_s) + f"{moment_s % 1:.3f}"[1:])

    def _write(self, text: str) -> None:
        (self._home / "clock.tmp").write_text(text + "\n")
        os.replace(self._home / "clock.tmp", self._home / "clock")  # atomic, so that nobody reads half a line


def _date(moment_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(moment_s)))
