"""An arena without a game: a few numbers of physics and a voxel map, with the truth of the real world and no picture.

In: names of pressed buttons and the camera's motion. Out: `info` as a world gives it. For tests of the scripted player,
at a thousand steps a second.
"""

import numpy as np

EYE_M, REACH_M, STEP_M, GRAVITY_M, JUMP_M = 1.47, 4.0, 0.2, 0.049, 0.325  # per frame (squared)
SLOTS = 4
FOREVER = ("pillar", "steps")  # cannot be dug
DIG_FRAMES = {"flower": 2, "sand": 8, "dirt": 8, "ground": 30}


def draw_arena(seed):
    """Things on a shuffled grid of places, as the real arena's builder lays them out."""
    rng = np.random.default_rng(seed)
    places = [(x, z) for x in (-11, -6, 0, 5, 10) for z in (-11, -6, 0, 5, 10) if (x, z) != (0, 0)]
    places = [places[i] for i in rng.permutation(len(places))]
    at = [[x, 9, z] for x, z in places]
    x, z = places[0]
    names = ("rose", "tulip", "viola", "rose", "geranium")
    flowers = [{"position": p, "node": "flowers:" + n} for p, n in zip(at[17:22], names, strict=True)]
    return {
        "size": 16,
        "spawn": [0, 8.5, 0],
        "steps": [[x + i - 2, 8 + min(i + 1, 4), z] for i in range(5)],
        "trees": at[1:6],
        "pillars": dict(zip(("red", "blue", "yellow", "green", "white"), at[6:11], strict=True)),
        "sand": at[11:13],
        "dirt": at[13:15],
        "stone": at[15:16],
        "water": [[at[16][0], 8, at[16][2]]],
        "flowers": flowers,
    }


class ToyArena:
    """`reset(seed)` and `step(action)` return info; `nodes` maps (x, y, z) to a name."""

    def reset(self, seed):
        self.arena = draw_arena(seed)
        self.nodes = {}
        for x, y, z in self.arena["trees"]:
            self.nodes |= {(x, y + i, z): "tree" for i in range(4)}
        for x, y, z in self.arena["pillars"].values():
            self.nodes |= {(x, y + i, z): "pillar" for i in range(4)}
        for noun in ("sand", "dirt", "stone"):
            for x, y, z in self.arena[noun]:
                self.nodes |= {(x + i, y, z + k): noun for i in (-1, 0, 1) for k in (-1, 0, 1)} | {(x, y + 1, z): noun}
        for x, y, z in self.arena["steps"]:
            self.nodes |= {(x, h, z + k): "steps" for h in range(9, y + 1) for k in (0, 1)}
        self.nodes |= {tuple(flower["position"]): "flower" for flower in self.arena["flowers"]}
        self.position, self.yaw, self.pitch, self.rise = np.array([0.0, 8.5, 0.0]), 0.0, 5.0, 0.0
        self.slot, self.digging, self.dug_frames, self.clicked, self.events = 0, None, 0, False, []
        return {**self.info(), "arena": self.arena}

    def name(self, node):
        return self.nodes.get(node) or ("ground" if node[1] <= 8 else None)

    def solid(self, position):
        """Does a body with its feet at `position` overlap a node?"""
        x, y, z = position
        cells = {(round(x + i), round(z + k)) for i in (-0.3, 0.3) for k in (-0.3, 0.3)}
        heights = range(round(y + 0.02), round(y + 1.72) + 1)
        inside = any(self.name((i, h, k)) not in (None, "flower") for i, k in cells for h in heights)
        return inside or max(abs(x), abs(z)) > 14.7

    def info(self):
        truth = {"position": self.position.tolist(), "yaw_deg": self.yaw, "pitch_deg": self.pitch, "hotbar": self.slot}
        truth |= {"hand": "", "inventory": {}, "gui_open": False, "events": self.events}
        return {"truth": truth, "camera_deg": np.zeros(2)}

    def step(self, pressed, camera_deg):
        self.events = []
        self.pitch = float(np.clip(self.pitch + camera_deg[0], -89.5, 89.5))
        self.yaw = (self.yaw + camera_deg[1] + 180) % 360 - 180
        for slot in range(SLOTS):
            self.slot = slot if f"hotbar.{slot + 1}" in pressed else self.slot
        self.move(pressed)
        self.work(pressed)
        return self.info()

    def move(self, pressed):
        ahead = ("forward" in pressed) - ("back" in pressed)
        aside = ("right" in pressed) - ("left" in pressed)
        sin, cos = np.sin(np.radians(self.yaw)), np.cos(np.radians(self.yaw))
        way = np.array([ahead * sin + aside * cos, 0.0, ahead * cos - aside * sin])
        way *= STEP_M / max(np.hypot(ahead, aside), 1.0)
        standing = self.solid(self.position - [0, 0.05, 0])
        falling = 0.0 if standing and self.rise < 0 else self.rise - GRAVITY_M
        self.rise = JUMP_M if standing and "jump" in pressed else falling
        for part in ([way[0], 0, 0], [0, 0, way[2]], [0, self.rise, 0]):
            if not self.solid(self.position + part):
                self.position = self.position + part
            elif part[1] < 0:
                self.position[1] = np.floor(self.position[1] + 0.5) - 0.5
            elif part[1] > 0:
                self.rise = 0.0

    def pointed(self):
        """The first node under the crosshair and the empty one before it."""
        yaw, pitch = np.radians(self.yaw), np.radians(self.pitch)
        ray = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        points = self.position + [0, EYE_M, 0] + np.arange(0, REACH_M, 0.02)[:, None] * ray
        before = None
        for point, node in zip(points, map(tuple, np.rint(points).astype(int).tolist()), strict=True):
            hit = self.name(node)
            if hit == "flower":  # a thin stalk
                hit = np.abs(point - node)[[0, 2]].max() < 0.15 and point[1] < node[1] + 0.2
            if hit:
                return node, before
            before = node
        return None, None

    def work(self, pressed):
        node, before = self.pointed() if {"use", "attack"} & pressed else (None, None)
        if "use" in pressed and not self.clicked and node and before and self.slot == 3 and before not in self.nodes:
            self.nodes[before] = "block"
            if self.solid(self.position):
                del self.nodes[before]
            else:
                self.events.append({"kind": "place", "node": "block", "position": list(before)})
        self.clicked = "use" in pressed
        self.dug_frames = self.dug_frames + 1 if "attack" in pressed and node == self.digging else 0
        self.digging = node
        name = self.name(node) if node else None
        if "attack" in pressed and name and name not in FOREVER and self.dug_frames >= DIG_FRAMES.get(name, 12):
            self.events.append({"kind": "dig", "node": name, "position": list(node)})
            self.nodes.pop(node, None)
            self.dug_frames = 0
