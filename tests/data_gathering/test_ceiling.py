"""The scripted player, judged as an agent is: in an arena without a game.

Run: pytest tests/data_gathering/test_ceiling.py
"""

import json

import numpy as np
import pytest
from support.toy_arena import ToyArena

from data_gathering import ceiling
from data_gathering.ceiling import Options, main, when
from vlpt.evaluation.instructions import NAMES
from vpt.actions import BUTTONS


class ToyWorld:
    """The toy arena with a world's manners."""

    def __init__(self, *_, **how):
        self.arena = ToyArena()

    def reset(self, seed):
        info = self.arena.reset(seed)
        return {}, {**info, "arena": {**info["arena"], "ground": 8}}

    def step(self, action):
        pressed = {button for button in BUTTONS if action[button]}
        info = self.arena.step(pressed, action["camera"])
        for event in info["truth"]["events"]:  # named as the game names them
            event["node"] = {"flower": "flowers:rose"}.get(event["node"], f"default:{event['node']}")
        return {}, 0.0, False, False, {**info, "camera_deg": action["camera"]}

    def close(self):
        pass


@pytest.mark.parametrize("search", [False, True])
def test_it_does_what_it_is_told_and_not_what_it_is_not(search):
    done = {name: [when(ToyWorld(), arena, name, search, frames=240) for arena in range(3)] for name in NAMES}
    did = {name: np.mean([one is not None for one in of_arenas]) for name, of_arenas in done.items()}
    assert np.mean(list(did.values())) > 0.85 and did["jump"] == did["back"] == 1
    assert when(ToyWorld(), 0, "back", search, frames=3) is None  # there was no time


def test_the_table_and_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ceiling, "make", ToyWorld)
    found = main(Options(seeds=(2,), instructions=("jump", "back"), out=str(tmp_path / "ceiling.json")))
    assert found["knowing"]["back"]["done"] == 1 and len(found["searching"]["jump"]["when"]) == 2
    assert json.loads((tmp_path / "ceiling.json").read_text()).keys() == {"knowing", "searching", "options"}
    assert "back" in capsys.readouterr().out
