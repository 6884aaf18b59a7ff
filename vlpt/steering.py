"""Does the agent do what it is told, more often than when it is told something else? A dry run in the world, of things
for which nothing need be found: jumping, walking backwards, stepping aside, looking up.

In: a fused agent. In each arena it is told each instruction in turn, in a life of its own from the same beginning, and
watched for some seconds after the last word. Out: a table, and JSON with the same: of each instruction

    told        share of arenas in which it was done after being told this
    otherwise   the same after being told any of the others
    delta       told - otherwise, with a t interval over arenas: the unit is the arena

Done is what was pressed, about as long as the scripted player does it: see `DONE`. Sentences are such as that player
makes.

    python evaluate.py steering --model runs/demo/joint --seeds 0 1 2 3 --out runs/demo/steering.json
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vlpt import play
from vlpt.agent import Agent, Sampling, load_agent
from vlpt.data.words import encode_text
from vlpt.files import check_writable, write_json
from vlpt.hand import press_lengths
from vlpt.metrics import t_interval
from vlpt.options import Count, Device, NotNegative, Positive, Seed, run, to_dict
from vpt.actions import MINECRAFT
from vpt.frames import FRAMES_PER_SECOND

INSTRUCTIONS = {
    "jump": "okay let's jump three times on the spot",
    "back": "okay i'm going to walk backwards for a bit",
    "left": "okay i'm going to step to the left for a bit",
    "right": "okay i'm going to step to the right for a bit",
    "up": "okay let's have a look up",
}
LEAST_JUMPS, LEAST_FRAMES, LEAST_UP_DEG = 2, 8, 20.0  # as the scripted player does it at least, with a little less


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measures whether an agent does what it is told."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    seeds: tuple[Seed, ...] = (0, 1, 2, 3)  # of the arenas, at least two
    tell_at: NotNegative = 1.0  # when it is told, in seconds from the start
    seconds: Positive = 4.0  # how long it is watched after the last word
    guidance: NotNegative = 0.0  # how far beyond what words change about its actions (see vlpt/agent.py)
    out: str = ""  # JSON file to write; none if empty
    device: Device = "auto"  # where the network runs

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < 2:
            raise ValueError(f"--seeds: an interval needs two arenas or more, got {len(set(self.seeds))}")
        self.player(0, "", 0.0)  # before minutes of work

    def player(self, seed: int, told: str, talk_s: float) -> play.Options:
        """One life in an arena, in which something is said for so long."""
        heard = {"hear": told, "hear_at": self.tell_at} if told else {}
        return play.Options(model=self.model, world=self.world, size=self.size, seed=seed,
                            seconds=self.tell_at + talk_s + self.seconds, **heard)  # fmt: skip


def down(buttons: np.ndarray, key: str) -> np.ndarray:
    """buttons (N, 20) -> (N,) bool: when a key is down."""
    return buttons[:, MINECRAFT.column[key]].astype(bool)


def presses_of(buttons: np.ndarray, key: str) -> int:
    """How often a key is pressed anew."""
    return len(press_lengths(down(buttons, key)))


def longest(buttons: np.ndarray, key: str) -> int:
    """Frames of the longest press of a key."""
    return max(press_lengths(down(buttons, key)), default=0)


# What counts as done, of buttons (N, 20) and camera_deg (N, 2) of the frames that are watched.
DONE = {
    "jump": lambda buttons, camera_deg: presses_of(buttons, "jump") >= LEAST_JUMPS,
    "back": lambda buttons, camera_deg: longest(buttons, "back") >= LEAST_FRAMES,
    "left": lambda buttons, camera_deg: longest(buttons, "left") >= LEAST_FRAMES,
    "right": lambda buttons, camera_deg: longest(buttons, "right") >= LEAST_FRAMES,
    "up": lambda buttons, camera_deg: camera_deg[:, 0].cumsum().min() <= -LEAST_UP_DEG,
}


def done(buttons: np.ndarray, camera_deg: np.ndarray) -> list[bool]:
    """Which of INSTRUCTIONS were done in frames with buttons (N, 20) and camera_deg (N, 2); none in no frames."""
    return [len(buttons) > 0 and bool(DONE[name](buttons, camera_deg)) for name in INSTRUCTIONS]


def watch(agent: Agent, options: Options, seed: int, told: str) -> list[bool]:
    """What an agent does in an arena after it was told something, from the frame of the last word on."""
    ticks = len(encode_text(f" {told}", agent.tokenizer)) + 1  # it begins to hear at the next tick
    talk_s = ticks * agent.model.config.frames_per_tick / FRAMES_PER_SECOND
    moments = list(play.live(agent, options.player(seed, told, talk_s)))
    heard = [t for t, moment in enumerate(moments) if moment.other_word]
    watched = moments[heard[-1] :] if heard else []
    return done(np.array([moment.buttons for moment in watched]), np.array([moment.camera_deg for moment in watched]))


def compare(found: np.ndarray) -> dict[str, dict[str, float]]:
    """found (arenas, told, done) bool -> {instruction: {"told", "otherwise", "delta", "low", "high"}}, and of all."""
    names, differences, result = list(INSTRUCTIONS), [], {}
    for k, name in enumerate(names):
        told, otherwise = found[:, k, k].astype(float), np.delete(found[:, :, k], k, axis=1).mean(1)
        differences.append(told - otherwise)
        result[name] = {"told": float(told.mean()), "otherwise": float(otherwise.mean()),
                        **t_interval(told - otherwise).to_dict()}  # fmt: skip
    every = {key: float(np.mean([row[key] for row in result.values()])) for key in ("told", "otherwise")}
    return result | {"all": every | t_interval(np.mean(differences, 0)).to_dict()}


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`."""
    if options.out:
        check_writable(Path(options.out).parent)
    agent = load_agent(options.model, sampling=Sampling(guidance=options.guidance), device=options.device)
    if not agent.speaks:
        raise ValueError(f"{options.model} hears nothing: take an agent that was joined with words")
    lives = [(seed, told) for seed in options.seeds for told in INSTRUCTIONS.values()]
    found = [watch(agent, options, seed, told) for seed, told in tqdm(lives, "steering", unit="life")]
    array = np.array(found).reshape(len(options.seeds), len(INSTRUCTIONS), len(INSTRUCTIONS))
    result = {"steering": compare(array), "done": array.tolist(), "instructions": INSTRUCTIONS,
              "options": to_dict(options)}  # fmt: skip
    if options.out:
        write_json(options.out, result)
    print(table(result["steering"], options.seeds))
    return result


def table(found: dict[str, dict[str, float]], seeds: Sequence[int]) -> str:
    """A line an instruction."""
    lines = [f"{len(seeds)} arenas", "told       done  otherwise   difference, 95 % t interval"]
    lines += [f"{name:8}{row['told']:7.2f}{row['otherwise']:11.2f}   {row['delta']:+z.2f} [{row['low']:+z.2f}, "
              f"{row['high']:+z.2f}]" for name, row in found.items()]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    run(main, Options)
