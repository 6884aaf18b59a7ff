"""A dataset as large as is asked for, on disk: eight recordings of the sample stand in it again and again.

In: how many episodes. Out: a LeRobotDataset v3.0 folder whose tables are written in full, by the program's own writer:
a row group an episode, a row in meta/episodes, files below their bounds. Its videos are one real file, as large as
files may be, under many names (hard links). So ids, indices, places, footers and sizes are those of a real corpus;
labels, words and pictures repeat.

    make_corpus(Path("/tmp/corpus"), episodes=72_000)      # 1,000 hours in 1.8 GB and four minutes
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_gathering import shard
from support.places import ROOT
from vlpt.data import lerobot, lerobot_writer
from vlpt.data.episode import FEATURES, ON_FRAMES, PICTURES
from vlpt.data.video_reader import join
from vpt.frames import FRAMES_PER_SECOND

SAMPLES = ROOT / "data_gathering/samples"
CHANNELS = ("ch0", "ch1")  # of the sample: eight recordings
FRAMES = 1000  # of each
SAID_CHANNELS = 200
FILE_BYTES = 190 * 2**20  # of a video


def make_corpus(folder: Path, episodes: int) -> None:
    """Raises ValueError where the folder holds something else."""
    with lerobot_writer.appearing(folder) as unfinished, tempfile.TemporaryDirectory() as made:
        template = Path(made, "shards")
        shard.main(shard.Options(str(SAMPLES), labels="truth", out=str(template), channels=CHANNELS))
        (unfinished / "data").mkdir()
        per_file = _write_videos(unfinished, episodes)
        rows = _write_frames(unfinished, template, episodes, per_file)
        described = pq.read_schema(next(template.glob("meta/episodes/*/*.parquet")))
        lerobot_writer.write_episodes(unfinished, rows, {name: described.field(name).type for name in rows[0]})
        for path in (lerobot.TASKS_PATH, lerobot.STATS_PATH):
            shutil.copy(template / path, unfinished / path)
        lerobot_writer.write_info(unfinished, FEATURES | ON_FRAMES, FRAMES_PER_SECOND, episodes, episodes * FRAMES,
                                  len(lerobot_writer.read_tasks(template)))


def _write_videos(folder: Path, episodes: int) -> int:
    """One full file and its names; returns how many episodes are in each."""
    clips = sorted(path for channel in CHANNELS for path in SAMPLES.glob(f"{channel}-*.mp4"))
    rounds = min(FILE_BYTES // sum(clip.stat().st_size for clip in clips), -(-episodes // len(clips)))
    per_file, first = rounds * len(clips), None
    assert all(lerobot_writer.times_hold(i * FRAMES, FRAMES, FRAMES_PER_SECOND) for i in range(per_file))
    for number in range(-(-episodes // per_file)):
        path = folder / lerobot.VIDEO_PATH.format(video_key=PICTURES, **lerobot.place_of(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        if first is None:
            first = path
            join(clips * rounds, first)
        else:
            os.link(first, path)
    return per_file


def _write_frames(folder: Path, template: Path, episodes: int, per_file: int) -> list[dict]:
    """The frames of all episodes; returns their rows."""
    told = pq.read_table(next(template.glob("meta/episodes/*/*.parquet"))).to_pylist()
    with pq.ParquetFile(next(template.glob("data/*/*.parquet"))) as file:
        tables = [file.read_row_group(i) for i in range(len(told))]
    columns = [{name: table[name].combine_chunks() for name in table.column_names} for table in tables]
    data, rows = lerobot_writer.DataWriter(folder), []
    for number in range(episodes):
        start = number * FRAMES
        index = {"episode_index": np.full(FRAMES, number), "index": np.arange(start, start + FRAMES)}
        place = data.write(columns[number % len(told)] | {name: pa.array(values) for name, values in index.items()})
        rows.append(told[number % len(told)] | _row(number, per_file, place))
    data.close()
    return rows


def _row(number: int, per_file: int, place: dict[str, int]) -> dict:
    """What is an episode's own in its row."""
    file, at = divmod(number, per_file)
    video = {**lerobot.place_of(file), "from_timestamp": at * FRAMES / FRAMES_PER_SECOND,
             "to_timestamp": (at + 1) * FRAMES / FRAMES_PER_SECOND}  # fmt: skip
    channel = f"ch{number % SAID_CHANNELS}"
    return {"id": f"{channel}-{number:06d}", "channel": channel, "episode_index": number,
            "dataset_from_index": number * FRAMES, "dataset_to_index": (number + 1) * FRAMES,
            **{f"data/{name}": value for name, value in place.items()},
            **{f"videos/{PICTURES}/{name}": value for name, value in video.items()}}  # fmt: skip
