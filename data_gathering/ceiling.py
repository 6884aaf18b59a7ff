"""What the scripted player does of what steering tells an agent: the most that can be asked of one.

In: the arenas and instructions of `python evaluate.py steering`. Out: of each instruction the share of arenas in which
that player is judged to have done it in the time that an agent has, once as it knows where everything is, and once as
it looks for what it does not see (`demonstrate --search`), as a table and as JSON:

    python -m data_gathering.ceiling --seeds 200 201 202 203 --out runs/evidence/ceiling.json
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from data_gathering.streamer import narration
from data_gathering.streamer.errand import Errand
from data_gathering.streamer.ground import Arena, Ground, flat_m
from data_gathering.streamer.persona import draw_persona
from data_gathering.streamer.player import Player
from data_gathering.streamer.session import run as run_errand
from data_gathering.streamer.sight import Sight
from vlpt.evaluation.done import Judge, when_done
from vlpt.evaluation.instructions import NAMES, Wording
from vlpt.evaluation.obedience import wilson
from vlpt.evaluation.told_lives import watched_frames
from vlpt.files import write_json
from vlpt.options import Seed, run, to_dict
from vlpt.worlds import make, noop
from vpt.actions import BUTTONS

SIZE = (320, 180)  # of the world's picture, which nobody looks at
SEED = 9  # of the players
BEFORE = 3  # frames before it begins, as who has just arrived does not jump
PLAYERS = {"knowing": False, "searching": True}
# of each instruction that needs no thing: the kind of errand, and what is said of it
MOTIONS = {"place": ("place", ""), "jump": ("hop", ""), "up": ("look", "up at the sky"), "back": ("back", ""),
           "left": ("side", "left"), "right": ("side", "right"), "turn": ("turn", "around")}  # fmt: skip
BLOCKS, NODES = 3, 2  # that are placed, and dug


@dataclass(frozen=True)
class Options:
    """Measures what the scripted player does of what agents are told."""

    seeds: tuple[Seed, ...] = (12,)  # of the arenas; a single number: so many, from 0 on
    instructions: tuple[str, ...] = NAMES  # by the names in vlpt/evaluation/instructions.py
    world: str = "luanti"  # where it plays, by its name in vlpt.worlds
    out: str = ""  # JSON file to write; none if empty

    @property
    def arenas(self) -> list[int]:
        """The seeds of the arenas."""
        return list(range(self.seeds[0])) if len(self.seeds) == 1 else list(self.seeds)


def make_player(arena: Arena, seed: int, search: bool) -> Player:
    """Another one in each arena."""
    persona, rng = draw_persona(seed, SEED), np.random.default_rng((SEED, seed))
    mouth = narration.Mouth(narration.TimedVoice(persona.words_per_minute, rng), rng)
    narrator = narration.Narrator(rng, persona.taste_seed)
    return Player(Ground(arena), persona, narrator, mouth, rng, sight=Sight(arena) if search else None)


def errand_of(name: str, player: Player, jumps: int) -> Errand:
    """What a person would do who is told an instruction."""
    if name in MOTIONS:
        return Errand(*MOTIONS[name], number=jumps if name == "jump" else BLOCKS)
    things = player.ground.of(name) or [one for one in player.ground.of("pillar") if one.colour == name]
    kind = {"pillar": "pillar", "tree": "chop"}.get(things[0].noun, things[0].noun)
    nearest = min(things, key=lambda one: flat_m(player.position, one.position))
    return Errand(kind, "the closest", nearest, NODES)


def when(world, arena_seed: int, name: str, search: bool, frames: int) -> int | None:
    """A life in which the player is told one thing: the frame by which it was done, or None."""
    _, info = world.reset(seed=arena_seed)
    arena = info["arena"]
    jumps = Wording.draw("heard", arena, arena_seed, 0, (name,)).jumps
    player = make_player(arena, arena_seed, search)
    script = judge = None
    for frame in range(BEFORE + frames):
        player.see(info["truth"], frame)
        if frame == BEFORE:
            script, judge = run_errand(player, errand_of(name, player, jumps)), Judge(arena, info["truth"])
        pressed, camera_deg = player.act(next(script, set()) if script else set())
        *_, info = world.step({**noop(), **dict.fromkeys(pressed, 1), "camera": camera_deg})
        if judge:
            judge.see([button in pressed for button in BUTTONS], info)
    return when_done(name, judge.watched(), jumps)


def main(options: Options) -> Mapping:
    """Everything in the module's docstring."""
    found: dict[str, dict] = {}
    with closing(make(options.world, size=SIZE)) as world:
        for player, search in PLAYERS.items():
            found[player] = {}
            for name in tqdm(options.instructions, player):
                frames = watched_frames(name)
                done = [when(world, arena, name, search, frames) for arena in options.arenas]
                share = wilson("done", np.array([one is not None for one in done], float))
                found[player][name] = share | {"when": done}
    print(f"{'':8}" + "".join(f"{player:>12}" for player in found))
    for name in options.instructions:
        print(f"{name:8}" + "".join(f"{of[name]['done']:12.2f}" for of in found.values()))
    if options.out:
        write_json(options.out, found | {"options": to_dict(options)})
    return found


if __name__ == "__main__":
    run(main, Options)
