"""A channel of the sample's recordings on a site of this machine, and a configuration that gathers it."""

from contextlib import contextmanager
from pathlib import Path

import yaml

from data_gathering import gather
from data_gathering.rehearsal_site import rehearsal_site, rolled_up
from support.places import SAMPLES
from vlpt.data.words import read_words

IDS = ("ch0-00", "ch5-02")
CHANNEL = (*IDS, "ch1-00", "ch2-00")


def captions(id_: str) -> str:
    return rolled_up(read_words(SAMPLES / f"{id_}.words.jsonl"))


@contextmanager
def channel(names=CHANNEL):
    """A site with a feed of these recordings, with captions."""
    with rehearsal_site() as site:
        for id_ in names:
            site.video(id_, (SAMPLES / f"{id_}.mp4").read_bytes(), f"Let's play Luanti survival {id_}", captions(id_))
        site.feed("/feed", list(names))
        yield site


def configure(folder: Path, site, **more) -> Path:
    asked = {"extractors": ["generic", "html5"], "wait_s": 0.0}
    content = {
        "data": str(folder / "data"), "workers": 2,
        "find": {"sources": [f"{site.address}/feed"], **asked},
        "download": {"keep_free_gb": 0.0, "pause_s": 0.0, "attempts": 1, **asked},
        "transcribe": {"use": "captions"}, "label": {"threads": 1}, **more,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gather.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def gathered(path: Path, ray: str = "") -> dict:
    return gather.main(gather.Options(config=str(path), ray=ray))
