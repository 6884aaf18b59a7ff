"""Record narrated play: a scripted player runs errands in a world and says what it is about to do, like a person who
streams.

In:  a world from vlpt.worlds. Out: a folder of recordings `<channel>-<nn>.{mp4,jsonl,words.jsonl,meta.json}` (20
frames a second; words with times). A channel is one player's habits (streamer/persona.py); every episode has an
arena of its own. Finished recordings are skipped, so a killed run is continued by the same command; a recording that
fails is tried once more and then listed at the end.

Run: python -m data_gathering.demonstrate --out data/3_video --channels 6 --episodes 4 --seconds 50 --seed 1 --workers 2
     python -m data_gathering.demonstrate --text-only 100000 --out narration.txt --seed 1     (only words, no game)
"""

import argparse
import multiprocessing
import queue
import signal
import sys
import traceback
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_gathering.ledger import write_whole
from data_gathering.streamer import narration, speech
from data_gathering.streamer.ground import Ground
from data_gathering.streamer.persona import draw_persona
from data_gathering.streamer.player import Player
from data_gathering.streamer.recording import FPS, Recorder, finished
from data_gathering.streamer.session import play
from vlpt.worlds import make, noop

WORLD_SIZE = (320, 180)


@dataclass(frozen=True)
class Options:
    """What to record. Every field is a flag."""

    out: str = ""  # folder of the recordings (with --text-only: the text file)
    world: str = "luanti"  # the world, by its name in vlpt.worlds
    channels: int = 6  # number of players
    first_channel: int = 0  # number of the first; channels of different numbers never share habits
    episodes: int = 4  # recordings a channel
    seconds: float = 50.0  # of play a recording
    seed: int = 1  # of everything
    workers: int = 2  # games side by side
    size: str = "128"  # 128: the agent's frames; native: the world's own size
    crf: int = 25  # H.264 quality, lower is better and larger
    large_per_run: int = 0  # this many recordings are kept at the world's size too, in <out>/large
    speech: str = ""  # piper or espeak: add a sound track, whose words give the word times
    text_only: int = 0  # write this many words of narration and stop


def parse(arguments):
    """Command line -> Options. Exits with one line when a flag makes no sense."""
    parser = argparse.ArgumentParser(prog="data_gathering.demonstrate", description=__doc__.split("\n")[0])
    for field in fields(Options):
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=type(field.default),
            default=field.default,
            required=field.name == "out",
        )
    options = Options(**vars(parser.parse_args(arguments)))
    for name in ("channels", "episodes", "workers", "seconds"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name} must be above 0, got {getattr(options, name)}")
    if options.size not in ("128", "native"):
        parser.error(f"--size is 128 or native, got {options.size!r}")
    if options.speech not in ("", *speech.VOICES):
        parser.error(f"--speech is one of {', '.join(speech.VOICES)}, got {options.speech!r}")
    try:
        if options.speech:
            speech.VOICES[options.speech].check()
    except ValueError as error:
        parser.error(str(error))
    return options


@dataclass(frozen=True)
class Episode:
    """One recording to be made."""

    channel: int
    number: int
    large: bool

    @property
    def name(self):
        return f"ch{self.channel}-{self.number:02d}"


def plan(options):
    """All recordings of a run; the large ones are spread over the channels."""
    episodes = [
        (channel, number)
        for number in range(options.episodes)
        for channel in range(options.first_channel, options.first_channel + options.channels)
    ]
    return [Episode(channel, number, i < options.large_per_run) for i, (channel, number) in enumerate(episodes)]


def make_player(arena, options, episode):
    """A player with the channel's habits and this episode's own random numbers."""
    rng = np.random.default_rng((options.seed, episode.channel, episode.number))
    persona = draw_persona(episode.channel, options.seed)
    narrator = narration.Narrator(
        np.random.default_rng((options.seed, episode.channel, episode.number, 1)), persona.taste_seed
    )
    if options.speech:
        voice = speech.VOICES[options.speech](persona.words_per_minute, episode.channel)
    else:
        voice = narration.TimedVoice(persona.words_per_minute, narrator.rng)
    mouth = narration.Mouth(voice, narrator.rng)
    return Player(Ground(arena), persona, narrator, mouth, rng)


def record(world, options, episode, progress):
    """Play and write one episode. progress: called with the number of frames done since the last call."""
    arena_seed = int(np.random.default_rng((options.seed, episode.channel, episode.number, 2)).integers(1, 2**31 - 1))
    observation, info = world.reset(seed=arena_seed)
    player, log, frames = make_player(info["arena"], options, episode), [], round(options.seconds * FPS)
    script = play(player, log)
    size = None if options.size == "native" else int(options.size)
    world_size = observation["pov"].shape[1::-1]
    with Recorder(options.out, episode.name, world_size, size, options.crf, episode.large) as recorder:
        for frame in range(frames):
            truth = info["truth"]
            player.see(truth, frame)
            pressed, camera_deg = player.act(next(script))
            pov = observation["pov"]
            observation, _, _, _, info = world.step({**noop(), **dict.fromkeys(pressed, 1), "camera": camera_deg})
            recorder.add(pov, pressed, info["camera_deg"], truth, player.slot)
            if frame % 20 == 19:
                progress(20)
        end_ms = frames * 1000 // FPS
        sound = player.mouth.voice.track(end_ms) if options.speech else None
        recorder.close_with(player.mouth.heard(end_ms), meta_of(options, episode, arena_seed, log, frames), sound)


def meta_of(options, episode, arena_seed, log, frames):
    """What the meta file says besides names and sizes; the last errand is usually cut by the end of the recording."""
    done = [{**entry, "end_frame": entry["end_frame"] or frames, "cut": entry["end_frame"] is None} for entry in log]
    seeds = {"seed": options.seed, "arena_seed": arena_seed}
    return {
        "channel": f"ch{episode.channel}",
        **seeds,
        "world": options.world,
        "speech": options.speech,
        "errands": done,
    }


def work(options, tasks, results):
    """A worker: one world, many episodes. Puts (kind, episode, value) into results."""
    world = None
    listen(stop)
    try:
        while (episode := tasks.get()) is not None:
            for attempt in (1, 2):
                try:
                    world = world or make(options.world, size=WORLD_SIZE)
                    record(world, options, episode, lambda count: report(results, episode, count))
                    results.put(("done", episode.name, None))
                    break
                except Exception as error:  # whatever went wrong, the other recordings must go on
                    world = close(world)
                    if attempt == 2:
                        results.put(("failed", episode.name, f"{error!r}\n{traceback.format_exc()}"))
    except KeyboardInterrupt:
        pass
    finally:
        close(world)


def report(results, episode, count):
    """Tell how far the episode is; stop when nobody is there to hear it."""
    if not multiprocessing.parent_process().is_alive():
        stop()
    results.put(("frames", episode.name, count))


def stop(*_):
    """On SIGTERM and Ctrl-C: leave through every `finally`, so that no game outlives its worker."""
    listen(signal.SIG_IGN)
    raise KeyboardInterrupt


def listen(handler):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def close(world):
    if world is not None:
        world.close()


def run(options):
    """Record all that is missing. Returns {name: error} of the recordings that failed."""
    todo = [episode for episode in plan(options) if not finished(options.out, episode.name)]
    context = multiprocessing.get_context("spawn")
    tasks, results = context.Queue(), context.Queue()
    for episode in [*todo, *[None] * options.workers]:
        tasks.put(episode)
    workers = [
        context.Process(target=work, args=(options, tasks, results)) for _ in range(min(options.workers, len(todo)))
    ]
    for worker in workers:
        worker.start()
    try:
        return follow(workers, results, todo, round(options.seconds * FPS))
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    finally:
        for worker in workers:
            worker.join()


def follow(workers, results, todo, frames):
    """Show progress until every recording has ended somehow."""
    left, failed = {episode.name for episode in todo}, {}
    with tqdm(total=len(todo) * frames, unit="frame", smoothing=0.05) as bar:
        while left:
            try:
                kind, name, value = results.get(timeout=2)
            except queue.Empty:
                if not any(worker.is_alive() for worker in workers):
                    failed.update(dict.fromkeys(left, "its worker process died"))
                    return failed
                continue
            if kind == "frames":
                bar.update(value)
            else:
                left.discard(name)
                bar.set_postfix_str(f"{len(todo) - len(left)}/{len(todo)} recordings, {len(failed)} failed")
            if kind == "failed":
                failed[name] = value
    return failed


def main(arguments=None):
    options = parse(arguments)
    if options.text_only:
        write_whole(options.out, narration.corpus(options.seed, options.text_only))
        return 0
    Path(options.out).mkdir(parents=True, exist_ok=True)
    listen(stop)
    try:
        failed = run(options)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is missing", file=sys.stderr)
        return 130
    for name, error in sorted(failed.items()):
        print(f"{name} failed: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
