"""What a machine needs for Minecraft, step by step, each with its cure; nothing of the game is started.

In: "minerl" or "minestudio", and its python (empty: as VLPT_MINERL_PYTHON or VLPT_MINESTUDIO_PYTHON says). Out: steps.

    for step in steps("minerl"): print(step.line())         # python -m vlpt.worlds.check minecraft
    check_installed("minerl", "")                            # raises RuntimeError naming the first cures
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlpt.worlds.minecraft.actions import MINERL, MINESTUDIO

__all__ = ["Step", "check_installed", "display", "python_of", "steps"]

ENGINE = "engine/build/libs/mcprec-6.13.jar"  # below MINESTUDIO_DIR
WAIT_S = 60
ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": list(sys.version_info[:2])}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""
INSTALL = {
    MINERL: 'python3.9 -m venv minerl && minerl/bin/pip install "setuptools<66" "numpy<1.24" && minerl/bin/pip install '
            "--no-build-isolation git+https://github.com/minerllabs/minerl@v1.0.0",
    MINESTUDIO: "python3.10 -m venv minestudio && minestudio/bin/pip install minestudio==1.1.6",
}  # fmt: skip
LEAST = {MINERL: "1.0", MINESTUDIO: "1.1"}
PYTHONS = {MINERL: ((3, 7), (3, 11)), MINESTUDIO: ((3, 10), (3, 12))}  # oldest and newest


@dataclass(frozen=True)
class Step:
    """One thing that is needed: what was found of it, whether that is right, and else what to do."""

    name: str
    found: str
    right: bool
    cure: str

    def line(self) -> str:
        """As it is printed."""
        return f"{'ok     ' if self.right else 'missing'}  {self.name}: {self.found}" + (
            "" if self.right else f"\n         {self.cure}")  # fmt: skip


def variable(game: str) -> str:
    """The environment variable that names the game's python."""
    return f"VLPT_{game.upper()}_PYTHON"


def python_of(game: str, python: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """The game's python; empty where nobody named one."""
    return python or environ.get(variable(game), "")


def steps(game: str, python: str = "", environ: Mapping[str, str] = os.environ) -> list[Step]:
    """All that is needed, in the order in which a person would see to it."""
    found = packages(python_of(game, python, environ), game)
    return [_environment(game, python_of(game, python, environ), found), *_versions(game, found), _java(environ),
            _display(game, environ), *([_engine(environ)] if game == MINESTUDIO else [])]  # fmt: skip


def check_installed(game: str, python: str = "", environ: Mapping[str, str] = os.environ) -> None:
    """Raises RuntimeError with what is missing and its cures."""
    if missing := [step for step in steps(game, python, environ) if not step.right]:
        said = "".join(f"\n  {step.name}: {step.found}: {step.cure}" for step in missing)
        raise RuntimeError(f"{game} cannot start (python -m vlpt.worlds.check minecraft tells step by step):{said}")


def packages(python: str, game: str) -> dict:
    """{"python": [3, 9], package: version}, asked of that python; {} where it does not run."""
    if not python:
        return {}
    try:
        asked = subprocess.run([python, "-c", ASK, game, "numpy", "gym"], capture_output=True, text=True,
                               timeout=WAIT_S, cwd=tempfile.gettempdir())  # fmt: skip
        return json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}


def _environment(game: str, python: str, found: dict) -> Step:
    cure = f"{INSTALL[game]}; then export {variable(game)}=$PWD/{game}/bin/python"
    if not python:
        return Step("an environment of its own", f"{variable(game)} is not set", False, cure)
    if not found:
        return Step("an environment of its own", f"{python} does not run", False, cure)
    (oldest, newest), version = PYTHONS[game], tuple(found["python"])
    wanted = " to ".join(".".join(map(str, one)) for one in (oldest, newest))
    right = oldest <= version <= newest
    return Step("an environment of its own", f"{python}, Python {'.'.join(map(str, version))}", right,
                f"{game} wants Python {wanted}: {cure}")  # fmt: skip


def _versions(game: str, found: dict) -> list[Step]:
    python = variable(game)
    wanted = {game: (lambda version: version >= numbered(LEAST[game]), f"at least {LEAST[game]}: {INSTALL[game]}"),
              "numpy": (lambda version: version < (2,), f'below 2: "${python}" -m pip install "numpy<2"'),
              "gym": (lambda version: True, f'any: "${python}" -m pip install gym')}  # fmt: skip
    return [Step(name, found.get(name, "is not installed"), name in found and is_right(numbered(found[name])), cure)
            for name, (is_right, cure) in wanted.items()]  # fmt: skip


def numbered(version: str) -> tuple[int, ...]:
    """(1, 0, 2) of "1.0.2.post1"."""
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def _java(environ: Mapping[str, str]) -> Step:
    home = environ.get("JAVA_HOME")
    java = str(Path(home) / "bin/java") if home else shutil.which("java", path=environ.get("PATH"))
    cure = ("Minecraft 1.16.5 runs on Java 8 only: apt-get install openjdk-8-jdk (Ubuntu), or conda install -c "
            "conda-forge openjdk=8, and export JAVA_HOME; put its bin first in PATH")  # fmt: skip
    try:
        said = subprocess.run([java or "java", "-version"], capture_output=True, text=True, timeout=WAIT_S,
                              env=dict(environ))  # fmt: skip
        version = re.search(r'version "([^"]+)"', said.stderr + said.stdout)
    except (OSError, subprocess.TimeoutExpired):
        version = None
    if version is None:
        return Step("Java 8", "no java is found", False, cure)
    return Step("Java 8", f"{java}, {version[1]}", version[1].startswith(("1.8.", "8.")), cure)


def display(game: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What the game's python is started behind: an X server of its own for MineRL where there is no display."""
    return ["xvfb-run", "-a", "-s", "-screen 0 1024x768x24"] if game == MINERL and not environ.get("DISPLAY") else []


def _display(game: str, environ: Mapping[str, str]) -> Step:
    own = shutil.which("xvfb-run", path=environ.get("PATH"))
    shown = environ.get("DISPLAY") if game == MINERL else ""  # MineStudio starts one of its own each time
    found = f"display {shown}" if shown else own or "neither DISPLAY nor xvfb-run"
    return Step("a display", found, bool(shown or own), "apt-get install xvfb libgl1-mesa-dri (or export DISPLAY)")


def _engine(environ: Mapping[str, str]) -> Step:
    folder = environ.get("MINESTUDIO_DIR", str(Path(tempfile.gettempdir()) / "MineStudio"))
    jar = Path(folder) / ENGINE
    cure = (f'export MINESTUDIO_DIR to a folder that stays, and once "${variable(MINESTUDIO)}" -m '
            "minestudio.simulator.entry -y, which downloads it")  # fmt: skip
    return Step("MineStudio's engine", str(jar) if jar.is_file() else f"{jar} is not there", jar.is_file(), cure)
