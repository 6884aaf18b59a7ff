"""One video on its way from its address to labelled pictures and words: what `gather` does on any machine.

In: a found video (a record of data_gathering.filter). Out: `3_video/`, `4_words/`, `4_small/`, `5_actions/` have its
files, and `carried/<id>.json` says how far it came: the steps that are done, what each noted for its ledger and how
long it took, or why the video failed or is left out. A step that is noted there is not done again, whoever takes the
video over: the folder may lie on storage that many machines share. Two kinds of worker:

    row = Prepare(plan)({"record": json of a record})     # a processor: download, classify, transcribe, shrink
    row = Label(plan)(row)                                # a GPU, if there is one: label
    json.loads(row["progress"])                            # {"key", "id", "steps", "failed" or "left_out"}
"""

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from data_gathering import clean, download, filter, find, label, shard, shrink, stats, transcribe
from data_gathering.frame_quality.verdicts import reviewed
from data_gathering.label_file import Labels, labelled_by, write_labels
from data_gathering.recordings import video_path, words_path
from data_gathering.site import file_name
from vlpt.files import read_json, write_json, write_text
from vlpt.options import from_dict
from vpt.allocator import keep_freed_memory
from vpt.errors import one_line

PROGRAMS = {"find": find, "filter": filter, "download": download, "clean": clean, "transcribe": transcribe,
            "shrink": shrink, "label": label, "shard": shard, "stats": stats}  # fmt: skip
FOLDERS = {
    "find": {"out": "1_found.jsonl"},
    "filter": {"found": "1_found.jsonl", "out": "2_kept.jsonl"},
    "download": {"kept": "2_kept.jsonl", "out": "3_video"},
    "clean": {"videos": "3_video", "out": "3_clean.jsonl", "next": "3_next.jsonl", "labels": "3_reviewed.jsonl"},
    "transcribe": {"videos": "3_video", "out": "4_words"},
    "shrink": {"videos": "3_video", "out": "4_small"},
    "label": {"videos": "4_small", "out": "5_actions"},
    "shard": {"recordings": "4_small", "words": "4_words", "labels": "5_actions", "out": "6_shards"},
    "stats": {"shards": "6_shards", "ledgers": ".", "out": "stats.html"},
}  # what the programs read and write below the data folder: not for the configuration to say
WAIT_S = 2.0


@dataclass(frozen=True)
class Plan:
    """How videos are processed; `programs` has the options of each program, files included."""

    data: Path
    programs: dict
    workers: int = 2
    attempts: int = 3
    parts: int = 1
    classify: bool = False
    keep_originals: bool = True
    folder: str = "."  # from which relative names are meant

    @classmethod
    def from_sections(cls, sections: dict, **rest) -> "Plan":
        """Raises ValueError naming the program and the option that is wrong."""
        data, programs = Path(rest["data"]), {}
        for name, program in PROGRAMS.items():
            given = dict(sections.get(name) or {})
            if taken := sorted(set(given) & set(FOLDERS[name])):
                raise ValueError(f"{name}: {taken[0]} is gather's to say, all files lie below data: leave it out")
            places = {key: str(data / place) for key, place in FOLDERS[name].items()}
            try:
                programs[name] = from_dict(program.Options, {**given, **places})
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return cls(programs=programs, classify="clean" in sections, **rest)


class VideoProgress:
    """How far a video came, as `carried/<id>.json` keeps it."""

    def __init__(self, record: dict, plan: Plan) -> None:
        self.record, self.id = record, file_name(record["key"])
        self.path = plan.data / "carried" / f"{self.id}.json"
        self.attempts = plan.attempts
        self.steps = steps_of(self.path)
        self.end: dict[str, str] = {}

    def step(self, name: str, work: Callable[[], dict], *made: Path) -> bool:
        """Do a step unless it is done and one of the files it made is there; False where the video goes no further."""
        if self.end:
            return False
        if name not in self.steps or (made and not any(path.exists() for path in made)):
            begin = time.perf_counter()
            try:
                noted = self._with_retries(work)
            except transcribe.LeftOut as error:
                self.end = {"left_out": error.row["left_out"]}
                return self._write()
            except Exception as error:  # whatever a library came up with: the other videos go on
                self.end = {"failed": f"{name}: {one_line(error)}"}
                return self._write()
            seconds = time.perf_counter() - begin
            self.steps[name] = {"seconds": round(seconds, 3), "where": where(), "noted": noted}
            self._write()
        return True

    def leave_out(self, why: str) -> None:
        self.end = {"left_out": why}
        self._write()

    def row(self) -> dict[str, str]:
        return {"record": json.dumps(self.record), "progress": json.dumps(self._content())}

    def _with_retries(self, work: Callable[[], dict]) -> dict:
        """Storage may hiccup (OSError): again, a little later. What is wrong with a video (ValueError) stays wrong."""
        for attempt in range(self.attempts):
            try:
                return work()
            except OSError:
                if attempt + 1 == self.attempts:
                    raise
                time.sleep(WAIT_S * 2**attempt)
        raise AssertionError("no attempt was made")

    def _content(self) -> dict:
        return {"key": self.record["key"], "id": self.id, "steps": self.steps, **self.end}

    def _write(self) -> bool:
        write_json(self.path, self._content())
        return not self.end


def steps_of(path: Path) -> dict[str, dict]:
    """The steps that a video's file notes; none where it was begun nowhere, or the file is torn or no such thing: what
    the steps made is whole, and is made again where need be."""
    try:
        steps = read_json(path)["steps"]
        whole = all(isinstance(step["noted"], dict) and float(step["seconds"]) >= 0 and isinstance(step["where"], str)
                    for step in steps.values())  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return {}
    return steps if whole else {}


def guarded(work: Callable[[dict], dict], row: dict[str, str]) -> dict[str, str]:
    """A row with its progress; of a video for which nothing else says so, why it failed."""
    try:
        return work(row)
    except Exception as error:
        key = json.loads(row["record"])["key"]
        progress = {"key": key, "id": file_name(key), "steps": {}, "failed": one_line(error)}
        return {"record": row["record"], "progress": json.dumps(progress)}


class Prepare:
    """Everything that a processor does for a video."""

    def __init__(self, plan: Plan) -> None:
        os.chdir(plan.folder)
        self.plan, self.options = plan, plan.programs
        self.classify = clean.VideoClassifier(self.options["clean"]) if plan.classify else None
        self.reviewed = reviewed(self.options["clean"].labels)

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        return guarded(self.prepare, row)

    def prepare(self, row: dict[str, str]) -> dict[str, str]:
        record = json.loads(row["record"])
        progress = VideoProgress(record, self.plan)
        id_, data = progress.id, self.plan.data
        video, small = (video_path(data / folder, id_) for folder in ("3_video", "4_small"))
        words = words_path(data / "4_words", id_)
        kept = (video,) if self.plan.keep_originals else (video, small)
        if progress.step("download", lambda: self.download(record), *kept) and self.wanted(progress):
            progress.step("transcribe", lambda: transcribe.write_transcript(id_, self.options["transcribe"]), words)
            progress.step("shrink", lambda: {"frames": shrink.shrink(id_, self.options["shrink"])}, small)
            if not self.plan.keep_originals and not progress.end:
                video.unlink(missing_ok=True)
        return progress.row()

    def download(self, record: dict) -> dict:
        """Into a folder of this machine's own first: one thought dead may still be writing."""
        options = self.options["download"]
        Path(options.out).mkdir(parents=True, exist_ok=True)
        return download.fetch(record, Path(options.out), options, coming=f".on_{where()}")

    def wanted(self, progress: VideoProgress) -> bool:
        """What a person, or else the classifier, says of its pictures."""
        if self.classify and not progress.step("clean", lambda: self.classify(progress.id)):
            return False
        found = progress.steps["clean"]["noted"]["label"] if self.classify else "clean"
        label = self.reviewed.get(progress.id, found)
        if label != "clean":
            progress.leave_out(label)
        return not progress.end


class Label:
    """What was pressed, by an inverse dynamics model; labels of other weights are made anew."""

    def __init__(self, plan: Plan) -> None:
        os.chdir(plan.folder)
        keep_freed_memory()
        self.plan, self.options = plan, plan.programs["label"]
        self.idm, self.made_by = label.load(self.options)

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        return guarded(self.label_unless_done, row)

    def label_unless_done(self, row: dict[str, str]) -> dict[str, str]:
        said = json.loads(row["progress"])
        if "failed" in said or "left_out" in said:
            return row
        progress = VideoProgress(json.loads(row["record"]), self.plan)
        if labelled_by(Path(self.options.out) / f"{progress.id}.parquet") != self.made_by:
            progress.steps.pop("label", None)
        progress.step("label", lambda: self.label(progress.id))
        return progress.row()

    def label(self, id_: str) -> dict:
        out = Path(self.options.out)
        out.mkdir(parents=True, exist_ok=True)
        ((_, found),) = label.label_videos(self.idm, [id_], self.options, self.made_by)
        if isinstance(found, Exception):
            raise found
        if found is not None:
            labels = Labels(found.buttons, found.camera_deg, found.confidence)
            write_labels(out / f"{id_}.parquet", labels, self.made_by)
        return {"frames": 0 if found is None else len(found.buttons), "made_by": self.made_by}


def shard_parts(plan: Plan, ids: list[str]) -> list:
    """Options of `shard` for each part of the dataset: a video's part hangs on its id alone."""
    options, names = plan.programs["shard"], plan.data / "6_ids"
    made = []
    for part in range(plan.parts):
        mine = [id_ for id_ in ids if part_of(id_, plan.parts) == part]
        if mine:
            path = names / f"{part:05d}.txt"
            write_text(path, "\n".join(mine) + "\n")
            out = options.out if plan.parts == 1 else f"{options.out}/{part:05d}"
            made.append(replace(options, only=str(path), out=out))
    return made


def part_of(id_: str, parts: int) -> int:
    """The part of a dataset in so many parts that a video belongs to."""
    return int(hashlib.sha256(id_.encode()).hexdigest(), 16) % parts


def where() -> str:
    """A name of this machine: the node's, on a cluster."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return ray.get_runtime_context().get_node_id()[:12]
    return socket.gethostname()
