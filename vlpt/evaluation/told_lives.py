"""Lives in a world in which an agent is told something, or nothing, and is watched: what steering is measured from.

In: which arena, which agent, what it is told (`Life`). Out: a row of plain values, the same in whatever order lives
are lived: when each instruction was done, whatever the agent was told.

    with closing(Trials(options)) as trials:
        row = trials.run(Life("guidance 0", arena=3, told="red"))     # {..., "when": {"red": 83, "blue": None, ...}}

The last word is heard at the same frame in all lives of an arena, whatever is said, and watching begins there: a short
sentence begins later. All that an agent draws follows from the arena, so that its lives there are one until it hears.
Used by `python evaluate.py steering`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from vlpt.agent import Agent, Sampling, load_agent
from vlpt.data.words import encode_text
from vlpt.evaluation.done import Judge, Watched, presses, when_done
from vlpt.evaluation.games import Games, game_may_end, make_game
from vlpt.evaluation.instructions import INSTRUCTIONS, NAMES, Wording
from vlpt.evaluation.telling import Schedule, first_told, schedules
from vlpt.options import Count, Device, NotNegative, Positive, Seed
from vlpt.parts import passages, untouched
from vlpt.worlds import check_name, noop
from vpt.frames import FRAMES_PER_SECOND

SECONDS, TARGET_SECONDS = 4.0, 10.0  # for which a motion, and what needs a target, is waited for
CLOSED, BASE, GUIDANCE = "closed", "base", "guidance "  # agents of a Life; GUIDANCE is followed by a strength


@dataclass(frozen=True, kw_only=True)
class LifeOptions:
    """What a life is like."""

    model: str = "runs/demo/joint"  # a run, or a folder with a fused model
    base: str = ""  # a run, or a folder with an agent that hears nothing, to compare with; none if empty
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    # as in training, or what of the scenes is as it never is there
    scene: Literal["as-is", "other-textures", "other-time-of-day", "moved-things"] = "as-is"
    # sentences of the scripted player, sentences that it never makes, or nothing said at all
    phrasing: Literal["heard", "paraphrase", "none"] = "heard"
    mid_errand: bool = False  # it is told another thing first, and this one two seconds after
    instructions: tuple[str, ...] = NAMES  # what it can be told, by the names in vlpt/evaluation/instructions.py
    tell_at: NotNegative = 1.0  # when it begins to be told, in seconds from the start, at the earliest
    seconds: Positive = SECONDS  # for how long a motion is waited for after the last word
    target_seconds: Positive = TARGET_SECONDS  # for how long what needs a target is waited for
    seed: Seed = 0  # of the sentences, of all that the agent draws, and of other textures

    def __post_init__(self) -> None:
        check_name(self.world)
        if unknown := sorted(set(self.instructions) - set(NAMES)):
            raise ValueError(f"--instructions: none is called {unknown[0]!r}; choose among {', '.join(NAMES)}")
        if len(set(self.instructions)) < max(2, len(self.instructions)):
            raise ValueError("--instructions: name two different ones or more, each once")
        if self.mid_errand and self.phrasing == "none":
            raise ValueError("--mid-errand has no effect with --phrasing none: leave one of the two out")

    def watched_frames(self, name: str) -> int:
        """For how many frames an instruction is waited for."""
        return watched_frames(name, self.seconds, self.target_seconds)


def watched_frames(name: str, seconds: float = SECONDS, target_seconds: float = TARGET_SECONDS) -> int:
    """For how many frames an instruction is waited for."""
    return max(1, round((target_seconds if INSTRUCTIONS[name].errand else seconds) * FRAMES_PER_SECOND))


@dataclass(frozen=True)
class Life:
    """One life to be lived."""

    agent: str  # GUIDANCE with its strength, CLOSED or BASE
    arena: int  # its seed
    told: str  # the name of an instruction, or "": nothing


def watch(
    agent: Agent, world, observation: dict, arena: Mapping, schedule: Schedule, frames: int, seed: int
) -> Watched:
    """A life from its first picture on, watched for so many frames."""
    memory, judge = agent.start(seed=seed), None
    for t in range(schedule.watch_from + frames):
        for sentence in (sentence for begin, sentence in schedule.said if begin == t):
            memory = agent.hear(sentence, memory)
        (action,), _, memory = agent.act([observation["pov"]], memory)
        with game_may_end():
            observation, *_, info = world.step({**noop(), **action})
        if t == schedule.watch_from:
            judge = Judge(arena, info["truth"])
        if judge:
            judge.see(action.buttons, info)
    return judge.watched()


def make_world(options: LifeOptions):
    """See `games.make_game`."""
    return make_game(options.world, size=options.size, scene=options.scene, scene_seed=options.seed)


class Trials(Games):
    """One game and the agents that live in it. A life's row: {"agent", "arena", "told", "before": what was told before
    that, or "", "said": [sentence], "jumps_asked", "jumps": how many there were, "when": {instruction: frame after the
    last word, or None}}; or {"agent", "arena", "told", "lost": why}.
    """

    def __init__(self, options: LifeOptions, device: Device = "auto", threads: int = 0) -> None:
        """As `Games`. Raises ValueError for a model that cannot be played, too."""
        super().__init__(options, make_world, device, threads)
        self.fused = load_agent(options.model, device=device)

    def make_agent(self, name: str) -> Agent:
        if name == BASE:
            return load_agent(self.options.base, device=self.device)
        if not self.fused.speaks:
            return self.fused
        if name == CLOSED:
            return Agent(without_words(self.fused.model), self.fused.tokenizer, self._drawn(0.0))
        return Agent(self.fused.model, self.fused.tokenizer, self._drawn(float(name.removeprefix(GUIDANCE))))

    def _drawn(self, guidance: float) -> Sampling:
        return replace(self.fused.sampling, guidance=guidance)

    def lived(self, life: Life) -> dict:
        options = self.options
        with game_may_end():
            observation, info = self.world.reset(seed=life.arena)
        wording = Wording.draw(options.phrasing, info["arena"], life.arena, options.seed, options.instructions)
        schedule = self._schedules(wording, life.arena)[life.told]
        frames = max(map(options.watched_frames, options.instructions))
        watched = watch(self.agent(life.agent), self.world, observation, info["arena"], schedule, frames,
                        self.seed_of(life.arena))  # fmt: skip
        when = {name: when_done(name, watched, wording.jumps) for name in options.instructions}
        jumps = presses(watched.buttons[: options.watched_frames("jump")], "jump")[-1]
        return {"before": self._before(life.told, life.arena), "said": [sentence for _, sentence in schedule.said],
                "jumps_asked": wording.jumps, "jumps": int(jumps), "when": when}  # fmt: skip

    def _before(self, told: str, arena: int) -> str:
        if not (told and self.options.mid_errand):
            return ""
        return first_told(told, self.options.instructions, arena, self.options.seed)

    def _schedules(self, wording: Wording, arena: int) -> dict[str, Schedule]:
        """Of each instruction and of "", in an arena."""
        lines: dict[str, list[str]] = {"": []}
        for told, sentence in wording.sentences.items() if self.options.phrasing != "none" else ():
            before = self._before(told, arena)
            lines[told] = [*([wording.sentences[before]] if before else ()), sentence]
        step = self.fused.model.config.frames_per_tick if self.fused.speaks else 1
        return schedules(lines, self._tokens, step, self.options.tell_at)

    def _tokens(self, sentence: str) -> int:
        return len(encode_text(f" {sentence}", self.fused.tokenizer))


def without_words(model):
    """A frozen copy in which nothing passes from words to actions: what it hears does not reach them."""
    deaf = untouched(model)
    for name in passages(deaf, "frames_ask_words"):
        deaf.get_parameter(name).data.zero_()
    return deaf
