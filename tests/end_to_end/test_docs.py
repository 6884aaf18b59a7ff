"""The pages in docs/ are true: every command is understood by the program it names, the cheap ones run, links lead on.

Run: pytest tests/end_to_end/test_docs.py

RUN names what is run, in the order of the pages and within this process; all else (minutes to hours, a game, a site) is
parsed by the program's own options, in blocks and within sentences. docs/log.md is left out: it is history, with the
options that programs had on the day. README's commands have tests/end_to_end/test_readme.py.
"""

import re
import runpy
import shlex
import sys

import pytest
import torch.distributed.run
from support.places import ROOT
from support.repository import clone

import vlpt.options
import vpt.options
from vlpt.show.site import PAGES

OURS = ("index", "start", "gather", "train", "evaluate", "play", "minecraft")  # in the order in which they are read
MEASURED = ("scale", "results")  # what was done on other machines, or takes hours
RUN = ("python -m vlpt.play --model pretrained/agent --world dummy", "python -m data_gathering.shard --recordings "
       "data_gathering/samples --labels truth", "python -m data_gathering.stats --shards data/first")


def commands(name: str) -> list[str]:
    """Lines of the sh blocks of a page, in order."""
    found = "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / f"docs/{name}.md").read_text(), re.S))
    lines = [line.split("  #")[0].strip() for line in found.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def named(name: str) -> list[str]:
    """Commands within a page's sentences and tables: a program, with options or alone."""
    text = re.sub(r"```.*?```", "", (ROOT / f"docs/{name}.md").read_text(), flags=re.S)
    program = r"(?:python |torchrun |make |(?=(?:train|evaluate|tests/benchmarks/\w+)\.py ))"
    return [("" if line.startswith(("python ", "torchrun ", "make ")) else "python ") + line
            for line in re.findall(rf"`({program}[^`\n]+)`", text)]  # fmt: skip


def start(line: str, monkeypatch) -> object:
    """A line `python -m module …` or `python file.py …`, here; returns its exit status."""
    words = shlex.split(line)[1:]
    with monkeypatch.context() as patched:
        module = words[1] if words[0] == "-m" else words[0].removesuffix(".py")
        patched.setattr(sys, "argv", [module, *words[1 + (words[0] == "-m"):]])
        patched.setattr(sys, "path", [str((ROOT / module).parent), *sys.path])  # as Python does for a file
        patched.delitem(sys.modules, module, raising=False)
        try:
            if "/" in module:
                runpy.run_path(f"{module}.py", run_name="__main__")
            else:
                runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as end:
            return end.code
        return 0


def alone(line: str) -> str:
    """What `torchrun`, under Slurm or not, starts in each process; its own options are read by itself."""
    launched = line.removeprefix("srun ")
    if not launched.startswith("torchrun "):
        return line
    asked = torch.distributed.run.get_args_parser().parse_args(shlex.split(launched)[1:])
    return shlex.join(["python", asked.training_script, *asked.training_script_args])


@pytest.fixture
def understood(monkeypatch) -> list:
    """Options that programs were asked for; programs parse them, in place of running."""
    asked: list = []
    for module in (vlpt.options, vpt.options):
        monkeypatch.setattr(module, "run", lambda program, options, *_: asked.append(vpt.options.parse(options)))
    monkeypatch.chdir(ROOT)
    return asked


@pytest.mark.parametrize("name", OURS + MEASURED)
def test_programs_understand_every_command(name, understood, monkeypatch):
    """By their own options; of one that is named without options, that it is there, and its kind of work with it."""
    makefile = (ROOT / "Makefile").read_text()
    for line in map(alone, commands(name) + named(name)):
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.M), line
        elif line.startswith("python -m vlpt.worlds.check"):  # has options of its own; 1: something is missing here
            assert start(line, monkeypatch) in (0, 1), line
        elif line.startswith("python ") and " --" in line and "--help" not in line:
            before = len(understood)
            start(line, monkeypatch)
            assert len(understood) == before + 1, line
        elif line.startswith("python "):
            assert not start(line.removesuffix(" --help") + " --help", monkeypatch), line
        else:
            assert line == "source .venv/bin/activate" or line.startswith("head=$("), f"{name}: what is {line}?"


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


def test_the_keys_that_are_told_are_those_of_the_page():
    table = (ROOT / "docs/play.md").read_text().split("| key |")[1].split("\n\n")[0]
    told, page = re.findall(r"^\| ([^|]+) \| ", table, re.M), (ROOT / "vlpt/live/page.html").read_text()
    assert sorted(told) == sorted(re.findall(r"<kbd>(.+?)</kbd>", page))


def test_pages_are_in_order_and_every_file_they_link_is_there():
    """The overview names every page; every relative link of a page leads to a file."""
    linked = re.findall(r"\]\((\w+)\.md\)", (ROOT / "docs/index.md").read_text())
    assert linked == [name for name in PAGES if name != "index"]
    for name in PAGES:
        if not (ROOT / f"docs/{name}.md").exists():
            continue
        for address in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / f"docs/{name}.md").read_text()):
            assert address.startswith("http") or (ROOT / "docs" / address).exists(), f"docs/{name}.md names {address}"
