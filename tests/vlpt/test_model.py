"""The fused model: one law of time at toy size, closed gates, freezing, memory, checkpoints.

Run: pytest tests/vlpt/test_model.py
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.outputs import by_frame

from vlpt.checkpoint import model_kind
from vlpt.clock import Timestamps
from vlpt.joints import Joints
from vlpt.language.decoder import DecoderConfig
from vlpt.language.transformer_xl import TransformerXL, TransformerXLConfig
from vlpt.memory import Memory, tensors, with_tensors
from vlpt.model import VLPT, VLPTConfig
from vlpt.training.losses import language_nats
from vpt.policy import Policy, PolicyConfig

V = 20
CONFIG = VLPTConfig(
    policy=PolicyConfig(width=32, heads=2, blocks=3, attention_memory_size=20, timesteps=8, impala_width=0.25,
                        impala_channels=(16, 16, 16), px=16, n_buttons=50, last_action=True),
    language=TransformerXLConfig(vocabulary=V, width=32, layers=2, heads=2, head_width=16, inner=64, window=5),
    frames_per_tick=4, frame_window=9, patch_window=6, words_window=14, intention=True, cross_heads=2,
    cross_head_width=16,
)  # fmt: skip
LLAMA = DecoderConfig(dict(
    model_type="llama", vocab_size=V, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, tie_word_embeddings=True, initializer_range=0.3, pad_token_id=0,
    bos_token_id=3), window=4, sinks=2)  # fmt: skip
PACKED = 32 + 16 * 24  # a frame as the trunk gives it: a vector, and 16 patches of two numbers of 3 x 4 channels
VARIANTS = {
    "default": {}, "D=1": dict(frames_per_tick=1), "D=2": dict(frames_per_tick=2), "flamingo": dict(flamingo_every=1),
    "every block": dict(ask_every_block=True), "softmax": dict(silence="softmax"),
    "frames ask words": dict(frames_ask="words"), "no patches": dict(patch_window=0),
    "no intention": dict(intention=False),
    "targets": dict(policy=replace(CONFIG.policy, things=3), target=True),
    "targets alone": dict(policy=replace(CONFIG.policy, things=3), target=True, intention=False, frames_ask="words"),
    "a start": dict(language=replace(CONFIG.language, start_token=3)),
    "no window": dict(frame_window=1, patch_window=1, words_window=1),
    "long patches": dict(patch_window=17, frames_per_tick=2),
    "decoder": dict(language=LLAMA), "decoder, flamingo": dict(language=LLAMA, flamingo_every=1),
    "no sinks": dict(language=replace(LLAMA, sinks=0)),
}  # fmt: skip


def a_model(gate: float = 0.7, **changes) -> VLPT:
    torch.manual_seed(0)
    model = VLPT(replace(CONFIG, **changes)).eval()
    for parameter in model.groups()["gates"]:
        torch.nn.init.constant_(parameter, gate)
    silence = model.silence
    born_zero = [silence.since, silence.since_logit, silence.since_weight, model.policy.last_action.network[2].weight]
    if model.intention is not None:
        born_zero += [part.weight for part in (model.intention.read, model.intention.tell, model.intention.urge)]
    if model.target is not None:
        born_zero += [part.weight for part in (model.target.name, model.target.tell, model.target.urge)]
    for parameter in born_zero:
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def a_stream(lanes: int, frames: int, seed: int = 0, resets: float = 0.05, pixels: bool = False, packed: int = PACKED):
    """sight, first, heard and last action of a stream; what is heard on frames that do not tick is nonsense, to show
    it is not read.
    """
    generator = torch.Generator().manual_seed(seed)
    sight = torch.randn(lanes, frames, packed, generator=generator)
    if pixels:
        sight = torch.randint(0, 256, (lanes, frames, 16, 16, 3), generator=generator, dtype=torch.uint8)
    first = torch.rand(lanes, frames, generator=generator) < resets
    heard = torch.randint(0, V, (lanes, frames), generator=generator)
    heard = heard.where(torch.rand(lanes, frames, generator=generator) < 0.4, V)
    done = (torch.randint(-1, classes, (lanes, frames), generator=generator) for classes in (8641, 121))
    return sight, first, heard, torch.stack(tuple(done), 2)


def cuts(length: int, generator: np.random.Generator) -> list[slice]:
    inner = generator.choice(np.arange(1, length), generator.integers(0, length), replace=False)
    edges = [0, *sorted(inner), length]
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


def forward(model, stream, cut: slice, memory: Memory, **how):
    """The model on a part of a stream, as `a_stream` gives one."""
    sight, first, heard, last_action = (x[:, cut] for x in stream)
    return model(sight, first, heard, memory, last_action, **how)


def run(model, sight, first, heard, last_action, cutting, memory: Memory | None = None) -> tuple[dict, Memory]:
    memory, pieces = memory or model.start(len(first)), []
    for cut in cutting:
        output, memory = forward(model, (sight, first, heard, last_action), cut, memory)
        pieces.append(by_frame(model, output, first[:, cut].shape[1]))
    return {name: torch.cat([piece[name] for piece in pieces], 1) for name in pieces[0]}, memory


def assert_same(found: dict, expected: dict, atol: float = 1e-4) -> None:
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=atol), (name, (found[name] - value).abs().max())


# ---- the law


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("seed", range(2))
@torch.no_grad()
def test_whole_is_chunks_is_one_frame_at_a_time(variant, seed):
    model, generator = a_model(**VARIANTS[variant]), np.random.default_rng(seed)
    stream = a_stream(3, 60, seed, packed=model.policy.packed_width)
    whole, last = run(model, *stream, [slice(0, 60)])
    for cutting in (cuts(60, generator), cuts(60, generator), [slice(t, t + 1) for t in range(60)]):
        pieces, memory = run(model, *stream, cutting)
        assert_same(pieces, whole)
        for ours, theirs in zip(tensors(memory), tensors(last)):
            assert ours.shape == theirs.shape
        # What is remembered is the same too: any further stream goes on alike.
        more = a_stream(3, 10, seed + 100, packed=model.policy.packed_width)
        assert_same(run(model, *more, [slice(0, 10)], memory)[0], run(model, *more, [slice(0, 10)], last)[0])
    assert (whole["ticks"] != whole["ticks"][:1]).any() or variant == "D=1", "lanes should differ in their phase"


@pytest.mark.parametrize("variant", ["default", "targets"])
@torch.no_grad()
def test_pixels_obey_the_law_and_equal_their_cached_features(variant):
    model = a_model(**VARIANTS[variant])
    sight, first, *rest = a_stream(2, 24, pixels=True)
    whole, _ = run(model, sight, first, *rest, [slice(0, 24)])
    pieces, _ = run(model, sight, first, *rest, [slice(t, t + 1) for t in range(24)])
    assert_same(pieces, whole)
    x, patches, _ = model.policy.encode_frames(sight, first, model.start(2).blocks[0])
    assert patches.shape == (2, 24, 16, 24)
    cached, _ = run(model, model.policy.pack(x, patches), first, *rest, [slice(0, 7), slice(7, 24)])
    assert_same(cached, whole)


@pytest.mark.parametrize("variant", ["default", "decoder, flamingo"])
@torch.no_grad()
def test_two_thousand_streamed_frames_equal_chunks_and_memory_keeps_its_size(variant):
    model = a_model(**VARIANTS[variant])
    stream = a_stream(2, 2000, resets=0.002)
    memory, size, streamed = model.start(2), model.start(2).bytes, []
    for t in range(2000):
        output, memory = forward(model, stream, slice(t, t + 1), memory)
        streamed.append(by_frame(model, output, 1))
        assert memory.bytes == size
    chunks, _ = run(model, *stream, [slice(t, t + 64) for t in range(0, 2000, 64)])
    assert_same({name: torch.cat([frame[name] for frame in streamed], 1) for name in chunks}, chunks)


@pytest.mark.parametrize("variant", ["D=1", "D=2", "default", "flamingo", "decoder", "decoder, flamingo"])
@pytest.mark.parametrize("length", [5, 30])
def test_nothing_depends_on_what_comes_later_or_on_another_life(variant, length):
    """By gradient: outputs at t reach frames 0..t of their life, through both models, and none else."""
    model = a_model(**VARIANTS[variant])
    sight, first, *rest = a_stream(1, 30, resets=0)
    first[0, 17] = True
    sight.requires_grad_()
    out, _ = run(model, sight, first, *rest, [slice(t, t + length) for t in range(0, 30, length)])
    for t in (0, 3, 16, 17, 18, 21, 29):
        begin = 17 if t >= 17 else 0
        for name in ("buttons", "camera", "token_log_probs", "silence_logit"):
            if name in ("token_log_probs", "silence_logit") and not out["ticks"][0, t]:
                continue
            gradient, = torch.autograd.grad(out[name][0, t].square().sum(), sight, retain_graph=True)
            reached = gradient[0].abs().sum(-1) > 0
            assert not reached[t + 1 :].any() and not reached[:begin].any() and reached[t]


@pytest.mark.parametrize("frames_per_tick", [1, 2, 4])
@torch.no_grad()
def test_a_word_changes_nothing_before_it_is_heard_and_something_at_once(frames_per_tick):
    model = a_model(frames_per_tick=frames_per_tick)
    sight, first, heard, last_action = a_stream(1, 40, resets=0)
    at = 5 * frames_per_tick
    changed = heard.clone()
    changed[0, at] = 3 if heard[0, at] != 3 else 4
    before, _ = run(model, sight, first, heard, last_action, [slice(0, 40)])
    after, _ = run(model, sight, first, changed, last_action, [slice(0, 40)])
    for name in ("buttons", "camera", "token_log_probs", "silence_logit"):
        different = (before[name] != after[name]).any(-1)[0]
        assert not different[:at].any(), name
        assert different[at], name
    unread = heard.clone()
    unread[0, [t for t in range(40) if t % frames_per_tick]] = 7
    assert_same(run(model, sight, first, unread, last_action, [slice(0, 40)])[0], before, atol=0)


@pytest.mark.parametrize("variant", ["D=1", "default", "decoder"])
@torch.no_grad()
def test_what_was_done_changes_nothing_before_and_the_actions_and_words_from_then_on(variant):
    model = a_model(**VARIANTS[variant])
    sight, first, heard, last_action = a_stream(1, 40, resets=0)
    changed, at = last_action.clone(), 20
    last_action[0, at], changed[0, at] = torch.tensor([5, 60]), torch.tensor([77, 60])
    before, _ = run(model, sight, first, heard, last_action, [slice(0, 40)])
    after, _ = run(model, sight, first, heard, changed, [slice(0, 9), slice(9, 40)])
    for name in ("buttons", "camera", "token_log_probs", "silence_logit"):
        different = ((before[name] - after[name]).abs() > 1e-4).any(-1)[0]
        assert not different[:at].any() and different[at], name


@torch.no_grad()
def test_frames_ask_words_and_not_silence():
    """Nothing said yet: the actions are those of the agent alone. A silent tick's thoughts are no answer."""
    for frames_ask in ("words", "ticks"):
        model, deaf = a_model(frames_ask=frames_ask), a_model(gate=0.0)
        for part in (deaf.intention.tell, deaf.intention.urge):
            torch.nn.init.zeros_(part.weight)
        sight, first, heard, last_action = a_stream(1, 40, resets=0)
        heard[:] = V
        heard[0, 20] = 5
        for cross in model.frames_ask_words.values():
            torch.nn.init.zeros_(cross.feedforward_gate)
        with_ears, _ = run(model, sight, first, heard, last_action, [slice(0, 40)])
        alone, _ = run(deaf, sight, first, heard, last_action, [slice(0, 40)])
        different = (with_ears["buttons"] != alone["buttons"]).any(-1)[0].nonzero()[:, 0].tolist()
        assert different == list(range(20 if frames_ask == "words" else 0, 40))


@torch.no_grad()
def test_what_is_heard_between_ticks_is_not_read_whatever_it_is():
    """Also not by a lane that has fewer ticks in a chunk than another."""
    model = a_model()
    sight, first, heard, last_action = a_stream(3, 30)
    first[:, 0], first[1, 5], first[2, 9] = True, True, True
    expected, _ = run(model, sight, first, heard, last_action, [slice(0, 30)])
    nonsense = torch.where(expected["ticks"][..., 0] > 0, heard, 1_000_000)
    for cutting in ([slice(0, 30)], [slice(t, t + 1) for t in range(30)]):
        assert_same(run(model, sight, first, nonsense, last_action, cutting)[0], expected)


ONE_LAYER = {
    "transformer-xl": replace(CONFIG.language, layers=1, window=1),
    "decoder": replace(LLAMA, architecture={**LLAMA.architecture, "num_hidden_layers": 1}, window=1),
}


@pytest.mark.parametrize("part", ["vectors", "patches"])
@pytest.mark.parametrize("language", ONE_LAYER)
@torch.no_grad()
def test_windows_end(language, part):
    """One-layer parts: a frame older than every window it can pass through has no effect, at the edge it has."""
    one = ONE_LAYER[language]
    policy = replace(CONFIG.policy, blocks=2, attention_memory_size=9, timesteps=8)  # a memory of one frame: itself
    model = a_model(language=one, policy=policy, frames_per_tick=1, words_window=3)
    for cross in (*model.words_ask_frames.values(), *model.frames_ask_words.values()):
        cross.log_decay.fill_(-5)  # so that what is old still weighs something
    sight, first, heard, last_action = a_stream(1, 40, resets=0)
    heard = heard.clamp(max=V - 1)  # all are words: none goes unremembered or unheard
    changed, cutting = sight.clone(), cuts(40, np.random.default_rng(0))
    columns, window = dict(vectors=(slice(0, 32), 9), patches=(slice(32, None), 6))[part]
    changed[0, 10, columns] += torch.randn(PACKED)[columns]
    before, _ = run(model, sight, first, heard, last_action, cutting)
    after, _ = run(model, changed, first, heard, last_action, cutting)
    words, actions = ({t for t in range(40) if not torch.equal(before[name][0, t], after[name][0, t])}
                      for name in ("token_log_probs", "buttons"))
    assert words == set(range(10, 10 + window + 1))  # the window, then the one word remembered
    assert actions == set(range(10, max(words) + model.config.words_window))


@pytest.mark.parametrize("variant", ["default", "a start", "flamingo", "decoder", "decoder, flamingo"])
@torch.no_grad()
def test_reset_lane_is_a_fresh_lane(variant):
    model = a_model(**VARIANTS[variant])
    past, stream = a_stream(3, 30, 1), a_stream(3, 30, 2, resets=0)
    _, memory = run(model, *past, [slice(0, 30)])
    fresh, _ = run(model, *stream, [slice(0, 30)])
    for name, reset in (("flag", False), ("memory", True)):
        lane = torch.tensor([False, True, False])
        sight, first, heard, last_action = stream
        first = first.clone()
        if reset:
            start = memory.reset(lane)
            for ours, new, old in zip(tensors(start), tensors(model.start(3)), tensors(memory)):
                assert torch.equal(ours[1], new[1]) and torch.equal(ours[::2], old[::2])
        else:
            start, first[:, 0] = memory, lane
        out, _ = run(model, sight, first, heard, last_action, [slice(0, 30)], start)
        for key, value in fresh.items():
            assert torch.allclose(out[key][1], value[1], atol=1e-5), (name, key)
            assert not torch.allclose(out[key][0], value[0], atol=1e-5) or key == "ticks"


# ---- two models, gates, silence


@pytest.mark.parametrize("variant", ["default", "flamingo", "every block", "D=1"])
@torch.no_grad()
def test_closed_gates_are_the_two_models_alone_bit_for_bit(variant):
    policy, language = Policy(CONFIG.policy), TransformerXL(CONFIG.language)
    torch.nn.init.normal_(policy.last_action.network[2].weight)
    options = dict(frames_per_tick=4, patch_window=6, intention=True, cross_heads=2, cross_head_width=16)
    options |= VARIANTS[variant]
    model = VLPT.from_parts(policy, language, **options).eval()
    sight, first, heard, last_action = a_stream(2, 30, pixels=True)
    output, _ = model(sight, first, heard, model.start(2), last_action)
    alone, _ = policy.eval()(sight, first, policy.start(2), last_action)
    assert torch.equal(output.action.buttons, alone.action.buttons)
    assert torch.equal(output.action.camera, alone.action.camera)

    # All that is heard on ticks is a word, so the language model can be run on them as on a text.
    spoken = heard.clamp(max=V - 1)
    first = torch.zeros_like(first)
    output, _ = model(sight, first, spoken, model.start(2))
    text = spoken[:, :: options["frames_per_tick"]]
    alone, _ = language.eval()(text, torch.zeros_like(text, dtype=torch.bool), language.start(2))
    assert torch.equal(model.language.log_probs(output.hidden), alone)


def test_both_closed_gates_feel_a_gradient():
    model = a_model(gate=0.0)
    output, _ = forward(model, a_stream(2, 40), slice(None), model.start(2))
    said = model.language.log_probs(output.hidden)[..., 3].mean() + output.silence_logit.mean()
    (output.action.buttons[..., 3].mean() + said).backward()
    for gate in model.groups()["gates"]:
        assert gate.shape == (1,) and gate.dtype == torch.float32 and gate.grad.abs() > 1e-5


@torch.no_grad()
def test_gates_are_reported_after_tanh():
    model = a_model(gate=0.0, ask_every_block=True)
    assert set(model.gates().values()) == {0.0}
    model.frames_ask_words["1"].attention_gate.fill_(-0.5)
    model.frames_ask_words["2"].attention_gate.fill_(0.1)
    assert model.gates()["frames_ask_words"] == pytest.approx((np.tanh(0.5) + np.tanh(0.1)) / 2)
    assert model.gates()["frames_ask_words.1.attention_gate"] == pytest.approx(-np.tanh(0.5))
    assert model.gates()["words_ask_frames"] == 0


@pytest.mark.parametrize("variant", ["default", "decoder"])
@torch.no_grad()
def test_nats_of_what_is_said_are_those_of_the_whole_distribution(variant):
    model = a_model(**VARIANTS[variant])
    output, _ = forward(model, a_stream(2, 24), slice(None), model.start(2))
    target = torch.randint(0, V, (2, 24)).where(torch.rand(2, 24) < 0.5, V)
    ids = target.gather(1, output.tick_index)
    where = ids < V
    expected = -model.language.log_probs(output.hidden).gather(-1, ids.clamp(max=V - 1)[..., None])[..., 0] * where
    _, token, spoken = language_nats(model.language, output, target)
    assert torch.equal(spoken, where) and 0 < where.sum() < where.numel()
    torch.testing.assert_close(token, expected)
    assert language_nats(model.language, output, torch.full_like(target, V))[1].sum() == 0


@torch.no_grad()
def test_both_silence_heads_give_one_distribution():
    """P(silence) + P(speech) sum P(token | speech) = 1; with softmax, silence is one more entry of one softmax."""
    for head in ("factored", "softmax"):
        model = a_model(silence=head)
        output, _ = forward(model, a_stream(2, 40, resets=0), slice(None), model.start(2))
        p = output.silence_logit.sigmoid()
        of_tokens = model.language.log_probs(output.hidden).exp().sum(-1)
        assert torch.allclose(p + (1 - p) * of_tokens, torch.ones_like(p), atol=1e-5)
    model.silence.since_logit.zero_()
    model.silence.since_weight.zero_()
    output, _ = forward(model, a_stream(2, 40, resets=0), slice(None), model.start(2))
    log_probs = model.language.log_probs(output.hidden)
    scores = output.hidden @ model.language.table.tables[0].T + model.language.table.biases[0]
    joint = torch.cat([scores, model.silence.logit(output.hidden)], -1).softmax(-1)
    assert torch.allclose(output.silence_logit.sigmoid(), joint[..., -1], atol=1e-5)
    assert torch.allclose((1 - joint[..., -1:]) * log_probs.exp(), joint[..., :-1], atol=1e-5)


def read_at(model, ids: list[int]) -> torch.Tensor:
    """What a fresh language model reads at ticks that hear these, (L, E)."""
    ids = torch.tensor([ids])
    nothing = torch.zeros_like(ids)
    ticks = Timestamps(torch.arange(ids.shape[1])[None], nothing, nothing == 0)
    return model.silence.embed(model.language.plan(ticks, nothing[:, 0], ids, model.language.start(1)),
                               model.language)[0]  # fmt: skip


def test_silence_is_no_token_and_ids_beyond_it_are_refused():
    model = a_model()
    silence, five = model.silence, model.language.embed(torch.tensor(5))
    read, wanted = read_at(model, [V, V, 5, V, V]), [
        silence.vector, silence.vector + silence.since[1], five, five + silence.since[1], five + silence.since[2]]
    assert torch.equal(read, torch.stack(wanted))
    begun = a_model(**VARIANTS["a start"])
    assert torch.equal(read_at(begun, [V, 5])[0], begun.language.embed(torch.tensor(3)))
    with pytest.raises(IndexError):
        read_at(model, [V + 1])


def test_streaming_skips_the_language_model_between_ticks(monkeypatch):
    model = a_model()
    ran = []
    inner = model.language.run_layers
    monkeypatch.setattr(model.language, "run_layers", lambda *a: ran.append(1) or inner(*a))
    run(model, *a_stream(2, 16, resets=0), [slice(t, t + 1) for t in range(16)])
    assert len(ran) == 4


def test_keys_and_values_of_words_are_made_once_a_tick_and_again_only_for_what_learns(monkeypatch):
    """Kept keys and values give the same, and where gradients are wanted they reach the weights that make them."""
    model, made = a_model(), []
    block = model.frames_ask_words["1"]
    inner = block.key_values
    monkeypatch.setattr(block, "key_values", lambda *a: made.append(1) or inner(*a))
    stream, cutting = a_stream(2, 16, resets=0), [slice(t, t + 1) for t in range(16)]
    with torch.no_grad():
        kept, memory = run(model, *stream, cutting[:15])
    assert len(made) == 4
    learning, _ = run(model, *stream, cutting[:15])
    assert len(made) == 4 + 15
    assert_same(learning, kept, atol=1e-5)
    output, _ = forward(model, stream, slice(15, None), memory)  # frame 15 does not tick, and its memory has no graph
    output.action.buttons.square().sum().backward()
    assert output.tick_index.shape[1] == 0 and block.value.weight.grad.abs().sum() > 0


# ---- training


@pytest.mark.parametrize("variant", ["default", "decoder", "decoder, flamingo", "long patches"])
@torch.no_grad()
def test_a_tick_count_that_is_given_changes_nothing(variant):
    """What a recorded step does: it ticks always, with padding where no lane does."""
    model = a_model(**VARIANTS[variant])
    stream = a_stream(2, 40)
    asked = told = model.start(2)
    for t in range(40):
        one, asked = forward(model, stream, slice(t, t + 1), asked)
        other, told = forward(model, stream, slice(t, t + 1), told, n_ticks=1)
        assert torch.allclose(one.action.buttons, other.action.buttons, atol=1e-5)
        ticks = other.tick_valid[:, 0]
        assert torch.equal(ticks.any(), one.tick_valid.any())
        if ticks.any():
            assert torch.allclose(one.silence_logit[ticks], other.silence_logit[ticks], atol=1e-5)


def test_every_parameter_is_in_one_group():
    model = a_model(ask_every_block=True, flamingo_every=1)
    ids = [id(p) for group in model.groups().values() for p in group]
    assert len(ids) == len(set(ids)) and set(ids) == {id(p) for p in model.parameters()}
    assert len(model.groups()["gates"]) == 2 * (2 + 2)


@pytest.mark.parametrize("stage,groups", [
    ("language", {"language", "silence", "cross_words"}), ("action", {"blocks", "cross_frames", "heads"}),
    ("joint", {"language", "silence", "cross_words", "blocks", "cross_frames", "heads"}),
])  # fmt: skip
def test_a_stage_trains_its_parts_and_leaves_the_rest(stage, groups):
    model = a_model()
    model.freeze(stage)
    model.train()  # as a trainer will call it
    trained = {name for name, group in model.groups().items() if any(p.requires_grad for p in group)}
    assert trained == groups | {"gates"}
    assert model.language.training == (stage != "action") and not model.policy.picture.training
    assert model.policy.blocks[1].training == (stage != "language") and not model.policy.blocks[0].training
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    output, _ = forward(model, a_stream(2, 24, pixels=True), slice(None), model.start(2))
    (output.action.buttons[..., 0].mean() + output.action.camera[..., 0].mean()
     + model.language.log_probs(output.hidden)[..., 0].mean() + output.silence_logit.mean()
     + output.intention.mean()).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
        assert parameter.requires_grad or torch.equal(parameter, before[name]), name
        assert not torch.equal(parameter, before[name]) or not parameter.requires_grad, name


def test_the_trunk_is_trained_only_when_asked():
    model = a_model()
    model.freeze("joint", trunk="trained")
    assert all(p.requires_grad for p in model.groups()["trunk"]) and model.policy.picture.training
    with pytest.raises(ValueError, match="language, action, joint"):
        model.freeze("words")


# ---- memory, checkpoints, mistakes


@torch.no_grad()
def test_memory_is_a_value():
    model = a_model()
    _, memory = run(model, *a_stream(3, 20), [slice(0, 20)])
    kept = [x.clone() for x in tensors(memory)]
    run(model, *a_stream(3, 20, 5), [slice(0, 20)], memory)
    assert all(torch.equal(a, b) for a, b in zip(kept, tensors(memory)))
    picked = memory.index(torch.tensor([2, 0]))
    assert all(torch.equal(a, b[[2, 0]]) for a, b in zip(tensors(picked), tensors(memory)))
    stored = with_tensors(model.start(3), tensors(memory))
    assert type(stored) is Memory and all(torch.equal(a, b) for a, b in zip(tensors(stored), tensors(memory)))
    with pytest.raises(ValueError, match="number of lanes"):
        with_tensors(model.start(2), tensors(memory))


def test_detached_memory_lets_no_gradient_through():
    model = a_model()
    sight, *rest = a_stream(1, 8, resets=0)
    _, memory = forward(model, (sight.requires_grad_(), *rest), slice(None), model.start(1))
    assert any(x.requires_grad for x in tensors(memory))
    assert not any(x.requires_grad for x in tensors(memory.detach()))


@pytest.mark.parametrize("variant", ["default", "flamingo"])
@torch.no_grad()
def test_saved_is_loaded(variant, tmp_path):
    model = a_model(**VARIANTS[variant])
    model.save_pretrained(tmp_path)
    loaded = VLPT.from_pretrained(tmp_path)
    assert loaded.config == model.config
    stream = a_stream(2, 20)
    assert_same(run(loaded, *stream, [slice(0, 20)])[0], run(model, *stream, [slice(0, 20)])[0], atol=0)
    (tmp_path / "language").mkdir()
    model.language.save_pretrained(tmp_path / "language")
    assert TransformerXL.from_pretrained(tmp_path / "language").config == CONFIG.language


@torch.no_grad()
def test_an_agent_may_be_put_together_of_three_folders(tmp_path):
    model, agent = a_model(), tmp_path / "agent"
    for name, part in (("base", model.policy), ("words", model.language), ("joints", Joints.of(model))):
        part.save_pretrained(tmp_path / name)
    parts = dict(policy="../base", language="../words", joints="../joints")
    agent.mkdir()
    (agent / "config.json").write_text(json.dumps(dict(model="VLPT", parts=parts)))
    assert model_kind(agent) == "VLPT"
    stream, whole = a_stream(2, 20), [slice(0, 20)]
    assert_same(run(VLPT.from_pretrained(agent), *stream, whole)[0], run(model, *stream, whole)[0], atol=0)
    (agent / "config.json").write_text(json.dumps(dict(model="VLPT", parts=parts | dict(joints="../gone"))))
    with pytest.raises(ValueError, match="gone"):
        VLPT.from_pretrained(agent)
    (agent / "config.json").write_text(json.dumps(dict(model="VLPT", parts=dict(policy="../base"))))
    with pytest.raises(ValueError, match="policy, language, joints"):
        VLPT.from_pretrained(agent)


@pytest.mark.parametrize("wrong,message", [
    (dict(frames_per_tick=0), "frames_per_tick"), (dict(patch_window=-1), "patch_window"),
    (dict(silence="loud"), "factored, softmax"), (dict(frames_ask="all"), "words or ticks"),
    (dict(policy=replace(CONFIG.policy, blocks=1)), "block 2"),
])  # fmt: skip
def test_wrong_settings_are_one_clear_error(wrong, message):
    with pytest.raises(ValueError, match=message):
        a_model(**wrong).start(1)


def test_wrong_features_are_one_clear_error():
    model = a_model()
    _, first, heard, _ = a_stream(1, 4)
    with pytest.raises(ValueError, match=rf"\(lanes, frames, {PACKED}\)"):
        model(torch.zeros(1, 4, 32), first, heard, model.start(1))


@pytest.mark.parametrize("variant", ["default", "decoder", "decoder, flamingo"])
@torch.no_grad()
def test_lanes_do_not_touch_each_other(variant):
    model = a_model(**VARIANTS[variant])
    stream = a_stream(3, 40)
    together, _ = run(model, *stream, [slice(0, 25), slice(25, 40)])
    for lane in range(3):
        alone, _ = run(model, *(x[lane : lane + 1] for x in stream), [slice(0, 40)])
        assert_same({name: value[lane : lane + 1] for name, value in together.items()}, alone)


def test_a_folder_saved_under_earlier_names_of_settings_loads(tmp_path):
    """As runs made before have them."""
    model = a_model(frames_ask="ticks", ask_every_block=True)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    earlier = {new: old for old, new in VLPTConfig.RENAMED.items()}
    assert set(earlier) <= set(config)
    (tmp_path / "config.json").write_text(json.dumps({earlier.get(name, name): x for name, x in config.items()}))
    again = VLPT.from_pretrained(tmp_path)
    assert again.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_a_folder_saved_before_a_parameter_was_there_loads_as_if_it_were_0(tmp_path):
    model = a_model()
    with torch.no_grad():
        model.silence.since_weight.zero_()
    for one, folder in ((model, tmp_path / "model"), (Joints.of(model), tmp_path / "joints")):
        one.save_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
        assert not weights.pop("silence.since_weight").any()
        save_file(weights, folder / "model.safetensors")
        again = type(one).from_pretrained(folder)
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), one.parameters(), strict=True))
    del weights["silence.since_logit"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match="missing silence.since_logit"):
        Joints.from_pretrained(folder)
