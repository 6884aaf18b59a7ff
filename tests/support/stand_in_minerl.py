"""As much of MineRL 1.0's Python side as our bridge asks for, over the same protocol: it launches java, waits for its
lines, sends a mission and steps. Becomes `minerl` and `gym` in a folder of its own (tests/support/minecraft.py).

MineRL 1.0 itself is on no package registry; MineStudio, which is, carries a later copy of the same classes, and the
same tests run on that where it is installed.
"""

import json
import socket
import struct
import subprocess

import numpy as np

BASALT_STEPS = 3600


class HumanSurvival:
    """MineRL's specification of the task: how it is seen, and what makes the environment."""

    def __init__(self, **seen) -> None:
        assert seen["resolution"] == [640, 360] and seen["fov_range"] == [70, 70], seen

    def make(self) -> "Env":
        return Env()


class Env:
    """The old gym's interface."""

    def __init__(self) -> None:
        self.java, self.sock, self._seed, self.done = None, None, None, True

    def seed(self, seed: int) -> None:
        self._seed = seed

    def reset(self) -> dict:
        if self.java is None:
            self._launch()
        self._send(b"<Quit/>")
        self._receive()
        self._send(b"<MissionInit/>")
        self._send(f"uid:0:0:1:true:{self._seed}".encode())
        self._receive()
        self._send(b"<Peek/>")
        pov, info, _ = self._receive(), self._receive(), self._receive()
        self.done = False
        return self._observed(pov, info)

    def step(self, action: dict) -> tuple:
        commands = [f"{name} {value}" for name, value in action.items() if name != "camera"]
        pitch, yaw = action["camera"]
        commands.append(f"camera {pitch},{yaw}")
        self._send(f"<StepClient0>{chr(10).join(commands)}</StepClient0 >".encode())
        try:
            pov, reply, info = self._receive(), self._receive(), self._receive()
            reward, done, _ = struct.unpack("!dbb", reply)
        except TypeError:  # as MineRL: a broken connection is a random picture and a word in info
            self.done = True
            return {"pov": np.zeros((360, 640, 3), np.uint8)}, 0.0, True, {"error": "Connection timed out!"}
        self._send(b"<StepServer></StepServer>")
        return self._observed(pov, info), reward, bool(done), {}

    def close(self) -> None:
        self._send(b"<Exit>NOW</Exit>")
        self.java.wait(10)

    def _launch(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.java = subprocess.Popen(["java", "-Xmx2G", "-jar", "game.jar", f"--envPort={port}"], text=True,
                                     stdout=subprocess.PIPE, start_new_session=True)  # fmt: skip
        while "DORMANT" not in (line := self.java.stdout.readline()):
            assert line, "the game ended"
        self.sock = socket.create_connection(("127.0.0.1", port))
        self._send(b"<MalmoEnv0.37.0/>")

    def _observed(self, pov: bytes, info: bytes) -> dict:
        told = json.loads(info)
        place = {name: told[name] for name in ("xpos", "ypos", "zpos", "yaw", "pitch")}
        return {"pov": np.frombuffer(pov, np.uint8).reshape(360, 640, 3)[::-1], "location_stats": place,
                "inventory": {"oak_log": sum(slot["quantity"] for slot in told["inventory"]), "air": 33},
                "equipped_items": {"mainhand": json.loads(told["equipped_items"]["mainhand"])},
                "mine_block": told["mine_block"], "pickup": told["pickup"],
                "isGuiOpen": told["isGuiOpen"]}  # fmt: skip

    def _send(self, content: bytes) -> None:
        self.sock.sendall(struct.pack("!I", len(content)) + content)

    def _receive(self) -> bytes | None:
        head = self._exactly(4)
        return None if head is None else self._exactly(struct.unpack("!I", head)[0])

    def _exactly(self, count: int) -> bytes | None:
        content = b""
        while len(content) < count:
            if not (part := self.sock.recv(count - len(content))):
                return None
            content += part
        return content


class Basalt:
    """MineRL's wrappers of a BASALT task: only the picture, ESC ends it, and a clock that reset() does not set back."""

    def __init__(self) -> None:
        self.env, self.num_steps = Env(), 0

    def seed(self, seed: int) -> None:
        self.env.seed(seed)

    def reset(self) -> dict:
        return {"pov": self.env.reset()["pov"]}

    def step(self, action: dict) -> tuple:
        observation, reward, done, _ = self.env.step(action)
        self.num_steps += 1
        return {"pov": observation["pov"]}, reward, done or bool(action["ESC"]) or self.num_steps >= BASALT_STEPS, {}

    def close(self) -> None:
        self.env.close()


def make(name: str) -> Basalt:
    """gym.make."""
    assert name == "MineRLBasaltFindCave-v0", name
    return Basalt()
