"""The ablations: what is changed, what is measured, and that a killed list goes on.

Run: pytest tests/vlpt/test_ablations.py
"""

import json
from dataclasses import fields

import numpy as np
import pytest
from support.toy_evaluation import HELD_OUT, joined, write_play, write_run

import ablations
from ablations import RECIPE, Options, chosen, steps, train_all, variants
from demo import Step
from vlpt.data.shards import Shards
from vlpt.evaluation.ablation_costs import SMOLLM2, frame_ms
from vlpt.evaluation.ablations import Asked, measured, row, table
from vlpt.evaluation.trial import Trial, TrialOptions
from vlpt.parts import unjoined
from vlpt.show.ablations_plot import ablations_figure
from vlpt.show.plots import write_picture

HOURS = {f"ch{n}": 7 / 60 for n in range(100, 152)}
DONE = {"valid/token": 2.1, "valid/action": 0.9, "valid/silence": 0.5, "valid/intention": 5.0, "alone/token": 2.2,
        "alone/action": 0.91, "minutes": 1.5, "frames_per_s": 3000.0}  # fmt: skip


def all_of(tmp_path, **asked):
    decoder = tmp_path / "decoder"
    decoder.mkdir(exist_ok=True)
    (decoder / "config.json").write_text("{}")
    options = Options(dear=True, decoder=str(decoder), **asked)
    return options, variants(options, HOURS)


def differs(one, other) -> set[str]:
    """Names of options that two runs do not share."""
    return {field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)} - {"name"}


def test_each_variant_differs_from_what_it_is_compared_with_in_what_it_says(tmp_path):
    options, every = all_of(tmp_path)
    made = steps(options, chosen(options, every))  # made of the stages' own options, which refuse what has no effect
    follows = {"without-intention": {"intention_decay"}, "few-updates": {"warmup"}}  # what then cannot be as it was
    compared = set()
    for name, variant in every.items():
        base = every.get(variant.against)
        for stage in RECIPE:
            if getattr(variant, stage) is None or base is None or name == "reference" or variant.reason:
                continue
            own, other = (made[f"{one}-{stage}"].options for one in (name, variant.against))
            told = {**getattr(base, stage), **getattr(variant, stage)}.items() - getattr(base, stage).items()
            assert differs(own, other) == {key for key, _ in told} | follows.get(name, set()), name
            assert all(getattr(own, key) == value for key, value in told), name
            compared.add(name)
    assert compared == every.keys() - {"reference", "12-hours", "smollm2"}
    assert "contrast" in made and made["trunk-contrastive-language"].options.base == f"{options.runs}/contrast"


def test_hours_of_play_are_those_of_so_many_channels(tmp_path):
    _, every = all_of(tmp_path)
    assert [len(every[name].action["train_on"]) for name in ("third-of-an-hour", "1-hour", "3-hours")] == [3, 9, 26]
    assert every["12-hours"].reason == "there are 6.1 hours" and "6.1 hours" in every["reference"].about


def test_some_are_asked_for_with_what_they_are_compared_with(tmp_path):
    options, every = all_of(tmp_path, only=("smollm2-adapters", "flamingo"))
    assert list(chosen(options, every)) == ["reference", "flamingo", "smollm2", "smollm2-adapters"]
    assert chosen(options, every)["reference"].action is None  # flamingo is compared in words alone
    with pytest.raises(ValueError, match="no variant flamenco: there are reference, "):
        chosen(Options(only=("flamenco",)), every)
    with pytest.raises(ValueError, match="give --dear, too"):
        chosen(Options(only=("smollm2",)), every)
    assert "smollm2" not in chosen(Options(), every)
    assert variants(Options(decoder="nowhere"), HOURS)["smollm2"].reason.startswith("nowhere is not there")


def test_a_list_that_was_ended_goes_on_where_it_was(tmp_path):
    def step(name: str, code: str) -> Step:
        made = ablations.STAGES["action"].Options(name=name, runs=str(tmp_path))
        did = f"from pathlib import Path; p = Path({str(tmp_path / name)!r}); p.mkdir(); "
        return Step(("-c", f"{did}p.with_suffix('.ran').touch(); {code}"), made)

    def ran() -> list[str]:
        """The names of those that ran since this was asked last."""
        return [path.stem for path in sorted(tmp_path.glob("*.ran")) if path.unlink() is None]

    finish, fail = "(p / 'done.json').write_text('{}')", "p.rmdir(); raise SystemExit(3)"
    with pytest.raises(SystemExit) as stopped:
        train_all({name: step(name, fail if name == "b" else finish) for name in "abc"}, workers=1)
    assert stopped.value.code == 3 and ran() == ["a", "b"]
    train_all({name: step(name, finish) for name in "abc"}, workers=2)
    assert ran() == ["b", "c"]


def test_a_run_made_with_other_options_is_not_taken_for_done(tmp_path):
    made = steps(Options(runs=str(tmp_path)), chosen(Options(), {"reference": variants(Options(), HOURS)["reference"]}))
    run = tmp_path / "reference-action"
    run.mkdir()
    asked = {"stage": "action"} | ablations.to_dict(made["reference-action"].options)
    (run / "done.json").write_text("{}")
    (run / "options.json").write_text(json.dumps({"options": asked | dict(threads=5)}))
    assert ablations.is_done(made["reference-action"]) and not ablations.is_done(made["reference-language"])
    (run / "options.json").write_text(json.dumps({"options": asked | dict(steps=5)}))
    with pytest.raises(ValueError, match="was made with other options .steps=5 then, 200 now"):
        ablations.is_done(made["reference-action"])


def write_trained(folder, model, stage: str, **options) -> None:
    """A toy run that has reached its end."""
    write_run(folder, model, stage, trunk="frozen", steps=3, **options)
    rows = [{"step": step, "valid/token": nats, "valid/action": nats} for step, nats in enumerate((3.0, 1.5, 2.5), 1)]
    (folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (folder / "done.json").write_text(json.dumps(DONE))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Shards, where to measure, and two runs of a stage: with open gates, and with closed ones."""
    folder = tmp_path_factory.mktemp("ablations")
    write_trained(folder / "reference-language", joined(), "language")
    write_trained(folder / "closed-language", unjoined(joined()), "language", frames="blank")
    options = TrialOptions(shards=str(write_play(folder)), held_out=HELD_OUT)
    found = {name: measured(folder / name, options, Shards(options.shards), folder / f"{name}.json")
             for name in ("reference-language", "closed-language")}  # fmt: skip
    return folder, options, found


def test_the_table_has_the_losses_differences_and_costs_of_the_runs(toy, tmp_path):
    folder, options, found = toy
    asked = [Asked(name, "language", "so") for name in ("reference", "closed")]
    rows = [row(one, found) for one in [*asked, Asked("giant", "language", "large", "", "none at hand", 12.5)]]
    reference, closed = rows[:2]
    trial = Trial(folder / "closed-language", options)
    own = trial.losses(frame_source="blank")  # as it was trained
    assert closed["loss"] == own.mean("token") and closed["alone"] == 2.2 and closed["beside"] == 0.5
    assert closed["best"] == 1.5 and closed["seconds"] == 90 and closed["updates"] == 3 and closed["same_count"]
    each = own.each("token") - np.array(found["reference-language"]["losses"]["token"])
    means = [np.mean(each[:2]), np.mean(each[2:])]  # of the two channels
    assert closed["difference"]["delta"] == pytest.approx(np.mean(means), abs=1e-4)
    half = 12.706 * np.std(means, ddof=1) / 2**0.5  # Student's t of one degree of freedom
    assert closed["difference"]["high"] - closed["difference"]["delta"] == pytest.approx(half, abs=1e-3)
    assert reference["difference"] is None and closed["frame_ms"] > 0
    assert 0 < closed["trained"] < closed["new"] + sum(p.numel() for p in joined().language.parameters())
    text = table(rows)
    assert f"{closed['loss']:.3f}" in text and "giant: large: not trained: none at hand; 12.5 ms" in text
    assert "2 held-out channels" in text and "one seed" in text
    write_picture(tmp_path / "table.png", ablations_figure({"rows": rows}))
    assert (tmp_path / "table.png").stat().st_size > 5000


def test_what_was_measured_is_read_again_until_the_run_is_another(toy):
    folder, options, found = toy
    run, kept = folder / "closed-language", folder / "closed-language.json"
    kept.write_text(kept.read_text().replace('"best": 1.5', '"best": 0.25'))
    again = measured(run, options, Shards(options.shards), kept)
    assert again["best"] == 0.25 and again["losses"] == found["closed-language"]["losses"]
    (run / "done.json").write_text(json.dumps(DONE | dict(minutes=2.0)))
    assert measured(run, options, Shards(options.shards), kept)["best"] == 1.5
    (run / "done.json").unlink()
    with pytest.raises(ValueError, match="closed-language is not trained to its end"):
        measured(run, options, Shards(options.shards), kept)


def test_a_frame_of_a_toy_takes_time_and_smollm2_is_of_its_size():
    assert 0 < frame_ms(joined(), periods=1) < 1000
    size, rest = SMOLLM2["hidden_size"], SMOLLM2["intermediate_size"]
    keys = size * SMOLLM2["num_key_value_heads"] // SMOLLM2["num_attention_heads"]
    layer = 2 * size * size + 2 * size * keys + 3 * size * rest + 2 * size
    assert SMOLLM2["vocab_size"] * size + SMOLLM2["num_hidden_layers"] * layer + size == 134_515_008
