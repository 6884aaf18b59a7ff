"""One recording on disk, and how it gets there whole or not at all.

Out: `<id>.mp4`, `<id>.jsonl` (one contractor object a frame), `<id>.words.jsonl`, `<id>.meta.json`, written in this
order, each under `.tmp` and renamed: a recording whose meta file exists is complete. Row t holds what was pressed
after seeing frame t and before frame t+1.
"""

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data_gathering.ledger import write_whole
from data_gathering.streamer.speech import add_track
from vpt.actions import BUTTONS, action_to_step
from vpt.frames import AGENT_SIZE, resize_to_agent, write_video

PARTS = (".mp4", ".jsonl", ".words.jsonl", ".meta.json")
FPS = 20


def finished(folder, name):
    """Is this recording complete?"""
    return all((Path(folder) / f"{name}{part}").exists() for part in PARTS)


class Recorder:
    """A context: `add` a frame with its action, then `close_with` words and meta. Leaving it early leaves nothing.

    size: 128 for the agent's 128x128 frames, or None for the world's own size. large: also keep the world's size in
    `<folder>/large/`.
    """

    def __init__(self, folder, name, world_size, size=AGENT_SIZE, crf=25, large=False, large_crf=30):
        self.folder, self.name, self.agent = Path(folder), name, size is not None
        self.size = (size, size) if size else tuple(world_size)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files = ExitStack()
        self.crf, self.large, self.large_crf, self.world_size = crf, large, large_crf, tuple(world_size)
        self.rows, self.words, self.sound, self.meta = [], [], None, None

    def __enter__(self):
        video = write_video(self.folder / f"{self.name}.mp4", self.size, fps=FPS, crf=self.crf)
        self.video = self.files.enter_context(video)
        if self.large:
            (self.folder / "large").mkdir(exist_ok=True)
            large = write_video(
                self.folder / "large" / f"{self.name}.mp4", self.world_size, fps=FPS, crf=self.large_crf
            )
            self.large_video = self.files.enter_context(large)
        return self

    def add(self, pov, pressed, camera_deg, truth, slot):
        """pov (H, W, 3) uint8 as seen; pressed: names of buttons; camera_deg (pitch, yaw) as applied; truth at the
        frame; slot after the action, 0-based."""
        self.video.write(resize_to_agent(pov) if self.agent else pov)
        if self.large:
            self.large_video.write(pov)
        buttons = np.array([name in pressed for name in BUTTONS], np.uint8)
        x, y, z = (round(float(v), 2) for v in truth["position"])
        self.rows.append(
            action_to_step(
                buttons,
                camera_deg,
                previous=self.rows[-1] if self.rows else None,
                hotbar=slot,
                gui_open=bool(truth["gui_open"]),
                tick=len(self.rows),
                yaw=round(truth["yaw_deg"], 1),
                pitch=round(truth["pitch_deg"], 1),
                xpos=x,
                ypos=y,
                zpos=z,
            )  # fmt: skip
        )

    def close_with(self, words, meta, sound=None):
        """Say that the recording is complete: list[Word], what goes into the meta file besides name and size, and
        perhaps a sound track (n,) int16 (speech.py)."""
        self.words, self.sound = words, sound
        self.meta = {
            "id": self.name,
            "width": self.size[0],
            "height": self.size[1],
            "frames": len(self.rows),
            "fps": FPS,
            **meta,
        }

    def __exit__(self, kind, error, trace):
        if self.meta is None and kind is None:
            kind, error = RuntimeError, RuntimeError(f"recording {self.name} was left without close_with()")
        self.files.__exit__(kind, error, trace)
        if kind is not None:
            return False
        if self.sound is not None:
            for folder in [self.folder, self.folder / "large"][: 1 + self.large]:
                add_track(folder / f"{self.name}.mp4", self.sound)
        write_whole(
            self.folder / f"{self.name}.jsonl",
            "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in self.rows),
        )
        write_whole(
            self.folder / f"{self.name}.words.jsonl",
            "".join(json.dumps(asdict(word), separators=(",", ":")) + "\n" for word in self.words),
        )
        write_whole(self.folder / f"{self.name}.meta.json", json.dumps(self.meta, indent=1) + "\n")
        return False
