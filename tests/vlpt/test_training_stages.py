"""Training: every stage runs from files, interrupted ends as uninterrupted, and mistakes are said in one line."""

import gzip
import json
import shutil
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from support.numbered_recordings import record
from torch._dynamo import lookup_backend

import train
from data_gathering import shard
from vlpt import joints, write_joints
from vlpt.agent import Agent
from vlpt.data.clips import Clip
from vlpt.data.views import view_path
from vlpt.data.words import load_tokenizer, read_words, vocabulary
from vlpt.options import parse, to_dict
from vlpt.training import STAGES
from vlpt.training.losses import LossTotals, objective
from vlpt.training.parallel import Parallel
from vlpt.training.stage import Stage, StageOptions
from vlpt.training.stopwatch import Stopwatch


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three channels of a few seconds, their shards, and the parts a fused model starts from."""
    folder = tmp_path_factory.mktemp("data")
    for i, channel in enumerate(("ch0", "ch1", "ch2", "ch3")):
        record(folder / "videos", f"{channel}-00", i, 48, word_frames=range(2, 44, 3))
        tree = dict(kind="tree", colour="", distance_m=3.0, share=[0.1, 0.0, 0.0])
        lines = [json.dumps(dict(frame=frame, hand="", things=[tree])) for frame in range(0, 48, 8)]
        view_path(folder / "videos", f"{channel}-00").write_bytes(gzip.compress("\n".join(lines).encode()))
    shard.main(shard.Options(recordings=str(folder / "videos"), labels="truth", out=str(folder / "shards")))
    train.train(options(folder, "words"))
    train.train(options(folder, "base"))
    return folder


def options(folder, stage: str, *flags: str) -> StageOptions:
    """Two updates of a stage on the module's data, as the command line would say it."""
    common = f"--name {stage} --runs {folder}/runs --held-out ch2 ch3 --steps 2 --warmup 1 --validate-every 0 " \
             "--save-every 1 --no-progress --device cpu --lanes 2 --chunk 8 --accumulate 1"
    of_stage = f"--shards {folder}/shards"
    if stage == "words":
        of_stage = f"--videos {folder}/videos --vocabulary 280"
    if stage == "finder":
        of_stage += f" --base {folder}/runs/base --views {folder}/videos"
    if stage in ("contrast", "language", "action", "joint"):
        of_stage += f" --base {folder}/runs/base --language {folder}/runs/words"
    return parse(train.OPTIONS, [stage, *common.split(), *of_stage.split(), *flags])


def log(folder, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / "runs" / name / "log.jsonl").read_text().splitlines()]


def weights(folder, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "runs" / name / "checkpoint" / "model" / "model.safetensors")


def untimed(row: dict) -> dict:
    """What a row says but for how fast it was."""
    timing = ("frames_per_s", "minutes", "peak_gb")
    return {name: value for name, value in row.items() if name not in timing and not name.startswith("speed/")}


@pytest.mark.parametrize("stage", list(STAGES))
def test_resumed_is_uninterrupted(data, stage):
    """Bit for bit: weights, log, and what is left of the random numbers; an update takes several batches."""
    asked = options(data, stage, "--accumulate", "2")
    whole = train.train(replace(asked, name=f"{stage}-whole"))
    cut = replace(asked, name=f"{stage}-cut")
    train.train(replace(cut, stop_after=1))
    assert not (data / "runs" / cut.name / "done.json").exists()
    resumed = train.train(cut)
    ours, theirs = weights(data, cut.name), weights(data, f"{stage}-whole")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert untimed(whole) == untimed(resumed)
    logs = [[untimed(row) for row in log(data, name)] for name in (cut.name, f"{stage}-whole")]
    assert logs[0] == logs[1] and [row["step"] for row in logs[0]] == [1, 2]


# ---- means over the whole update


@pytest.fixture(scope="module")
def uneven(data):
    """Three episodes as long as a chunk, in which much, nothing and little is said."""
    for i, words in enumerate((range(0, 16, 3), (), (5,))):
        record(data / "uneven/videos", f"ch{i}-00", i, 16, words)
    record(data / "uneven/videos", "ch3-00", 3, 16)
    shard.main(shard.Options(recordings=str(data / "uneven/videos"), labels="truth", out=str(data / "uneven/shards")))
    return data


def uneven_stage(folder, name: str, *flags: str) -> Stage:
    """A stage on the three episodes, with the weights that its seed gives, in fp64, so that what is compared is not
    rounding; two frames of the first, nearly all of the second and some of the third count.
    """
    train.seed_everything(0)
    asked = replace(options(folder, name, *flags), shards=f"{folder}/uneven/shards", held_out=("ch3",))
    stage = STAGES[name](asked, torch.device("cpu"))
    for episode in stage.data.train if name != "idm" else ():
        unknown = {"ch0-00": slice(2, 16), "ch1-00": slice(0, 1), "ch2-00": slice(6, 16)}[episode.id]
        episode.confidence[unknown] = 0
    for parameter in stage.groups().get("gates", ()):
        torch.nn.init.constant_(parameter, 0.3)
    stage.model.double()
    if getattr(stage, "reference", None):
        stage.reference.double()
    if name != "idm":
        stage.memory = stage.start(asked.lanes)
    return stage


def add_up(stage: Stage, chunks: int) -> LossTotals:
    """One update's gradient."""
    watch, batches = Stopwatch(torch.device("cpu"), 1), [stage.next_batch() for _ in range(chunks)]
    weights = {name: weight for name, weight in stage.weights().items() if weight}
    return train.accumulate(Parallel(stage, "ddp"), batches, weights, nullcontext(), watch)


def gradients(stage: Stage) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in stage.model.named_parameters() if p.grad is not None}


def relative_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Of all gradients together, by their norm."""
    assert ours.keys() == theirs.keys() and len(ours) > 5
    ours, theirs = (torch.cat([g.double().flatten() for g in one.values()]) for one in (ours, theirs))
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize(("stage", "more"), [
    ("base", "--count-frames non-null"), ("joint", "--trunk trained --kl-weight 50 --token-weight 2"),
])  # fmt: skip
def test_chunks_of_an_update_give_the_gradient_of_one_long_chunk(uneven, stage, more):
    """Three chunks, each an episode, whose counts differ: as the three episodes in one chunk, forgotten between."""
    more = ("--lanes", "1", *more.split())
    long = uneven_stage(uneven, stage, "--chunk", "48", *more)
    short = uneven_stage(uneven, stage, "--chunk", "16", *more)
    short.model.load_state_dict(long.model.state_dict())
    whole, parts = add_up(long, 1), add_up(short, 3)
    assert parts.counts() == whole.counts() and parts.means() == pytest.approx(whole.means(), rel=1e-6)
    assert relative_difference(gradients(short), gradients(long)) < 1e-6

    short = uneven_stage(uneven, stage, "--chunk", "16", *more)
    short.model.load_state_dict(long.model.state_dict())
    for _ in range(3):  # a mean of the chunks' means is another one
        batch = short.next_batch()
        (objective(short.losses(batch), short.weights(), short.counts(batch)) / 3).backward()
    assert relative_difference(gradients(short), gradients(long)) > 0.1


def test_clips_of_an_update_give_the_gradient_of_one_large_batch(uneven):
    flags = ("--no-augment", "--lanes", "1", "--chunk", "16")
    large, small = uneven_stage(uneven, "idm", *flags), uneven_stage(uneven, "idm", *flags)
    large.model.load_state_dict(small.model.state_dict())
    clips = [large.next_batch() for _ in range(3)]
    clip = Clip(*(torch.cat([getattr(one, field.name) for one in clips]) for field in fields(Clip)))
    objective(large.losses(clip), large.weights(), large.counts(clip)).backward()
    add_up(small, 3)
    assert relative_difference(gradients(small), gradients(large)) < 1e-6


def test_a_finished_run_does_nothing(data):
    before = (data / "runs/base/log.jsonl").stat().st_mtime_ns
    train.train(options(data, "base"))
    assert (data / "runs/base/log.jsonl").stat().st_mtime_ns == before


def test_other_options_need_another_name(data):
    with pytest.raises(ValueError, match="rate_new.*another name"):
        train.train(options(data, "base", "--rate-new", "0.5"))


def test_losses_gates_and_baselines_are_logged(data):
    train.train(replace(options(data, "joint"), name="logged"))
    row = log(data, "logged")[-1]
    for name in ("action", "action_non_null", "token", "silence"):
        assert row[name] > 0 and row[f"valid/{name}"] > 0 and row[f"unigram/{name}"] > 0
    assert row["valid/action_non_null"] != row["valid/action"]
    assert row["gate/words_ask_frames"] > 0 and row["gate/frames_ask_words"] > 0


def test_the_reference_is_the_agent_before_this_stage(data):
    """Also where a stage before has opened the gates: it hears and sees what the new one does. And it stays."""
    train.train(replace(options(data, "joint", "--rate-gates", "0.5"), name="opened"))
    asked = replace(options(data, "action", "--rate-new", "1e-2"), base="pretrained/base", language="pretrained/words")
    asked = replace(asked, start=f"{data}/runs/opened", kl_weight=1.0, name="kept", validate_every=1)
    train.train(asked)
    before, first, last = log(data, "kept")
    assert min(first["gate/frames_ask_words"], first["gate/words_ask_frames"]) > 0.1
    assert before["step"] == 0 and abs(before["valid/kl"]) < 1e-6 and last["valid/kl"] > 1e-4


def test_what_the_models_do_alone_stands_beside_every_loss_from_the_first_step(data):
    """At birth the fused model is the two models; later stages go on comparing with these."""
    born = replace(options(data, "language"), name="born", validate_every=1)
    train.train(born)
    rows = log(data, "born")
    assert [row["step"] for row in rows] == [0, 1, 2]
    for loss in ("action", "action_non_null", "token"):
        assert rows[0][f"valid/{loss}"] == pytest.approx(rows[0][f"alone/{loss}"], abs=1e-5)
        assert rows[-1][f"alone/{loss}"] == rows[0][f"alone/{loss}"]
    assert rows[-1]["valid/token"] != pytest.approx(rows[-1]["alone/token"], abs=1e-5)
    later = replace(options(data, "action"), base="pretrained/base", language="pretrained/words", name="later")
    done = train.train(replace(later, start=f"{data}/runs/born"))
    assert {k: v for k, v in done.items() if k.startswith("alone/")} == {
        k: v for k, v in rows[-1].items() if k.startswith("alone/")}


def test_joints_of_one_model_join_others(data, tmp_path, capsys):
    train.train(replace(options(data, "joint", "--rate-gates", "0.5"), name="source"))
    write_joints.main(write_joints.Options(model=f"{data}/runs/source", out=str(tmp_path / "joints")))
    assert (tmp_path / "joints/model.safetensors").stat().st_size < 0.3 * sum(
        tensor.nbytes for tensor in weights(data, "source").values())
    asked = options(data, "language", "--joints", str(tmp_path / "joints"), "--rate-new", "1e-12")
    train.train(replace(asked, name="joined", train_language=False))
    source, base, made = weights(data, "source"), weights(data, "base"), weights(data, "joined")
    for name, tensor in made.items():
        whose = source[name] if name.startswith(joints.PARTS) else base.get(name.removeprefix("policy."))
        if whose is not None and not name.startswith("language."):
            torch.testing.assert_close(tensor, whose, atol=2e-2, rtol=2e-3)
    with pytest.raises(SystemExit):
        options(data, "language", "--joints", "x", "--flamingo-every", "2")
    assert "--flamingo-every has no effect with --joints" in capsys.readouterr().err


def test_validation_tells_of_all_frames_and_of_those_where_something_is_pressed(data):
    """Whatever counts in training: the same model is told of alike."""
    for count in ("all", "non-null"):
        asked = options(data, "base", "--count-frames", count, "--rate-new", "1e-12")
        train.train(replace(asked, name=f"base-{count}"))
    (every, pressed) = (log(data, f"base-{count}") for count in ("all", "non-null"))
    assert pressed[0]["action"] == pressed[0]["action_non_null"] == pytest.approx(every[0]["action_non_null"], rel=0.2)
    assert every[0]["action"] != every[0]["action_non_null"]
    for row in (every[-1], pressed[-1]):
        assert row["valid/action"] != row["valid/action_non_null"]
        assert row["unigram/action"] != row["unigram/action_non_null"]


@pytest.mark.parametrize(("stage", "moves"), [("language", "language."), ("action", "policy.blocks.1")])
def test_a_stage_trains_its_parts_only(data, stage, moves):
    """The trunk never moves; the language model moves in `language`, blocks 2..n in `action`; never the other's."""
    train.train(replace(options(data, stage), name=f"parts-{stage}"))
    base, after = weights(data, "base"), weights(data, f"parts-{stage}")
    words = weights(data, "words")
    changed = {k for k in after if not k.startswith(("policy.", "language."))}
    changed |= {f"policy.{k}" for k, v in base.items() if not torch.equal(v, after[f"policy.{k}"])}
    changed |= {f"language.{k}" for k, v in words.items() if not torch.equal(v, after[f"language.{k}"])}
    assert any(k.startswith(moves) for k in changed)
    still = {"language": "policy.", "action": "language."}[stage]
    assert not any(k.startswith((still, "policy.picture", "policy.blocks.0.")) for k in changed)


@pytest.fixture(scope="module")
def published(data):
    """A decoder as a hub publishes it, with the data's own tokenizer."""
    source = data / "runs/words/checkpoint/model/tokenizer.json"
    size = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2)
    config = transformers.LlamaConfig(vocab_size=vocabulary(load_tokenizer(source)), **size)
    transformers.LlamaForCausalLM(config).save_pretrained(data / "hub")
    shutil.copy(source, data / "hub/tokenizer.json")
    return data / "hub"


@pytest.mark.parametrize(("flags", "moves"), [
    ((), ("q_proj.weight", "embed_tokens")), (("--lora-rank", "2"), ("lora_",)), (("--no-train-language",), ()),
])  # fmt: skip
def test_a_published_decoder_is_embodied_trained_as_asked_resumed_and_played(data, published, flags, moves):
    """All of it, adapters only, or only what joins it; the agent of its checkpoint plays."""
    name = "decoder" + "".join(flags)
    asked = replace(options(data, "language", *flags, "--flamingo-every", "1"), name=name, language=str(published))
    train.train(replace(asked, stop_after=1))
    first = weights(data, name)
    train.train(asked)
    after = weights(data, name)
    changed = {key for key in after if key.startswith("language.") and not torch.equal(after[key], first[key])}
    assert all(any(part in key for key in changed) for part in moves) and bool(changed) == bool(moves)
    if "--lora-rank" in flags:
        assert all("lora_" in key for key in changed)
    assert any(not torch.equal(after[key], first[key]) for key in after if key.startswith("words_ask_frames"))
    agent = Agent.from_pretrained(data / "runs" / name)
    actions, words, _ = agent.act([np.zeros((90, 160, 3), np.uint8)], agent.start())
    assert len(actions) == len(words) == 1


def test_a_model_sets_the_clock_and_silence_of_its_data(data):
    """Its table is larger than its tokenizer, and it ticks at every frame: silent ticks count as silence, also in the
    stage that goes on from it, whose options say nothing of ticks."""
    source = data / "runs/words/checkpoint/model/tokenizer.json"
    known = vocabulary(load_tokenizer(source))
    size = dict(hidden_size=32, num_hidden_layers=1, intermediate_size=64, num_attention_heads=2)
    config = transformers.LlamaConfig(vocab_size=known + 64, **size)
    transformers.LlamaForCausalLM(config).save_pretrained(data / "large")
    shutil.copy(source, data / "large/tokenizer.json")
    flags = ("--frames-per-tick", "1", "--chunk", "48", "--lanes", "2")
    asked = replace(options(data, "language", *flags), name="large", language=str(data / "large"))
    train.train(asked)
    going_on = options(data, "action", "--chunk", "48")
    kept = {name: next(f.default for f in fields(going_on) if f.name == name) for name in ("base", "language")}
    going_on = replace(going_on, name="larger", start=f"{data}/runs/large", **kept)
    for stage in (STAGES["language"](asked, torch.device("cpu")), STAGES["action"](going_on, torch.device("cpu"))):
        chunk, silence = stage.next_batch(), known + 64
        said = sum(row["tokens"] for row in stage.batches.streams.report())
        assert stage.batches.silence == stage.model.language.vocabulary == silence
        assert stage.batches.frames_per_tick == 1
        assert int((chunk.spoken == silence).sum()) == int((chunk.heard == silence).sum()) == 2 * 48 - said > 20
        parts = stage.losses(chunk)
        assert int(parts["silence"].count) == stage.counts(chunk)["silence"] == 2 * 48
        assert int(parts["token"].count) == stage.counts(chunk)["token"] == said > 20


def test_wrong_input_is_one_clear_error(data, tmp_path):
    with pytest.raises(ValueError, match="no channel ch9"):
        train.train(replace(options(data, "base"), name="x", held_out=("ch9",), runs=str(tmp_path)))
    with pytest.raises(ValueError, match="train it first"):
        train.train(replace(options(data, "language"), name="x", base="nowhere", runs=str(tmp_path)))
    with pytest.raises(ValueError, match="transcribe"):
        train.train(replace(options(data, "words"), name="x", videos=str(tmp_path), runs=str(tmp_path)))
    nothing = options(data, "language", "--token-weight", "0", "--silence-weight", "0", "--name", "x")
    with pytest.raises(ValueError, match="nothing to learn: the weight of every loss is 0"):
        train.train(replace(nothing, runs=str(tmp_path)))
    assert not list(tmp_path.iterdir())  # nothing half-made is left


@pytest.mark.parametrize("stage", ["idm", "base"])
def test_bfloat16_trains_as_float32_where_the_processor_has_units_for_it(data, stage, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})  # without, it is only slower
    runs = {name: replace(options(data, stage, "--precision", name), name=f"{stage}-{name}")
            for name in ("float32", "bfloat16")}
    for chosen in runs.values():
        train.train(chosen)
    first = {name: log(data, chosen.name)[0] for name, chosen in runs.items()}
    for part in ("buttons", "camera"):
        assert first["bfloat16"][part] == pytest.approx(first["float32"][part], rel=0.02)
        assert first["bfloat16"][part] != first["float32"][part]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False})
    with pytest.raises(ValueError, match="--precision bfloat16: this processor has no AMX"):
        train.train(replace(runs["bfloat16"], name="x"))
    assert not (data / "runs/x").exists()


def test_losses_from_the_feature_cache_are_those_from_pixels(data, monkeypatch):
    """Of the joined model, whose words look at places: actions, words and intentions, gates open."""
    found = []
    for cached in (True, False):
        if not cached:
            monkeypatch.setattr("vlpt.training.joined.frozen_outputs", lambda *given: None)  # then Lanes reads pictures
        torch.manual_seed(0)
        stage = STAGES["joint"](options(data, "joint"), torch.device("cpu"))
        for gate in stage.groups()["gates"]:
            torch.nn.init.constant_(gate, 0.5)
        chunks = [stage.next_batch() for _ in range(3)]
        assert all((chunk.frames.dtype == torch.uint8) != cached for chunk in chunks)
        with torch.no_grad():
            losses = [stage.losses(chunk) for chunk in chunks]
        found.append([{name: float(part.mean) for name, part in one.items()} for one in losses])
    for ours, theirs in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3, rel=1e-3) and ours["token"] > 0 and ours["action"] > 0


@pytest.mark.parametrize("flags", [(), ("--recompute", "--flamingo-every", "1")])
def test_a_compiled_joint_training_is_the_same(data, published, monkeypatch, flags):
    """Our language model; a published decoder and what is made again. Without the generation of code, which takes
    longer (tests/vpt/test_fast.py)."""
    graphs = []

    def keep(graph, inputs):
        graphs.append(graph)
        return lookup_backend("aot_eager")(graph, inputs)

    monkeypatch.setattr(train, "compile_parts", partial(train.compile_parts, backend=keep))
    language = {"language": str(published)} if "--recompute" in flags else {}
    runs = []
    for name, more in (("plain", ()), ("compiled", ("--compile",))):
        asked = options(data, "joint", *flags, *more)
        train.train(replace(asked, name=f"{name}-{len(flags)}", **language))
        runs.append([untimed(row) for row in log(data, f"{name}-{len(flags)}")])
    for ours, theirs in zip(*runs, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-4)
    targets = {str(node.target) for graph in graphs for node in graph.graph.nodes}
    assert len(graphs) > 2 and any("linear" in target for target in targets)


def test_the_loss_falls_on_what_was_seen(data):
    """Thirty updates on two short texts: the language model learns them."""
    train.train(options(data, "words", "--steps", "30", "--name", "longer", "--rate-new", "3e-3"))
    rows = log(data, "longer")
    assert rows[-1]["token"] < 0.8 * rows[0]["token"]
    assert read_words(data / "videos/ch0-00.words.jsonl")


# ---- options: none without effect


class Watched:
    """Options that write down which of their fields are read."""

    def __init__(self, inner: StageOptions) -> None:
        self.inner, self.read = inner, set()

    def __getattr__(self, name: str):
        self.read.add(name)
        return getattr(self.inner, name)


def read_by(asked: StageOptions, monkeypatch) -> set[str]:
    """The fields that a whole run reads, apart from writing them all down."""
    watched = Watched(asked)
    monkeypatch.setattr(train, "to_dict", lambda watched: to_dict(watched.inner))
    train.train(watched)
    return watched.read


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_option_is_read_by_its_stage(data, stage, monkeypatch):
    """Made anew, and gone on from: whatever can be asked is read by one of the two."""
    run = f"{data}/runs/{stage}-options"
    begun = replace(options(data, stage), name=f"{stage}-options")
    gone_on = options(data, stage)
    cleared = {name: next(f.default for f in fields(gone_on) if f.name == name)
               for name in ("base", "language", "vocabulary") if hasattr(gone_on, name)}
    read = read_by(begun, monkeypatch)
    if hasattr(begun, "start"):
        read |= read_by(replace(gone_on, name=f"{stage}-more", start=run, **cleared), monkeypatch)
    assert {field.name for field in fields(begun)} - read == set()


def test_words_are_learned_by_a_model_without_readers_for_actions(data):
    """Stage language, which has no options of such readers."""
    train.train(replace(options(data, "language", "--no-intention"), name="no-readers"))
    assert [row["step"] for row in log(data, "no-readers")] == [1, 2]


@pytest.mark.parametrize(("stage", "flags", "says"), [
    ("idm", "--rate-pretrained 1e-3", "no such flag '--rate-pretrained'"),
    ("idm", "--start runs/idm --size small", "--size has no effect with --start"),
    ("base", "--rate-pretrained 1e-3", "--rate-pretrained has no effect with an agent made anew"),
    ("base", "--start runs/base --rate-new 1e-3", "--rate-new has no effect with --start"),
    ("words", "--frames-per-tick 2", "(language, action, joint takes it)"),
    ("words", "--start runs/words --vocabulary 99", "--vocabulary has no effect with --start"),
    ("action", "--token-weight 2", "(language, joint takes it)"),
    ("joint", "--start runs/action --frames-per-tick 2", "--frames-per-tick has no effect with --start"),
    ("joint", "--start runs/action --base runs/base", "--base has no effect with --start"),
    ("language", "--no-train-language --lora-rank 4", "--lora-rank has no effect with a language model that is not"),
    ("action", "--no-train-agent --rate-pretrained 1e-5", "--rate-pretrained has no effect with two models that"),
    ("joint", "--steps 0", "--steps should be at least 1, got 0"),
    ("joint", "--drop-words 1.5", "--drop-words should be at most 1, got 1.5"),
    ("joint", "--device gpu0", "--device is one of auto, cpu, cuda, got 'gpu0'"),
    ("jont", "", "one of idm, base, words, contrast, finder, language, action, joint; got 'jont'"),
])  # fmt: skip
def test_a_setting_without_effect_cannot_be_given(stage, flags, says, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(train.OPTIONS, [stage, "--name", "x", *flags.split()])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and says in said and said.count("\n") == 1


def test_a_run_killed_after_its_last_checkpoint_ends_with_its_summary(data, monkeypatch):
    asked = replace(options(data, "base"), name="killed")
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(train.Run, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train.train(asked)
    assert not (data / "runs/killed/done.json").exists()
    summary = train.train(asked)
    assert summary["valid/action"] == log(data, "killed")[-1]["valid/action"] and summary["frames_per_s"] > 0
