"""Play: the agent in a world, live on a page or filmed with its keys and words; or watching a recording.

In: a model folder, and a world or a recording. Out, with --serve: a page to watch it, talk to it, take over from it and
record that (vlpt/live). Else an mp4 (vlpt/show/overlay.py draws it) and beside it a .jsonl with one line a frame:
{"frame", "ms", "buttons", "camera_deg", "word", "heard", "p_silence"} and, on a recording, "true".

    python -m vlpt.play --serve --open --model pretrained/agent
    python -m vlpt.play --model runs/demo/joint --world luanti --seed 3 --seconds 60 --hear "let's chop a tree"
    python -m vlpt.play --model runs/demo/joint --recording data_gathering/samples/ch4-00.mp4 --out watched.mp4
    python -m vlpt.play --model 2x.model --weights 2x.weights --world luanti

In a world the agent's actions are carried out, and what is said to it (--hear) takes the place of its own words. On a
recording it hears the words and sees the frames of the person who plays (as in training) and only predicts: its keys
and words stand beside the true ones. A recording without <id>.words.jsonl is heard as the agent's own talk. An agent
that was never joined with a language model (stage base, or OpenAI's) plays and watches without words.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vlpt.agent import Agent, load_agent
from vlpt.data.words import count_ticks, place, read_words, tokenise
from vlpt.files import write_lines
from vlpt.options import (
    Count,
    CountOrNone,
    Device,
    NotNegative,
    PlainName,
    Port,
    Positive,
    PositiveShare,
    Seed,
    run,
    use_threads,
    without_effect,
)
from vlpt.show.overlay import Moment, Overlay
from vlpt.worlds import check_name, make, noop
from vpt.actions import BUTTONS, read_contractor
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND, count_frames, read_video, write_video

FILM = ("out", "errand", "recording", "seconds", "hear", "hear_at", "progress")  # options of a film only
PAGE = ("port", "open", "recordings", "channel")  # of the page only
DRAWN = ("action_temperature", "word_temperature", "top_p", "guidance")  # how, of `vlpt.agent.Sampling`


@dataclass(frozen=True)
class Options:
    """Let the agent play in a world, on a page or filmed, or watch a recording."""

    # model folder (config.json, model.safetensors and, if it speaks, tokenizer.json), a run of train.py, or OpenAI's
    # .model file
    model: str
    weights: str = ""  # OpenAI's .weights file, where --model is their .model file
    out: str = "play.mp4"  # video to write; its words and keys go beside it as .jsonl
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds: luanti or dummy
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    errand: str = ""  # what the world's reset asks for, as chop or go_pillar:red; the world then ends when it is done
    recording: str = ""  # an mp4 to watch instead of playing
    seconds: Positive = 60.0  # length of play; a recording may end earlier
    hear: str = ""  # words that are said to the agent
    hear_at: NotNegative = 5.0  # when, in seconds from the start
    seed: Seed = 0  # of the world and of all that the agent draws
    # what is not said here is as sampling.json in the model's folder says, else 1, and no guidance
    action_temperature: NotNegative | None = None  # how freely keys are drawn; 0: always the likeliest
    word_temperature: NotNegative | None = None  # how freely words are drawn; 0: always the likeliest
    top_p: PositiveShare | None = None  # draw only from the likeliest words that together have this probability
    guidance: NotNegative | None = None  # how far beyond what words change about actions (vlpt/agent.py)
    threads: CountOrNone = 0  # processor threads; 0: torch's choice
    device: Device = "auto"  # where the networks run
    progress: bool = True  # show a progress bar
    serve: bool = False  # instead of a film, a page on 127.0.0.1
    port: Port = 8766  # of the page; 0 takes a free one
    open: bool = False  # open the page in the browser
    recordings: str = "data/3_played"  # folder in which the page keeps what is recorded there
    channel: PlainName = "live"  # of these recordings: whoever plays; their ids begin with it

    def __post_init__(self) -> None:
        check_name(self.world)
        if self.serve:
            without_effect(self, "--serve", *FILM)
        else:
            without_effect(self, "a film (--serve makes a page)", *PAGE)
        if self.recording and (self.hear or self.errand):
            raise ValueError("--hear and --errand need a world: on a recording the agent hears what is said in it")
        if self.hear and self.hear_at >= self.seconds:
            raise ValueError(f"--hear-at {self.hear_at} lies outside the {self.seconds} seconds of play")
        if not self.out.endswith(".mp4"):
            raise ValueError(f"--out ends in .mp4, got {self.out!r}")
        if bool(self.weights) != self.model.endswith(".model"):
            raise ValueError("OpenAI's agents are two files: --model names the .model, --weights the .weights")

    @property
    def frames(self) -> int:
        return round(self.seconds * FRAMES_PER_SECOND)


def play(options: Options) -> list[dict]:
    """Writes the video and the lines beside it; returns the lines. Or serves the page, and returns none."""
    use_threads(options.threads)
    asked = {name: getattr(options, name) for name in DRAWN if getattr(options, name) is not None}
    agent = load_agent(options.model, options.weights, options.device, **asked)
    if not agent.speaks:
        without_effect(options, f"{options.model}, which has no words", "hear", "hear_at", "word_temperature", "top_p")
    if options.serve:
        from vlpt.live.server import Game, serve

        game = Game(options.world, options.size, options.seed, options.recordings, options.channel, options.model)
        serve(agent, game, options.port, options.open)
        return []
    gates = {name: value for name, value in agent.gates().items() if "." not in name}
    if options.recording:
        moments, other = watch(agent, options), "person"
        overlay = Overlay(Path(options.recording).stem, gates, other, watching=True)
    else:
        moments, other = live(agent, options), "heard" if options.hear else ""
        overlay = Overlay(f"{options.world}, seed {options.seed}{', ' + options.errand if options.errand else ''}",
                          gates, other)
    rows, begin = [], time.monotonic()
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with closing(moments), write_video(out, overlay.size, fps=FRAMES_PER_SECOND, crf=30) as video:
        for moment in tqdm(moments, "play", options.frames, unit="frame", disable=not options.progress):
            video.write(overlay.draw(moment))
            rows.append(line(len(rows), moment, options.recording != ""))
    write_lines(out.with_suffix(".jsonl"), rows)
    rate = len(rows) / (time.monotonic() - begin)
    print(f"{out}: {len(rows)} frames at {rate:.1f} a second; said: {spoken(rows) or '-'}")
    return rows


def live(agent: Agent, options: Options) -> Iterator[Moment]:
    """The agent in a world, until the time is up or the errand is done."""
    with closing(make(options.world, size=options.size)) as world:
        observation, _ = world.reset(seed=options.seed, options={"errand": options.errand} if options.errand else None)
        memory = agent.start(seed=options.seed)
        for t in range(options.frames):
            if options.hear and t == round(options.hear_at * FRAMES_PER_SECOND):
                memory = agent.hear(options.hear, memory)
            (action,), (word,), memory = agent.act([observation["pov"]], memory)
            yield Moment(observation["pov"], action.buttons, action.camera_deg, word, memory.heard[0], chance(memory))
            observation, _, terminated, truncated, _ = world.step({**noop(), **action})
            if terminated or truncated:
                return


def watch(agent: Agent, options: Options) -> Iterator[Moment]:
    """The agent looking over a person's shoulder: at each frame what it would do and say, and what the person did."""
    path = Path(options.recording)
    keys = read_contractor(path.with_suffix(".jsonl")) if path.with_suffix(".jsonl").exists() else None
    tokens = true_tokens(agent, path) if agent.speaks else None
    frames_per_tick = agent.model.config.frames_per_tick if agent.speaks else 0
    memory = agent.start(seed=options.seed)
    for t, picture in zip(range(options.frames), read_video(path), strict=False):
        (action,), (word,), memory = agent.act([picture], memory)
        heard = ""
        if tokens is not None and t % frames_per_tick == 0 and t // frames_per_tick < len(tokens):
            memory = agent.set_tokens([tokens[t // frames_per_tick]], memory)
            heard = agent.piece(int(tokens[t // frames_per_tick]))
        # A recording's keys may end before its pictures do.
        true = (None, None) if keys is None or t >= len(keys.buttons) else (keys.buttons[t], keys.camera_deg[t])
        memory = agent.set_actions(*(None if part is None else part[None] for part in true), memory)
        yield Moment(picture, action.buttons, action.camera_deg, word, heard, chance(memory), *true)


def true_tokens(agent: Agent, video: Path) -> np.ndarray | None:
    """The token of each tick of a recording, or None where nobody wrote down what is said in it."""
    words = video.with_suffix(".words.jsonl")
    if not words.exists():
        return None
    frames_per_tick = agent.model.config.frames_per_tick
    speech = tokenise(read_words(words), agent.tokenizer)
    frames = count_frames(video) or sum(1 for _ in read_video(video))
    return place(speech.tokens, speech.onsets_ms, count_ticks(frames, frames_per_tick), frames_per_tick, float("inf"),
                 agent.silence).tokens


def chance(memory) -> float | None:
    """P(silence) of the one lane's last tick; None before the first."""
    p = float(memory.p_silence[0])
    return None if np.isnan(p) else p


def line(t: int, moment: Moment, watching: bool) -> dict:
    """One frame as JSON; what was heard or, watching, truly pressed and said stands beside what the agent chose."""
    row = {"frame": t, "ms": t * FRAME_MS, **action_of(moment.buttons, moment.camera_deg), "word": moment.word,
           "heard": moment.other_word,
           "p_silence": None if moment.p_silence is None else round(moment.p_silence, 4)}
    if watching and moment.other_buttons is not None:
        row["true"] = action_of(moment.other_buttons, moment.other_camera_deg)
    return row


def action_of(buttons: np.ndarray, camera_deg: np.ndarray) -> dict:
    """{"buttons": names of those that are down, "camera_deg": [pitch, yaw]}."""
    down = [name for name, on in zip(BUTTONS, buttons, strict=True) if on]
    return {"buttons": down, "camera_deg": [round(float(angle), 3) for angle in camera_deg]}


def spoken(rows: list[dict]) -> str:
    """What the agent said, as text."""
    return "".join(row["word"] for row in rows).strip()


if __name__ == "__main__":
    run(play, Options)
