"""Videos -> clean play, play with artefacts (overlays, borders, a face), or something else, by their pictures.

In: a folder of `<id>.mp4`. Pictures from all over a video are turned into vectors (kept in `<videos>/../3_looks`), and
a model says of each which class it is. With --fit the model is made first, from what people said of videos
(data_gathering.review) and, where given, folders of pictures `<class>/<group>/*.png`. Out: `3_clean.jsonl`, a line a
video with its label and the share of its pictures in each class; `3_next.jsonl`, the videos whose label by a person
would teach the model most, first things first. A label by a person speaks for the rest of its channel too, so verdicts
are made anew each time; only the vectors are slow, and none is made twice. A video that is broken is named and the
others go on. Run:

    python -m data_gathering.clean --fit --videos data/3_video --labels data/3_reviewed.jsonl
    python -m data_gathering.clean --videos data/3_video

VPT kept videos of which at least 80 % of the sampled pictures were clean (arXiv 2206.11795, appendix A); so does this.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from data_gathering.frame_quality.contact_sheet import read_samples
from data_gathering.frame_quality.frame_classes import CLASSES, FrameClasses, report
from data_gathering.frame_quality.frame_vectors import FrameVectors
from data_gathering.frame_quality.verdicts import reviewed
from data_gathering.ledger import LatestLedger, end_with
from data_gathering.recordings import find_recordings, meta_of, video_path
from vlpt.files import whole_file, write_lines
from vlpt.options import Count, CountOrNone, Share, run
from vpt.errors import one_line
from vpt.media import readable

RECALL = 0.9


@dataclass(frozen=True)
class Options:
    """Classifies videos by their pictures, or learns to."""

    videos: str = "data/3_video"  # folder of <id>.mp4
    out: str = "data/3_clean.jsonl"  # JSON lines of verdicts
    next: str = "data/3_next.jsonl"  # JSON lines of what to label next
    model: str = "data/clean_model"  # folder of the model
    fit: bool = False  # make the model first
    labels: str = "data/3_reviewed.jsonl"  # what people said of videos
    frames: str = ""  # and a folder of pictures <class>/<group>/*.png or *.jpg (empty: none)
    embedding: str = "lite0"  # network that makes the vectors: lite0, or a CLIP by folder or name
    text_boxes: bool = False  # also find text laid over the picture (rapidocr-onnxruntime)
    per_video: Count = 16  # pictures of a video
    least_clean: Share = 0.8  # share of clean pictures from which a video is clean
    adapt: bool = True  # let the meaning of scores shift with the channel
    ask_for: CountOrNone = 200  # videos listed as worth a label


def main(options: Options) -> dict[str, int]:
    """Returns how many videos are of each class, and how many failed (then the status is 1)."""
    network = FrameVectors(options.embedding, options.text_boxes)
    ids, failed = find_recordings(options.videos), []
    vectors: dict[str, np.ndarray] = {}
    for id_ in tqdm(ids, "vectors", unit="video"):
        try:
            meta_of(options.videos, id_)  # read again by channel, below
            vectors[id_] = embed_video(id_, options, network)
        except Exception as error:  # whatever is wrong with one video, the others go on
            failed.append(f"{id_}: {one_line(error)}")
    if options.fit:
        fit(vectors, options, network)
    rows = classify(vectors, load(options, network), options)
    write_lines(options.out, with_earlier(rows, Path(options.out)))
    write_lines(options.next, worth_a_label(rows, vectors, set(reviewed(options.labels)), options.ask_for))
    totals = Counter({name: 0 for name in CLASSES}) + Counter(row["label"] for row in rows)
    print(f"{options.out}: " + ", ".join(f"{totals[name]} {name}" for name in CLASSES) + f", {len(failed)} failed")
    end_with(failed)
    return {**{name: totals[name] for name in CLASSES}, "failed": len(failed)}


class VideoClassifier:
    """One video after another, each by itself: for `gather`."""

    def __init__(self, options: Options) -> None:
        self.options, self.network = options, FrameVectors(options.embedding, options.text_boxes)
        self.model = load(options, self.network)

    def __call__(self, id_: str) -> dict:
        """The video's row. Raises ValueError naming a video that is broken."""
        (row,) = classify({id_: embed_video(id_, self.options, self.network)}, self.model, self.options)
        return row


def embed_video(id_: str, options: Options, network: FrameVectors) -> np.ndarray:
    """Vectors (n, D) of a video's pictures, kept on the disk. Raises ValueError naming a video that is broken."""
    video = video_path(options.videos, id_)
    with readable(video):
        status = video.stat()
    key = f"{network.key} {options.per_video} {status.st_size} {status.st_mtime_ns}"
    path = video.parent.with_name("3_looks") / f"{id_}.npz"
    try:
        with np.load(path) as kept:
            if str(kept["key"]) == key:
                return kept["vectors"].astype(np.float32)
    except Exception:
        pass  # never made, or torn: whatever NumPy says of it, it is made again
    vectors = network(read_samples(video, options.per_video)).astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, open(unfinished, "wb") as file:  # given a name, numpy would add .npz to it
        np.savez(file, key=key, vectors=vectors)
    return vectors.astype(np.float32)


# ---- learning


def fit(vectors: dict[str, np.ndarray], options: Options, network: FrameVectors) -> FrameClasses:
    """Makes and saves the model, and prints how it does on channels and scenes held out."""
    rows = [*labelled_videos(vectors, options), *labelled_pictures(options, network)]
    if not rows:
        raise ValueError(f"nothing is labelled: {options.labels} names no video of {options.videos}; label some with "
                         "data_gathering.review, or name a folder of pictures with --frames")  # fmt: skip
    found, labels, groups, domains = (np.concatenate(column) for column in zip(*rows, strict=True))
    model, held_out = FrameClasses.fit(network.key, found, labels, groups, domains)
    model.save(options.model)
    probabilities = np.zeros_like(held_out)
    for domain in set(domains):
        here = domains == domain
        probabilities[here] = model.probabilities(held_out[here], groups[here], adapt=options.adapt)
    print(f"{options.model}: {len(labels)} pictures in {len(set(groups))} groups of {len(set(domains))} channels; on "
          "groups held out:")  # fmt: skip
    for name, (auc, precision) in report(probabilities, labels, RECALL).items():
        print(f"{name:>10}: {(labels == name).sum():5d} pictures, AUC {auc:.3f}, precision {precision:.3f} where "
              f"{RECALL:.0%} are found")  # fmt: skip
    return model


def labelled_videos(vectors: dict[str, np.ndarray], options: Options) -> Iterator[tuple]:
    """(vectors, labels, groups, domains) of each video that a person labelled; a group is a channel's scene."""
    said = reviewed(options.labels)
    for id_, found in vectors.items():
        if id_ in said:
            meta = meta_of(options.videos, id_)
            domain = meta["channel"]
            group = f"{domain} {meta.get('arena_seed', id_)}"
            yield tuple([found, *([name] * len(found) for name in (said[id_], group, domain))])


def labelled_pictures(options: Options, network: FrameVectors) -> Iterator[tuple]:
    """The same of pictures in folders; a folder is a group, and a domain of its own."""
    if not options.frames:
        return
    folders = [folder for name in CLASSES for folder in sorted((Path(options.frames) / name).glob("*/"))]
    if not folders:
        raise ValueError(f"--frames {options.frames} has no folder clean/<group>, artefacts/<group> or other/<group>")
    for folder in tqdm(folders, "pictures", unit="group"):
        pictures = [read_picture(path) for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg")]
        if pictures:
            group = f"pictures {folder.name}"
            yield tuple([network(pictures), *([name] * len(pictures) for name in (folder.parent.name, group, group))])


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB. Raises ValueError naming a file that is no picture."""
    bgr = cv2.imread(str(path)) if path.is_file() else None
    if bgr is None:
        raise ValueError(f"{path} is no picture: take it away")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


# ---- classifying


def load(options: Options, network: FrameVectors) -> FrameClasses:
    """The model. Raises ValueError where it was fitted on vectors of another network."""
    model = FrameClasses.load(options.model)
    if model.key != network.key:
        raise ValueError(f"{options.model} was fitted on vectors of {model.key!r}, these are of {network.key!r}: give "
                         "the --embedding and --text-boxes it was fitted with, or make it anew with --fit")  # fmt: skip
    return model


def with_earlier(rows: list[dict], out: Path) -> list[dict]:
    """And the verdicts of videos that were not classified now: their pictures may be gone (`gather` can drop them)."""
    new = {row["key"] for row in rows}
    earlier = [row for row in LatestLedger(out).rows.values() if row["key"] not in new]
    return sorted([*rows, *earlier], key=lambda row: row["key"])


def classify(vectors: dict[str, np.ndarray], model: FrameClasses, options: Options) -> list[dict]:
    """A row a video, channel by channel: what people said of some videos of a channel tells of the others."""
    made_by = hashlib.sha256((Path(options.model) / "model.safetensors").read_bytes()).hexdigest()[:16]
    said, channels = reviewed(options.labels), defaultdict(list)
    for id_ in vectors:
        channels[meta_of(options.videos, id_)["channel"]].append(id_)
    rows = []
    for ids in channels.values():
        scores = np.concatenate([model.scores(vectors[id_]) for id_ in ids])
        videos = np.repeat(ids, [len(vectors[id_]) for id_ in ids])
        known = {id_: said[id_] for id_ in ids if id_ in said}
        probabilities = model.probabilities(scores, videos, known, options.adapt)
        rows += [verdict(id_, probabilities[videos == id_], made_by, options) for id_ in ids]
    return sorted(rows, key=lambda row: row["key"])


def verdict(id_: str, probabilities: np.ndarray, made_by: str, options: Options) -> dict:
    """By the shares of its pictures: clean where enough of them are, else the likelier of the other two."""
    shares = probabilities.mean(0)
    worse = CLASSES[1 + int(shares[2] > shares[1])]
    return {"key": id_, "label": "clean" if shares[0] >= options.least_clean else worse, "pictures": len(probabilities),
            "shares": {name: round(float(share), 4) for name, share in zip(CLASSES, shares, strict=True)},
            "made_by": made_by}  # fmt: skip


def worth_a_label(rows: list[dict], vectors: dict[str, np.ndarray], labelled: set[str], most: int) -> list[dict]:
    """The most uncertain videos that are unlike each other and unlike what is labelled: greedily, uncertainty times
    distance to the nearest of those."""
    free = [row for row in rows if row["key"] not in labelled]
    if not free:
        return []
    means = {id_: found.mean(0) for id_, found in vectors.items()}
    places = np.stack([means[row["key"]] for row in free])
    shares = np.array([[row["shares"][name] for name in CLASSES] for row in free])
    doubt = -(shares * np.log(shares.clip(1e-6))).sum(1) + 0.01
    taken = [means[id_] for id_ in labelled if id_ in means]
    distance = np.min([np.linalg.norm(places - place, axis=1) for place in taken], axis=0) if taken else (
        np.full(len(free), 1.0))  # fmt: skip
    chosen = []
    for _ in range(min(most, len(free))):
        best = int(np.argmax(doubt * distance))
        chosen.append({"key": free[best]["key"], "doubt": round(float(doubt[best]), 4)})
        nearest = np.linalg.norm(places - places[best], axis=1)
        distance = np.minimum(distance, nearest) if taken or len(chosen) > 1 else nearest
        distance[[row["key"] in {one["key"] for one in chosen} for row in free]] = -1
    return chosen


if __name__ == "__main__":
    run(main, Options)
