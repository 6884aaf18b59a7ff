"""How well clean play is told from play with artefacts and other scenes, on arenas and skins never seen in fitting.

In: recordings of at least ten channels at the world's own size (`python -m data_gathering.demonstrate --size native
--channels 10 --episodes 2 --seconds 20 --out FOLDER`). Artefacts and other scenes are composed
(tests/support/overlaid_pictures.py). Six channels are fitted on, three of them in skins of their own (colours turned
round); the other four are new arenas, shown in the game's look and in new skins. With --textures ten arenas that Luanti
draws are fitted on too, seven of them with textures of their own, and four with new textures are judged; the game's own
menu is then another scene. Out: tables on standard output.

    python tests/benchmarks/bench_clean.py --recordings FOLDER --textures
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
from support.overlaid_pictures import LAID, LAID_ELSEWHERE, SCENES, SCENES_ELSEWHERE, lay_over, other_scene, recolour  # noqa: E402

from data_gathering.frame_quality.contact_sheet import sample_frames  # noqa: E402
from data_gathering.frame_quality.frame_classes import CLASSES, FrameClasses, report  # noqa: E402
from data_gathering.frame_quality.frame_vectors import FrameVectors  # noqa: E402
from data_gathering.recordings import find_recordings, meta_of, video_path  # noqa: E402
from vlpt.options import run  # noqa: E402
from vlpt.worlds import make, noop  # noqa: E402

PER_VIDEO = 12
TEXTURES = Path("/usr/share/games/minetest/games/minetest_game/mods/default/textures")


@dataclass(frozen=True)
class Options:
    """Fits on some channels and classifies the pictures of others."""

    recordings: str  # folder of recordings of at least ten channels
    embedding: str = "lite0"  # network that makes the vectors: lite0, or a CLIP by folder or name
    textures: bool = False  # arenas that are drawn here too, with textures of their own


def videos_of(folder: Path, channels: list[str], laid: dict, scenes: dict, change, seed: int):
    """(pictures, label, group, domain, kind) of a clean video, one with artefacts and another scene each recording.

    change: picture -> picture. Kinds go round over all recordings of the folder, so that every kind is met whatever
    channels are asked for.
    """
    rng = np.random.default_rng(seed)
    for number, id_ in enumerate(find_recordings(folder)):
        meta = meta_of(folder, id_)
        if meta["channel"] not in channels:
            continue
        pictures = [change(rgb) for rgb in sample_frames(video_path(folder, id_), PER_VIDEO)]
        kind, scene = (sorted(kinds)[number % len(kinds)] for kinds in (laid, scenes))
        group, domain = f"{meta['channel']} {meta['arena_seed']}", meta["channel"]
        yield pictures, "clean", group, domain, "clean"
        yield [lay_over(kind, rgb, rng) for rgb in pictures], "artefacts", group, domain, kind
        size = pictures[0].shape[:2]
        yield [other_scene(scene, size, rng) for _ in pictures], "other", f"{scene} {group}", domain, scene


def drawn(number: int, laid: dict, textures: bool, seed: int):
    """The same of a world that is played here: turning round in an arena, and its own menu as another scene."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        if textures:
            paint_textures(Path(folder), number)
        pictures, menus = wander(folder if textures else "", 900 + number)
    kind, domain = sorted(laid)[number % len(laid)], f"drawn {number}"
    yield pictures, "clean", domain, domain, "clean"
    yield [lay_over(kind, rgb, rng) for rgb in pictures], "artefacts", domain, domain, kind
    yield menus, "other", f"menu {domain}", domain, "the game's menu"


def paint_textures(folder: Path, number: int) -> None:
    """A texture pack: every texture of the game in other colours and coarser."""
    for path in TEXTURES.glob("*.png"):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim < 3 or image.dtype != np.uint8:
            continue
        rgb = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)
        coarse = cv2.resize(cv2.resize(rgb, (4, 4), interpolation=cv2.INTER_AREA), rgb.shape[1::-1],
                            interpolation=cv2.INTER_NEAREST)  # fmt: skip
        rgb = recolour(coarse if number % 2 else rgb, 50 + number)
        image[..., :3] = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / path.name), image)


def wander(textures: str, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures of an arena from several sides, and of its inventory."""
    from vlpt.worlds.luanti import session

    plain, rng = session.settings, np.random.default_rng(seed)
    more = {"texture_path": textures} if textures else {}
    session.settings = lambda *given: {**plain(*given), **more}
    try:
        world = make("luanti", size=(320, 180))
        observation, _ = world.reset(seed=seed)
        pictures, menus = [], []
        for step in range(PER_VIDEO * 6):
            action = noop() | {"forward": 1, "jump": int(step % 9 == 0), "camera": np.array([rng.normal(), 8.0])}
            observation, *_ = world.step(action)
            if step % 6 == 5:
                pictures.append(observation["pov"].copy())
        world.step(noop() | {"inventory": 1})
        for _ in range(PER_VIDEO):
            observation, *_ = world.step(noop() | {"camera": rng.normal(0, 4, 2)})
            menus.append(observation["pov"].copy())
        world.close()
    finally:
        session.settings = plain
    return pictures, menus


def embed(videos, network) -> dict[str, np.ndarray]:
    made = {name: [] for name in ("vectors", "label", "group", "domain", "kind", "video")}
    for number, (pictures, *what) in enumerate(videos):
        made["vectors"].append(network(pictures))
        for name, value in zip(("label", "group", "domain", "kind"), what, strict=True):
            made[name] += [value] * len(pictures)
        made["video"] += [f"{number:04d}"] * len(pictures)
    return {"vectors": np.concatenate(made.pop("vectors")), **{name: np.array(values) for name, values in made.items()}}


def read(model: FrameClasses, found: dict, adapt: bool, known: int = 0) -> np.ndarray:
    """Probabilities, domain by domain; `known` videos of each domain are labelled."""
    probabilities, scores = np.zeros((len(found["label"]), 3)), model.scores(found["vectors"])
    for domain in set(found["domain"]):
        here = found["domain"] == domain
        first = sorted(set(found["video"][here]))[:known]
        labels = {video: found["label"][found["video"] == video][0] for video in first}
        probabilities[here] = model.probabilities(scores[here], found["video"][here], labels, adapt)
    return probabilities


def show(name: str, probabilities: np.ndarray, found: dict) -> None:
    scores = report(probabilities, found["label"])
    said = np.array(CLASSES)[probabilities.argmax(1)]
    clean = found["label"] == "clean"
    cells = " | ".join(f"{auc:.3f}, {precision:.3f}" for auc, precision in scores.values())
    print(f"| {name} | {len(clean)} | {cells} | {(said[clean] != 'clean').mean():.1%} | "
          f"{(said[~clean] == 'clean').mean():.1%} |", flush=True)  # fmt: skip


def main(options: Options) -> None:
    network, folder = FrameVectors(options.embedding), Path(options.recordings)
    channels = sorted({meta_of(folder, id_)["channel"] for id_ in find_recordings(folder)})
    seen, new = channels[:6], channels[6:]
    shown = [v for i, c in enumerate(seen) for v in videos_of(
        folder, [c], LAID, SCENES, lambda rgb, i=i: recolour(rgb, 100 + i) if i % 2 else rgb, 10 + i)]
    if options.textures:
        shown += [v for i in range(10, 20) for v in drawn(i, LAID, i % 3 > 0, 200 + i)]
    train = embed(shown, network)
    model, held_out = FrameClasses.fit(network.key, train["vectors"], train["label"], train["group"], train["domain"])
    elsewhere, other = {**LAID, **LAID_ELSEWHERE}, {**SCENES, **SCENES_ELSEWHERE}
    tests = {
        "new arenas": videos_of(folder, new, LAID, SCENES, lambda rgb: rgb, 1),
        "new arenas, overlays and scenes of new kinds too": videos_of(folder, new, LAID_ELSEWHERE, SCENES_ELSEWHERE,
                                                                      lambda rgb: rgb, 2),
        "new arenas in new colours": (v for i, c in enumerate(new) for v in videos_of(
            folder, [c], LAID, SCENES, lambda rgb, i=i: recolour(rgb, i), 3)),
        "the same, overlays and scenes of all kinds": (v for i, c in enumerate(new) for v in videos_of(
            folder, [c], elsewhere, other, lambda rgb, i=i: recolour(rgb, 20 + i), 4)),
    }  # fmt: skip
    if options.textures:
        tests["new arenas, the game's own menus"] = (v for i in range(4) for v in drawn(i, LAID, False, 5 + i))
        tests["the same with other textures"] = (v for i in range(4) for v in drawn(i, LAID, True, 5 + i))
    print(f"fitted on {len(train['label'])} pictures of {len(seen)} channels")
    print("| pictures | n | " + " | ".join(f"{name}: AUC, precision at 90 %" for name in CLASSES)
          + " | clean ones flagged | others passed |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for name, videos in tests.items():
        found = embed(videos, network)
        show(name, read(model, found, adapt=True), found)
        show("... without the channel's shift", read(model, found, adapt=False), found)
        show("... with one video of the channel labelled", read(model, found, adapt=True, known=1), found)


if __name__ == "__main__":
    run(main, Options)
