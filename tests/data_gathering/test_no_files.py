"""Where a file should be lies a pipe, a folder or a link to nothing: every reader says so in one line, none waits."""

import faulthandler
import os
import re
from pathlib import Path

import numpy as np
import pytest
from support.toy_runs import write_labelled_shards

from data_gathering import gather
from data_gathering.filter import read_rules
from data_gathering.find import minedojo, read_ids
from data_gathering.frame_quality.frame_classes import FrameClasses
from data_gathering.label_file import read_labels
from data_gathering.ledger import LatestLedger, Ledger, read_ledger, read_rows
from data_gathering.recordings import chosen, meta_of
from data_gathering.shard import Options, _fingerprint
from data_gathering.transcription.captions import read_captions
from vlpt.data.shards import Shards
from vlpt.data.text import read_texts
from vlpt.data.words import load_tokenizer, read_words
from vlpt.files import read_json, read_lines, read_text
from vpt.actions import read_contractor
from vpt.agent_video import inspect_video
from vpt.checkpoint import read_weights
from vpt.files import existing_file, is_there
from vpt.frames import read_cursor
from vpt.media import open_media, readable
from vpt.plain_pickle import read_plain_pickle, read_weights_file


def media(path: Path) -> None:
    with open_media(path):
        pass


def any_file(path: Path) -> None:
    with readable(path, "anything"):
        pass


READERS = {  # the file's name: what reads it
    "a.txt": [existing_file, read_text, read_json, read_lines, any_file, read_ids, lambda path: chosen([], path),
              lambda path: read_texts("", str(path), ())],
    "a.model": [read_plain_pickle, read_weights_file],
    "model.safetensors": [read_weights, lambda path: FrameClasses.load(path.parent)],
    "a.mp4": [media, inspect_video, lambda path: _fingerprint("a", Options(str(path.parent), labels="truth"))],
    "a.png": [read_cursor],
    "a.jsonl": [read_contractor, Ledger, LatestLedger, lambda path: list(read_rows(path)),
                lambda path: read_ledger(path, "find")],
    "a.words.jsonl": [read_words],
    "a.meta.json": [lambda path: meta_of(path.parent, "a")],
    "a.parquet": [read_labels],
    "a.vtt": [read_captions],
    "a.json3": [read_captions],
    "tokenizer.json": [load_tokenizer],
    "gather.yaml": [gather.read_config],
    "rules.toml": [read_rules],
    "index.json": [lambda path: list(minedojo(path))],
    "meta/info.json": [lambda path: Shards(path.parents[1])],
}  # fmt: skip
MAKERS = [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)]


@pytest.fixture
def nothing_waits():
    """Ends the tests, with a traceback, where one waits: what opens a pipe waits without an end, and libraries in C
    listen to no signal."""
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_one_line(name, make, tmp_path, nothing_waits):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    make(tmp_path / name)
    for read in READERS[name]:
        with pytest.raises(ValueError, match=r"^[^\n]*" + re.escape(str(tmp_path / name)) + r"[^\n]*$"):
            read(tmp_path / name)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("part", ["data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet",
                                  "videos/observation.images.pov/chunk-000/file-000.mp4"])  # fmt: skip
def test_a_part_of_a_dataset_that_is_no_file_is_one_line(part, make, tmp_path, nothing_waits):
    write_labelled_shards(tmp_path, 8, np.random.default_rng(0))
    (tmp_path / part).unlink()
    make(tmp_path / part)
    with pytest.raises(ValueError, match=r"^[^\n]*" + re.escape(str(tmp_path / part)) + r"[^\n]*$"):
        shards = Shards(tmp_path)
        shards.read_frames(shards.episodes[0], 0, 1)


def test_what_is_not_there_is_told_from_what_is_no_file(tmp_path):
    (tmp_path / "a").write_text("text")
    (tmp_path / "link").symlink_to("a")
    assert is_there(tmp_path / "a") and is_there(tmp_path / "link") and not is_there(tmp_path / "b")
    assert not is_there(tmp_path / "a/b") and existing_file(str(tmp_path / "link")) == tmp_path / "link"
    with pytest.raises(FileNotFoundError, match="no such file") as error:
        existing_file(tmp_path / "b")
    assert error.value.filename == str(tmp_path / "b")
