"""A stand-in for Minecraft with Malmo's mod: speaks its protocol over TCP, and hangs or dies when told to.

Started as the game is, in java's place (`java -Xmx2G -jar FILE --envPort=9000`; `java -version` says 1.8). In: each
message a length (4 bytes, big endian) and that many bytes: <MalmoEnv…/> (no answer), <Quit/>, a mission and its token,
<Peek/>, <StepClient0>commands</StepClient0 >, <StepServer></StepServer> (no answer), <Exit>. Out: what the mod answers
to each. The picture (640x360 RGB, bottom row first, as the game has it) is as red as steps were made, and has one
white row at its top. VLPT_STAND_IN is a folder with plan.json: {"hang": [game, step], "die": [game, step], "deaf":
[games that never answer a mission]}, games counted from 1; each game writes what it heard to game-N.txt there.
"""

import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

WIDTH, HEIGHT = 640, 360


def receive(sock: socket.socket) -> bytes | None:
    """One message, None at the end of the connection."""
    head = _exactly(sock, 4)
    return None if head is None else _exactly(sock, struct.unpack("!I", head)[0])


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    content = b""
    while len(content) < count:
        if not (part := sock.recv(count - len(content))):
            return None
        content += part
    return content


def send(sock: socket.socket, *messages: bytes) -> None:
    """Messages, one after another."""
    for content in messages:
        sock.sendall(struct.pack("!I", len(content)) + content)


class Game:
    """One process of the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.plan = json.loads((folder / "plan.json").read_text())
        self.number = len(list(folder.glob("game-*.txt"))) + 1
        self.heard = open(folder / f"game-{self.number}.txt", "w", buffering=1)
        self.heard.write(f"process {os.getpid()}\n")
        self.steps = 0  # of the process
        self.yaw, self.mined = 0.0, 0

    def answer(self, sock: socket.socket) -> bool:
        """Whether the connection goes on."""
        message = receive(sock)
        if message is None or message.startswith(b"<Disconnect"):
            return False
        if message.startswith(b"<Quit"):
            send(sock, struct.pack("!I", 1))
        elif message.startswith(b"<Exit"):
            send(sock, struct.pack("!I", 1))
            os._exit(0)
        elif message.startswith((b"<MissionInit", b"<?xml")):
            token = receive(sock).decode()
            self.heard.write(f"mission {token}\n")
            if self.number in self.plan.get("deaf", []):
                hang()
            send(sock, struct.pack("!I", 1))
        elif message.startswith(b"<Peek"):
            send(sock, self.picture(), self.info(), struct.pack("!b", 0))
        elif message.startswith(b"<StepClient"):
            self.step(message.decode())
            send(sock, self.picture(), struct.pack("!dbb", 0.0, 0, 1), self.info())
        return True

    def step(self, message: str) -> None:
        """Carries out what was pressed."""
        pressed = message.split(">", 1)[1].split("</")[0].split("\n")
        self.heard.write(f"step {', '.join(one for one in pressed if not one.endswith(' 0'))}\n")
        self.steps += 1
        for command in pressed:
            name, *values = command.split(" ")
            if name == "camera":
                self.yaw += float(values[-1].split(",")[-1])
            self.mined += name == "attack" and values == ["1"]
        if self.plan.get("hang") == [self.number, self.steps]:
            hang()
        if self.plan.get("die") == [self.number, self.steps]:
            os._exit(1)

    def picture(self) -> bytes:
        """Bottom row first."""
        row = bytes([self.steps % 256, 20, 40]) * WIDTH
        return row * (HEIGHT - 1) + b"\xff" * (3 * WIDTH)

    def info(self) -> bytes:
        """What the mod tells beside the picture."""
        return json.dumps({
            "xpos": 10.5, "ypos": 64.0, "zpos": -3.5, "yaw": self.yaw, "pitch": 5.0, "isGuiOpen": False,
            "inventory": [{"slot_id": slot, "type": item, "quantity": count}
                          for slot, (item, count) in enumerate([("oak_log", 3), ("air", 0), ("oak_log", 4)])],
            "mine_block": {"oak_log": self.mined}, "pickup": {}, "life": 20.0,
            "equipped_items": {"mainhand": json.dumps({"type": "stone_axe", "damage": 0, "maxDamage": 131})},
        }).encode()  # fmt: skip


def hang() -> None:
    """For good, as the game does: asked to end, it does not."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1000)


def main(arguments: list[str]) -> None:
    """The game, until its client ends it."""
    if "-version" in arguments:
        print('openjdk version "1.8.0_392"', file=sys.stderr)
        return
    game = Game(Path(os.environ["VLPT_STAND_IN"]))
    port = next(int(one.split("=")[1]) for one in arguments if one.startswith("--envPort="))
    with socket.create_server(("127.0.0.1", port)) as server:
        print(f"[main/INFO]: ***** Start MalmoEnvServer on port {server.getsockname()[1]}", flush=True)
        print("[main/INFO]: CLIENT enter state: DORMANT", flush=True)
        while True:
            sock, _ = server.accept()
            with sock:
                while game.answer(sock):
                    pass


if __name__ == "__main__":
    main(sys.argv[1:])
