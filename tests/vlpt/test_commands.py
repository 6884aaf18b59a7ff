"""The package as pip installs it: its metadata, and every command in an environment of its own.

Run: pytest tests/vlpt/test_commands.py
"""

import json
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.places import ROOT

from vlpt import commands

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "train.py", "evaluate.py", "demo.py",
         "evidence.py", "vpt", "vlpt", "data_gathering")  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin folder of a fresh environment, which sees the packages of this one, after `pip install -e` of a copy."""
    home = tmp_path_factory.mktemp("installed")
    left_out = shutil.ignore_patterns("__pycache__", "samples", "*.safetensors", "*.egg-info")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, home / "copy" / part, ignore=left_out)
        else:
            (home / "copy").mkdir(exist_ok=True)
            shutil.copy(ROOT / part, home / "copy")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    packages = home / "venv/lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "ours.pth").write_text("\n".join(site.getsitepackages()))
    done = subprocess.run([sys.executable, "-m", "pip", "--python", home / "venv/bin/python", "install", "--quiet",
                           "--no-index", "--no-deps", "--no-build-isolation", "-e", home / "copy"],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return home / "venv/bin"


def said_by(bin_: Path, *command: str, folder: Path) -> str:
    return subprocess.run([bin_ / command[0], *command[1:]], cwd=folder, capture_output=True, text=True).stdout


def test_the_metadata_is_complete(installed, tmp_path):
    code = ("import importlib.metadata as m, json; d = m.distribution('vlpt'); "
            "print(json.dumps([dict(d.metadata.items()), d.requires, "
            "{p.name: p.value for p in d.entry_points if p.group == 'console_scripts'}]))")
    metadata, requires, scripts = json.loads(said_by(installed, "python", "-c", code, folder=tmp_path))
    assert metadata["Requires-Python"] == "==3.11.*" and metadata["License-Expression"] == "MIT" and metadata["Version"]
    assert scripts == SCRIPTS and set(SCRIPTS) == set(commands.PROGRAMS)
    assert {"torch==2.13.0", "gymnasium==1.4.0"} <= set(requires)
    assert 'ray[data,train]==2.60.0; extra == "ray"' in requires


def test_every_command_starts_its_program_from_any_folder(installed, tmp_path):
    asked = {name: subprocess.Popen([installed / name, "--help"], cwd=tmp_path, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True) for name in SCRIPTS}  # fmt: skip
    for name, process in asked.items():
        out, error = process.communicate()
        if name == "vlpt-demo":
            assert process.returncode == 1 and error.startswith("error: vlpt-demo") and error.count("\n") == 1
        else:
            assert process.returncode == 0 and "usage:" in out and not error, (name, error)


def test_a_command_reads_its_command_line_and_passes_the_exit_status_on(installed, tmp_path):
    done = subprocess.run([installed / "vlpt-shard", "--outt", "x"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "did you mean --out?" in done.stderr and done.stderr.count("\n") == 1
    done = subprocess.run([installed / "vlpt-shard", "--recordings", "nowhere"], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: nowhere holds no recording")


def test_the_games_files_are_found_by_the_installed_package(installed, tmp_path):
    code = "import vlpt.worlds.luanti as p, pathlib; print(*pathlib.Path(p.__file__).parent.glob('mods/*/*.lua'))"
    assert said_by(installed, "python", "-c", code, folder=tmp_path).count(".lua") == 3
