"""The whole pipeline on this machine alone, with the truth known: a site on loopback serves recordings as channels.

In: a folder of recordings. Out: what data_gathering.gather makes, below `--out`, and how many words and actions it got
right. Each recording is a video of its channel's feed; all are in one playlist; captions have the times of words. With
--speech the recordings speak (streamer/speech.py), and every third video has no captions: it is recognised, if
faster-whisper is there. Run:

    python -m data_gathering.rehearsal --out data/rehearsal --channels ch4 ch5
"""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from data_gathering import gather
from data_gathering.label_file import read_labels
from data_gathering.rehearsal_site import Site, rehearsal_site, rolled_up
from data_gathering.shard import find_recordings
from data_gathering.spoken import Word
from data_gathering.streamer.speech import VOICES, add_track
from data_gathering.transcription.word_scores import WordScores
from vlpt.data.words import FRAMES_PER_SECOND, read_words
from vlpt.old_options import option, run
from vpt.actions import read_contractor
from vpt.frames import count_frames
from vpt.scores import Scores

PAUSE_MS = 400  # longer silence parts what is said in one breath
SITES = ("generic", "html5")
SONG = "song"


@dataclass(frozen=True)
class Options:
    """Gathers recordings from a site on loopback and compares with the truth."""

    recordings: str = option("data_gathering/samples", "folder of recordings whose truth is known")
    channels: tuple[str, ...] = option(("ch4", "ch5"), "of these channels")
    out: str = option("data/rehearsal", "folder for everything")
    speech: str = option("none", "voice that speaks the words", choices=("none", *VOICES))
    idm: str = option("pretrained/idm", "inverse dynamics model")


def main(options: Options) -> dict:
    """Returns the scores of words and actions."""
    out = Path(options.out)
    ids = publish(options, out / "site")
    recognised = options.speech != "none" and importlib.util.find_spec("faster_whisper") is not None
    with site_of(out / "site", ids, all_captioned=not recognised) as site:
        gather.main(gather.Options(config=str(configure(site, options))))
    return compare(out)


def publish(options: Options, folder: Path) -> list[str]:
    """What the site will serve: recordings, and what is truly said in them; with a sound track if they speak."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = find_recordings(options.recordings, options.channels)
    for number, id_ in enumerate(ids):
        video, source = folder / f"{id_}.mp4", Path(options.recordings)
        if (folder / f"{id_}.words.jsonl").exists() and video.exists():
            continue
        words = read_words(source / f"{id_}.words.jsonl")
        for ending in (".mp4", ".jsonl"):
            shutil.copyfile(source / (id_ + ending), folder / (id_ + ending))
        if options.speech != "none":
            words, sound = voiced(words, 1000 * count_frames(video) / FRAMES_PER_SECOND, options.speech, number)
            add_track(video, sound)
        (folder / f"{id_}.words.jsonl").write_text("".join(json.dumps(word) + "\n" for word in words), encoding="utf-8")
    return ids


def voiced(words: list[dict], length_ms: float, speech: str, person: int) -> tuple[list[dict], object]:
    """The words as a voice says them: with the times at which it does, and the sound. What would be cut off is left."""
    VOICES[speech].check()
    voice, said, free_ms = VOICES[speech](150, person), [], 0.0
    for breath in breaths(words):
        before = len(voice.said)
        spoken, end_ms = voice.speak(" ".join(word["word"] for word in breath), max(free_ms, breath[0]["start_ms"]))
        if end_ms > length_ms:
            del voice.said[before:]
            break
        said, free_ms = said + [asdict(word) for word in spoken], end_ms + PAUSE_MS / 2
    return said, voice.track(length_ms)


def breaths(words: list[dict]) -> Iterator[list[dict]]:
    """Words that are said without a pause between them."""
    breath: list[dict] = []
    for word in words:
        if breath and word["start_ms"] - breath[-1]["end_ms"] > PAUSE_MS:
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
            track = rolled_up(read_words(folder / f"{id_}.words.jsonl")) if captioned else None
            site.video(id_, (folder / f"{id_}.mp4").read_bytes(), f"Let's play Luanti survival, {id_}", track)
        for channel in sorted({id_.rsplit("-", 1)[0] for id_ in ids}):
            site.feed(f"/channel/{channel}", [id_ for id_ in ids if id_.startswith(f"{channel}-")])
        site.video(SONG, (folder / f"{ids[0]}.mp4").read_bytes(), "A song about blocks")
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
    for row in map(json.loads, (data / "gathered.jsonl").read_text(encoding="utf-8").splitlines()):
        if row["state"] != "done":
            continue
        true = out / "site" / row["key"].rsplit("/", 1)[-1]
        found, said = (
            [Word(**word) for word in read_words(path.with_name(path.name + ".words.jsonl"))]
            for path in (data / "4_words" / row["id"], true)
        )
        words.add(found, said)
        labels, pressed = read_labels(data / f"5_actions/{row['id']}.parquet"), read_contractor(f"{true}.jsonl")
        actions.add(labels.buttons, labels.camera_deg, pressed.buttons, pressed.camera_deg)
    print(f"words: {words}\nactions: {actions}")
    return {"words": words.numbers(), "actions": actions.numbers()}


if __name__ == "__main__":
    run(main, Options)
