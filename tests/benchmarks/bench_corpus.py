"""A large corpus: how long the loader takes to begin, and whether its memory grows, over an epoch of 10,000 episodes.

    python tests/benchmarks/bench_corpus.py [--episodes 10000] [--frames 7200] [--epoch-frames 300]
    python tests/benchmarks/bench_corpus.py --on-disk /tmp/corpus --episodes 72000 [--epoch-episodes 10000]

Without a folder, episodes are simulated (labels and words are made when they are asked for, as shards read theirs
late), so that what is measured is the loader: who plays what, words on ticks, chunks. 10,000 episodes of 6 minutes are
1,000 hours; the epoch that is played through has as many, but shorter ones.

In a folder, a dataset of so many episodes of 50 s is made first where there is none (tests/support/large_corpus.py;
four minutes for 72,000, which are 1,000 hours), then opened and played from: labels and words of --epoch-episodes, and
the pictures of a few hundred, from everywhere against from one file. Memory is what belongs to this process alone
(RssAnon).
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.large_corpus import make_corpus  # noqa: E402

from vlpt.data.episode import Episode, Late, stored_episode  # noqa: E402
from vlpt.data.lanes import Lanes, split  # noqa: E402
from vlpt.data.recently_used import RecentlyUsed  # noqa: E402
from vlpt.data.schedule import Schedule  # noqa: E402
from vlpt.data.shards import Shards  # noqa: E402
from vlpt.data.words import Word, train_tokenizer, vocabulary  # noqa: E402
from vlpt.options import Count, run  # noqa: E402
from vlpt.training.unigram import blank_frames, enough  # noqa: E402
from vpt.allocator import keep_freed_memory  # noqa: E402
from vpt.frames import FRAME_MS  # noqa: E402

SAID = "now I go to that tall tree over there and then we dig some stone because a house wants walls".split()
WORD_EVERY_MS = 600
ROUNDS = 3


@dataclass(frozen=True)
class Options:
    """Measures the loader on a large corpus."""

    episodes: Count = 10_000
    frames: Count = 7200  # of each, at the start-up
    epoch_frames: Count = 300  # of each, in the epoch that is played through
    processes: Count = 64  # of the schedule that each of them follows
    on_disk: str = ""  # folder of a dataset, which is made where there is none (empty: all is simulated)
    epoch_episodes: Count = 10_000  # of those on disk, in the epoch that is played through
    shown_episodes: Count = 200  # of those on disk, of which pictures are decoded


class Labels:
    """What is read late: labels and words of an episode by its number; what was used last stays."""

    def __init__(self, frames: int) -> None:
        self.frames, self.kept = frames, RecentlyUsed(budget_mb=32)  # small: that it fills up is no growth

    def __call__(self, number: int, name: str):
        found = self.kept.get(number)
        if found is None:
            found = self._made(number)
            self.kept.put(number, found, 60 * self.frames)
        return found[name]

    def _made(self, number: int) -> dict:
        random, n = np.random.default_rng(number), self.frames
        times = range(0, n * FRAME_MS - 500, WORD_EVERY_MS)
        return {"buttons_index": random.integers(0, 8641, n), "camera_index": random.integers(0, 121, n),
                "null": np.zeros(n, bool), "confidence": np.ones(n, np.float32), "errands": [],
                "words": [Word(SAID[(number + i) % len(SAID)], t, t + 400) for i, t in enumerate(times)]}  # fmt: skip


def corpus(episodes: int, frames: int) -> list[Episode]:
    labels = Labels(frames)
    return [stored_episode(Late(frames, i, labels), id=f"ch{i % 200}-{i:05d}", channel=f"ch{i % 200}",
                           video=Path("none.mp4"), seed=-1, world="", first_frame=0) for i in range(episodes)]


def lanes_of(episodes: list[Episode], tokenizer, read_frames: Callable = blank_frames, **how) -> Lanes:
    return Lanes(None, episodes, lanes=8, frames_per_chunk=128, read_frames=read_frames, tokenizer=tokenizer,
                 frames_per_tick=4, silence=vocabulary(tokenizer), **how)  # fmt: skip


def own_mb() -> float:
    """Memory of this process that it shares with nobody."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024


def measure_start(options: Options, episodes: list[Episode], tokenizer) -> None:
    hours = sum(episode.n_frames for episode in episodes) * FRAME_MS / 3_600_000
    begin = time.perf_counter()
    train, _ = split(episodes, ["ch4", "ch5"])
    lanes = lanes_of(train, tokenizer, start_offsets=True, rank=3, world_size=options.processes)
    made = time.perf_counter()
    next(lanes)
    first = time.perf_counter()
    state = lanes.state_dict()
    lanes_of(train, tokenizer, rank=3, world_size=options.processes).load_state_dict(state)
    print(f"{hours:,.0f} hours: a loader is made in {made - begin:.2f} s, the first chunk in {first - made:.2f} s, "
          f"made again and placed in {time.perf_counter() - first:.2f} s; labels are counted on "
          f"{sum(e.n_frames for e in enough(train)) * FRAME_MS / 3_600_000:.0f} hours")  # fmt: skip


def measure_schedule(options: Options) -> None:
    schedule = Schedule([options.frames] * options.episodes, 8 * options.processes, start_offsets=True, tick=4)
    begin = time.perf_counter()
    for _ in range(1000):
        schedule.next(128, range(8))
    each = (time.perf_counter() - begin) / 1000
    print(f"following the {8 * options.processes} lanes of {options.processes} processes: {each * 1e3:.2f} ms a chunk "
          f"({each / (1024 / 16_000):.1%} of the time in which 1,024 frames are decoded at 16,000 a second)")


def measure_epoch(episodes: list[Episode], tokenizer) -> None:
    lanes = lanes_of(episodes, tokenizer, epochs=1)
    frames, told, begin = 0, 0, time.perf_counter()
    for chunk in lanes:
        frames += int(chunk.real.sum())
        if lanes.epoch * 10 >= told + 1:
            told += 1
            print(f"  {lanes.epoch:4.0%} of the epoch: {own_mb():6.0f} MB", flush=True)
    print(f"{frames:,} frames of {len(episodes):,} episodes, {frames / (time.perf_counter() - begin):,.0f} frames/s")


def measure_opening(folder: str) -> Shards:
    before, begin, busy = own_mb(), time.perf_counter(), time.process_time()
    shards = Shards(folder, cache_mb=100)
    print(f"{folder}: {len(shards.episodes):,} episodes in {len({e.video for e in shards.episodes}):,} videos are open "
          f"in {time.perf_counter() - begin:.2f} s ({time.process_time() - busy:.2f} s of a processor), "
          f"{own_mb() - before:.0f} MB")  # fmt: skip
    return shards


def measure_pictures(folder: str, shown: int, tokenizer) -> None:
    """Of episodes from everywhere, each in another file, beside the same number from one file, in turn; each time the
    dataset is opened anew, and other episodes are read of which nothing is in memory."""
    random, rates = np.random.default_rng(0), {"one file": [], "everywhere": []}
    for _ in range(ROUNDS):
        for name, found in rates.items():
            shards = Shards(folder, cache_mb=100)
            among = np.array(shards.episodes, object)
            if name == "one file":
                video = random.choice(among).video
                among = np.array([episode for episode in among if episode.video == video], object)
            episodes = list(random.choice(among, min(shown, len(among)), replace=False))
            lanes, busy = lanes_of(episodes, tokenizer, shards.read_frames, epochs=1), time.process_time()
            found.append(sum(int(chunk.real.sum()) for chunk in lanes) / (time.process_time() - busy))
    everywhere, one = (np.median(rates[name]) for name in ("everywhere", "one file"))
    ratios = ", ".join(f"{a / b:.2f}" for a, b in zip(rates["everywhere"], rates["one file"], strict=True))
    print(f"pictures: {everywhere:,.0f} frames/s of a processor from everywhere, {everywhere / one:.2f} times those "
          f"from one file ({ratios}); {own_mb():.0f} MB")


def measure_on_disk(options: Options, tokenizer) -> None:
    folder = Path(options.on_disk)
    if not folder.exists():
        begin = time.perf_counter()
        make_corpus(folder, options.episodes)
        print(f"{folder} was made in {time.perf_counter() - begin:.0f} s")
    shards = measure_opening(options.on_disk)
    measure_start(options, shards.episodes, tokenizer)
    measure_pictures(options.on_disk, options.shown_episodes, tokenizer)
    random = np.random.default_rng(1)
    some = random.choice(len(shards.episodes), min(options.epoch_episodes, len(shards.episodes)), replace=False)
    measure_epoch([shards.episodes[i] for i in some], tokenizer)


def main(options: Options) -> None:
    keep_freed_memory()  # as train.py does
    tokenizer = train_tokenizer([" ".join(SAID)], 300)
    if options.on_disk:
        return measure_on_disk(options, tokenizer)
    measure_start(options, corpus(options.episodes, options.frames), tokenizer)
    measure_schedule(options)
    measure_epoch(corpus(options.episodes, options.epoch_frames), tokenizer)


if __name__ == "__main__":
    run(main, Options)
