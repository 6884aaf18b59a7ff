"""The classifier of pictures: fitted on some channels, it judges others; and what it keeps, says and refuses."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
from support.gathering import configure, gathered
from support.numbered_recordings import numbers
from support.overlaid_pictures import lay_over, other_scene
from support.places import SAMPLES
from support.real_files import ffmpeg, needs_ffmpeg
from support.real_files import film as film_of_numbers

from data_gathering import clean
from data_gathering.frame_quality.contact_sheet import sample_frames
from data_gathering.frame_quality.frame_classes import CLASSES, FrameClasses, folds
from data_gathering.frame_quality.frame_vectors import FrameVectors
from data_gathering.frame_quality.verdicts import reviewed
from data_gathering.rehearsal_site import rehearsal_site, rolled_up
from vlpt.data.words import Word
from vpt.frames import write_video


def film(path, pictures, channel: str, arena: int) -> None:
    with write_video(path, pictures[0].shape[1::-1]) as video:
        for rgb in pictures:
            video.write(rgb)
    meta = {"channel": channel, "arena_seed": arena}
    path.with_name(f"{path.stem}.meta.json").write_text(json.dumps(meta))


def films(folder, numbers, seed: int) -> dict[str, str]:
    """Of some channels each two clean films, three with artefacts, two of other scenes; returns what they are."""
    rng, labels = np.random.default_rng(seed), {}
    folder.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        first, second = (sample_frames(SAMPLES / f"ch{n}-0{episode}.mp4", 6) for episode in (0, 1))
        made = {"clean": first, "clean2": second}
        for kind in ("banner", "border", "face cam"):
            made[f"artefacts {kind}"] = [lay_over(kind, rgb, rng) for rgb in first]
        for scene in ("slide", "china"):
            made[f"other {scene}"] = [other_scene(scene, (128, 128), rng) for _ in first]
        for name, frames in made.items():
            id_ = f"ch{n}-{name.replace(' ', '')}"
            labels[id_] = next(label for label in CLASSES if name.startswith(label))
            film(folder / f"{id_}.mp4", frames, f"ch{n}", n)
    return labels


def options(folder, **more) -> clean.Options:
    names = {name: str(folder / place) for name, place in (
        ("videos", "3_video"), ("out", "3_clean.jsonl"), ("next", "3_next.jsonl"), ("model", "clean_model"),
        ("labels", "3_reviewed.jsonl"))}  # fmt: skip
    return clean.Options(**{**names, "per_video": 6, **more})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with films of six channels, of which four are labelled, and what `clean --fit` said and made."""
    folder = tmp_path_factory.mktemp("clean")
    labels = films(folder / "3_video", range(6), 0)
    said = {key: label for key, label in labels.items() if key[:3] in ("ch0", "ch1", "ch2", "ch3")}
    (folder / "3_reviewed.jsonl").write_text("".join(
        json.dumps({"key": key, "label": label, "at": "2026-01-01T00:00:00Z"}) + "\n" for key, label in said.items()))
    return folder, labels, clean.main(options(folder, fit=True))


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_videos_of_channels_never_labelled_are_told_apart(fitted):
    folder, labels, totals = fitted
    judged = {row["key"]: row for row in rows(folder / "3_clean.jsonl")}
    strangers = [key for key in labels if key[:3] in ("ch4", "ch5")]
    right = [judged[key]["label"] == labels[key] for key in strangers]
    assert np.mean(right) >= 0.75 and totals["failed"] == 0 and sum(totals.values()) == len(labels)
    for row in judged.values():
        assert row["pictures"] == 6 and sum(row["shares"].values()) == pytest.approx(1, abs=1e-3)
        assert (row["label"] == "clean") == (row["shares"]["clean"] >= 0.8)


def test_it_says_how_good_it_is_on_groups_held_out(fitted, capsys):
    folder, *_ = fitted
    clean.main(options(folder, fit=True))
    said = capsys.readouterr().out
    assert said.count("AUC") == 3 and "precision" in said and "90% are found" in said


def test_folds_tear_no_group_apart():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 12, 200)
    classes = groups % 3
    for train, test in folds(classes, groups):
        assert not set(groups[train]) & set(groups[test]) and set(classes[test]) == {0, 1, 2}


def test_a_saved_model_says_the_same_and_a_broken_one_is_named(fitted, tmp_path):
    folder, *_ = fitted
    model, vectors = FrameClasses.load(folder / "clean_model"), np.random.default_rng(0).normal(size=(7, 2560))
    model.save(tmp_path)
    assert np.array_equal(FrameClasses.load(tmp_path).scores(vectors), model.scores(vectors))
    with pytest.raises(ValueError, match="vectors have 4 numbers"):
        model.scores(vectors[:, :4])
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="model.safetensors is no model of ours"):
        FrameClasses.load(tmp_path)
    with pytest.raises(ValueError, match="missing: fit a model"):
        FrameClasses.load(tmp_path / "nowhere")


def test_our_kernel_is_scikit_learns():
    from sklearn.svm import SVC

    from data_gathering.frame_quality.frame_classes import COST, Machine

    rng = np.random.default_rng(0)
    vectors, belongs = rng.normal(size=(60, 8)).astype(np.float32), np.arange(60) % 3 == 0
    theirs = SVC(C=COST, class_weight="balanced").fit(vectors, belongs)
    assert np.allclose(Machine.fit(vectors, belongs)(vectors), theirs.decision_function(vectors), atol=1e-4)


# ---- a domain's shift


def a_model(between: float) -> FrameClasses:
    """Classes at corners of a triangle; domains that differ by so much."""
    centres = np.array([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    return FrameClasses("toy", np.zeros(3), np.ones(3), (), centres, 0.05 * np.eye(3), between**2 * np.eye(3))


def test_a_channel_whose_scores_are_shifted_is_read_right():
    """Every clean picture of a new look would be flagged; read together, and with a label of one video, none is."""
    rng, model = np.random.default_rng(0), a_model(1.0)
    labels = np.repeat([0, 1, 2], [60, 20, 20])
    shift = np.array([-1.3, 1.2, 0.0])
    scores = model.centres[labels] + shift + rng.normal(0, 0.2, (100, 3))
    videos = [f"{label} {i % 4}" for i, label in enumerate(labels)]

    def right(**how) -> float:
        return (model.probabilities(scores, videos, **how).argmax(1) == labels).mean()

    assert right(adapt=False) < 0.6
    assert right() > right(adapt=False)
    assert right(known={"0 0": "clean"}) > 0.95
    assert (a_model(0.01).probabilities(scores, videos).argmax(1) == labels).mean() < 0.6  # domains are known to agree


def test_a_channel_without_a_shift_keeps_its_reading():
    rng, model = np.random.default_rng(1), a_model(0.5)
    scores = model.centres[np.repeat([1], 48)] + rng.normal(0, 0.2, (48, 3))  # a watermark on everything
    assert (model.probabilities(scores, np.repeat(list("abc"), 16)).argmax(1) == 1).all()


# ---- what to label next, verdicts, bad input


def test_what_is_in_doubt_and_unlike_the_rest_comes_first(fitted):
    folder, labels, _ = fitted
    listed = [row["key"] for row in rows(folder / "3_next.jsonl")]
    assert len(listed) == len(set(listed)) and set(listed) == {key for key in labels if key[:3] in ("ch4", "ch5")}
    sure, torn = {"clean": 1.0, "artefacts": 0.0, "other": 0.0}, {"clean": 0.4, "artefacts": 0.3, "other": 0.3}
    shares = {"sure": sure, "torn": torn, "twin": {**torn, "clean": 0.39, "other": 0.31}, "far": torn}
    places = {"sure": 9.0, "torn": 0.0, "twin": 0.001, "far": 5.0}
    vectors = {key: np.full((2, 3), place) for key, place in places.items()}
    order = clean.worth_a_label([{"key": key, "shares": value} for key, value in shares.items()], vectors, set(), 4)
    assert [row["key"] for row in order][1] == "far" and {row["key"] for row in order[:2]} & {"torn", "twin"}
    assert len(clean.worth_a_label([{"key": key, "shares": torn} for key in vectors], vectors, {"far"}, 2)) == 2


def test_a_persons_word_can_be_taken_back(tmp_path):
    assert reviewed(tmp_path / "nothing") == {}
    (tmp_path / "3_reviewed.jsonl").write_text(
        '{"key": "a", "label": "artefacts"}\n{"key": "b", "label": "clean"}\n{"key": "b", "label": null}\n')
    assert reviewed(tmp_path / "3_reviewed.jsonl") == {"a": "artefacts"}


def test_nothing_is_looked_at_twice_and_what_is_broken_is_named(fitted, capsys, monkeypatch):
    folder, labels, _ = fitted
    before = (folder / "3_clean.jsonl").read_bytes()

    def never(self, pictures):
        raise AssertionError("looked at again")

    monkeypatch.setattr(FrameVectors, "__call__", never)
    clean.main(options(folder))
    assert (folder / "3_clean.jsonl").read_bytes() == before
    broken = folder / "3_video/ch9-00.mp4"
    broken.write_bytes((folder / "3_video/ch0-clean.mp4").read_bytes()[:500])
    try:
        with pytest.raises(SystemExit):
            clean.main(options(folder))
        assert "ch9-00" in capsys.readouterr().err
        assert (folder / "3_clean.jsonl").read_bytes() == before
    finally:
        broken.unlink()


def test_one_bad_video_stops_no_other(fitted, tmp_path, capsys):
    """A pipe, a folder, a link to nothing, an unknown codec, a broken meta file; a kept vector file that is torn."""
    folder, *_ = fitted
    videos, kept = tmp_path / "3_video", tmp_path / "3_looks"
    videos.mkdir()
    kept.mkdir()
    whole = (folder / "3_video/ch0-clean.mp4").read_bytes()
    for id_ in ("ch0-codec", "ch0-good", "ch0-list", "ch0-meta"):
        (videos / f"{id_}.mp4").write_bytes(whole.replace(b"avc1", b"zzzz") if id_ == "ch0-codec" else whole)
    (videos / "ch0-folder.mp4").mkdir()
    (videos / "ch0-link.mp4").symlink_to("nowhere")
    os.mkfifo(videos / "ch0-pipe.mp4")
    (videos / "ch0-list.meta.json").write_text('{"channel": ["a"]}')
    (videos / "ch0-meta.meta.json").write_text("{")
    (kept / "ch0-good.npz").write_bytes(b"PK\x03\x04 torn")
    places = {name: str(tmp_path / f"{name}.jsonl") for name in ("out", "next")}
    with pytest.raises(SystemExit):
        clean.main(options(folder, videos=str(videos), **places))
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert [line.split()[1] for line in lines] == [
        f"ch0-{name}:" for name in ("codec", "folder", "link", "list", "meta", "pipe")]
    assert "6 failed" in said.out and [row["key"] for row in rows(tmp_path / "out.jsonl")] == ["ch0-good"]


@needs_ffmpeg
def test_pictures_are_sampled_from_what_is_shown_of_a_cut_turned_or_long_heard_video(tmp_path):
    """None of them is called cut short; the pictures are those that a player shows."""
    film_of_numbers(tmp_path / "a.mp4", range(0, 6000, 50), key_every=40)
    ffmpeg("-i", tmp_path / "a.mp4", "-f", "lavfi", "-i", "sine=d=30", "-c:v", "copy", tmp_path / "heard.mkv")
    ffmpeg("-ss", "2.5", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "cut.mp4")
    ffmpeg("-i", tmp_path / "a.mp4", "-metadata:s:v", "rotate=90", "-c", "copy", tmp_path / "turned.mp4")
    found = {name: sample_frames(tmp_path / name, 8) for name in ("heard.mkv", "cut.mp4", "turned.mp4")}
    assert [len(pictures) for pictures in found.values()] == [8, 8, 8]
    for name, first in (("heard.mkv", 0), ("cut.mp4", 50)):
        shown = numbers(np.stack(found[name]))
        parts = (shown - first) / (120 - first) * 8
        assert (np.diff(shown) > 0).all() and (np.abs(parts - 0.25 - np.arange(8)) <= 0.4).all()
    assert found["turned.mp4"][0].shape == (320, 180, 3)


def test_verdicts_of_videos_that_are_gone_are_kept(fitted, tmp_path):
    """`gather` can drop originals; a folder of which no video can be read does not wipe out what is known either."""
    folder, labels, _ = fitted
    out = tmp_path / "3_clean.jsonl"
    gone = {"key": "gone-00", "label": "clean", "made_by": "before"}
    out.write_text(json.dumps(gone) + "\n" + '{"key": "torn')
    clean.main(options(folder, out=str(out)))
    assert gone in rows(out) and {row["key"] for row in rows(out)} == {"gone-00", *labels}
    (tmp_path / "3_video").mkdir()
    (tmp_path / "3_video/broken-00.mp4").write_bytes(b"no video")
    with pytest.raises(SystemExit):
        clean.main(options(folder, out=str(out), videos=str(tmp_path / "3_video"), next=str(tmp_path / "next.jsonl")))
    assert {row["key"] for row in rows(out)} == {"gone-00", *labels}


def test_a_label_that_is_no_class_is_named(tmp_path):
    path = tmp_path / "3_reviewed.jsonl"
    path.write_text('{"key": "a", "label": "tidy"}\n')
    with pytest.raises(ValueError, match="3_reviewed.jsonl: a is labelled 'tidy'"):
        reviewed(path)


def test_too_few_labels_and_no_pictures_are_refused(fitted, tmp_path):
    folder, *_ = fitted
    with pytest.raises(ValueError, match="nothing is labelled"):
        clean.main(options(folder, fit=True, labels=str(tmp_path / "none.jsonl"), model=str(tmp_path / "model")))
    few = tmp_path / "few.jsonl"
    few.write_text('{"key": "ch0-clean", "label": "clean"}\n{"key": "ch1-clean", "label": "clean"}\n')
    with pytest.raises(ValueError, match="0 groups .* labelled artefacts"):
        clean.main(options(folder, fit=True, labels=str(few), model=str(tmp_path / "model")))
    with pytest.raises(ValueError, match="has no folder clean/<group>"):
        clean.main(options(folder, fit=True, frames=str(tmp_path), model=str(tmp_path / "model")))
    assert not (tmp_path / "model").exists()


def test_pictures_in_folders_teach_too(fitted, tmp_path):
    folder, *_ = fitted
    for label in CLASSES:
        for group in ("one", "two"):
            (tmp_path / f"frames/{label}/{group}-{label}").mkdir(parents=True)
            rgb = other_scene("slide", (90, 160), np.random.default_rng(len(group)))
            cv2.imwrite(str(tmp_path / f"frames/{label}/{group}-{label}/a.png"), rgb)
    with_pictures = options(folder, frames=str(tmp_path / "frames"))
    found = list(clean.labelled_pictures(with_pictures, lambda pictures: np.zeros((len(pictures), 2560))))
    assert [labels for _, labels, *_ in found] == [[name] for name in CLASSES for _ in range(2)]
    (tmp_path / "frames/clean/one-clean/b.png").write_text("no picture")
    with pytest.raises(ValueError, match="b.png is no picture"):
        list(clean.labelled_pictures(with_pictures, None))


def test_gather_leaves_out_what_is_not_clean_unless_a_person_says_so(fitted, tmp_path):
    folder, *_ = fitted
    names = ("ch4-clean", "ch4-otherslide")
    with rehearsal_site() as site:
        for name in names:
            words = [Word("hello", 40, 90)]
            site.video(name, (folder / f"3_video/{name}.mp4").read_bytes(), f"Let's play {name}", rolled_up(words))
        site.feed("/feed", list(names))
        path = configure(tmp_path, site, clean={"model": str(folder / "clean_model"), "per_video": 6})
        assert gathered(path) == {"done": 1, "left_out": 1, "failed": 0}
        (left_out,) = [row for row in rows(tmp_path / "data/gathered.jsonl") if row["state"] == "left_out"]
        assert "slide" in left_out["key"] and left_out["why"] in ("other", "artefacts")
        assert {row["label"] for row in rows(tmp_path / "data/3_clean.jsonl")} == {"clean", left_out["why"]}
        said = {"key": left_out["id"], "label": "clean", "at": "2026-01-01T00:00:00Z"}
        (tmp_path / "data/3_reviewed.jsonl").write_text(json.dumps(said) + "\n")
        assert gathered(path) == {"done": 2, "left_out": 0, "failed": 0}


# ---- networks


def test_a_clip_in_a_folder_looks_too(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                              image_size=32, patch_size=8, projection_dim=16)  # fmt: skip
    CLIPVisionModel(config).save_pretrained(tmp_path / "clip")
    vectors = FrameVectors(str(tmp_path / "clip"))
    pictures = [np.full((50, 70, 3), shade, np.uint8) for shade in (0, 200)]
    found = vectors(pictures)
    assert found.shape == (2, 64) and np.isfinite(found).all() and not np.allclose(*found)
    assert np.allclose(vectors(pictures[1:]), found[1:], atol=1e-5) and vectors([]).shape == (0, 64)
    with pytest.raises(ValueError, match="is no CLIP on this machine"):
        FrameVectors(str(tmp_path / "nowhere"))


def small_clip(folder, seed: int = 0):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(seed)
    network = CLIPVisionModel(CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1,
                                               num_attention_heads=2, image_size=32, patch_size=8))  # fmt: skip
    network.save_pretrained(folder)
    return network


def test_networks_of_one_name_are_not_taken_for_each_other(fitted, tmp_path):
    """Vectors that are kept, and models that were fitted, belong to weights and not to a folder's name."""
    for seed, place in enumerate(("a/clip", "b/clip")):
        small_clip(tmp_path / place, seed)
    one, same, other = (FrameVectors(str(tmp_path / place)).key for place in ("a/clip", "a/clip", "b/clip"))
    assert one == same != other
    with pytest.raises(ValueError, match="was fitted on vectors of 'lite0"):
        clean.VideoClassifier(options(fitted[0], embedding=str(tmp_path / "a/clip")))


def test_a_clip_of_half_precision_looks_and_one_without_its_weights_is_refused(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    small_clip(tmp_path / "half").half().save_pretrained(tmp_path / "half")
    assert FrameVectors(str(tmp_path / "half"))([np.zeros((9, 9, 3), np.uint8)]).dtype == np.float32
    llama = LlamaConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=50)
    LlamaForCausalLM(llama).save_pretrained(tmp_path / "llama")
    with pytest.raises(ValueError, match="is no CLIP on this machine .* weights are missing"):
        FrameVectors(str(tmp_path / "llama"))
    torn = tmp_path / "half/model.safetensors"
    torn.write_bytes(torn.read_bytes()[:200])
    with pytest.raises(ValueError, match="is no CLIP on this machine"):
        FrameVectors(str(tmp_path / "half"))


def test_text_boxes_without_their_package_say_how_to_get_it():
    try:
        import rapidocr_onnxruntime  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="pip install --no-deps rapidocr-onnxruntime"):
            FrameVectors("lite0", text_boxes=True)
        return
    rgb = lay_over("banner", np.zeros((180, 320, 3), np.uint8), np.random.default_rng(0))
    assert FrameVectors("lite0", text_boxes=True)([rgb]).shape == (1, 2563)
