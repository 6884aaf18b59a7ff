"""A dataset -> the recordings it was made of: the way back from data_gathering/shard.py.

In: a dataset, on this disk or elsewhere. Out: for each episode `<id>.mp4` (its pictures, copied, not encoded again),
`<id>.words.jsonl`, `<id>.meta.json`, `labels/<id>.parquet`, and where the true keys are known `<id>.jsonl`, as
contractors' recordings have it. `shard --recordings OUT --labels OUT/labels` makes the same dataset of them. What is
there is left alone, so that a killed run goes on. Run:

    python -m data_gathering.export --shards data/6_shards --out data/exported
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_gathering.label_file import Labels, write_labels
from data_gathering.recordings import meta_path, pressed_path, video_path, words_path
from vlpt.data.shards import Episode, Shards
from vlpt.data.video_reader import VideoReader
from vlpt.data.words import write_words
from vlpt.files import locked, write_json, write_lines
from vlpt.options import run
from vpt.actions import DEGREES_PER_COUNT, MINECRAFT, action_to_step
from vpt.frames import AGENT_SIZE, FRAMES_PER_SECOND, write_video

FINE = 1000  # parts of a mouse count: a dataset's float32 degrees are whole counts but for the last digits


@dataclass(frozen=True)
class Options:
    """Writes the recordings of a dataset."""

    shards: str = "data/6_shards"  # dataset folder, or an address as s3://bucket/shards
    out: str = "data/exported"  # folder to write recordings to
    channels: tuple[str, ...] = ()  # only these channels; all when none is named


def main(options: Options) -> None:
    """Raises ValueError naming what is broken, a channel that is not there, and who writes there now."""
    shards, out = Shards(options.shards), Path(options.out)
    if unknown := sorted(set(options.channels) - {one.channel for one in shards.episodes}):
        raise ValueError(f"{options.shards} has no channel {', '.join(unknown)}")
    chosen = [one for one in shards.episodes if not options.channels or one.channel in options.channels]
    with locked(out):
        (out / "labels").mkdir(parents=True, exist_ok=True)
        for episode in tqdm(chosen, "recordings", unit=""):
            if not meta_path(out, episode.id).exists():  # it is written last
                write_recording(shards, episode, out)
    print(f"{out}: {len(chosen)} recordings")


def write_recording(shards: Shards, episode: Episode, out: Path) -> None:
    """One episode's files, its meta file last."""
    _write_pictures(shards, episode, video_path(out, episode.id))
    write_words(words_path(out, episode.id), episode.words)
    buttons, camera_deg = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
    labels = Labels(np.asarray(buttons, np.uint8), np.asarray(camera_deg, np.float64), episode.confidence)
    write_labels(out / "labels" / f"{episode.id}.parquet", labels, "data_gathering.export")
    if episode.true_buttons is not None:
        write_lines(pressed_path(out, episode.id), _rows(episode))
    write_json(meta_path(out, episode.id), {
        "id": episode.id, "channel": episode.channel, "seed": episode.seed, "world": episode.world,
        "frames": episode.n_frames, "fps": FRAMES_PER_SECOND, "errands": episode.errands,
    })  # fmt: skip


def _rows(episode: Episode) -> list[dict]:
    """What was truly pressed, as contractors' rows."""
    counts = np.round(episode.true_camera_deg.astype(np.float64) / DEGREES_PER_COUNT * FINE) / FINE
    rows: list[dict] = []
    for tick, (buttons, angle) in enumerate(zip(episode.true_buttons, counts * DEGREES_PER_COUNT, strict=True)):
        rows.append(action_to_step(buttons, angle, previous=rows[-1] if rows else None, tick=tick))
    return rows


def _write_pictures(shards: Shards, episode: Episode, path: Path) -> None:
    """The packets themselves; pictures are encoded only where a tool joined them so that an episode has no key frame of
    its own to begin with."""
    video, stop = VideoReader(shards.fetch(episode.video)), episode.first_frame + episode.n_frames
    if video.cut(episode.first_frame, stop, path):
        return
    with write_video(path, (AGENT_SIZE, AGENT_SIZE), crf=12) as out:
        for start in range(0, episode.n_frames, 500):
            for rgb in shards.read_frames(episode, start, min(start + 500, episode.n_frames)):
                out.write(rgb)


if __name__ == "__main__":
    run(main, Options)
