"""Lives: an agent plays in a world and talks, told nothing; what happened is kept, and read back. And people's episodes
as the same.

In: an agent, a world's name, a seed. Out: `<seed>.jsonl`, a line that says what life it is, then one a frame with its
piece of speech, keys, mouse and the world's truth; and `Life`, all that instruments ask of it:

    for life in lives(agent, options, folder, grammar): life.sentences, life.buttons, life.lines, life.world

A life that is there is not played again; one of another agent or of other options stops everything. Legend: N frames.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vlpt.agent import Agent
from vlpt.checkpoint import agent_key
from vlpt.data import in_view
from vlpt.data.sentences import Grammar, on_ticks
from vlpt.data.shards import Episode
from vlpt.data.views import Line, Thing, read_view
from vlpt.data.words import Word, split_at_pauses
from vlpt.evaluation.health import words_of_play
from vlpt.files import locked, read_lines, write_lines
from vlpt.play import action_of
from vlpt.worlds import make, noop
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

TICK_FRAMES = 4  # from one line of what is in view to the next


@dataclass(frozen=True, eq=False)
class World:
    """The world's truth in a life."""

    arena: dict[str, Any]
    position: np.ndarray  # (N, 3) metres, y up
    gaze_deg: np.ndarray  # (N, 2): yaw clockwise from +z, pitch down
    events: list[list[dict]]  # N: what was dug, placed and picked up


@dataclass(frozen=True, eq=False)
class Life:
    """What somebody saw, did and said in one go."""

    name: str
    channel: str  # whose it is: an agent's life in an arena stands for itself
    sentences: list[list[Word]]
    buttons: np.ndarray  # (N, 20) uint8
    camera_deg: np.ndarray  # (N, 2)
    known: list[Line] | None = None  # what is in view, where a file says so
    world: World | None = None

    @property
    def frames(self) -> int:
        return len(self.buttons)

    @property
    def words(self) -> list[Word]:
        """All that was said."""
        return [word for sentence in self.sentences for word in sentence]

    @cached_property
    def lines(self) -> list[Line]:
        """What is in view, a line a tick; none where nobody knows."""
        return self.known or ([] if self.world is None else list(seen(self.world)))


def seen(world: World) -> Iterator[Line]:
    """A line a tick. A flower is gone once it was dug."""
    things = in_view.read_things(world.arena)
    for frame, (position, gaze_deg) in enumerate(zip(world.position, world.gaze_deg, strict=True)):
        if frame % TICK_FRAMES == 0:
            shown = in_view.View(in_view.eye_of(position), *gaze_deg)(things)
            yield Line(frame, "", [Thing(**one | {"share": tuple(one["share"])}) for one in shown])
        for event in world.events[frame]:
            if event["kind"] == "dig" and event["node"].startswith("flowers:"):
                things = [one for one in things if one.kind != "flower" or not stands_at(one, event["position"])]


def stands_at(thing: in_view.Thing, place: Sequence[float]) -> bool:
    """Whether its middle is in the column of a node."""
    return bool(np.abs(thing.boxes.mean((0, 1)) - place)[[0, 2]].max() <= 0.5)


# ---- an agent's lives


def play(agent: Agent, options, seed: int) -> Iterator[dict]:
    """The lines of one life. options: world, size, seconds. Raises RuntimeError where the game dies."""
    with closing(make(options.world, size=options.size)) as world:
        observation, info = world.reset(seed=seed)
        yield head(options, seed) | {"arena": info["arena"]}
        memory = agent.start(seed=seed)
        for frame in range(round(options.seconds * FRAMES_PER_SECOND)):
            truth = info["truth"]
            (action,), (word,), memory = agent.act([observation["pov"]], memory)
            observation, _, _, _, info = world.step({**noop(), **action})
            yield {"ms": frame * FRAME_MS, "word": word, **action_of(action.buttons, info["camera_deg"]),
                   "position": np.round(truth["position"], 2).tolist(),
                   "gaze_deg": [round(truth["yaw_deg"], 2), round(truth["pitch_deg"], 2)],
                   "events": info["truth"]["events"]}  # fmt: skip


def head(options, seed: int) -> dict:
    """What a life is of: a file of another one is not taken for it."""
    return {"seed": seed, "weights": agent_key(options.model), "world": options.world, "size": list(options.size),
            "seconds": options.seconds}  # fmt: skip


def lives(agent: Agent, options, folder: Path, grammar: Grammar) -> tuple[list[Life], list[int]]:
    """The lives of all of `options.seeds`, those played before among them, and the seeds whose game died twice. Raises
    ValueError for a file of another life.
    """
    found, lost = [], []
    for seed in options.seeds:
        check(folder / f"{seed}.jsonl", options, seed)
    with locked(folder):
        for seed in tqdm(options.seeds, "saying", unit="life"):
            path = folder / f"{seed}.jsonl"
            if path.exists() or _played(agent, options, seed, path):
                found.append(read_life(path, agent, grammar))
            else:
                lost.append(seed)
    if not found:
        raise ValueError(f"every game in {options.world} died, twice each: see what it says with "
                         f"python -m vlpt.play --model {options.model} --world {options.world}")  # fmt: skip
    return found, lost


def _played(agent: Agent, options, seed: int, path: Path) -> bool:
    for _ in range(2):
        try:
            write_lines(path, list(play(agent, options, seed)))
            return True
        except RuntimeError as error:  # of the game
            tqdm.write(f"seed {seed}: {error}")
    return False


def check(path: Path, options, seed: int) -> None:
    """Raises ValueError where a life's file is there and is not of these options."""
    if not path.exists():
        return
    there, asked = (read_lines(path) or [{}])[0], head(options, seed)
    other = [name for name, value in asked.items() if there.get(name) != value]
    if other:
        raise ValueError(f"{path} is a life of another {' and '.join(other)}: name another --out, or remove the file")


def read_life(path: Path, agent: Agent, grammar: Grammar) -> Life:
    """What `play` wrote. Each word ends with the tick of its last piece."""
    first, *rows = read_lines(path)
    buttons = np.zeros((len(rows), len(BUTTONS)), np.uint8)
    for row, down in zip(buttons, (row["buttons"] for row in rows), strict=True):
        row[[MINECRAFT.column[name] for name in down]] = 1
    world = World(first["arena"], np.array([row["position"] for row in rows]),
                  np.array([row["gaze_deg"] for row in rows]), [row["events"] for row in rows])  # fmt: skip
    words = words_of_play(rows, agent.model.config.frames_per_tick * FRAME_MS)
    return Life(str(first["seed"]), str(first["seed"]), grammar.cut(words), buttons,
                np.array([row["camera_deg"] for row in rows]), world=world)  # fmt: skip


# ---- people's


def of_people(episodes: Sequence[Episode], views: str) -> list[Life]:
    """Their episodes; views: folder of <id>.view.jsonl.gz, or empty. Raises ValueError for a file that is missing."""
    found = []
    for episode in episodes:
        buttons, camera_deg = episode.true_buttons, episode.true_camera_deg
        if buttons is None or camera_deg is None:
            buttons, camera_deg = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
        lines = read_view(views, episode) if views else None
        said = [word for word in episode.words if word.start_ms < episode.n_frames * FRAME_MS]
        found.append(Life(episode.id, episode.channel, split_at_pauses(said, most=max(1, len(said))), buttons,
                          camera_deg, lines))  # fmt: skip
    return found


def as_an_agent(life: Life, grammar: Grammar) -> Life:
    """The same with what is said put on ticks and cut again: what cutting an agent's talk costs."""
    return replace(life, sentences=grammar.cut(on_ticks(life.words, TICK_FRAMES * FRAME_MS)))
