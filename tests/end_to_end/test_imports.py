"""Imports point one way, from programs to rooms to VPT."""

import ast
from pathlib import Path

import pytest
from support.places import ROOT
from support.repository import tracked

MAY_IMPORT = {  # room: rooms of ours that it may import, itself apart
    "vpt": set(),
    "vlpt.worlds": set(),
    "vlpt": {"vpt", "vlpt.show"},
    "vlpt.live": {"vpt", "vlpt", "vlpt.show", "vlpt.worlds"},  # a game on a page
    "vlpt.evaluation": {"vpt", "vlpt", "vlpt.show"},
    "vlpt.show": {"vpt", "vlpt", "vlpt.evaluation"},
    "data_gathering": {"vpt", "vlpt", "vlpt.worlds", "vlpt.show"},
    "train": {"vpt", "vlpt"},
    "evaluate": {"vpt", "vlpt", "vlpt.evaluation"},
    "demo": {"vlpt", "vlpt.evaluation", "vlpt.show", "data_gathering", "evaluate"},  # the list of all programs
    "evidence": {"vlpt", "vlpt.evaluation", "vlpt.show", "demo"},
    "ablations": {"vlpt", "vlpt.evaluation", "vlpt.show", "demo"},
}
GATHERING_USES = {"options", "files", "data", "worlds", "show"}  # of vlpt: formats, pages, worlds; no model
NEEDS_A_WORLD = {"play.py", "games.py", "done.py", "told_lives.py", "lives.py", "carried_out.py", "played_errands.py"}
JUDGED = "data_gathering/ceiling.py"  # a player measured as agents are
PIPELINES = {"gather", "pipeline", "rehearsal"}  # programs that run the other programs


def room(module: str) -> str | None:
    """The room a dotted module name or a path lies in, or None when it is not ours."""
    return next((r for r in sorted(MAY_IMPORT, key=len, reverse=True) if (module + ".").startswith(r + ".")), None)


def imported(path: str) -> set[str]:
    """Dotted names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", [p for p in tracked("*.py") if not p.startswith("tests/")])
def test_imports_point_one_way(path):
    own = room(path.removesuffix(".py").replace("/", "."))
    assert own, f"{path} is in no room"
    for name in imported(path):
        other = room(name)
        if other is None or other == own:
            continue
        allowed = MAY_IMPORT[own] | ({"vlpt.worlds"} if Path(path).name in NEEDS_A_WORLD else set())
        allowed |= {"vlpt.live"} if path == "vlpt/play.py" else set()  # the program that opens it
        allowed |= {"vlpt.evaluation"} if path == JUDGED else set()
        assert other in allowed, f"{path} imports {name}"
        if own == "data_gathering" and other == "vlpt":
            assert name.split(".")[1] in GATHERING_USES, f"{path} imports {name}"


def test_no_gathering_program_imports_another():
    """What they share has rooms of its own; only the pipelines run them all."""
    programs = {Path(path).stem for path in tracked("data_gathering/*.py")
                if path.count("/") == 1 and 'if __name__ == "__main__"' in (ROOT / path).read_text()}
    assert {"find", "shard", "label", "demonstrate"} <= programs
    for name in programs - PIPELINES:
        others = {".".join(used.split(".")[:2]) for used in imported(f"data_gathering/{name}.py")}
        assert not others & {f"data_gathering.{other}" for other in programs - {name}}, name


def test_the_rooms_within_vlpt_do_not_depend_on_what_is_shown_or_trained():
    """Data and language models know nothing of training and pictures of results."""
    for path in tracked("vlpt/data/*.py", "vlpt/language/*.py"):
        for name in imported(path):
            assert not name.startswith(("vlpt.training", "vlpt.show", "vlpt.agent", "vlpt.play")), f"{path}: {name}"
