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
from vlpt.language.visibility import AttentionPlan, memory_slots, plan_attention
from vlpt.memory import LanguageMemory, tensors

V = 40
TINY = TransformerXLConfig(vocabulary=V, width=32, layers=2, heads=2, head_width=16, inner=64, window=6)


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
    for got, new, old in zip(tensors(again), tensors(model.start(2)), tensors(memory), strict=True):
        assert torch.equal(got[0], new[0]) and torch.equal(got[1], old[1])


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
        chunk = model.plan(clock.ticks, clock.last_segment, first.long(), memory)
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
    assert memory.age.max() <= TINY.window + 1


# ---- words and silence: the law, written down a second time without tensors

START = 2


def expected(life: list[int], window: int, sinks: int) -> tuple[int, int, dict[int, int]]:
    """The last tick of one life, given what its ticks hear (V: silence): the token it reads, ticks since that was
    heard, and {index of a tick that it sees: distance, of a sink to where it looks from}.
    """
    words, last = [k for k, token in enumerate(life) if token != V], len(life) - 1
    if not words:
        return V, last, {last: 0}
    number = len(words) - 1  # of the word that the tick is, or stands for
    seen = {last: 0}
    for m, k in enumerate(words[:number]):
        if m < sinks:
            seen[k] = min(number, sinks + window) - m
        elif number - m <= window:
            seen[k] = number - m
    return life[words[-1]], last - words[-1], seen


@pytest.mark.parametrize("sinks", [0, 1, 3])
@pytest.mark.parametrize("start", [None, START])
@pytest.mark.parametrize("seed", range(4))
def test_who_sees_whom_on_any_cutting(sinks, start, seed):
    generator = np.random.default_rng(seed)
    lanes, length, window, frames_per_tick = 3, 90, 4, int(generator.choice([1, 2, 4]))
    first = torch.from_numpy(generator.random((lanes, length)) < 0.03)
    spoken = torch.from_numpy(generator.random((lanes, length)) < generator.choice([0.2, 0.6, 0.9]))
    ids = torch.from_numpy(generator.integers(0, V, (lanes, length))).where(spoken, V)
    room = memory_slots(window, sinks)
    memory = LanguageMemory.fresh(lanes, room, 1, 1)
    frame = torch.zeros(lanes, dtype=torch.long)
    lives = [[] for _ in range(lanes)]  # of each lane: ticks of the present life, as (frame, token heard)
    checked = 0
    for cut in cuts(length, generator):
        clock = Clock.of(first[:, cut], frame, frames_per_tick)
        frame = clock.next_frame
        if not clock.n_ticks:
            continue
        hears = ids[:, cut].gather(1, clock.ticks.time).where(clock.ticks.real, V)
        plan = plan_attention(clock.ticks, clock.last_segment, hears, memory, window, V, start, sinks)
        row_frame = torch.cat([memory.layers[0][..., 0], (clock.ticks.time + cut.start).float()], 1)
        for b, i in clock.ticks.real.nonzero().tolist():
            t = int(clock.ticks.time[b, i]) + cut.start
            if first[b, t]:
                lives[b] = []
            token = int(hears[b, i])
            lives[b].append((t, start if token == V and start is not None and not lives[b] else token))
            token, since, seen = expected([token for _, token in lives[b]], window, sinks)
            assert (int(plan.token[b, i]), int(plan.since[b, i])) == (token, since)
            assert looks_at(plan, b, i, row_frame[b]) == {lives[b][k][0]: d for k, d in seen.items()}
            checked += 1
        memory = plan.keep((row_frame[..., None],))
        assert memory.mask.shape == (lanes, room) and int(memory.age.max()) <= 2 * sinks + window + 1
    assert checked > 60


def looks_at(plan: AttentionPlan, lane: int, tick: int, row_frame: torch.Tensor) -> dict[int, int]:
    """{frame of a row that the tick sees: how far it looks}."""
    rows, own = plan.visible[lane, tick].nonzero()[:, 0].tolist(), plan.visible.shape[2] - plan.visible.shape[1] + tick
    sinks = {} if plan.sink is None else {j: int(plan.sink[lane, j]) for j in rows if plan.sink[lane, j] >= 0}
    return {int(row_frame[j]): 0 if j == own else int(plan.number[lane, tick]) - sinks[j] if j in sinks
            else int(plan.distance[lane, tick, j]) for j in rows}


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
