"""The report: what it shows is what the files say; the summary has its fixed keys; what is missing is named.

Run: pytest tests/vlpt/test_report.py
"""

import json
import re
import shlex
import shutil

import numpy as np
import pytest
from support.toy_runs import EPISODES, STAGES, write_runs, write_watched

import train
from vlpt.data.shards import Shards
from vlpt.options import parse, to_dict
from vlpt.show import plots
from vlpt.show.report import Options, command, main
from vlpt.show.results import episode_differences, idm_scores, read_results, speech, summary, worth_differences
from vpt.frames import write_video

KEYS = {
    "idm": {"balanced_accuracy", "mouse_r2"}, "action": {"nats_per_frame", "unigram"},
    "token": {"nats_per_token", "unigram"}, "gates": {"words_ask_frames", "frames_ask_words"},
    "alone": {"language_nats_per_token", "agent_nats_per_frame", "without_words_nats_per_frame"},
    "worth": {"words", "frames"}, "dependence": {"oracle", "shuffled", "words", "frames"}, "minutes": None,
    "peak_gb": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = write_runs(tmp_path_factory.mktemp("runs") / "demo")
    write_watched(folder / "watched.jsonl")
    for name in ("play.mp4", "watched.mp4"):
        with write_video(folder / name, (64, 48)) as video:
            video.write(np.zeros((48, 64, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def results(runs):
    return read_results(runs)


def texts(figure) -> str:
    return " | ".join(text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title))


def test_the_page_holds_everything_and_loads_nothing(runs, tmp_path, capsys):
    numbers = main(Options(run=str(runs), out=str(tmp_path / "report.html")))
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:video/mp4;base64,") == 2 and page.count("data:image/png;base64,") == 5
    assert not re.search(r"(src|href)=['\"]?(?!['\"]?data:)", page) and "http" not in page
    assert "not there yet" not in page and "0.874" in page and "back" in page and "0.74" in page
    assert "tall tree" in page and "another episode&#x27;s words" in page and "trained without words" in page
    assert "what the signal gives" in page and "it is not usefulness" in page
    row = re.search(r"<tr><td>words<td class=n>2.600<td class=n>2.500<td class=n>2.400<td class=n>2.500<td[^<]*", page)
    assert re.search(r"joined, words</span><b>2.40</b><small>nats/token, alone 2.60", page)
    own = json.loads((runs / "evaluation.json").read_text())["conditions"]["oracle"]["oracle"]["action"][:-1]
    assert f"oracle&#x27;s own loss</span><b>{np.mean(own):.2f}" in page.replace("'", "&#x27;")
    assert row and f"{numbers['worth']['words']['delta']:+.3f}" in page
    assert json.loads((tmp_path / "summary.json").read_text()) == numbers
    assert not list(tmp_path.glob("*.tmp"))


def test_the_summary_has_exactly_its_keys_and_the_files_numbers(runs, results):
    numbers = summary(results)
    assert set(numbers) == set(KEYS)
    for key, inner in KEYS.items():
        assert inner is None or set(numbers[key]) == inner
    for kind in ("dependence", "worth"):
        assert all(set(found) == {"delta", "low", "high"} for found in numbers[kind].values())
    made = json.loads((runs / "worth.json").read_text())
    assert all(found.items() <= made["worth"][name].items() for name, found in numbers["worth"].items())
    assert numbers["alone"].items() <= made["alone"].items()
    joint, unigram = made["joined"]["joint"], made["unigram"]
    for kind, loss in (("action", "nats_per_frame"), ("token", "nats_per_token")):
        assert numbers[kind] == {loss: joint[loss], "unigram": unigram[loss]}
    assert numbers["gates"] == {"words_ask_frames": 0.12, "frames_ask_words": 0.094}
    assert numbers["peak_gb"] == 3.25  # the evaluation's, more than any run's 2.5


def test_minutes_run_from_the_start_to_the_last_file(runs):
    last = max(path.stat().st_mtime for path in [*runs.glob("*/done.json"), *runs.glob("*.mp4"),
                                                 runs / "evaluation.json"])
    (runs / "started").write_text(str(last - 90))
    assert summary(read_results(runs))["minutes"] == pytest.approx(1.5, abs=0.01)


def test_what_is_missing_is_named_and_the_page_shows_the_rest(tmp_path):
    folder = write_runs(tmp_path / "demo", frames=20, steps=20)
    (folder / "evaluation.json").unlink()
    with pytest.raises(ValueError, match=r"evaluation.json \(evaluate.py dependence\)"):
        main(Options(run=str(folder), out=str(tmp_path / "report.html")))
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png") == 2 and page.count("not there yet") == 5
    assert "matched run without" in page  # worth.json is there
    assert not (tmp_path / "summary.json").exists()
    with pytest.raises(ValueError, match="holds no run"):
        read_results(tmp_path / "elsewhere")
    (folder / "base" / "log.jsonl").write_text('{"step": 1}\n{"step": ')  # a run that writes, or was killed
    assert read_results(folder).runs["base"].rows == [{"step": 1}]
    (folder / "base" / "log.jsonl").write_text('{"step": 1}\n{"step": \n')
    with pytest.raises(ValueError, match="log.jsonl, line 2"):
        read_results(folder)


def test_a_folder_of_before_opens_without_what_it_does_not_have(tmp_path):
    folder = write_runs(tmp_path / "demo", frames=20, steps=20)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    del evaluation["dependence_non_null"]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    (folder / "worth.json").unlink()
    for name in ("without_words", "without_frames"):
        shutil.rmtree(folder / name)
    numbers = main(Options(run=str(folder), out=str(tmp_path / "report.html")))
    page = (tmp_path / "report.html").read_text()
    assert set(numbers) == set(KEYS) and numbers["alone"] is None and numbers["worth"] is None
    assert page.count("python evaluate.py worth") == 2 and "worth of words" not in page
    assert plots.dependence_figure(evaluation).axes[0].get_title(loc="left").startswith("dependence")


def test_only_inferred_labels_of_held_out_channels_are_scored(results, runs):
    episodes = {episode.channel: episode for episode in Shards(runs / "shards").episodes}
    both = results.idm
    assert both.n_frames == sum(episode.n_frames for episode in episodes.values())
    one = idm_scores({"options": {"shards": str(runs / "shards"), "held_out": ["ch4"]}})
    assert one.n_frames == episodes["ch4"].n_frames
    assert 0.5 < both.numbers()["balanced_accuracy"] < 1
    assert idm_scores({"options": {"shards": str(runs / "shards"), "held_out": ["ch0"]}}) is None
    assert idm_scores({"options": {"shards": str(runs / "gone"), "held_out": ["ch4"]}}) is None


def test_episodes_behind_an_interval_average_to_its_middle(results):
    for name in ("words", "frames", "oracle"):
        each = episode_differences(results.evaluation, name)
        assert len(each) == EPISODES - 1  # the last one has no such loss
        found = results.evaluation["dependence"][name]
        assert found["low"] - 0.05 < each.mean() < found["high"] + 0.05
    assert len(episode_differences({"dependence": {}}, "words")) == 0
    for name, found in results.worth["worth"].items():
        assert worth_differences(results.worth, name).mean() == pytest.approx(found["delta"])


def test_losses_stand_beside_their_baselines(results):
    figure = plots.losses_figure(results.runs)
    drawn = [ax for ax in figure.axes if ax.lines]
    assert len(drawn) == len(plots.LOSSES) == len(STAGES) + 2
    unigram = results.runs["joint"].last("unigram/token")
    panel = next(ax for ax in drawn if ax.get_title(loc="left") == "joint: tokens")
    assert f"unigram {unigram:.2f}" in texts(figure)
    assert any(np.allclose(line.get_ydata(), unigram) for line in panel.lines)
    assert panel.get_ylim()[1] > unigram
    alone = results.runs["joint"].last("alone/token")
    assert f"alone {alone:.2f}" in texts(figure) and alone != unigram
    assert any(np.allclose(line.get_ydata(), alone) for line in panel.lines)


def test_gates_of_the_three_stages_follow_one_another(results):
    figure = plots.gates_figure(results.runs)
    longest = max(line.get_xdata()[-1] for line in figure.axes[0].lines if len(line.get_xdata()) > 2)
    assert longest == sum(results.runs[name].rows[-1]["step"] for name in ("language", "action", "joint"))
    assert "shuffled 0.024" in texts(figure) and "words ask frames 0.120" in texts(figure)


def test_an_interval_that_holds_zero_looks_different(results):
    figure = plots.dependence_figure(results.evaluation, results.worth)
    colours = {line.get_color() for ax in figure.axes for line in ax.lines if line.get_marker() == "D"}
    assert colours == {plots.BLUE, plots.SOFT}
    assert texts(figure).count("nats/token") == 2
    assert [ax.get_title(loc="left").split()[0].strip(":") for ax in figure.axes] == ["worth", "dependence", "controls",
                                                                                     "dependence"]


def test_buttons_and_camera_show_the_scores(results):
    table = results.idm.table()
    figure = plots.buttons_figure(results.idm)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        row["button"] for row in sorted(table, key=lambda row: -row["pressed"])]
    shares = [ax.images[0].get_array() for ax in plots.camera_figure(results.idm).axes]
    for share, counts in zip(shares, results.idm.camera, strict=True):
        np.testing.assert_allclose(share.sum(1), counts.any(1))


def test_speech_is_cut_into_windows_in_which_somebody_speaks():
    def row(t, heard="", word=""):
        return {"ms": t, "heard": heard, "word": word, "p_silence": 0.5}

    told = speech([row(0, " go"), row(50, "ing"), row(1000, word=" yes"), row(2500), row(5000, " on")], window_ms=1000)
    assert [(one["ms"], one["true"], one["agent"]) for one in told] == [(0, "going", ""), (1000, "", "yes"),
                                                                        (5000, "on", "")]


def test_a_command_on_the_page_gives_the_options_back():
    made = train.OPTIONS["idm"](name="it's", start="", held_out=("ch4",), augment=False)
    words = shlex.split(command({"stage": "idm", **to_dict(made)}))
    assert words[:3] == ["python", "train.py", "idm"]
    assert parse(train.OPTIONS, words[2:]) == made
