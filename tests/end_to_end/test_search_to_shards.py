"""From a search to shards, offline: a site on loopback serves recordings of the sample as a channel with captions.

find, filter, download, transcribe, label and shard run one after another as programs; what comes out is compared with
what was truly said and pressed.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from support.gathering import IDS
from support.places import ROOT, SAMPLES

from data_gathering.rehearsal_site import rehearsal_site, rolled_up
from vlpt.data.shards import Shards
from vlpt.data.words import read_words
from vpt.actions import BUTTONS, MINECRAFT, read_contractor

SITES = ("--extractors", "generic", "html5")


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("gathered"), {}

    def program(name: str, *flags: str, status: int = 0) -> None:
        done = subprocess.run([sys.executable, "-m", f"data_gathering.{name}", *flags], cwd=ROOT, capture_output=True,
                              text=True)  # fmt: skip
        said[name] = done.stdout + done.stderr
        assert done.returncode == status, said[name]

    with rehearsal_site() as site:
        for id_ in IDS:
            site.video(id_, (SAMPLES / f"{id_}.mp4").read_bytes(), f"Let's play Luanti survival {id_}",
                       rolled_up(read_words(SAMPLES / f"{id_}.words.jsonl")))  # fmt: skip
        site.video("song", (SAMPLES / "ch1-00.mp4").read_bytes(), "A song about blocks")
        ids = folder / "ids.txt"
        ids.write_text("".join(f"{site.address}/watch/{name}\n" for name in (*IDS, "song", "gone")))
        data = folder / "data"
        program("find", "--ids", str(ids), "--out", f"{data}/1_found.jsonl", *SITES, "--wait-s", "0", status=1)
        program("filter", "--found", f"{data}/1_found.jsonl", "--out", f"{data}/2_kept.jsonl")
        program("download", "--kept", f"{data}/2_kept.jsonl", "--out", f"{data}/3_video", *SITES, "--pause-s", "0",
                "--keep-free-gb", "0")  # fmt: skip
    program("transcribe", "--videos", f"{data}/3_video", "--out", f"{data}/4_words", "--use", "captions")
    program("label", "--videos", f"{data}/3_video", "--out", f"{data}/5_actions", "--threads", "2")
    program("shard", "--recordings", f"{data}/3_video", "--words", f"{data}/4_words", "--labels", f"{data}/5_actions",
            "--out", f"{data}/6_shards")  # fmt: skip
    return data, said


def test_each_program_says_what_it_did(gathered):
    _, said = gathered
    assert "3 new" in said["find"] and "gone" in said["find"]
    assert "2 of 3 kept" in said["filter"] and "2 new, 0 there before, 0 failed" in said["download"]
    assert "2 new" in said["transcribe"] and "2 videos: 2 labelled" in said["label"]


def test_the_shards_hold_what_was_said_and_pressed(gathered):
    """Words are those of the captions, to the millisecond; actions are as good as the model is on strangers."""
    data, _ = gathered
    episodes = Shards(data / "6_shards").episodes
    assert len(episodes) == len(IDS)
    for id_ in IDS:
        episode = next(episode for episode in episodes if id_ in episode.id)
        true = read_words(SAMPLES / f"{id_}.words.jsonl")
        assert [word.word for word in episode.words] == [word.word for word in true]
        assert max(abs(a.start_ms - b.start_ms) for a, b in zip(episode.words, true, strict=True)) <= 1
        pressed = read_contractor(SAMPLES / f"{id_}.jsonl")
        buttons, _ = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
        assert episode.n_frames == len(pressed) and (buttons == pressed.buttons).mean() > 0.97
        forward = BUTTONS.index("forward")
        assert np.corrcoef(buttons[:, forward], pressed.buttons[:, forward])[0, 1] > 0.7
        assert 0 < episode.confidence.mean() <= 1


def test_every_source_is_credited(gathered):
    data, _ = gathered
    rows = [json.loads(line) for line in (data / "credits.jsonl").read_text().splitlines()]
    assert len(rows) == len(IDS) and all(row["url"].startswith("http://127.0.0.1") and row["title"] for row in rows)
