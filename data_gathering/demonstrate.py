"""Record narrated play: a scripted player runs errands in a world and says what it is about to do, like a person who
streams.

In:  a world from vlpt.worlds. Out: a folder of recordings `<channel>-<nn>.{mp4,jsonl,words.jsonl,meta.json}` (20
frames a second; words with times). A channel is one player's habits (streamer/persona.py); every episode has an
arena of its own. Finished recordings are skipped, so a killed run is continued by the same command; a recording that
fails is tried once more and then listed at the end.

Run: python -m data_gathering.demonstrate --out data/3_video --channels 6 --episodes 4 --seconds 50 --seed 1 --workers 2
     python -m data_gathering.demonstrate --text-only 100000 --out narration.txt --seed 1     (only words, no game)
     python -m data_gathering.demonstrate --grammar-only --out data_gathering/samples/grammar.json
"""

import multiprocessing
import queue
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Protocol

import gymnasium
import numpy as np
from tqdm import tqdm

from data_gathering.streamer import grammar, imagined, narration, speech
from data_gathering.streamer.errands import WEIGHTS
from data_gathering.streamer.ground import Arena, Ground
from data_gathering.streamer.persona import Persona, draw_persona
from data_gathering.streamer.player import Other, Player
from data_gathering.streamer.session import play
from data_gathering.streamer.sight import Sight
from vlpt.data.recording import Recorder, finished
from vlpt.files import write_json, write_text
from vlpt.options import Count, CountOrNone, Positive, run
from vlpt.worlds import check_name, make, noop
from vlpt.worlds.contract import OTHER_TEXTURES
from vpt.frames import FRAMES_PER_SECOND

WORLD_SIZE = (320, 180)
ACCOMPANIED = 0.1  # share of the episodes in which somebody watches and asks for things
FRIENDS = 100_000  # added to a channel's number: whoever watches there is no channel's player


@dataclass(frozen=True)
class Options:
    """Records narrated play: a scripted player runs errands in a world and says what it is about to do."""

    out: str  # folder of the recordings (with --text-only and --grammar-only: the file)
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds: luanti or dummy
    channels: Count = 6  # players
    first_channel: CountOrNone = 0  # number of the first; channels of different numbers never share habits
    episodes: Count = 4  # recordings a channel
    seconds: Positive = 50.0  # of play a recording
    seed: CountOrNone = 1  # of everything
    workers: Count = 2  # games side by side
    size: Literal["128", "native"] = "128"  # 128: the agent's frames; native: the world's own size
    crf: CountOrNone = 25  # H.264 quality, lower is better and larger
    large_per_run: CountOrNone = 0  # this many recordings are kept at the world's size too, in <out>/large
    search: bool = False  # it looks around for what it does not see, instead of knowing where everything is
    errands: tuple[str, ...] = ()  # kinds of errands that it runs (data_gathering/streamer/errands.py); none: all
    textures: bool = False  # a channel's world has textures of its own, for which its game is started anew
    # adds a sound track, whose words give the word times; empty: no sound
    speech: Literal["", "piper", "espeak"] = ""
    text_only: CountOrNone = 0  # write this many words of narration, without a game, and stop
    grammar_only: bool = False  # write what can be said, as rules (JSON) for vlpt/data/sentences.py, and stop

    def __post_init__(self) -> None:
        check_name(self.world)
        if unknown := sorted(set(self.errands) - set(WEIGHTS)):
            raise ValueError(f"--errands: no kind is called {unknown[0]!r}; choose among {', '.join(WEIGHTS)}")
        if self.speech:
            speech.VOICES[self.speech].check()

    @property
    def frames(self) -> int:
        """Of each recording."""
        return round(self.seconds * FRAMES_PER_SECOND)


@dataclass(frozen=True)
class Episode:
    """One recording to be made."""

    channel: int
    number: int
    large: bool

    @property
    def name(self) -> str:
        return f"ch{self.channel}-{self.number:02d}"


def plan(options: Options) -> list[Episode]:
    """All recordings of a run; the large ones are spread over the channels."""
    channels = range(options.first_channel, options.first_channel + options.channels)
    places = [(channel, number) for number in range(options.episodes) for channel in channels]
    return [Episode(channel, number, i < options.large_per_run) for i, (channel, number) in enumerate(places)]


def random_of(options: Options, episode: Episode, *purpose: int) -> np.random.Generator:
    """An episode's own random numbers, others for each purpose."""
    return np.random.default_rng((options.seed, episode.channel, episode.number, *purpose))


def make_player(arena: Arena, options: Options, episode: Episode) -> Player:
    """A player with the channel's habits and this episode's own random numbers."""
    persona = draw_persona(episode.channel, options.seed)
    narrator = narration.Narrator(random_of(options, episode, 1), persona.taste_seed)
    mouth = narration.Mouth(make_voice(persona, options, episode.channel, narrator.rng), narrator.rng)
    rng, other = random_of(options, episode, 3), None
    if rng.random() < ACCOMPANIED:
        friend = draw_persona(episode.channel + FRIENDS, options.seed)
        voice = make_voice(friend, options, episode.channel + 1, rng)
        other = Other(narration.Narrator(rng, friend.taste_seed), voice)
    sight = Sight(arena) if options.search else None
    return Player(Ground(arena), persona, narrator, mouth, random_of(options, episode), other, sight, options.errands)


def make_voice(persona: Persona, options: Options, number: int, rng: np.random.Generator) -> narration.Voice:
    """How a person speaks: with sound, in the voice of that number, or only in time."""
    if options.speech:
        return speech.VOICES[options.speech](persona.words_per_minute, number)
    return narration.TimedVoice(persona.words_per_minute, rng)


def sound_of(player: Player, end_ms: int) -> tuple[np.ndarray, int] | None:
    """The sound track (n,) int16 of all who speak, and its samples a second; None where nobody is heard."""
    voices = [player.mouth.voice, *([player.other.voice] if player.other else [])]
    tracks = [voice.track(end_ms) for voice in voices if isinstance(voice, speech.SpokenVoice)]
    return (sum(tracks), speech.RATE_HZ) if tracks else None  # they never speak at the same time


def record(world: gymnasium.Env, options: Options, episode: Episode, progress: Callable[[int], None]) -> None:
    """Play and write one episode. progress: called with the number of frames done since the last call."""
    arena_seed = int(random_of(options, episode, 2).integers(1, 2**31 - 1))
    observation, info = world.reset(seed=arena_seed)
    player = make_player(info["arena"], options, episode)
    log: list[dict[str, Any]] = []
    script = play(player, log)
    size = None if options.size == "native" else int(options.size)
    world_size = observation["pov"].shape[1::-1]
    with Recorder(options.out, episode.name, world_size, size, options.crf, episode.large) as recorder:
        for frame in range(options.frames):
            truth = info["truth"]
            player.see(truth, frame)
            pressed, camera_deg = player.act(next(script))
            pov = observation["pov"]
            observation, _, _, _, info = world.step({**noop(), **dict.fromkeys(pressed, 1), "camera": camera_deg})
            recorder.add(pov, pressed, info["camera_deg"], truth, player.slot)
            if (frame + 1) % FRAMES_PER_SECOND == 0:
                progress(FRAMES_PER_SECOND)
        end_ms = options.frames * 1000 // FRAMES_PER_SECOND
        meta = {**meta_of(options, episode, arena_seed, log), **talk_of(player, end_ms)}
        recorder.close_with(player.mouth.heard(end_ms), meta, sound_of(player, end_ms))


def meta_of(options: Options, episode: Episode, arena_seed: int, log: list[dict[str, Any]]) -> dict[str, Any]:
    """What the meta file says besides names and sizes; the last errand is usually cut by the end of the recording."""
    done = [{**entry, "end_frame": entry["end_frame"] or options.frames, "cut": entry["end_frame"] is None}
            for entry in log]  # fmt: skip
    seeds = {"seed": options.seed, "arena_seed": arena_seed}
    return {"channel": f"ch{episode.channel}", **seeds, "world": options.world, **scene_of(options, episode),
            "speech": options.speech, "errands": done}  # fmt: skip


def talk_of(player: Player, end_ms: int) -> dict[str, Any]:
    """What the meta file says of who said what: words carry no names, as those that were recognised carry none."""
    spoken = [{"start_ms": start_ms, "by": "other" if start_ms in player.mouth.foreign else "player", "text": text}
              for start_ms, text in player.mouth.spoken if start_ms < end_ms]  # fmt: skip
    return {"spoken": spoken, "whims": player.whims}


class Inbox(Protocol):
    """What workers and their run need of a multiprocessing.Queue."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any: ...

    def put(self, item: Any) -> None: ...


def work(options: Options, tasks: Inbox, results: Inbox) -> None:
    """A worker: one world, many episodes. Puts (kind, episode, value) into results."""
    world: gymnasium.Env | None = None
    scene: dict[str, Any] = {}
    listen(stop)
    try:
        while (episode := tasks.get()) is not None:
            before, scene = scene, scene_of(options, episode)
            if scene != before:
                close(world)
                world = None
            for attempt in (1, 2):
                try:
                    world = world or make(options.world, size=WORLD_SIZE, **scene)
                    record(world, options, episode, lambda count: report(results, episode, count))
                    results.put(("done", episode.name, None))
                    break
                except Exception as error:  # whatever went wrong, the other recordings must go on
                    close(world)
                    world = None
                    if attempt == 2:
                        results.put(("failed", episode.name, f"{error!r}\n{traceback.format_exc()}"))
    except KeyboardInterrupt:
        pass
    finally:
        close(world)


def scene_of(options: Options, episode: Episode) -> dict[str, Any]:
    """What the world looks like to an episode's channel, for `vlpt.worlds.make`."""
    return {"scene": OTHER_TEXTURES, "scene_seed": episode.channel} if options.textures else {}


def report(results: Inbox, episode: Episode, count: int) -> None:
    """Tell how far the episode is; stop when nobody is there to hear it."""
    if not multiprocessing.parent_process().is_alive():
        stop()
    results.put(("frames", episode.name, count))


def stop(*_: object) -> None:
    """On SIGTERM and Ctrl-C: leave through every `finally`, so that no game outlives its worker."""
    listen(signal.SIG_IGN)
    raise KeyboardInterrupt


def listen(handler: Callable | signal.Handlers) -> None:
    """What is to be done on SIGTERM and Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def close(world: gymnasium.Env | None) -> None:
    """Ends a world, if there is one."""
    if world is not None:
        world.close()


def record_missing(options: Options) -> dict[str, str]:
    """Record all that is missing. Returns {name: error} of the recordings that failed."""
    todo = [episode for episode in plan(options) if not finished(options.out, episode.name)]
    context = multiprocessing.get_context("spawn")
    tasks, results = context.Queue(), context.Queue()
    for episode in [*todo, *[None] * options.workers]:
        tasks.put(episode)
    count = min(options.workers, len(todo))
    workers = [context.Process(target=work, args=(options, tasks, results)) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        return follow(workers, results, todo, options.frames)
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    finally:
        for worker in workers:
            worker.join()


def follow(workers: Sequence[BaseProcess], results: Inbox, todo: Sequence[Episode], n_frames: int) -> dict[str, str]:
    """Show progress until every recording, of so many frames, has ended. Returns {name: error} of the failed."""
    left, failed = {episode.name for episode in todo}, {}
    with tqdm(total=len(todo) * n_frames, unit="frame", smoothing=0.05) as bar:
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


def main(options: Options) -> int:
    """Returns the exit status: 0, 1 where a recording failed, 130 where the run was stopped."""
    if options.grammar_only:
        write_json(options.out, grammar.exported())
        return 0
    if options.text_only:
        write_text(options.out, imagined.corpus(options.seed, options.text_only))
        return 0
    Path(options.out).mkdir(parents=True, exist_ok=True)
    listen(stop)
    try:
        failed = record_missing(options)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is missing", file=sys.stderr)
        return 130
    for name, error in sorted(failed.items()):
        print(f"{name} failed: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run(main, Options))
