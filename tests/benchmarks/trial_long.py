"""Recordings of 70 minutes and of four hours, real files, through `data_gathering.shard` and back through shards and
lanes: nothing may be lost, late, or elsewhere at their ends.

    python tests/benchmarks/trial_long.py [--minutes 70 240] [--folder /tmp/long]

In: nothing; the recordings are made (pictures that say their number, words, actions: 100 s for the four hours). Out: a
line for each thing that was checked; a failed check ends it with what differs. Checked are the last pictures, the rows
of every frame, the times of every picture by LeRobot's own tolerance, and each word on its tick, as a loader gives it.
"""

import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.lerobot_clock import farthest_s, picture_times  # noqa: E402
from support.numbered_recordings import action, indices, numbers, picture  # noqa: E402

from data_gathering.recordings import meta_path, pressed_path, video_path, words_path  # noqa: E402
from vlpt.data.lanes import Lanes  # noqa: E402
from vlpt.data.lerobot import TOLERANCE_S  # noqa: E402
from vlpt.data.shards import PICTURES, Episode, Shards  # noqa: E402
from vlpt.data.words import Word, train_tokenizer, vocabulary, write_words  # noqa: E402
from vlpt.files import write_json, write_lines  # noqa: E402
from vlpt.options import Count, run  # noqa: E402
from vlpt.training.unigram import blank_frames  # noqa: E402
from vpt.actions import action_to_step  # noqa: E402
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND, write_video  # noqa: E402

MADE = 2**16  # pictures that tell themselves apart: an hour, which a longer recording begins again
ACTIONS = 2048  # the same of actions
WORD_EVERY, TICK = 100, 4  # frames


@dataclass(frozen=True)
class Options:
    """Takes long recordings through shards and back."""

    minutes: tuple[Count, ...] = (70, 240)  # of each recording
    folder: str = ""  # where recordings and shards are kept (empty: nowhere)


def make_recording(folder: Path, id_: str, frames: int) -> None:
    rows, pressed = [], [action(number) for number in range(ACTIONS)]
    with write_video(video_path(folder, id_), (128, 128)) as video:
        for t in range(frames):
            video.write(picture(t % MADE))
            rows.append(action_to_step(*pressed[t % ACTIONS], previous=rows[-1] if rows else None))
    write_lines(pressed_path(folder, id_), rows)
    write_words(words_path(folder, id_), [Word(f"w{t}", t * FRAME_MS - 30.0, t * FRAME_MS + 90.0)
                                          for t in spoken_at(frames)])  # fmt: skip
    write_json(meta_path(folder, id_), {"id": id_, "channel": id_.split("-")[0], "seed": 0, "world": "none"})


def spoken_at(frames: int) -> range:
    """At which frames a word begins, the last one two seconds before the end: its letters are a tick each."""
    return range((frames - 40) % WORD_EVERY, frames, WORD_EVERY)


def make_shards(recordings: Path, out: Path) -> None:
    line = f"-m data_gathering.shard --recordings {recordings} --labels truth --out {out}"
    begin = time.perf_counter()
    subprocess.run([sys.executable, *line.split()], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"shard took {time.perf_counter() - begin:.0f} s and {used.ru_maxrss / 1024:.0f} MB")


def check_rows(shards: Shards, number: int) -> None:
    """Every row's index, time and action, as they stand in the file."""
    episode, folder = shards.episodes[number], shards.folder
    rows = pq.read_table(folder / "data", columns=["frame_index", "timestamp", "episode_index", "index"])
    mine = rows.filter(rows["episode_index"].combine_chunks().to_numpy() == number)
    n, frame = episode.n_frames, mine["frame_index"].to_numpy()
    assert np.array_equal(frame, np.arange(n)) and len(episode.buttons_index) == n
    expected = np.array([indices(t) for t in range(ACTIONS)])[np.arange(n) % ACTIONS]
    assert np.array_equal(np.stack([episode.buttons_index, episode.camera_index], 1), expected)
    told = pq.read_table(folder / "meta/episodes").slice(number, 1).to_pylist()[0]
    shown = picture_times(episode.video)[episode.first_frame: episode.first_frame + n]
    far_s = farthest_s(told[f"videos/{PICTURES}/from_timestamp"], mine["timestamp"].to_numpy(), shown)
    assert len(shown) == n and far_s < TOLERANCE_S, far_s
    print(f"{episode.id}: {n:,} rows, index {frame[-1]:,} last at {mine['timestamp'][-1].as_py():.3f} s; the farthest "
          f"picture is {far_s * 1e3:.4f} ms from its time (LeRobot bears {TOLERANCE_S * 1e3:.1f}); their actions fit")


def check_pictures(shards: Shards, episode: Episode) -> None:
    n, places = episode.n_frames, []
    for start in (0, n // 2, n - 300):
        seen = numbers(shards.read_frames(episode, start, min(start + 300, n)))
        assert np.array_equal(seen, np.arange(start, min(start + 300, n)) % MADE), (start, seen[:3])
        places.append(f"{start:,}..{min(start + 300, n) - 1:,}")
    print(f"{episode.id}: pictures {', '.join(places)} are the ones that were made")


def check_words(shards: Shards, episode: Episode) -> None:
    """As a loader gives them, chunk after chunk: each word is said from the first tick after its beginning on."""
    assert [word.word for word in episode.words] == [f"w{t}" for t in spoken_at(episode.n_frames)]
    tokenizer = train_tokenizer(["w0 w1 w2 w3 w4 w5 w6 w7 w8 w9"], 300)
    silence = vocabulary(tokenizer)
    lanes = Lanes(shards, [episode], lanes=1, frames_per_chunk=1000, epochs=1, shuffle=False, tokenizer=tokenizer,
                  frames_per_tick=TICK, silence=silence, read_frames=blank_frames)  # fmt: skip
    spoken, frames, real = (np.concatenate(parts) for parts in zip(*(
        (chunk.spoken[0].numpy(), chunk.frame[0].numpy(), chunk.real[0].numpy()) for chunk in lanes), strict=True))
    assert np.array_equal(frames[real], np.arange(episode.n_frames))
    begins = []
    for word in episode.words:
        tick = int(-(-word.start_ms // (TICK * FRAME_MS)))
        said = spoken[tick * TICK: (tick + 24) * TICK: TICK]
        said = said[: np.append(said == silence, True).argmax()]
        assert tokenizer.decode(said.tolist()).strip() == word.word, (word, tick)
        begins.append(tick)
    print(f"{episode.id}: {len(begins):,} words, each on its tick, the last {episode.words[-1].word!r} on tick "
          f"{begins[-1]:,} of {episode.n_frames // TICK:,}")


def main(options: Options) -> None:
    kept = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory()
    with kept as folder:
        recordings, out = Path(folder, "3_video"), Path(folder, "shards")
        recordings.mkdir(parents=True, exist_ok=True)
        for number, minutes in enumerate(options.minutes):
            if not meta_path(recordings, f"ch0-0{number}").exists():
                begin = time.perf_counter()
                make_recording(recordings, f"ch0-0{number}", minutes * 60 * FRAMES_PER_SECOND)
                print(f"{minutes} minutes were recorded in {time.perf_counter() - begin:.0f} s", flush=True)
        make_shards(recordings, out)
        begin = time.perf_counter()
        shards = Shards(out)
        print(f"opened in {time.perf_counter() - begin:.2f} s: {', '.join(one.video.name for one in shards.episodes)}")
        for number, episode in enumerate(shards.episodes):
            check_rows(shards, number)
            check_pictures(shards, episode)
            check_words(shards, episode)


if __name__ == "__main__":
    run(main, Options)
