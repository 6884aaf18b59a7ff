"""A machine that has Minecraft, as far as a test goes: java is tests/support/malmo_server.py, MineRL is
stand_in_minerl.py; and, where VLPT_TEST_MINESTUDIO_PYTHON names an environment with it, MineStudio's own classes.

How such an environment is made stands in tests/support/dump_minecraft_spaces.py.
"""

import json
import os
import stat
import sys
from pathlib import Path

from support.places import ROOT

SUPPORT = ROOT / "tests/support"
MINESTUDIO_PYTHON = os.environ.get("VLPT_TEST_MINESTUDIO_PYTHON", "")
VERSIONS = {"minerl": "1.0.0", "gym": "0.23.1", "numpy": "1.23.5"}


def machine(folder: Path, monkeypatch, game: str, **plan) -> Path:
    """Sets the process's environment up; returns the folder where each game writes what it heard. plan: see
    malmo_server.py."""
    said, programs, packages = folder / "said", folder / "programs", folder / "packages"
    for one in (said, programs, packages):
        one.mkdir()
    (said / "plan.json").write_text(json.dumps(plan))
    script(programs / "java", f'exec {sys.executable} -S -E {SUPPORT / "malmo_server.py"} "$@"')
    script(programs / "xvfb-run", 'while [ "${1#-}" != "$1" ]; do [ "$1" = -s ] && shift; shift; done; exec "$@"')
    if game == "minerl":
        minerl_package(packages)
        monkeypatch.setenv("VLPT_MINERL_PYTHON", sys.executable)
    else:
        engine = folder / "studio/engine/build/libs"
        engine.mkdir(parents=True)
        (engine / "mcprec-6.13.jar").touch()
        (packages / "sitecustomize.py").write_text(
            f"import sys; sys.path.append({str(SUPPORT)!r})\nimport dump_minecraft_spaces\n"
            "dump_minecraft_spaces.without_torch()\n")  # fmt: skip
        monkeypatch.setenv("MINESTUDIO_DIR", str(folder / "studio"))
        monkeypatch.setenv("VLPT_MINESTUDIO_PYTHON", MINESTUDIO_PYTHON)
    monkeypatch.setattr("vlpt.worlds.minecraft.process.GRACE_S", 0.2)  # what hangs here never ends by itself
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setenv("VLPT_STAND_IN", str(said))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    return said


def script(path: Path, command: str) -> None:
    """A program of one line."""
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def minerl_package(packages: Path) -> None:
    """The stand-in as the packages that it stands in for, with their versions."""
    specs = packages / "minerl/herobraine/env_specs"
    specs.mkdir(parents=True)
    (packages / "minerl/__init__.py").write_text((SUPPORT / "stand_in_minerl.py").read_text())
    (packages / "gym.py").write_text("from minerl import make\n")
    (specs / "human_survival_specs.py").write_text("from minerl import HumanSurvival\n")
    for name, version in VERSIONS.items():
        info = packages / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def heard(said: Path) -> list[list[str]]:
    """What each game wrote, line by line."""
    files = sorted(said.glob("game-*.txt"), key=lambda path: int(path.stem.split("-")[1]))
    return [path.read_text().splitlines() for path in files]


def processes(said: Path) -> list[int]:
    """Games that run, of those that wrote there; one that ended and that nobody asked for its status does not."""
    numbers = [int(lines[0].split()[1]) for lines in heard(said) if lines]
    return [number for number in numbers if Path(f"/proc/{number}/cmdline").exists()
            and Path(f"/proc/{number}/cmdline").read_bytes()]  # fmt: skip
