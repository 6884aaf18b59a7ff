"""README is true: its tree, its commands, its Python example, its targets; and nothing names a machine."""

import re

import pytest
from support.places import ROOT
from support.repository import clone, shell, tracked

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("clone"), recordings=2)


def test_the_tree_is_the_tree():
    """Every path of it exists, nothing at the root and no folder of code is left out, and it stays short."""
    lines = re.search(r"```text\n(.*?)```", README.split("## The tree")[1], re.S).group(1).splitlines()
    shown, folder = set(), []
    for line in lines:
        match = re.match(r"^( *)(\S+)", line)
        depth = len(match.group(1)) // 2
        folder[depth:] = [match.group(2).rstrip("/")]
        shown.add("/".join(folder))
    missing = [path for path in shown if not (ROOT / path).exists()]
    assert not missing, f"README's tree names {missing}"
    at_root = {path.split("/")[0] for path in tracked()} - {".gitignore"}
    rooms = {path.rpartition("/")[0] for path in tracked("data_gathering/*.py", "vpt/*.py", "vlpt/*.py")}
    left_out = at_root | {room for room in rooms if room.count("/") <= 1} - {""}
    assert left_out <= shown, f"README's tree leaves out {sorted(left_out - shown)}"
    assert len(lines) <= 40


def test_every_file_explains_itself():
    """A file's first line says what it is, as the tree does not."""
    for path in tracked("*.py"):
        text = (ROOT / path).read_text()
        assert text.startswith(('"""', 'r"""')) or not text, f"{path} begins without a docstring"


def blocks(kind: str, heading: str) -> list[str]:
    """Code blocks of a kind under a heading."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{kind}\n(.*?)```", section, re.S)


def commands(heading: str) -> list[str]:
    """Lines of the sh blocks under a heading, continued lines joined."""
    text = "\n".join(blocks("sh", heading)).replace("\\\n", " ")
    return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]


def test_the_tour_runs_and_its_agent_acts_and_hears(copy):
    """Line by line; then the Python example, on the agent that the tour has trained."""
    lines = commands("A tour in two minutes")
    assert len(lines) >= 4
    for line in lines:
        shell(line, copy)
    assert (copy / "runs/tour.mp4").stat().st_size > 10_000
    example, = blocks("python", "In Python")
    (copy / "example.py").write_text(example + "\nassert set(action) > {'attack', 'camera'}, action\n")
    shell("python example.py", copy)


def test_makefile_has_what_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\w+)", README, re.M))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), f"README names make {target}"


def test_every_program_that_readme_names_is_there():
    """`python -m package.module` and `python file.py STAGE` in the text, too."""
    for module in set(re.findall(r"python -m ([\w.]+)", README)):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for file in set(re.findall(r"python (\w+\.py)", README)):
        assert (ROOT / file).exists(), file


def test_every_file_that_the_documents_name_is_there():
    """Of code and tests; what experiments of long ago were run with may be gone, in docs/log.md."""
    for document in ("README.md", "docs/results.md", "docs/scale.md"):
        text = (ROOT / document).read_text()
        for path in set(re.findall(r"\b((?:tests|vlpt|vpt|data_gathering)/[\w/.]+\.(?:py|toml|yaml))", text)):
            assert (ROOT / path).exists(), f"{document} names {path}"
        for module in set(re.findall(r"python -m ((?:vlpt|vpt|data_gathering)[\w.]+\w)", text)):
            assert (ROOT / f"{module.replace('.', '/')}.py").exists(), f"{document} names {module}"


def test_no_path_of_a_machine():
    """Nothing tracked names a home or working folder of whoever wrote it."""
    for path in tracked("*.py", "*.md", "*.sh", "*.ipynb", "*.json", "*.cff", "Makefile"):
        if path.startswith("tests/fixtures/"):
            continue
        text = (ROOT / path).read_text()
        assert not re.search(r"/(root|home|work|Users)/\w", text), path
