"""The language model: whole = chunks = one token at a time; what it remembers.

Run: pytest tests/vlpt/test_transformer_xl.py
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vlpt.clock import Clock
from vlpt.language.token_table import TokenTable
from vlpt.language.transformer_xl import RelativeAttention, TransformerXL, TransformerXLConfig
from vlpt.language.visibility import RULES, memory_slots, plan_attention
from vlpt.memory import LanguageMemory

TINY = TransformerXLConfig(vocabulary=40, width=32, layers=2, heads=2, head_width=16, inner=64, window=6)


def a_model(config: TransformerXLConfig = TINY) -> TransformerXL:
    torch.manual_seed(0)
    model = TransformerXL(config).eval()
    for layer in model.layers:  # biases are born 0: let them matter
        torch.nn.init.normal_(layer.attention.content_bias)
        torch.nn.init.normal_(layer.attention.place_bias)
    return model


def cuts(length: int, generator: np.random.Generator) -> list[slice]:
    """A random cutting of 0..length into chunks."""
    inner = generator.choice(np.arange(1, length), generator.integers(0, length), replace=False)
    edges = [0, *sorted(inner), length]
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


# ---- probabilities


@pytest.mark.parametrize("cutoffs", [(), (10, 30)])
def test_probabilities_are_normalised_and_cutoffs_checked(cutoffs):
    model = a_model(replace(TINY, cutoffs=cutoffs, div_val=2))
    log_probs = model.log_probs(torch.randn(3, TINY.width))
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(3), atol=1e-5)
    with pytest.raises(ValueError, match="cutoffs must rise"):
        TransformerXL(replace(TINY, cutoffs=(30, 10)))


# ---- text: chunks, causality, window, resets


@pytest.mark.parametrize("seed", range(4))
def test_whole_text_is_chunks_of_any_size(seed):
    generator = np.random.default_rng(seed)
    model = a_model()
    ids = torch.from_numpy(generator.integers(0, 40, (3, 40)))
    first = torch.from_numpy(generator.random((3, 40)) < 0.08)
    whole, last = model(ids, first, model.start(3))
    for cutting in (cuts(40, generator), [slice(t, t + 1) for t in range(40)]):
        memory, parts = model.start(3), []
        for cut in cutting:
            log_probs, memory = model(ids[:, cut], first[:, cut], memory)
            parts.append(log_probs)
        assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-4)
        assert torch.equal(memory.mask, last.mask) and torch.equal(memory.age, last.age)


def test_reset_lane_is_a_fresh_lane():
    model = a_model()
    ids = torch.randint(0, 40, (2, 24))
    first = torch.zeros(2, 24, dtype=torch.bool)
    first[0, 10] = True
    mixed, _ = model(ids, first, model.start(2))
    fresh, _ = model(ids[:, 10:], first[:, 10:] & False, model.start(2))
    assert torch.allclose(mixed[0, 10:], fresh[0], atol=1e-5)
    assert not torch.allclose(mixed[1, 10:], fresh[1], atol=1e-3)
    _, memory = model(ids, first, model.start(2))
    again = memory.reset(torch.tensor([True, False]))
    for got, new, old in zip(memory_tensors(again), memory_tensors(model.start(2)), memory_tensors(memory)):
        assert torch.equal(got[0], new[0]) and torch.equal(got[1], old[1])


def memory_tensors(memory: LanguageMemory) -> list[torch.Tensor]:
    return [*memory.layers, memory.age, memory.mask]


@pytest.mark.parametrize("length", [1, 5, 20])
def test_window_and_causality_by_gradient(length):
    """One layer: token j reaches tokens j..j+window and nothing else; also through a memory cut at `length`."""
    model = a_model(replace(TINY, layers=1))
    x = torch.randn(1, 20, TINY.width, requires_grad=True)
    memory, outputs = model.start(1), []
    for start in range(0, 20, length):
        piece = x[:, start : start + length]
        first = torch.zeros(1, piece.shape[1], dtype=torch.bool)
        clock = Clock.of(first, torch.zeros(1, dtype=torch.long), 1)
        chunk = model.plan(clock.ticks, clock.last_segment, ~first, memory)
        h, memory = model.run(piece, chunk, memory)
        outputs.append(h)
    out = torch.cat(outputs, 1)
    for t in range(20):
        gradient, = torch.autograd.grad(out[0, t].square().sum(), x, retain_graph=True)
        reached = gradient[0].abs().sum(-1) > 0
        expected = [t - TINY.window <= j <= t for j in range(20)]
        assert reached.tolist() == expected


def test_few_queries_take_the_short_way_to_the_same_numbers(monkeypatch):
    """Streaming multiplies in another order; both orders agree, and the short one is the one streaming takes."""
    model = a_model()
    ids = torch.randint(0, 40, (2, 3))
    first = torch.zeros(2, 3, dtype=torch.bool)
    short, _ = model(ids, first, model.start(2))
    calls = []
    monkeypatch.setattr(RelativeAttention, "_attend_few", lambda *a: calls.append(1) or RelativeAttention._attend(*a))
    long, _ = model(ids, first, model.start(2))
    assert calls and torch.allclose(short, long, atol=1e-5)


def test_positions_never_run_out():
    """After 3,000 tokens the numbers are those of the same last tokens alone, and ages stay within the window."""
    model = a_model(replace(TINY, layers=1))
    ids = torch.randint(0, 40, (1, 3000))
    first = torch.zeros(1, 3000, dtype=torch.bool)
    with torch.no_grad():
        memory = model.start(1)
        size = memory.bytes
        for chunk in ids.split(30, 1):
            log_probs, memory = model(chunk, first[:, :30], memory)
            assert memory.bytes == size
        short, _ = model(ids[:, -40:], first[:, -40:], model.start(1))
    assert torch.allclose(log_probs[:, -1], short[:, -1], atol=1e-5)
    assert memory.age.max() <= TINY.window


# ---- remembering silence: the rule, written down a second time without tensors


def expected_view(heard: list[str], k: int, window: int, rule: str) -> dict[int, int]:
    """{index of a visible tick: distance} for tick k; `heard` is "s" (silence) or "w" (word) a tick of one life."""
    counted = [rule == "all" or h == "w" for h in heard]
    position = [sum(counted[:j]) for j in range(len(heard))]
    seen = {j for j in range(k) if counted[j] and position[k] - position[j] <= window}
    silences = [j for j in range(k) if heard[j] == "s"]
    if rule == "last" and silences and position[k] - position[silences[-1]] <= window:
        seen.add(silences[-1])
    return {j: position[k] - position[j] for j in seen | {k}}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(6))
def test_remember_silence_on_any_cutting(rule, seed):
    generator = np.random.default_rng(seed)
    lanes, length, window, frames_per_tick = 3, 90, 4, int(generator.choice([1, 2, 4]))
    first = torch.from_numpy(generator.random((lanes, length)) < 0.03)
    spoken = torch.from_numpy(generator.random((lanes, length)) < generator.choice([0.2, 0.6, 0.9]))
    room = memory_slots(window, rule)
    memory = LanguageMemory.fresh(lanes, room, 1, 1)
    frame = torch.zeros(lanes, dtype=torch.long)
    lives = [[] for _ in range(lanes)]  # of each lane: ticks of the present life, as (frame, "s" or "w")
    for cut in cuts(length, generator):
        clock = Clock.of(first[:, cut], frame, frames_per_tick)
        frame = clock.next_frame
        if not clock.n_ticks:
            continue
        hears = spoken[:, cut].gather(1, clock.ticks.time)
        chunk = plan_attention(clock.ticks, clock.last_segment, hears, memory, window, rule)
        row_frame = torch.cat([memory.layers[0][..., 0], (clock.ticks.time + cut.start).float()], 1)
        for b in range(lanes):
            for i in range(clock.n_ticks):
                if not clock.ticks.real[b, i]:
                    continue
                t = int(clock.ticks.time[b, i]) + cut.start
                if first[b, t]:
                    lives[b] = []
                lives[b].append((t, "w" if hears[b, i] else "s"))
                wanted = expected_view([h for _, h in lives[b]], len(lives[b]) - 1, window, rule)
                seen = chunk.visible[b, i].nonzero()[:, 0]
                found = {int(row_frame[b, j]): int(chunk.distance[b, i, j]) for j in seen}
                assert found == {lives[b][j][0]: d for j, d in wanted.items()}
        memory = chunk.keep((row_frame[..., None],))
        assert memory.mask.shape == (lanes, room) and int(memory.age.max()) <= window


def test_unknown_rule_is_an_error():
    with pytest.raises(ValueError, match="none, last, all"):
        a_model().start(1, "some")


def test_silence_does_not_push_words_out():
    """A word said before a thousand silent ticks is still seen with `last`, and long gone with `all`."""
    model = a_model(replace(TINY, layers=1))
    reached = {}
    for rule in ("last", "all"):
        x = torch.randn(1, 1000, TINY.width, requires_grad=True)
        spoken = torch.zeros(1, 1000, dtype=torch.bool)
        spoken[0, 0] = True
        clock = Clock.of(torch.zeros_like(spoken), torch.zeros(1, dtype=torch.long), 1)
        memory = model.start(1, rule)
        h, _ = model.run(x, model.plan(clock.ticks, clock.last_segment, spoken, memory, rule), memory)
        reached[rule] = bool(torch.autograd.grad(h[0, -1].square().sum(), x)[0][0, 0].abs().sum() > 0)
    assert reached == {"last": True, "all": False}


@pytest.mark.parametrize("cutoffs", [(), (20, 40)])
def test_renewed_words_are_told_apart_and_others_stay(cutoffs):
    """Words that no text held have been pushed one way by the softmax."""
    torch.manual_seed(0)
    table = TokenTable(60, 32, cutoffs, 2)
    strange = [3, 25, 59, 41]
    with torch.no_grad():
        for low, rows in zip(table.bounds, table.tables):
            for token in strange:
                if low <= token < low + len(rows):
                    rows[token - low] = 5.0
    before = table.embed(torch.arange(60)).detach()
    table.reinit_embeddings(strange)
    after = table.embed(torch.arange(60)).detach()
    others = [token for token in range(60) if token not in strange]
    assert torch.equal(after[others], before[others])
    directions = torch.nn.functional.normalize(after[strange], dim=-1)
    assert (directions @ directions.T - torch.eye(4)).abs().max() < 0.7
    ratio = after[strange].norm(dim=-1) / before[others].norm(dim=-1).mean()
    assert ((ratio > 0.5) & (ratio < 1.6)).all()
