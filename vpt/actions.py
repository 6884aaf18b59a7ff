"""Minecraft's keys and mouse: the action space of VPT, MineRL's dictionary, and the contractor recording format.

In and out: `buttons` (20,) 0/1 in the order of BUTTONS and `camera_deg` (2,) = (pitch, yaw) degrees a frame, down and
right positive. This is the one place that knows button and key names.

    recording = read_contractor("ch0-03.jsonl")            # one row per frame, none dropped
    buttons_index, camera_index = MINECRAFT.encode(recording.buttons, recording.camera_deg)

Luanti shares the space. Format: one JSON object a frame as in OpenAI's contractor data (README of Video-Pre-Training).
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from vpt.action_space import ActionSpace, CameraQuantiser, Group
from vpt.files import existing_file

__all__ = [
    "BUTTONS", "DEGREES_PER_COUNT", "MINECRAFT", "WORLD_ONLY", "ActionSpace", "CameraQuantiser", "Group", "Recording",
    "WorldAction", "action_to_step", "from_world", "read_contractor", "recording_of_steps", "step_to_world",
    "to_world",
]  # fmt: skip

HOTBAR = tuple(f"hotbar.{slot}" for slot in range(1, 10))
BUTTONS = ("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory", *HOTBAR)
WORLD_ONLY = ("ESC", "pickItem", "swapHands")  # MineRL accepts these; no policy presses them

MINECRAFT = ActionSpace(
    buttons=BUTTONS,
    groups=(
        Group("hotbar", HOTBAR),
        Group("fore_back", ("forward", "back"), cancel=True),
        Group("left_right", ("left", "right"), cancel=True),
        Group("sprint_sneak", ("sprint", "sneak")),
        Group("use", ("use",)),
        Group("drop", ("drop",)),
        Group("attack", ("attack",)),
        Group("jump", ("jump",)),
    ),
    alone=("inventory",),
    camera=CameraQuantiser(maxval_deg=10, binsize=2, mu=10),
    mirrored=(("left", "right"),),
)

MOST_COUNTS = 1_000_000  # of mouse motion in a frame, or pixels: more is no hand's, and no screen's
DEGREES_PER_COUNT = 360 / 2400  # of mouse motion, as the contractors' recorder set it
KEY_OF_BUTTON = {
    "ESC": "escape", "back": "s", "drop": "q", "forward": "w", "inventory": "e", "jump": "space", "left": "a",
    "right": "d", "sneak": "left.shift", "sprint": "left.control", "swapHands": "f",
    **{name: name[-1] for name in HOTBAR},
}  # fmt: skip
KEY_OF_BUTTON = {button: f"key.keyboard.{key}" for button, key in KEY_OF_BUTTON.items()}
BUTTON_OF_KEY = {key: button for button, key in KEY_OF_BUTTON.items()}
BUTTON_OF_MOUSE = {0: "attack", 1: "use", 2: "pickItem"}
MOUSE_OF_BUTTON = {button: number for number, button in BUTTON_OF_MOUSE.items()}


class WorldAction(dict):
    """MineRL's dictionary (each button and ESC an int, `camera` (2,) float64) with what it was made of beside it:
    `buttons` (20,) uint8 and `camera_deg` (2,) float64. Whoever changes the dictionary changes only the dictionary.
    """

    def __init__(self, buttons: ArrayLike, camera_deg: ArrayLike) -> None:
        self.buttons = np.asarray(buttons).astype(np.uint8)
        self.camera_deg = np.array(camera_deg, dtype=np.float64).reshape(2)
        super().__init__(zip(BUTTONS, self.buttons.tolist(), strict=True), ESC=0, camera=self.camera_deg.copy())


def to_world(buttons: ArrayLike, camera_deg: ArrayLike) -> WorldAction:
    """buttons (20,) 0/1, camera_deg (2,) -> the action as MineRL's dictionary."""
    return WorldAction(buttons, camera_deg)


def from_world(action: dict) -> tuple[np.ndarray, np.ndarray]:
    """MineRL's dictionary -> buttons (20,) uint8, camera_deg (2,) float64. Absent keys are not pressed.

    Raises ValueError on a key that is neither a button, `camera`, ESC, pickItem nor swapHands.
    """
    unknown = sorted(set(action) - {*BUTTONS, *WORLD_ONLY, "camera"})
    if unknown:
        raise ValueError(f"not keys of the action dictionary: {unknown}; the buttons are {list(BUTTONS)} and 'camera'")
    buttons = np.array([int(np.asarray(action.get(name, 0)).item()) for name in BUTTONS], dtype=np.uint8)
    camera_deg = np.asarray(action.get("camera", (0, 0)), dtype=np.float64).reshape(2)
    return buttons, camera_deg


def step_to_world(step: dict) -> dict:
    """One contractor row -> MineRL's dictionary with only the pressed buttons, and `camera` in degrees.

    The camera stays a float: 5 counts are 0.75 degrees (the published loader truncates it to 0). Unknown keys and
    mouse buttons are ignored, and so is what needs other rows: see `recording_of_steps`.
    """
    mouse = step["mouse"]
    names = [BUTTON_OF_KEY.get(key) for key in step["keyboard"]["keys"]]
    names += [BUTTON_OF_MOUSE.get(number) for number in mouse["buttons"]]
    camera_deg = np.array([mouse["dy"], mouse["dx"]], dtype=np.float64) * DEGREES_PER_COUNT
    return {**{name: 1 for name in names if name}, "camera": camera_deg}


@dataclass(frozen=True)
class Recording:
    """A contractor recording of N frames, row t = what was pressed after seeing frame t."""

    buttons: np.ndarray  # (N, 20) uint8
    camera_deg: np.ndarray  # (N, 2) float64 pitch, yaw
    null: np.ndarray  # (N,) bool: nothing pressed and no motion, in the policy's space; kept, to be masked from losses
    idle: np.ndarray  # (N,) bool: no mapped key, mouse button or motion in the row: what the published loader drops
    gui_open: np.ndarray  # (N,) bool
    cursor: np.ndarray  # (N, 2) float64 x, y of the pointer in the recorder's 720-line window

    def __len__(self) -> int:
        return len(self.buttons)


def recording_of_steps(steps: Iterable[dict]) -> Recording:
    """Contractor rows -> Recording, with the two rules that need more than one row.

    Stuck attack: a recording whose first row newly presses only the left button holds a press left over from the
    menu; it is ignored until the button is pressed anew. Slots: a change of `hotbar` (before the first row: slot 0)
    is a press of that slot's button on that row. The published loader loses the press where nothing else happens.
    """
    pressed, cameras_deg, idle, gui_open, cursor = [], [], [], [], []
    stuck, slot = False, 0
    for t, step in enumerate(steps):
        mouse = step["mouse"]
        stuck = mouse["newButtons"] == [0] if t == 0 else stuck and 0 not in mouse["newButtons"]
        if stuck:
            step = {**step, "mouse": {**mouse, "buttons": [b for b in mouse["buttons"] if b != 0]}}
        action = step_to_world(step)
        camera_deg = action["camera"].tolist()
        idle.append(len(action) == 1 and not any(camera_deg))
        if step.get("hotbar", slot) != slot:
            slot = step["hotbar"]
            action[f"hotbar.{slot + 1}"] = 1
        pressed.append(bytes(action.get(name, 0) for name in BUTTONS))
        cameras_deg.append(camera_deg)
        gui_open.append(bool(step.get("isGuiOpen", False)))
        cursor.append((mouse.get("x", 0.0), mouse.get("y", 0.0)))
    buttons = np.frombuffer(bytearray().join(pressed), dtype=np.uint8).reshape(-1, len(BUTTONS))
    camera_deg = np.array(cameras_deg, dtype=np.float64).reshape(-1, 2)
    null = MINECRAFT.is_null(buttons, camera_deg)
    return Recording(buttons, camera_deg, null, np.array(idle, dtype=bool), np.array(gui_open, dtype=bool),
                     np.array(cursor, dtype=np.float64).reshape(-1, 2))  # fmt: skip


def read_contractor(path: str | Path) -> Recording:
    """A contractor .jsonl -> Recording. Raises ValueError naming the file, and the line that is not such a row."""
    path = existing_file(path)
    try:
        with open(path, "rb") as lines:  # row by row: as Python's objects they are fifty times as large
            recording = recording_of_steps(_checked_row(line, number) for number, line in enumerate(lines, start=1))
    except ValueError as error:
        raise ValueError(f"{path}, {error}") from error
    if not len(recording):
        raise ValueError(f"{path} holds no rows; expected one JSON object a frame")
    return recording


def _checked_row(line: bytes, number: int) -> dict:
    """What `recording_of_steps` reads of a row, each value of its kind. Raises ValueError naming the line."""
    try:
        step = json.loads(line)
        mouse, keys, hotbar = step["mouse"], step["keyboard"]["keys"], step.get("hotbar", 0)
        if type(hotbar) is not int or not 0 <= hotbar <= 8:
            raise ValueError(f"hotbar is 0..8, got {reprlib.repr(hotbar)}")
        if not isinstance(step.get("isGuiOpen", False), bool):
            raise ValueError(f"isGuiOpen is true or false, got {reprlib.repr(step['isGuiOpen'])}")
        held, new = mouse["buttons"], mouse["newButtons"]
        if not all(isinstance(some, list) for some in (keys, held, new)):
            raise ValueError("keys, buttons and newButtons are lists")
        numbers = {name: float(mouse[name]) for name in ("dx", "dy")}
        numbers |= {name: float(mouse.get(name, 0)) for name in ("x", "y")}
        if not all(abs(value) <= MOST_COUNTS for value in numbers.values()):  # nor nan
            raise ValueError(f"dx, dy, x and y are numbers of at most {MOST_COUNTS:,}")
        hash((*keys, *held, *new))  # no lists among them
        row = {"mouse": {"buttons": held, "newButtons": new, **numbers}, "keyboard": {"keys": keys}}
        return row | {name: step[name] for name in ("hotbar", "isGuiOpen") if name in step}
    except Exception as error:  # anything may stand where a row should
        said = reprlib.repr(str(error))[1:-1] if len(str(error)) > 200 else str(error)
        raise ValueError(f"line {number}: not a contractor row ({type(error).__name__}: {said})") from error


def action_to_step(buttons, camera_deg, *, previous: dict | None = None, hotbar: int = 0, gui_open: bool = False,
                   cursor: tuple[float, float] = (640.0, 360.0), tick: int = 0, **extra) -> dict:  # fmt: skip
    """buttons (20,), camera_deg (2,) -> one contractor row, ready for json.dumps; the inverse of `step_to_world`.

    `previous` is the row before (None at the start): it tells which keys are new. `hotbar` (0..8) is the slot
    selected once this action has been applied, so that reading does not add a second press a frame later. `extra`
    goes into the row as it is (yaw, pitch, xpos ...).
    """
    pressed = [name for name, on in zip(BUTTONS, np.asarray(buttons).tolist(), strict=True) if on]
    keys = [KEY_OF_BUTTON[name] for name in pressed if name in KEY_OF_BUTTON]
    held = [MOUSE_OF_BUTTON[name] for name in pressed if name in MOUSE_OF_BUTTON]
    dy, dx = (_counts(angle) for angle in np.asarray(camera_deg, dtype=np.float64).tolist())
    old_keys = previous["keyboard"]["keys"] if previous else keys
    old_held = previous["mouse"]["buttons"] if previous else held
    mouse = {"x": cursor[0], "y": cursor[1], "dx": dx, "dy": dy, "buttons": held,
             "newButtons": [b for b in held if b not in old_held]}  # fmt: skip
    keyboard = {"keys": keys, "newKeys": [key for key in keys if key not in old_keys], "chars": ""}
    return {"mouse": mouse, "keyboard": keyboard, "isGuiOpen": gui_open, "hotbar": hotbar, "tick": tick, **extra}


def _counts(angle_deg: float) -> float:
    counts = angle_deg / DEGREES_PER_COUNT
    return float(round(counts)) if abs(counts - round(counts)) < 1e-9 else counts
