"""The pages in docs/ are true: every command is understood by the program it names, the cheap ones run, links lead on.

Run: pytest tests/end_to_end/test_docs.py

RUN names what is run, in the order of the pages and within this process; all else (minutes to hours, a game, a site) is
parsed by the program's own options. README's commands have tests/end_to_end/test_readme.py.
"""

import re
import runpy
import shlex
import sys

import pytest
from support.places import ROOT
from support.repository import clone

import vlpt.options
import vpt.options
from vlpt.show.site import PAGES

OURS = ("index", "start", "gather", "train", "evaluate", "play", "minecraft")  # in the order in which they are read
RUN = ("python -m vlpt.play --model pretrained/agent --world dummy", "python -m data_gathering.shard --recordings "
       "data_gathering/samples --labels truth", "python -m data_gathering.stats")


def commands(name: str) -> list[str]:
    """Lines of the sh blocks of a page, in order."""
    found = "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / f"docs/{name}.md").read_text(), re.S))
    return [line.split("  #")[0].strip() for line in found.replace("\\\n", " ").splitlines() if line.strip()]


def start(line: str, monkeypatch) -> object:
    """A line `python -m module …` or `python file.py …`, here; returns its exit status."""
    words = shlex.split(line)[1:]
    with monkeypatch.context() as patched:
        module = words[1] if words[0] == "-m" else words[0].removesuffix(".py")
        patched.setattr(sys, "argv", [module, *words[1 + (words[0] == "-m"):]])
        patched.delitem(sys.modules, module, raising=False)
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as end:
            return end.code
        return 0


@pytest.mark.parametrize("name", OURS)
def test_programs_understand_every_command(name, monkeypatch):
    """By their own options, in place of being run."""
    understood = []

    def only_parse(program, options, *args, **how) -> None:
        understood.append(vpt.options.parse(options, sys.argv[1:]))

    for module in (vlpt.options, vpt.options):
        monkeypatch.setattr(module, "run", only_parse)
    monkeypatch.chdir(ROOT)
    makefile = (ROOT / "Makefile").read_text()
    for line in commands(name):
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.M), line
        elif line.startswith("python -m vlpt.worlds.check"):  # has options of its own; 1: something is missing here
            assert start(line, monkeypatch) in (0, 1), line
        elif line.startswith("python ") and "--help" not in line:
            before = len(understood)
            start(line, monkeypatch)
            assert len(understood) == before + 1, line
        else:
            assert line == "source .venv/bin/activate" or line.endswith("--help"), f"{name}: what is {line}?"


def test_cheap_commands_run_and_the_example_acts(tmp_path, monkeypatch):
    copy = clone(tmp_path, recordings=2)
    monkeypatch.chdir(copy)
    lines = [line for name in OURS for line in commands(name) if line.startswith(RUN)]
    assert len(lines) == len(RUN)
    for line in lines:
        assert not start(line, monkeypatch), line
    for made in ("runs/first.mp4", "data/first/stats.html"):
        assert (copy / made).stat().st_size > 100, made
    example, = re.findall(r"```python\n(.*?)```", (ROOT / "docs/play.md").read_text(), re.S)
    held: dict = {}
    exec(example, held)
    assert set(held["action"]) > {"attack", "camera"}


def test_pages_are_in_order_and_every_file_they_link_is_there():
    """The overview names every page; every relative link of a page leads to a file."""
    linked = re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs/index.md").read_text())
    assert linked == [name for name in PAGES if name != "index"]
    for name in PAGES:
        if not (ROOT / f"docs/{name}.md").exists():
            continue
        for address in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / f"docs/{name}.md").read_text()):
            assert address.startswith("http") or (ROOT / "docs" / address).exists(), f"docs/{name}.md names {address}"
