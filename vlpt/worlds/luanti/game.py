"""The game's process: its settings, its clock, and the lines it prints.

In: a home folder, a display. Out: lines of the two mods ("T ...", "S ...", "R ...") as they come. Nothing of the game
is changed: its clock is ours (clock.py), it stands after each frame (relay.py), and a client mod tells us its pose.
"""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import time
from collections import deque
from pathlib import Path

import numpy as np

from vlpt.worlds.luanti.clock import LIBRARY, Clock
from vlpt.worlds.luanti.relay import Relay

__all__ = ["Game", "GameError", "check_installed", "degrees_per_sensitivity"]

MODS = Path(__file__).parent / "mods"
PORTS = range(20_000, 60_000)
PROGRAM = "/usr/games/minetest"
UNBOUND = (
    "camera_mode", "cmd", "cmd_local", "chat", "console", "toggle_hud", "toggle_chat", "toggle_fog", "toggle_debug",
    "toggle_profiler", "toggle_update_camera", "minimap", "freemove", "fastmove", "noclip", "autoforward", "pitchmove",
    "rangeselect", "increase_viewing_range_min", "decrease_viewing_range_min", "screenshot",
)  # fmt: skip
PACKAGES = "minetest minetest-data xvfb faketime libgl1-mesa-dri"


class GameError(RuntimeError):
    """The game ended or stopped answering; the message carries its last log lines."""


def check_installed() -> None:
    """Raises RuntimeError naming what apt-get should install."""
    found = {PROGRAM: os.access(PROGRAM, os.X_OK), "Xvfb": shutil.which("Xvfb"), "libfaketime": glob.glob(LIBRARY),
             "minetest_game": os.path.isdir("/usr/share/games/minetest/games/minetest_game")}  # fmt: skip
    missing = [name for name, where in found.items() if not where]
    if missing:
        raise RuntimeError(f"the Luanti world needs {', '.join(missing)}: run\n"
                           f"    apt-get install --no-install-recommends {PACKAGES}")  # fmt: skip


def degrees_per_sensitivity(width: int, height: int) -> float:
    """Degrees that one mouse count turns at mouse_sensitivity 1, from Luanti's own formula (5.6: game.cpp, camera.cpp).

    The factor is tan(fov_y / 2) relative to 72 degrees, and fov_y grows on windows narrower than 16:10.
    """
    fov_deg = 72.0 * float(np.clip(np.sqrt((16 / 10) / (width / height)), 1.0, 1.4))
    return float(np.tan(np.radians(fov_deg / 2)) * 1.3763818698)


def settings(width: int, height: int, degrees_per_count: float, port: int, viewing_range: int) -> dict[str, object]:
    """Luanti's settings: small, cheap to draw, no chat, no sound, MineRL's keys."""
    draw = {
        "screen_w": width, "screen_h": height, "autosave_screensize": "false", "video_driver": "opengl",
        "fps_max": 1000, "fps_max_unfocused": 1000, "pause_on_lost_focus": "false", "viewing_range": viewing_range,
        "enable_shaders": "false", "enable_clouds": "false", "enable_particles": "false", "smooth_lighting": "false",
        "leaves_style": "opaque", "opaque_water": "true", "enable_fog": "false", "enable_weather": "false",
        "hud_scaling": 0.4, "gui_scaling": 0.5, "font_size": 8, "show_debug": "false",
        "view_bobbing_amount": 0, "arm_inertia": "false",
        "desynchronize_mapblock_texture_animation": "false", "enable_sound": "false", "enable_minimap": "false",
        "fov": 72, "mouse_sensitivity": f"{degrees_per_count / degrees_per_sensitivity(width, height):.9f}",
    }  # fmt: skip
    world = {
        "mg_name": "singlenode", "fixed_map_seed": 7, "time_speed": 0, "enable_damage": "false",
        "abm_interval": 1_000_000, "mapgen_limit": 160, "max_block_send_distance": 4, "max_block_generate_distance": 4,
        "server_side_occlusion_culling": "false", "client_unload_unused_data_timeout": 1_000_000,
        "server_map_save_interval": 1_000_000, "disable_anticheat": "true", "default_privs": "interact, shout, fast",
        "fast_move": "true", "movement_speed_fast": 5.6, "enable_client_modding": "true", "csm_restriction_flags": 0,
        "csm_restriction_noderange": 0, "enable_mod_channels": "true", "server_announce": "false", "max_users": 1,
        "bind_address": "127.0.0.1", "port": port, "remote_port": port, "debug_log_level": "", "chat_log_level": "",
    }  # fmt: skip
    keys = {"keymap_aux1": "KEY_LCONTROL", "keymap_inventory": "KEY_KEY_E", "keymap_zoom": "KEY_F8"}
    return {**draw, **world, **keys, **{f"keymap_{name}": "" for name in UNBOUND}}


def lay_out(home: Path, configuration: dict[str, object]) -> Path:
    """Writes settings, world and mods into `home`; returns the world's folder.

    Luanti 5.6 keeps a user's files in $HOME/.minetest and ignores MINETEST_USER_PATH.
    """
    world, client_mods = home / "world", home / ".minetest" / "clientmods"
    shutil.copytree(MODS / "grove", world / "worldmods" / "grove")
    shutil.copytree(MODS / "tick", client_mods / "tick")
    (client_mods / "mods.conf").write_text("load_mod_tick = true\n")
    stores = ("backend", "player_backend", "auth_backend", "mod_storage_backend")
    backends = "".join(f"{store} = sqlite3\n" for store in stores)
    (world / "world.mt").write_text(f"gameid = minetest_game\n{backends}load_mod_grove = true\n")
    (home / "game.conf").write_text("".join(f"{key} = {value}\n" for key, value in configuration.items()))
    return world


class Game:
    """One running game whose clock moves only by `advance`."""

    def __init__(self, home: Path, relay: Relay, configuration: dict[str, object]) -> None:
        self.home, self.world = home, lay_out(home, configuration)
        self._partial = b""
        self._tail: deque[str] = deque(maxlen=30)
        self._clock = Clock(home)
        self.advance, self._relay = self._clock.advance, relay
        software = {"LIBGL_ALWAYS_SOFTWARE": "1", "LP_NUM_THREADS": "1"}
        places = {"DISPLAY": relay.name, "HOME": str(home)}
        self.process = subprocess.Popen(
            [PROGRAM, "--config", str(home / "game.conf"), "--world", str(self.world), "--gameid", "minetest_game",
             "--go", "--name", "agent"],
            env={**os.environ, **software, **self._clock.environment(), **places},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
            start_new_session=True,
        )  # fmt: skip
        self._output = self.process.stdout.fileno()
        os.set_blocking(self._output, False)

    def freeze(self) -> None:
        """Stops the clock, and from now on the game after each frame that it shows."""
        self._clock.freeze()
        self._relay.holding = True

    def loop(self, deadline_s: float, key: tuple[int, bool] | None = None) -> list[str]:
        """Lets the game go on (once it can read that key: code, down) until it has shown a frame; the mods' lines.

        Raises GameError when the game has ended or shows nothing until `deadline_s` (of time.monotonic).
        """
        self._relay.release(key)
        lines = []
        while not self._relay.held:
            lines += self.lines(0.2)
            if time.monotonic() > deadline_s:
                raise GameError(self.describe("the game did not answer in time"))
        return lines + self.lines(0)

    def lines(self, timeout_s: float) -> list[str]:
        """The mods' lines (logged as "@...") that come within `timeout_s`, or until a frame is shown; others go to the
        log's tail.

        Raises GameError when the game has ended.
        """
        ready = self._relay.pass_on(self._output, timeout_s)
        piece = os.read(self._output, 65536) if ready else b""
        if ready and not piece:
            raise GameError(self.describe(f"the game ended with code {self.process.wait(10)}"))
        *whole, self._partial = (self._partial + piece).split(b"\n")
        messages = []
        for line in whole:
            text = line.decode(errors="replace")
            _, mark, message = text.partition("]: @")
            (messages if mark else self._tail).append(message if mark else text)
        return messages

    def command(self, text: str) -> None:
        """Hands the server mod a command; it takes the file away when it obeys."""
        (self.world / "command.tmp").write_text(text)
        os.replace(self.world / "command.tmp", self.world / "command.json")

    def meshes_done(self) -> bool:
        """Whether the client's mesh thread sleeps, which it does only when nothing is left to be drawn anew."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            name, _, state = (task / "stat").read_text().partition(") ")
            if name.endswith("(MeshUpdate"):
                return state[0] == "S"
        return False

    def describe(self, what: str) -> str:
        """`what` followed by the game's last log lines, for an error."""
        return f"{what}; its last lines:\n" + "\n".join(f"    {line}" for line in self._tail)

    def close(self) -> None:
        """Ends the game at once (nothing of it is worth saving). Safe to call twice."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def pick_port(taken: int) -> int:
    """A free UDP port, tried from a number that differs between processes and instances."""
    for offset in range(200):
        port = PORTS[(os.getpid() * 7 + taken * 101 + offset) % len(PORTS)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("found no free UDP port on 127.0.0.1 for the game")
