"""One recording on disk, and how it gets there whole or not at all.

Out: `<id>.mp4`, `<id>.jsonl` (one contractor object a frame), `<id>.words.jsonl`, `<id>.meta.json`, written in this
order, each under `.tmp` and renamed: a recording whose meta file exists is complete. Row t holds what was pressed
after seeing frame t and before frame t+1. For data_gathering/demonstrate.py and vlpt/live/recorder.py:

    with Recorder("data/3_video", "ch0-00", world_size=(320, 180)) as recorder:
        recorder.add(pov, {"forward"}, info["camera_deg"], info["truth"], slot=0)
        recorder.close_with(words, {"channel": "ch0", "seed": 3, "world": "luanti", "errands": []})
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from vlpt.data.words import Word
from vlpt.files import whole_file, write_json, write_text
from vpt.actions import BUTTONS, action_to_step
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND, VideoWriter, resize_to_agent, write_video

PARTS = (".mp4", ".jsonl", ".words.jsonl", ".meta.json")


def finished(folder: Path | str, name: str) -> bool:
    """Is this recording complete?"""
    return all((Path(folder) / f"{name}{part}").exists() for part in PARTS)


class Recorder:
    """A context: `add` a frame with its action, then `close_with` words and meta. Leaving it early leaves nothing.

    size: 128 for the agent's 128x128 frames, or None for the world's own size. large: also keep the world's size in
    `<folder>/large/`.
    """

    def __init__(self, folder: Path | str, name: str, world_size: tuple[int, int], size: int | None = AGENT_SIZE,
                 crf: int = 25, large: bool = False, large_crf: int = 30) -> None:  # fmt: skip
        self.folder, self.name = Path(folder), name
        self.agent = size is not None
        self.size = (size, size) if size else world_size
        self.world_size = world_size
        self.crf, self.large, self.large_crf = crf, large, large_crf
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files = ExitStack()
        self.rows: list[dict[str, Any]] = []
        self.words: list[Word] = []
        self.sound: tuple[np.ndarray, int] | None = None
        self.meta: dict[str, Any] | None = None  # None until the recording is complete

    def __enter__(self) -> Recorder:
        self.video = self._open(self.folder, self.size, self.crf)
        if self.large:
            self.large_video = self._open(self.folder / "large", self.world_size, self.large_crf)
        return self

    def _open(self, folder: Path, size: tuple[int, int], crf: int) -> VideoWriter:
        folder.mkdir(exist_ok=True)
        return self.files.enter_context(write_video(folder / f"{self.name}.mp4", size, FRAMES_PER_SECOND, crf))

    def add(self, pov: np.ndarray, pressed: Set[str], camera_deg: np.ndarray, truth: dict[str, Any], slot: int) -> None:
        """pov (H, W, 3) uint8 as seen; pressed: names of buttons; camera_deg (pitch, yaw) as applied; truth at the
        frame; slot after the action, 0-based."""
        self.video.write(resize_to_agent(pov) if self.agent else pov)
        if self.large:
            self.large_video.write(pov)
        buttons = np.array([name in pressed for name in BUTTONS], np.uint8)
        pose = {"yaw": round(truth["yaw_deg"], 1), "pitch": round(truth["pitch_deg"], 1)}
        pose |= zip(("xpos", "ypos", "zpos"), (round(float(v), 2) for v in truth["position"]), strict=True)
        previous = self.rows[-1] if self.rows else None
        self.rows.append(action_to_step(buttons, camera_deg, previous=previous, hotbar=slot,
                                        gui_open=bool(truth["gui_open"]), tick=len(self.rows), **pose))  # fmt: skip

    def close_with(
        self, words: list[Word], meta: dict[str, Any], sound: tuple[np.ndarray, int] | None = None
    ) -> None:
        """Say that the recording is complete: its words, what goes into the meta file besides name and size, and
        perhaps a sound track, (n,) int16 and its samples a second."""
        self.words, self.sound = words, sound
        size = {"width": self.size[0], "height": self.size[1], "frames": len(self.rows), "fps": FRAMES_PER_SECOND}
        self.meta = {"id": self.name, **size, **meta}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self.meta is None and kind is None:
            kind, error = RuntimeError, RuntimeError(f"recording {self.name} was left without close_with()")
        self.files.__exit__(kind, error, trace)
        if kind is not None:
            return
        if self.sound is not None:
            for folder in [self.folder, self.folder / "large"][: 1 + self.large]:
                add_track(folder / f"{self.name}.mp4", *self.sound)
        write_text(self.folder / f"{self.name}.jsonl", compact(self.rows))
        write_text(self.folder / f"{self.name}.words.jsonl", compact(asdict(word) for word in self.words))
        write_json(self.folder / f"{self.name}.meta.json", self.meta)


def compact(rows: Iterable[dict[str, Any]]) -> str:
    """JSON lines without blanks: rows of the same keys over and over are most of a recording that is not picture."""
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def add_track(path: Path | str, sound: np.ndarray, rate_hz: int) -> None:
    """Put a mono sound track (n,) int16 into an mp4; the picture is copied as it is. Whole or not at all."""
    with whole_file(path) as unfinished:
        with av.open(str(path)) as source, av.open(str(unfinished), "w", format="mp4") as target:
            picture = source.streams.video[0]
            copy = target.add_stream_from_template(picture)
            voice = target.add_stream("aac", rate=rate_hz, layout="mono")
            for packet in source.demux(picture):
                if packet.dts is not None:
                    packet.stream = copy
                    target.mux(packet)
            frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, 0
            target.mux(voice.encode(frame))
            target.mux(voice.encode(None))
