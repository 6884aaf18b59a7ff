"""The whole pipeline on this machine alone, with the truth known: a site on loopback serves recordings as channels.

In: a folder of recordings. Out: what data_gathering.gather makes, below `--out`, and how many words and actions it got
right. Each recording is a video of its channel's feed; all are in one playlist; captions have the times of words. With
--speech the recordings speak (streamer/speech.py), and every third video has no captions: it is recognised, if
faster-whisper is there. Run:

    python -m data_gathering.rehearsal --out data/rehearsal --channels ch4 ch5
"""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from data_gathering import download, filter, find, gather
from data_gathering.label_file import read_labels
from data_gathering.pipeline import Plan
from data_gathering.recordings import channel_of, find_recordings, pressed_path, video_path, words_path
from data_gathering.rehearsal_site import Site, rehearsal_site, rolled_up
from data_gathering.streamer.speech import RATE_HZ, VOICES
from data_gathering.transcription.word_scores import WordScores
from vlpt.data.recording import add_track
from vlpt.data.words import Word, read_words, write_words
from vlpt.files import read_lines
from vlpt.options import run
from vpt.actions import read_contractor
from vpt.frames import FRAMES_PER_SECOND, count_frames
from vpt.scores import Scores

PAUSE_MS = 400  # longer silence parts what is said in one breath
SITES = ("generic", "html5")
SONG = "song"
SAMPLES = Path(__file__).with_name("samples")


@dataclass(frozen=True)
class Options:
    """Gathers recordings from a site on loopback and compares with the truth."""

    recordings: str = str(SAMPLES)  # folder of recordings whose truth is known
    channels: tuple[str, ...] = ("ch4", "ch5")  # of these channels
    out: str = "data/rehearsal"  # folder for everything
    speech: Literal["none", *VOICES] = "none"  # voice that speaks the words
    idm: str = "pretrained/idm"  # inverse dynamics model


def main(options: Options) -> dict:
    """Returns the scores of words and actions."""
    out = Path(options.out)
    ids = publish(options, out / "site")
    recognised = options.speech != "none" and importlib.util.find_spec("faster_whisper") is not None
    with site_of(out / "site", ids, all_captioned=not recognised) as site:
        gather.main(gather.Options(config=str(configure(site, options))))
    return compare(out)


@dataclass(frozen=True)
class Downloaded:
    """What came from the site: the options of the programs that go on from here, and where the truth lies."""

    plan: Plan
    names: list[str]  # ids of the videos in 3_video
    truth: dict[str, str]  # the id of the recording that each of them shows

    def folder(self, name: str) -> Path:
        """Of gathered files, by its name: 3_video, 4_words, 5_actions ..."""
        return self.plan.data / name

    def true_words(self, name: str) -> list[Word]:
        """What is truly said in a video."""
        return read_words(words_path(self.plan.data.parent / "site", self.truth[name]))

    def true_buttons(self, name: str) -> np.ndarray:
        """(N, 20) what was truly pressed in a video."""
        return read_contractor(pressed_path(self.plan.data.parent / "site", self.truth[name])).buttons


def find_and_download(options: Options) -> Downloaded:
    """The first three programs, while the site is there: the others work on files and can be run one by one."""
    out = Path(options.out)
    ids = publish(options, out / "site")
    with site_of(out / "site", ids, all_captioned=True) as site:
        plan, _ = gather.read_config(configure(site, options))
        find.main(plan.programs["find"])
        filter.main(plan.programs["filter"])
        download.main(plan.programs["download"])
    names = find_recordings(str(plan.data / "3_video"))
    return Downloaded(plan, names, {name: next(id_ for id_ in ids if id_ in name) for name in names})


def publish(options: Options, folder: Path) -> list[str]:
    """What the site will serve: recordings, and what is truly said in them; with a sound track if they speak."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = find_recordings(options.recordings, options.channels)
    for number, id_ in enumerate(ids):
        video, source = video_path(folder, id_), options.recordings
        if words_path(folder, id_).exists() and video.exists():
            continue
        words = read_words(words_path(source, id_))
        for part in (video_path, pressed_path):
            shutil.copyfile(part(source, id_), part(folder, id_))
        if options.speech != "none":
            words, sound = voiced(words, 1000 * count_frames(video) / FRAMES_PER_SECOND, options.speech, number)
            add_track(video, sound, RATE_HZ)
        write_words(words_path(folder, id_), words)
    return ids


def voiced(words: list[Word], length_ms: float, speech: str, person: int) -> tuple[list[Word], np.ndarray]:
    """The words as a voice says them: with the times at which it does, and the sound. What would be cut off is left."""
    VOICES[speech].check()
    voice, said, free_ms = VOICES[speech](150, person), [], 0.0
    for breath in breaths(words):
        before = len(voice.said)
        spoken, end_ms = voice.speak(" ".join(word.word for word in breath), max(free_ms, breath[0].start_ms))
        if end_ms > length_ms:
            del voice.said[before:]
            break
        said, free_ms = said + spoken, end_ms + PAUSE_MS / 2
    return said, voice.track(length_ms)


def breaths(words: list[Word]) -> Iterator[list[Word]]:
    """Words that are said without a pause between them."""
    breath: list[Word] = []
    for word in words:
        if breath and word.start_ms - breath[-1].end_ms > PAUSE_MS:
            yield breath
            breath = []
        breath.append(word)
    if breath:
        yield breath


@contextmanager
def site_of(folder: Path, ids: list[str], all_captioned: bool) -> Iterator[Site]:
    """A running site: a feed a channel at /channel/<name>, and all videos in /playlist, with one that is no play."""
    with rehearsal_site() as site:
        for number, id_ in enumerate(ids):
            captioned = all_captioned or number % 3 < 2
            track = rolled_up(read_words(words_path(folder, id_))) if captioned else None
            site.video(id_, video_path(folder, id_).read_bytes(), f"Let's play Luanti survival, {id_}", track)
        for channel in sorted({channel_of(id_) for id_ in ids}):
            site.feed(f"/channel/{channel}", [id_ for id_ in ids if id_.startswith(f"{channel}-")])
        site.video(SONG, video_path(folder, ids[0]).read_bytes(), "A song about blocks")
        site.feed("/playlist", [*ids, SONG])
        yield site


def configure(site: Site, options: Options) -> Path:
    """Writes gather's configuration for this site. The playlist holds what the channels hold: nothing may come twice.

    What was gathered before goes: the site's address is another one each time.
    """
    out = Path(options.out)
    shutil.rmtree(out / "data", ignore_errors=True)
    asked = {"extractors": list(SITES), "wait_s": 0.0}
    sources = [path for path in site.pages if path.startswith(("/channel/", "/playlist"))]
    content = {
        "data": str(out / "data"),
        "find": {"sources": [f"{site.address}{path}" for path in sources], **asked},
        "download": {"keep_free_gb": 0.5, "pause_s": 0.0, "attempts": 2, **asked},
        "label": {"idm": options.idm},
    }  # fmt: skip
    path = out / "gather.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def compare(out: Path) -> dict:
    """Words and actions that were gathered, with what was truly said and pressed; prints and returns the scores."""
    words, actions, data = WordScores(), Scores(), out / "data"
    for row in read_lines(data / "gathered.jsonl"):
        if row["state"] != "done":
            continue
        id_ = row["key"].rsplit("/", 1)[-1]
        words.add(read_words(words_path(data / "4_words", row["id"])), read_words(words_path(out / "site", id_)))
        labels = read_labels(data / f"5_actions/{row['id']}.parquet")
        pressed = read_contractor(pressed_path(out / "site", id_))
        actions.add(labels.buttons, labels.camera_deg, pressed.buttons, pressed.camera_deg)
    print(f"words: {words}\nactions: {actions}")
    return {"words": words.numbers(), "actions": actions.numbers()}


if __name__ == "__main__":
    run(main, Options)
