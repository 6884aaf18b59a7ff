"""The game's side of the bridge: makes MineRL's or MineStudio's environment and answers what it is asked.

Runs as a program in the game's own Python environment (numpy < 2, another gym), of which nothing of ours is a part:
this file imports the standard library, numpy and, when asked to, the game. In: messages on stdin, each a length (4
bytes, big endian) and so many bytes of JSON. Out: on a pipe, the same, followed by a picture's length and bytes, which
may be none. Asked "make", "reset", "step", "close"; answers {"ok": ...} or {"error": one line}.

    python bridge.py 5      # the pipe's number; started by process.py, with the environment's own python
"""

import json
import os
import struct
import sys
from importlib import import_module

import numpy as np

LONGEST = 500  # characters of an error's line
SEEN = {"fov_range": [70, 70], "gamma_range": [2, 2], "guiscale_range": [1, 1], "cursor_size_range": [16, 16],
        "resolution": [640, 360], "frameskip": 1}  # as OpenAI's agents were trained  # fmt: skip


class MineRL:
    """MineRL 1.0, of the old gym: reset() gives an observation, step() four values."""

    def __init__(self, task: str) -> None:
        if task == "HumanSurvival":
            specs = import_module("minerl.herobraine.env_specs.human_survival_specs")
            self.env = specs.HumanSurvival(**SEEN).make()
        else:
            import_module("minerl")  # registers the tasks
            self.env = import_module("gym").make(f"MineRLBasalt{task}-v0")

    def reset(self, seed) -> dict:
        """The first observation; a world of that seed."""
        if seed is not None:
            self.env.seed(seed)
        self._count_anew()
        return told(self.env.reset(), {})

    def _count_anew(self) -> None:
        """BASALT's time limit goes on counting from the last episode; each of ours has the whole time."""
        wrapper = self.env
        while wrapper is not None:
            if "num_steps" in vars(wrapper):
                wrapper.num_steps = 0
            wrapper = vars(wrapper).get("env")

    def step(self, action: dict) -> dict:
        """One step of 50 ms. Raises RuntimeError where the game's connection broke: its picture is then noise."""
        observation, reward, done, info = self.env.step(action)
        if "error" in info:
            raise RuntimeError(f"the game's connection broke: {info['error']}")
        return {**told(observation, info), "reward": float(reward), "terminated": bool(done), "truncated": False}

    def close(self) -> None:
        """Ends the game."""
        self.env.close()


class MineStudio:
    """MineStudio's simulator, of gymnasium; its observation is resized, so it is asked for the whole picture."""

    def __init__(self, task: str) -> None:
        simulator = import_module("minestudio.simulator.entry")
        self.env = simulator.MinecraftSim(action_type="env", obs_size=(640, 360), render_size=(640, 360))

    def reset(self, seed) -> dict:
        """The first observation; a world of that seed."""
        if seed is not None:
            self.env.env.seed(seed)
        observation, info = self.env.reset()
        return told({**info, "pov": observation["image"]}, info)

    def step(self, action: dict) -> dict:
        """One step of 50 ms; it says of any end that the life ended. Raises RuntimeError as MineRL's."""
        self.env.info = {}  # else it keeps an old error, and what it does not tell again
        observation, reward, terminated, _, info = self.env.step(action)
        if "error" in info:
            raise RuntimeError(f"the game's connection broke: {info['error']}")
        step = {"reward": float(reward), "terminated": bool(terminated), "truncated": False}
        return {**told({**info, "pov": observation["image"]}, info), **step}

    def close(self) -> None:
        """Ends the game."""
        self.env.close()


def told(observation: dict, info: dict) -> dict:
    """What crosses the bridge of an observation: plain values, and the picture's bytes with its shape."""
    pov = np.ascontiguousarray(observation["pov"], dtype=np.uint8)
    both = {**observation, **info}
    place = both.get("player_pos") or location(both.get("location_stats"))
    hand = (both.get("equipped_items") or {}).get("mainhand", {}).get("type")
    return {"pov": pov.tobytes(), "shape": pov.shape, "gui_open": bool(both.get("isGuiOpen", both.get("is_gui_open"))),
            "hand": None if hand is None else str(hand), "inventory": slots(both.get("inventory")),
            "place": None if place is None else {name: float(place[name]) for name in ("x", "y", "z", "yaw", "pitch")},
            "counts": {name: counted(both.get(name)) for name in ("mine_block", "pickup")}}  # fmt: skip


def location(stats):
    """MineRL's place of the player, under MineStudio's names; None where a task does not tell it."""
    if not stats or "xpos" not in stats:
        return None
    return {"x": stats["xpos"], "y": stats["ypos"], "z": stats["zpos"], "yaw": stats["yaw"], "pitch": stats["pitch"]}


def slots(inventory) -> list:
    """(item, count) a slot, of MineStudio's slots or of MineRL's counts by item."""
    rows = (inventory or {}).items()
    return [(str(value["type"]), int(value["quantity"])) if isinstance(value, dict) else (str(name), int(value))
            for name, value in rows]  # fmt: skip


def counted(statistic) -> dict:
    """{item: count} of what was counted at all."""
    return {str(name): float(np.asarray(value)) for name, value in (statistic or {}).items()
            if not isinstance(value, dict) and float(np.asarray(value))}  # fmt: skip


def receive(file):
    """One message, or None at the end; no question holds a picture."""
    head = file.read(4)
    return json.loads(file.read(struct.unpack("!I", head)[0])) if len(head) == 4 else None


def send(file, message: dict) -> None:
    """One message, its picture apart."""
    pov = (message.get("ok") or {}).pop("pov", b"")
    for content in (json.dumps(message).encode(), pov):
        file.write(struct.pack("!I", len(content)) + content)
    file.flush()


def answer(state: dict, asked: dict):
    """What one message asks for."""
    if asked["ask"] == "make":
        state["game"] = {"minerl": MineRL, "minestudio": MineStudio}[asked["game"]](asked["task"])
        return None
    if asked["ask"] == "step":
        asked["action"]["camera"] = np.asarray(asked["action"]["camera"], np.float32)
        return state["game"].step(asked["action"])
    return state["game"].reset(asked["seed"]) if asked["ask"] == "reset" else state["game"].close()


def main() -> None:
    """Answers until stdin ends."""
    sys.path.pop(0)  # this file's folder, whose names are not the game's
    asks, answers = sys.stdin.buffer, os.fdopen(int(sys.argv[1]), "wb")
    os.set_inheritable(answers.fileno(), False)  # the game's Java must not hold it open
    state: dict = {}
    while (asked := receive(asks)) is not None:
        try:
            send(answers, {"ok": answer(state, asked)})
        except Exception as error:  # whatever the game, its packages or its connection came up with
            said = " ".join(f"{type(error).__name__}: {error}".split())
            send(answers, {"error": said[-LONGEST:]})
    if "game" in state:  # whoever asked is gone
        state["game"].close()


if __name__ == "__main__":
    main()
