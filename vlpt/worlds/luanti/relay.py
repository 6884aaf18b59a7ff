"""The game's connection to its display, passed on by us, so that the game stands still after each frame that it shows.

In: the real display's name, the number of its extension MIT-SHM. Out: the name of a display for the game. Mesa's
software driver shows a frame by MIT-SHM's PutImage and then waits for an answer (XSync). While we keep that answer the
game stands: the frame is in the display, and of its next loop nothing has begun, neither its look at the keys nor its
look at the clock. Without this it would draw the old moment again before each new one: half of all drawing.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Iterator

__all__ = ["Relay"]

NUMBERS = range(10_000, 50_000)  # of displays: Xvfb counts from 0
PUT_IMAGE, GET_INPUT_FOCUS = 3, 43  # MIT-SHM's request that shows a frame; the core's that XSync waits for
REPLY, KEY_PRESS, KEY_RELEASE, GENERIC_EVENT = 1, 2, 3, 35  # first bytes of what a display says
KEY_S = 1.0  # patience, in real time, with a key's event


class Relay:
    """A display of our own that passes everything on to a real one. Whoever makes one closes it."""

    def __init__(self, display_name: str, shared_memory: int) -> None:
        """Raises RuntimeError when no display number is free."""
        self._real, self._shared_memory = f"/tmp/.X11-unix/X{display_name.removeprefix(':')}", shared_memory
        self.holding = False  # whether frames stop the game
        self._links: dict[int, _Link] = {}  # by both their files
        self._stopped: _Link | None = None
        self._poll = select.poll()
        self._door, self.name = _listen()
        self._poll.register(self._door, select.POLLIN)

    @property
    def held(self) -> bool:
        """Whether the game has shown a frame and waits."""
        return self._stopped is not None and self._stopped.answered()

    def pass_on(self, other: int, timeout_s: float) -> bool:
        """Passes on what comes until `other` (an open file) can be read, the game is held, or time is out.

        Returns whether `other` can be read.
        """
        deadline_s = time.monotonic() + timeout_s
        self._poll.register(other, select.POLLIN)
        try:
            while True:
                left_ms = max(0.0, deadline_s - time.monotonic()) * 1000
                ready = [number for number, _ in self._poll.poll(left_ms)]
                for number in ready:
                    self._serve(number)
                if other in ready or not ready or self.held:
                    return other in ready
        finally:
            self._poll.unregister(other)

    def release(self, key: tuple[int, bool] | None = None) -> None:
        """Lets a held game go on, after the event of a key that we (code, down) sent has come to be read by it."""
        link, self._stopped = self._stopped, None
        if link is None:
            return
        deadline_s = time.monotonic() + KEY_S
        while key and not link.knows(*key) and time.monotonic() < deadline_s:
            if select.select([link.display], [], [], KEY_S)[0] and not link.carry_down():
                break
        with contextlib.suppress(OSError):  # the game has ended, which its output tells
            link.open()

    def close(self) -> None:
        """Ends all connections. Safe to call twice."""
        self._door.close()
        for link in self._links.values():
            link.close()
        self._links = {}

    def _serve(self, number: int) -> None:
        if number == self._door.fileno():
            self._welcome()
        if (link := self._links.get(number)) is None:
            return
        with contextlib.suppress(OSError):  # reset by either side: the same as its end
            if link.carry_up(self.holding) if number == link.game.fileno() else link.carry_down():
                self._stopped = link if link.stopped else self._stopped
                return
        self._forget(link)

    def _welcome(self) -> None:
        game, _ = self._door.accept()
        display = socket.socket(socket.AF_UNIX)
        display.connect(self._real)
        link = _Link(game, display, self._shared_memory)
        for side in (game, display):
            self._links[side.fileno()] = link
            self._poll.register(side, select.POLLIN)

    def _forget(self, link: _Link) -> None:
        for side in (link.game, link.display):
            self._poll.unregister(side)
            del self._links[side.fileno()]
        link.close()
        self._stopped = None if self._stopped is link else self._stopped


class _Link:
    """One connection of the game."""

    def __init__(self, game: socket.socket, display: socket.socket, shared_memory: int) -> None:
        self.game, self.display = game, display
        self.stopped = False  # a frame was shown, and nothing more is said to the game
        self._kept = b""  # what it would have been told since
        self._asked, self._begun = b"", False  # the request that is not yet whole; whether there was a first one
        self._frame = (shared_memory, PUT_IMAGE)
        self._last = (0, 0)

    def carry_up(self, holding: bool) -> bool:
        """Passes on what the game asks; False when it has gone."""
        data = self.game.recv(65_536)
        self.display.sendall(data)
        self._asked += data
        for kind in self._requests():
            self.stopped = self.stopped or (holding and self._last == self._frame and kind[0] == GET_INPUT_FOCUS)
            self._last = kind
        return bool(data)

    def carry_down(self) -> bool:
        """Passes on, or keeps, what the display says; False when it has gone."""
        data = self.display.recv(65_536)
        if self.stopped:
            self._kept += data
        else:
            self.game.sendall(data)
        return bool(data)

    def answered(self) -> bool:
        """Whether the answer that the stopped game waits for is there."""
        return any(unit[0] == REPLY for unit in _units(self._kept))

    def knows(self, code: int, down: bool) -> bool:
        """Whether this key's event is among what the stopped game will be told."""
        wanted = (KEY_PRESS if down else KEY_RELEASE, code)
        return any((unit[0], unit[1]) == wanted for unit in _units(self._kept))

    def open(self) -> None:
        """Tells the game what was kept, so that it goes on."""
        kept, self._kept, self.stopped = self._kept, b"", False
        self.game.sendall(kept)

    def close(self) -> None:
        """Ends both sides. Safe to call twice."""
        self.game.close()
        self.display.close()

    def _requests(self) -> Iterator[tuple[int, int]]:
        """(major, minor) numbers of the whole requests among what was asked, which are taken away."""
        while (length := self._length()) and len(self._asked) >= length:
            begun, self._begun = self._begun, True
            if begun:
                yield self._asked[0], self._asked[1]
            self._asked = self._asked[length:]

    def _length(self) -> int:
        """Bytes of the next request; 0 while too little of it is there. X counts in words of four bytes."""
        asked = self._asked
        if not self._begun:  # the greeting: twelve bytes, then the name and the data of an authorisation
            if len(asked) < 12:
                return 0
            name, data = struct.unpack_from("<HH", asked, 6)
            return 12 + (name + 3) // 4 * 4 + (data + 3) // 4 * 4
        words = struct.unpack_from("<H", asked, 2)[0] if len(asked) >= 4 else 0
        if words or len(asked) < 8:
            return 4 * words
        return 4 * struct.unpack_from("<I", asked, 4)[0]  # a long one (BIG-REQUESTS)


def _units(said: bytes) -> Iterator[bytes]:
    """The whole events, replies and errors in what a display said."""
    start = 0
    while start + 32 <= len(said):
        longer = said[start] in (REPLY, GENERIC_EVENT)
        end = start + 32 + 4 * (struct.unpack_from("<I", said, start + 4)[0] if longer else 0)
        if end > len(said):
            return
        yield said[start:end]
        start = end


def _listen() -> tuple[socket.socket, str]:
    """A socket where a display of a free number is looked for, and its name.

    The name is Linux's abstract one: it is no file, and gone with its last process.
    """
    for offset in range(len(NUMBERS)):
        number = NUMBERS[(os.getpid() * 7 + offset) % len(NUMBERS)]
        door = socket.socket(socket.AF_UNIX)
        try:
            door.bind(f"\0/tmp/.X11-unix/X{number}")
        except OSError:
            door.close()
            continue
        door.listen()
        return door, f":{number}"
    raise RuntimeError("found no free number for a display of our own")
