"""Gated temporal cross attention, in both directions: whole = chunks = one frame at a time; windows; gates.

Run: pytest tests/vlpt/test_fusion.py
"""

import math

import numpy as np
import pytest
import torch

from vlpt.clock import Clock, Visibility
from vlpt.fusion import GatedCrossAttention, rotate, wave_turns
from vlpt.memory import FrameMemory, TickMemory
from vlpt.training.optimizer import make_optimizer

WIDTH, SOURCE, WINDOW, T = 32, 24, 10, 36


def a_block(width=WIDTH, source=SOURCE, window=WINDOW) -> GatedCrossAttention:
    torch.manual_seed(0)
    block = GatedCrossAttention(width, source, window, heads=2, head_width=8).eval()
    torch.nn.init.constant_(block.attention_gate, 0.8)
    torch.nn.init.constant_(block.feedforward_gate, -0.5)
    return block


def cuts(length: int, generator: np.random.Generator) -> list[slice]:
    inner = generator.choice(np.arange(1, length), generator.integers(0, length), replace=False)
    edges = [0, *sorted(inner), length]
    return [slice(a, b) for a, b in zip(edges, edges[1:])]


def stream(block, frames, words, first, frames_per_tick, direction, cutting) -> torch.Tensor:
    """Runs one cross attention over a stream cut as told. `words` has a row a frame, read at tick frames only.

    "words ask frames": rows of `words` come back changed, others 0. "frames ask words": all frames come back.
    """
    lanes = len(frames)
    asks_frames = direction == "words ask frames"
    slots = WINDOW - 1 if asks_frames else math.ceil((WINDOW - 1) / frames_per_tick)
    asked = frames if asks_frames else words
    memory = (FrameMemory if asks_frames else TickMemory).fresh(lanes, slots, asked.shape[2])
    frame = torch.zeros(lanes, dtype=torch.long)
    outputs = []
    for cut in cutting:
        clock = Clock.of(first[:, cut], frame, frames_per_tick)
        at_ticks = words[:, cut].gather(1, clock.ticks.time[..., None].expand(-1, -1, words.shape[2]))
        if asks_frames:
            rows = memory.followed_by(frames[:, cut], clock)
            sees = Visibility.of(clock.ticks, rows.times, WINDOW)
            y = block(at_ticks, block.key_values(rows.content, rows.times.time), sees) * clock.ticks.real[..., None]
            index = clock.ticks.time[..., None].expand_as(y)
            outputs.append(torch.zeros_like(words[:, cut]).scatter_add(1, index, y))
        else:
            rows = memory.followed_by(at_ticks, clock.ticks, clock)
            sees = Visibility.of(clock.frames, rows.times, WINDOW)
            outputs.append(block(frames[:, cut], block.key_values(rows.content, rows.times.time), sees))
        memory, frame = rows.newest(slots), clock.next_frame
        assert memory.content.shape == (lanes, slots, asked.shape[2])
    return torch.cat(outputs, 1)


def a_block_and_stream(direction, lanes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames, words = (torch.randn(lanes, T, w, generator=generator) for w in (SOURCE, WIDTH))
    block = a_block() if direction == "words ask frames" else a_block(SOURCE, WIDTH)
    return block, frames, words


DIRECTIONS = ["words ask frames", "frames ask words"]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("frames_per_tick", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_whole_is_chunks_is_one_frame_at_a_time(direction, frames_per_tick, seed):
    generator = np.random.default_rng(seed)
    block, frames, words = a_block_and_stream(direction, seed=seed)
    first = torch.from_numpy(generator.random((3, T)) < 0.06)
    whole = stream(block, frames, words, first, frames_per_tick, direction, [slice(0, T)])
    for cutting in (cuts(T, generator), [slice(t, t + 1) for t in range(T)]):
        pieces = stream(block, frames, words, first, frames_per_tick, direction, cutting)
        assert torch.allclose(pieces, whole, atol=1e-4)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("frames_per_tick", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 7, T])
def test_window_causality_and_segments_by_gradient_and_value(direction, frames_per_tick, length):
    """Row t depends on row j iff both are of one life, j is not later, and not a window or more ago."""
    block, frames, words = a_block_and_stream(direction, lanes=1)
    first = torch.zeros(1, T, dtype=torch.bool)
    first[0, 21] = True
    clock = [t if t < 21 else t - 21 for t in range(T)]
    ticks = {t for t in range(T) if clock[t] % frames_per_tick == 0}
    asks_frames = direction == "words ask frames"
    asked = (frames if asks_frames else words).requires_grad_()
    cutting = [slice(t, t + length) for t in range(0, T, length)]
    out = stream(block, frames, words, first, frames_per_tick, direction, cutting)
    for t in sorted(ticks if asks_frames else range(T))[:: 3 if length == 1 else 1]:
        gradient, = torch.autograd.grad(out[0, t].square().sum(), asked, retain_graph=True)
        reached = {j for j in range(T) if gradient[0, j].abs().sum() > 0}
        allowed = {j for j in range(T) if 0 <= t - j < WINDOW and (j >= 21) == (t >= 21)}
        assert reached == (allowed if asks_frames else allowed & ticks)
    j = 24 if frames_per_tick == 1 else 21 + frames_per_tick
    changed = asked.detach().clone()
    changed[0, j] += torch.randn(changed.shape[2])
    inputs = (changed, words) if asks_frames else (frames, changed)
    again = stream(block, *inputs, first, frames_per_tick, direction, cutting)
    different = {t for t in range(T) if not torch.equal(again[0, t], out[0, t])}
    rows = {t for t in range(T) if 0 <= t - j < WINDOW}
    assert different == (rows & ticks if asks_frames else rows)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_reset_lane_is_a_fresh_lane(direction):
    block, frames, words = a_block_and_stream(direction)
    first = torch.zeros(3, T, dtype=torch.bool)
    first[1, 19] = True
    out = stream(block, frames, words, first, 2, direction, [slice(0, 30), slice(30, T)])
    alone = stream(block, frames[:, 19:], words[:, 19:], first[:, 19:] & False, 2, direction, [slice(0, T - 19)])
    assert torch.allclose(out[1, 19:], alone[1], atol=1e-5)


def test_closed_gates_change_no_bit():
    block, frames, words = a_block_and_stream("frames ask words")
    torch.nn.init.zeros_(block.attention_gate), torch.nn.init.zeros_(block.feedforward_gate)
    out = stream(block, frames, words, torch.zeros(3, T, dtype=torch.bool), 4, "frames ask words", [slice(0, T)])
    assert torch.equal(out, frames)


def test_who_sees_nothing_gets_exactly_nothing():
    """In value and in gradient, and no NaN: not a mean over what may not be seen."""
    block = a_block()
    x, source = torch.randn(1, 3, WIDTH), torch.randn(1, 4, SOURCE, requires_grad=True)
    visible = torch.zeros(1, 3, 4, dtype=torch.bool)
    visible[0, 1, 2] = True
    view = Visibility(visible, torch.zeros(1, 3, 4), torch.zeros(1, 3))
    branch = block.attend(x, block.key_values(source, torch.zeros(1, 4)), view)
    assert torch.equal(branch[0, [0, 2]], torch.zeros(2, WIDTH)) and branch[0, 1].abs().sum() > 0
    branch.sum().backward()
    assert source.grad[0, [0, 1, 3]].abs().sum() == 0 and source.grad[0, 2].abs().sum() > 0


def test_time_is_in_the_scores_as_a_difference():
    """The same contents at other times give another answer; all times moved together give the same."""
    block = a_block()
    x, source = torch.randn(1, 3, WIDTH), torch.randn(1, 4, SOURCE)
    visible = torch.ones(1, 3, 4, dtype=torch.bool)
    asked, happened = torch.tensor([[7.0, 8, 9]]), torch.tensor([[0.0, 1, 5, 7]])

    def attend(asked, happened):
        view = Visibility(visible, asked[:, :, None] - happened[:, None, :], asked)
        return block.attend(x, block.key_values(source, happened), view)

    out, moved = attend(asked, happened), attend(asked - 500, happened - 500)
    swapped = attend(asked, happened.flip(1))
    assert torch.allclose(out, moved, atol=1e-4) and not torch.allclose(out, swapped, atol=1e-2)


@torch.no_grad()
def test_patches_are_asked_beside_the_vectors_in_one_softmax():
    """Written a second time, head by head and row by row."""
    torch.manual_seed(0)
    block = GatedCrossAttention(WIDTH, SOURCE, WINDOW, heads=2, head_width=8, patches=(3, 5)).eval()
    x, vectors, patches = torch.randn(1, 2, WIDTH), torch.randn(1, 4, SOURCE), torch.randn(1, 2, 3, 5)
    now, seen, placed = torch.tensor([[5.0, 9]]), torch.tensor([[1.0, 2, 5, 9]]), torch.tensor([[5.0, 9]])
    sees = visible(now, seen).and_of(visible(now, placed), 3)
    found = block.attend(x, block.key_values(vectors, seen).followed_by(block.patch_key_values(patches, placed)), sees)

    rows = [(block.key(block.source_norm(vectors[0, i])), block.value(block.source_norm(vectors[0, i])), seen[0, i])
            for i in range(4)]
    for k in range(2):
        for place in range(3):
            row = block.patches.norm(patches[0, k, place]) + block.patches.place[place]
            rows.append((block.patches.key(row), block.patches.value(row), placed[0, k]))
    for i in range(2):
        heads = []
        for h in range(2):
            e = slice(8 * h, 8 * h + 8)
            mine = [(key[e], value[e], time) for key, value, time in rows if time <= now[0, i]]
            q = turned(block.query(block.query_norm(x[0, i]))[e], now[0, i], block)
            scores = torch.stack([q @ turned(key, time, block) / 8**0.5
                                  - block.log_decay[h].exp() * (now[0, i] - time) for key, _, time in mine])
            heads.append(scores.softmax(0) @ torch.stack([value for _, value, _ in mine]))
        torch.testing.assert_close(found[0, i], block.out(torch.cat(heads)), atol=1e-5, rtol=1e-5)


def visible(asking: torch.Tensor, asked: torch.Tensor) -> Visibility:
    """All that is not younger."""
    age = asking[:, :, None] - asked[:, None, :]
    return Visibility(age >= 0, age, asking)


def turned(row: torch.Tensor, time: torch.Tensor, block: GatedCrossAttention) -> torch.Tensor:
    return rotate(row[None, None, None], time[None, None], block.turns)[0, 0, 0]


def test_rotation_keeps_length_and_depends_on_differences():
    turns = wave_turns(4, WINDOW)
    q, k = torch.randn(2, 1, 1, 1, 8).unbind()
    scores = [(rotate(q, torch.tensor([[t]]), turns) * rotate(k, torch.tensor([[t - 3.0]]), turns)).sum()
              for t in (3.0, -120.0, 900.0)]
    assert torch.allclose(torch.stack(scores), scores[0].expand(3), atol=1e-3)
    assert torch.isclose(rotate(q, torch.tensor([[55.0]]), turns).norm(), q.norm(), atol=1e-5)


@pytest.mark.parametrize("window", [16, 256])
def test_closed_gates_feel_a_signal(window):
    """Both branches are of about the size of a normed stream, so opening a gate does something at once."""
    torch.manual_seed(1)
    block = GatedCrossAttention(128, 96, window)
    clock = Clock.of(torch.zeros(2, 300, dtype=torch.bool), torch.zeros(2, dtype=torch.long), 1)
    x, source = torch.randn(2, 300, 128), torch.randn(2, 300, 96)
    view, asked = Visibility.of(clock.frames, clock.frames, window), block.key_values(source, clock.frames.time)
    branch = block.attend(x, asked, view)
    assert 0.2 < branch.square().mean().sqrt() < 2
    assert 0.2 < block.feedforward(x).square().mean().sqrt() < 2
    (block(x, asked, view) * branch.detach()).mean().backward()
    assert block.attention_gate.grad > 0.05


def test_a_constant_gradient_opens_a_gate():
    """Past 0.5 within 100 steps at the gates' own rate, under bf16 autocast: fp32 does not freeze on the way."""
    block = GatedCrossAttention(WIDTH, SOURCE, WINDOW)
    assert block.attention_gate.item() == 0 == block.feedforward_gate.item()
    optimizer = make_optimizer(block, {"gates": [block.attention_gate]}, {"gates": 1e-2}, weight_decay=0.01)
    clock = Clock.of(torch.zeros(1, 8, dtype=torch.bool), torch.zeros(1, dtype=torch.long), 1)
    view = Visibility.of(clock.frames, clock.frames, WINDOW)
    x, source = torch.randn(1, 8, WIDTH), torch.randn(1, 8, SOURCE)
    wanted = block.attend(x, block.key_values(source, clock.frames.time), view).detach()
    for _ in range(100):
        with torch.autocast("cpu", torch.bfloat16):
            out = block(x, block.key_values(source, clock.frames.time), view)
        optimizer.zero_grad()
        (-(out - x) * wanted).mean().backward()
        optimizer.step()
    assert out.dtype == torch.float32 and block.attention_gate.dtype == torch.float32
    assert block.attention_gate.tanh().item() > 0.5
