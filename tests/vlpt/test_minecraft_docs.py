"""docs/minecraft.md is true: its programs exist and know the options that it gives them, its numbers are the code's."""

import inspect
import re
import runpy
import shlex
import sys

import pytest
from support.places import ROOT

import vlpt.options
import vpt.options
from data_gathering.openai_files import WINDOW_SCALE
from vlpt.worlds import WORLDS
from vlpt.worlds.check import check
from vlpt.worlds.minecraft.actions import BASALT, lost
from vlpt.worlds.minecraft.world import Minecraft

PAGE = (ROOT / "docs/minecraft.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.S))
COMMANDS = [line for line in BLOCKS.splitlines() if line.strip()] + re.findall(r"`(python evaluate.py vpt[^`]*)`", PAGE)


@pytest.mark.parametrize("line", [line for line in COMMANDS if "worlds.check" not in line])
def test_its_program_understands_it(line, monkeypatch):
    words, understood = shlex.split(line)[1:], []
    module = words[1] if words[0] == "-m" else words[0].removesuffix(".py")

    def only_parse(program, options, *args) -> None:
        understood.append(vpt.options.parse(options, sys.argv[1:]))

    for place in (vlpt.options, vpt.options):
        monkeypatch.setattr(place, "run", only_parse)
    monkeypatch.setattr(sys, "argv", [module, *words[1 + (words[0] == "-m") :]])
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.chdir(ROOT)
    runpy.run_module(module, run_name="__main__")
    assert understood
    world = getattr(understood[0], "world", "dummy")
    assert world in WORLDS and (world == "dummy" or understood[0].size == (640, 360))


def test_what_it_says_of_the_game_is_so():
    assert "python -m vlpt.worlds.check minecraft" in COMMANDS and check("minecraft")[0]
    defaults = {name: one.default for name, one in inspect.signature(Minecraft.__init__).parameters.items()}
    assert f"longer than {defaults['step_s']:g} seconds" in PAGE and f"Every {defaults['episodes']} episodes" in PAGE
    assert all(f"`{task}`" in PAGE or f" {task}`" in PAGE for task in BASALT)
    assert "no " + ", ".join(f"`{key}`" for key in ("drop", "ESC", "swapHands")) in PAGE
    assert set(lost("minestudio")) == {"drop", "ESC", "swapHands"}
    assert {version: scale for version, scale in WINDOW_SCALE.items() if version[0] == "6"} == {
        "6.7": 2.0, "6.8": 2.0, "6.9": 2.0}  # fmt: skip
