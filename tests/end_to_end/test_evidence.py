"""The list of instruments, what is kept of them, and the page.

Run: pytest tests/end_to_end/test_evidence.py
"""

import json

import pytest

import evidence
from demo import Step
from evidence import Options, kept, known_before, measure, over_seeds, page, steps
from vlpt.checkpoint import agent_key
from vlpt.files import read_json, write_json


def test_every_instrument_is_asked_about_the_agent_that_is_named():
    made = steps(Options(model="runs/mine", quick=True))
    assert {"matching", "understanding", "interventions", "flow", "steering", "saying", "trust"} <= made.keys()
    about = [name for name, step in made.items() if name not in ("health", "trust", "sight")]
    assert all("--model runs/mine" in " ".join(made[name].command) for name in about)
    assert len({step.makes for step in made.values()}) == len(made)
    more = steps(Options(seeds=("runs/a", "runs/b")))
    assert [name for name in more if name not in made] == ["worth_a", "worth_b"]
    assert "--runs runs/b" in " ".join(more["worth_b"].command)


def test_what_several_seeds_say_is_the_mean_of_each_episode(tmp_path):
    channels = ["ch1", "ch1", "ch2", "ch2"]
    for seed, values in ("a", [0.0, 0.2, 0.4, None]), ("b", [0.2, 0.4, 0.6, None]):
        found = dict(by_episode={"worth of words": values}, channels=channels)
        (tmp_path / f"worth_{seed}.json").write_text(json.dumps(found))
    found = over_seeds(["runs/a", "runs/b"], str(tmp_path))["worth of words"]
    assert found["delta"] == pytest.approx(0.35) and found["of_seeds"] == pytest.approx([0.2, 0.4])
    assert (found["channels"], found["episodes"]) == (2, 3) and found["low"] < 0.35 < found["high"]
    assert over_seeds([], str(tmp_path)) == {}


def test_a_step_that_fails_ends_it_and_one_that_is_done_is_not_done_again(tmp_path, capsys):
    done, failed = (Step(("-c", code), None, str(tmp_path / f"{name}.txt"))
                    for name, code in (("done", "print('a table')"), ("failed", "raise SystemExit(3)")))
    measure(done)
    assert "a table" in (tmp_path / "done.txt").read_text() and "a table" in capsys.readouterr().out
    measure(done)
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit) as stopped:
        measure(failed)
    assert stopped.value.code == 3 and not (tmp_path / "failed.txt").exists()


def test_the_evidence_that_is_kept_is_of_the_agent_that_is_kept():
    """Whoever ships other weights measures them."""
    assert read_json(Options().summary)["weights"] == agent_key(Options().model)


def test_what_was_measured_by_hand_stays_and_what_is_of_another_agent_goes(tmp_path):
    summary = str(tmp_path / "all.json")
    assert known_before(summary, "a") == {}
    there = {"weights": "a", "steering_forty": 1, "worth_0": 2, "seeds": 3}
    write_json(summary, there)
    assert known_before(summary, "a") == there
    assert known_before(summary, "b") == {"worth_0": 2, "seeds": 3}


def test_numbers_and_pictures_of_all_are_shown(tmp_path, monkeypatch):
    write = Step(("-c", "print('share < 1')"), None, str(tmp_path / "one.txt"))
    (tmp_path / "one.json").write_text(json.dumps(dict(share=0.123456, options=dict(seed=0), rows=[0.5] * 500)))
    (tmp_path / "one.png").write_bytes(b"picture")
    monkeypatch.setattr(evidence, "steps", lambda options: {"one": write})
    evidence.main(options := Options(out=str(tmp_path), summary=str(tmp_path / "all.json")))
    assert json.loads((tmp_path / "all.json").read_text()) == {
        "one": {"share": 0.1235, "rows": 500}, "weights": agent_key("pretrained/agent")}
    shown = (tmp_path / "report.html").read_text()
    assert "share &lt; 1" in shown and shown.count("<img") == 1 and shown == page(options, ["one"])
    assert kept(dict(examples=1, of=dict(lives=2, low=None))) == {"of": {"low": None}}
