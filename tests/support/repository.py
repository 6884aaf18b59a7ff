"""The repository seen from outside: its files, a copy to run things in, and a shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from support.places import ROOT


def tracked(*patterns: str) -> list[str]:
    """Files that git knows, and new ones it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for path in set(found) if (ROOT / path).exists())


def clone(folder: Path, recordings: int | None = None) -> Path:
    """The repository as a clone would be, to run things in; recordings: so many of each channel's, the first ones."""
    for path in tracked():
        number = re.match(r"data_gathering/samples/ch\d+-(\d+)\.", path)
        if number and recordings is not None and int(number[1]) >= recordings:
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return folder


def shell(line: str, folder: Path) -> None:
    """Runs a line as a person would with the virtual environment active; it must succeed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "VLPT_QUICK": "1"}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
