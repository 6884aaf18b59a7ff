"""The house in order: imports point one way, README is true, the notebook tells demo.sh's story."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

README = (ROOT / "README.md").read_text()
MAY_IMPORT = {  # room: rooms of ours that it may import, itself apart
    "vpt": set(),
    "vlpt.worlds": set(),
    "vlpt": {"vpt"},
    "data_gathering": {"vpt", "vlpt", "vlpt.worlds"},
    "train": {"vpt", "vlpt"},
    "evaluate": {"vpt", "vlpt"},
}
GATHERING_USES = {"options", "data", "worlds", "show"}  # of vlpt: formats, pages, worlds; no model
NEEDS_A_WORLD = {"play.py"}


def tracked(*patterns: str) -> list[str]:
    """Files that git knows, and new ones it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for path in set(found) if (ROOT / path).exists())


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
        assert other in allowed, f"{path} imports {name}"
        if own == "data_gathering" and other == "vlpt":
            assert name.split(".")[1] in GATHERING_USES, f"{path} imports {name}"


def test_readme_tree_is_the_tree():
    """Every path of README's tree exists, and nothing at the root or in a folder that it opens is left out."""
    block = re.search(r"```text\n(.*?)```", README, re.S).group(1)
    shown, folder = set(), []
    for line in block.splitlines():
        match = re.match(r"^( *)(\S+)", line)
        depth = len(match.group(1)) // 2
        folder[depth:] = [match.group(2).rstrip("/")]
        shown.add("/".join(folder))
    missing = [path for path in shown if not (ROOT / path).exists()]
    assert not missing, f"README's tree names {missing}"
    at_root = {path.split("/")[0] for path in tracked()} - {".gitignore"}
    assert at_root <= shown, f"README's tree leaves out {sorted(at_root - shown)}"
    opened = {path.rsplit("/", 1)[0] for path in shown if path.endswith(".py") and "/" in path}
    inside = {path for path in tracked("*.py") if path.rpartition("/")[0] in opened}
    left_out = {path for path in inside if not path.endswith("__init__.py")} - shown
    assert not left_out, f"README's tree leaves out {sorted(left_out)}"


def commands(heading: str) -> list[str]:
    """Lines of the sh blocks under a heading of README, continued lines joined."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    text = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.S)).replace("\\\n", " ")
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository as a clone would be, to run things in."""
    folder = tmp_path_factory.mktemp("clone")
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return folder


def shell(line: str, folder: Path) -> None:
    """Runs a line as a person would with the virtual environment active; it must succeed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "VLPT_QUICK": "1"}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"


def test_readme_commands_run(copy):
    """The tour, line by line."""
    lines = commands("A tour in two minutes")
    assert len(lines) >= 4
    for line in lines:
        shell(line, copy)
    assert (copy / "runs/tour.mp4").stat().st_size > 10_000


def test_notebook_runs_top_to_bottom(copy):
    """At its reduced size."""
    shell("jupyter nbconvert --to notebook --execute --output ran.ipynb main.ipynb", copy)
    cells = json.loads((copy / "ran.ipynb").read_text())["cells"]
    assert sum("image/png" in str(cell.get("outputs")) for cell in cells) >= 3


def test_makefile_has_what_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", README, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), f"README names make {target}"


def test_notebook_tells_the_demos_story():
    """Every run that demo.sh trains is trained in the notebook, which defines nothing of its own."""
    cells = json.loads((ROOT / "main.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    defined = [n for n in ast.walk(ast.parse(code)) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.Lambda))]
    assert not defined
    demo = (ROOT / "demo.sh").read_text().replace("\\\n", " ")
    trained = re.findall(r"train\.py --stage (\w+) .*?--name (\w+)", demo)
    assert len(trained) >= 7
    for stage, name in trained:
        assert re.search(rf"--stage {stage} --name {name}\b", code), f"the notebook does not train {name}"


def test_no_path_of_a_machine():
    """Nothing tracked names a home or working folder of whoever wrote it."""
    for path in tracked("*.py", "*.md", "*.sh", "*.ipynb", "*.json", "Makefile"):
        if path.startswith("tests/fixtures/"):
            continue
        text = (ROOT / path).read_text()
        assert not re.search(r"/(root|home|work|Users)/\w", text), path
