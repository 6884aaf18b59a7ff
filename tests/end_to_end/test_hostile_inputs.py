"""Every reader, on a fixed set of files that are wrong in many ways: each is read, or refused in one clear line."""

import os
import subprocess
import sys

from support.places import ROOT


def test_every_file_is_read_or_refused_in_one_clear_line():
    command = [sys.executable, str(ROOT / "tests/benchmarks/trial_inputs.py"), "--number", "6", "--seed", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert len(rows) == 16 and all(sum(map(int, row[-5:-3])) == 6 and int(row[-5]) >= 1 for row in rows)
