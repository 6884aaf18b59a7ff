"""How fast frames come from disk: decoding, lanes from pixels (first time and from memory) and from features, with
worker processes and without, and for two ranks at once; how much of a training step of a `tiny` agent is waiting for
them; and from a web server of this machine, the first time and again, beside the same from this disk.

    python tests/benchmarks/bench_load.py [--shards data/6_shards] [--seconds 5]

Without a dataset a made-up one of 20 minutes is used, harder to decode than play. Workers are worth what processors are
idle: the ratio is to the same lanes without, in the same run.
"""

import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.numbered_recordings import record  # noqa: E402
from support.web_folder import web_folder  # noqa: E402

from data_gathering import shard  # noqa: E402
from vlpt.data.chunk import Chunk  # noqa: E402
from vlpt.data.clips import Clips  # noqa: E402
from vlpt.data.lanes import Lanes  # noqa: E402
from vlpt.data.shards import Shards  # noqa: E402
from vlpt.options import Positive, run  # noqa: E402
from vpt.allocator import keep_freed_memory  # noqa: E402
from vpt.policy import SIZES, Policy  # noqa: E402
from vpt.trees import map_tensors  # noqa: E402

WARM_UP = 2  # steps that are not counted
ROUNDS = 3


@dataclass(frozen=True)
class Options:
    """Measures the loader."""

    shards: str = ""  # dataset folder (empty: a made-up one)
    seconds: Positive = 5.0  # length of each measurement


def rate(batches, frames_of, seconds: float) -> float:
    """Frames a second of an iterator."""
    frames, start = 0, time.perf_counter()
    for batch in batches:
        frames += frames_of(batch)
        if time.perf_counter() - start > seconds:
            break
    return frames / (time.perf_counter() - start)


def clip_frames(clip) -> int:
    return clip.frames.shape[:2].numel()


def measure(folder: Path, seconds: float) -> None:
    """Print one line a case."""
    shards = Shards(folder, cache_mb=8)
    episodes = shards.episodes
    one_by_one = (shards.read_frames(episode, start, min(start + 128, episode.n_frames))
                  for episode in episodes for start in range(0, episode.n_frames, 128))  # fmt: skip
    print(f"decoding forwards, no cache      {rate(one_by_one, len, seconds):10.0f} frames/s")

    def lanes(cache_mb, read_frames=None, **how):
        return Lanes(Shards(folder, cache_mb), episodes, lanes=8, frames_per_chunk=128, read_frames=read_frames, **how)

    print(f"8 lanes, 300 MB of cache         {rate(lanes(300), frames_of, seconds):10.0f} frames/s")
    warm = lanes(4000)
    rate(warm, frames_of, seconds)
    print(f"8 lanes, pictures in memory      {rate(warm, frames_of, seconds):10.0f} frames/s")
    features = {episode.id: np.zeros((episode.n_frames, 128), np.float32) for episode in episodes}
    print("8 lanes of features              "
          f"{rate(lanes(8, lambda e, a, b: features[e.id][a:b]), frames_of, seconds):10.0f} frames/s")
    measure_workers(lanes, seconds)
    measure_ranks(folder, seconds)
    measure_waiting(lanes, seconds)
    measure_remote(folder)
    clips = Clips(Shards(folder, 100), episodes, n_clips=8)
    print(f"random clips, 100 MB of cache    {rate(clips, clip_frames, seconds):10.0f} frames/s")
    clips = Clips(Shards(folder, 4000), episodes, n_clips=8)
    rate(clips, clip_frames, 2 * seconds)
    print(f"random clips, pictures in memory {rate(clips, clip_frames, seconds):10.0f} frames/s")


def measure_workers(lanes, seconds: float) -> None:
    """Of nothing but loading, beside the same without workers: a second, and a second of all processors together."""
    alone = None
    for workers in (0, 1, 2):
        loader, busy, begin = lanes(100, workers=workers), processor_s(), time.perf_counter()
        frames, a_second = 0, 0.0
        while not frames or time.perf_counter() - begin < seconds:
            frames += frames_of(next(loader))
            a_second = frames / (time.perf_counter() - begin)
        del loader  # and its workers, whose time is known then
        found = np.array([a_second, frames / (processor_s() - busy)])
        alone = found if alone is None else alone
        print(f"8 lanes, {workers} workers               {found[0]:10.0f} frames/s, {found[1]:.0f} a processor; "
              "{:.2f} and {:.2f} times without".format(*found / alone))


def measure_ranks(folder: Path, seconds: float) -> None:
    """Of two processes of a training at the same time, each with lanes of its own, beside one alone."""
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        def at_once(ranks: int) -> float:
            asked = [processes.submit(rate_of_rank, folder, rank, ranks, seconds) for rank in range(ranks)]
            return np.mean([one.result() for one in asked])

        at_once(2)  # they are there, and have imported what they need
        alone, together = (np.median([at_once(ranks) for _ in range(ROUNDS)]) for ranks in (1, 2))
    print(f"8 lanes a rank, 2 ranks          {2 * together:10.0f} frames/s; each {together / alone:.2f} times as many "
          "as one rank alone")


def rate_of_rank(folder: Path, rank: int, ranks: int, seconds: float) -> float:
    keep_freed_memory()
    shards = Shards(folder, 100)
    lanes = Lanes(shards, shards.episodes, lanes=8, frames_per_chunk=128, rank=rank, world_size=ranks)
    return rate(lanes, frames_of, seconds)


def frames_of(chunk: Chunk) -> int:
    return int(chunk.real.sum())


def processor_s() -> float:
    """Of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure_waiting(lanes, seconds: float) -> None:
    """The share of a `tiny` agent's training step, forward and backward, in which it waits for its batch, and its
    frames a second beside those of one chunk that is there, again and again."""
    policy = Policy(SIZES["tiny"])
    for source, parts in (("pixels", ()), ("cached features", policy.trunk)):
        for part in parts:
            part.requires_grad_(False)
        rows = np.zeros((4096, policy.packed_width), np.float16)  # in the place of a memory-mapped file
        read = (lambda e, a, b: rows[a % 64: a % 64 + b - a]) if parts else None
        _, at_hand = trained(policy, itertools.repeat(next(lanes(8, read))), seconds)
        for workers in (0, 1):
            share, found = trained(policy, lanes(8, read, workers=workers), seconds)
            print(f"tiny from {source}, {workers} workers: {share:.2%} of a step is waiting for data "
                  f"({found:.0f} frames/s trained, {found / at_hand:.2f} times those of one chunk again and again)")


def trained(policy: Policy, chunks: Iterator[Chunk], seconds: float) -> tuple[float, float]:
    """Share of the time in which a chunk is waited for, and frames a second."""
    memory, waited, steps, begin = policy.start(8), 0.0, -WARM_UP, 0.0
    while steps < 1 or time.perf_counter() - begin < seconds:
        if not steps:
            waited, begin = 0.0, time.perf_counter()
        asked = time.perf_counter()
        chunk = next(chunks)
        waited += time.perf_counter() - asked
        output, memory = policy(chunk.frames, chunk.first, memory, chunk.last_action)
        output.action.buttons.mean().backward()
        memory, steps = map_tensors(lambda x: x.detach(), memory), steps + 1
    took = time.perf_counter() - begin
    return waited / took, steps * 1024 / took


def measure_remote(folder: Path) -> None:
    """One epoch of pictures, labels and all that is fetched for them, in turn; the server's work is in it too."""
    def epoch(place) -> float:
        begin, frames = time.process_time(), 0
        shards = Shards(place, cache_mb=8)
        for chunk in Lanes(shards, shards.episodes[:40], lanes=8, frames_per_chunk=128, epochs=1):
            frames += int(chunk.real.sum())
        return frames / (time.process_time() - begin)

    rates = {"on this disk": [], "fetched": [], "fetched before": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache, web_folder(folder) as server:
            os.environ["VLPT_CACHE"] = cache
            for name, found in rates.items():
                found.append(epoch(folder if name == "on this disk" else server.address))
    here = np.median(rates["on this disk"])
    for name, found in rates.items():
        print(f"8 lanes, shards {name:14} {np.median(found):10.0f} frames/s of a processor, "
              f"{np.median(found) / here:.2f} times on disk")


def main(options: Options) -> None:
    keep_freed_memory()  # as train.py does
    if options.shards:
        return measure(Path(options.shards), options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        play = Path(folder) / "3_video"
        for i in range(24):
            record(play, f"ch{i // 4}-{i:02d}", i, 1000, range(0, 1000, 6))
        start = time.perf_counter()
        shard.main(shard.Options(recordings=str(play), labels="truth", out=f"{folder}/shards"))
        print(f"making shards                    {24000 / (time.perf_counter() - start):10.0f} frames/s")
        measure(Path(folder) / "shards", options.seconds)


if __name__ == "__main__":
    run(main, Options)
