"""The `lerobot` package itself opens our datasets, also grown ones, and finds every picture within its tolerance.

It pins another torch, so it needs an environment of its own (Python 3.12, `pip install "lerobot[dataset]==0.6.1"`):

    LEROBOT_PYTHON=/path/to/python python -m pytest tests/end_to_end/test_lerobot.py
"""

import os
import subprocess

import pytest
from support.numbered_recordings import record

from data_gathering.shard import Options, main

PYTHON = os.environ.get("LEROBOT_PYTHON", "")
READ = """
import sys
from lerobot.datasets.lerobot_dataset import LeRobotDataset
read = LeRobotDataset("us/x", root=sys.argv[1], video_backend="pyav")
for number in range(read.num_frames):  # the package refuses a picture that is more than 0.1 ms away
    item = read[number]
    assert int(item["index"]) == number
print(read.num_episodes, read.num_frames, tuple(item["observation.images.pov"].shape), item["task"])
"""


@pytest.mark.skipif(not PYTHON, reason="LEROBOT_PYTHON names no Python that has lerobot 0.6")
def test_lerobot_reads_every_frame_of_a_dataset_that_grew(tmp_path):
    for i, (id_, frames) in enumerate({"ch0-00": 40, "ch0-01": 1, "ch1-00": 33}.items()):
        record(tmp_path / "3_video", id_, i, frames, word_frames=range(3, frames, 13))
    for ids in ("ch0-00", "ch0-00\nch0-01\nch1-00"):
        (tmp_path / "only.txt").write_text(ids)
        main(Options(str(tmp_path / "3_video"), labels="truth", out=str(tmp_path / "s"),
                     only=str(tmp_path / "only.txt")))  # fmt: skip
    done = subprocess.run([PYTHON, "-c", READ, str(tmp_path / "s")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "3 74 (3, 128, 128) chop"
