"""A display of our own (Xvfb): its pixels as memory, its keys and mouse as real input events.

In: keys held, mouse counts. Out: (H, W, 3) RGB frames. The pixels are Xvfb's own framebuffer file, mapped into memory,
so a frame costs one copy. Input goes through XTEST, so that the game sees what a person's hands would have done.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
from Xlib import XK, X, display
from Xlib.ext import xtest

from vlpt.worlds.luanti.relay import Relay

__all__ = ["KEYS", "Screen"]

# MineRL's button -> a key's name, or a mouse button's number. Luanti's key map is set to match in game.py.
KEYS: dict[str, str | int] = {
    "attack": 1, "use": 3, "forward": "w", "back": "s", "left": "a", "right": "d", "jump": "space", "sneak": "Shift_L",
    "sprint": "Control_L", "drop": "q", "inventory": "e", "ESC": "Escape",
    **{f"hotbar.{slot}": str(slot) for slot in range(1, 10)},
}  # fmt: skip
PULSE = "F8"  # bound to Luanti's zoom, which does nothing here: toggled every step, it proves that the input was read
# The mouse must be able to turn by 180 degrees (1,200 counts) in one step from the middle of the window.
REACH_COUNTS = 1200
START_S = 10.0


class Screen:
    """One Xvfb with the game's window in its middle."""

    def __init__(self, home: Path, width: int, height: int) -> None:
        """Starts Xvfb with its framebuffer file in `home`; raises RuntimeError when it does not come up."""
        self.width, self.height = width, height
        self._held: set[str] = set()
        self._pulse = False
        full_width, full_height = width + 2 * REACH_COUNTS, height + 2 * REACH_COUNTS
        read_end, write_end = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{full_width}x{full_height}x24",
             "-fbdir", str(home), "-noreset", "-nolisten", "tcp"],
            pass_fds=[write_end], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(write_end)
        self.name = f":{_read_number(read_end)}"
        self._display = display.Display(self.name)
        self._display.change_keyboard_control(auto_repeat_mode=X.AutoRepeatModeOff)  # it would go by the real clock
        self._codes = {key: self._keycode(key) for key in {*KEYS.values(), PULSE} if isinstance(key, str)}
        shared_memory = self._display.query_extension("MIT-SHM")
        if shared_memory is None:
            raise RuntimeError("Xvfb has no shared memory (MIT-SHM), by which games show their frames")
        self.relay = Relay(self.name, shared_memory.major_opcode)
        self._pixels = _map_framebuffer(home / "Xvfb_screen0", full_width, full_height)

    def find_window(self, title: str) -> bool:
        """Moves the window called `title`… to the middle and gives it the keyboard; False if it is not there yet."""
        windows = self._display.screen().root.query_tree().children
        window = next((w for w in windows if (w.get_wm_name() or "").startswith(title)), None)
        if window is None:
            return False
        window.configure(x=REACH_COUNTS, y=REACH_COUNTS)
        window.set_input_focus(X.RevertToParent, X.CurrentTime)
        self._display.sync()
        return True

    def frame(self) -> np.ndarray:
        """What the window shows: (H, W, 3) uint8 RGB, a copy."""
        rows = slice(REACH_COUNTS, REACH_COUNTS + self.height)
        columns = slice(REACH_COUNTS, REACH_COUNTS + self.width)
        return cv2.cvtColor(self._pixels[rows, columns], cv2.COLOR_BGRA2RGB)

    def send(self, held: set[str], dx_counts: int = 0, dy_counts: int = 0) -> tuple[int, bool]:
        """Holds exactly the buttons in `held`, moves the mouse, toggles the pulse key, the last of the keys; returns
        its code and whether it is down."""
        for name in sorted(self._held - held):
            self._press(KEYS[name], False)
        for name in sorted(held - self._held):
            self._press(KEYS[name], True)
        self._held = set(held)
        if dx_counts or dy_counts:
            xtest.fake_input(self._display, X.MotionNotify, detail=True, x=dx_counts, y=dy_counts)
        self._pulse = not self._pulse
        self._press(PULSE, self._pulse)
        self._display.sync()
        return self._codes[PULSE], self._pulse

    def cursor(self) -> tuple[int, int]:
        """(x, y) of the pointer in pixels of the window."""
        pointer = self._display.screen().root.query_pointer()
        return pointer.root_x - REACH_COUNTS, pointer.root_y - REACH_COUNTS

    def close(self) -> None:
        """Ends the display. Safe to call twice."""
        self.relay.close()
        try:
            self._display.close()
        except Exception:  # python-xlib raises its own errors when the server has gone already
            pass
        self.process.terminate()  # not kill: it takes its lock and its socket away
        self.process.wait()

    def _keycode(self, key: str) -> int:
        return self._display.keysym_to_keycode(XK.string_to_keysym(key))

    def _press(self, key: str | int, down: bool) -> None:
        if isinstance(key, int):
            xtest.fake_input(self._display, X.ButtonPress if down else X.ButtonRelease, key)
        else:
            xtest.fake_input(self._display, X.KeyPress if down else X.KeyRelease, self._codes[key])


def _read_number(read_end: int) -> int:
    """The display number that Xvfb writes once it is ready."""
    text, deadline_s = b"", time.monotonic() + START_S
    try:
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([read_end], [], [], max(0.0, deadline_s - time.monotonic()))
            piece = os.read(read_end, 16) if ready else b""
            if not piece:
                raise RuntimeError("Xvfb did not start; try it by hand: Xvfb -displayfd 1")
            text += piece
    finally:
        os.close(read_end)
    return int(text)


def _map_framebuffer(path: Path, width: int, height: int) -> np.ndarray:
    """(height, width, 4) uint8 BGRX view of Xvfb's XWD file: 25 big-endian words, a colour map, then the rows."""
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    header = struct.unpack(">25I", memory[:100])
    header_bytes, bytes_per_line, colours = header[0], header[12], header[19]
    pixels = np.frombuffer(memory, np.uint8, bytes_per_line * height, header_bytes + 12 * colours)
    return pixels.reshape(height, bytes_per_line)[:, : width * 4].reshape(height, width, 4)
