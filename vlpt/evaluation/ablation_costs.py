"""What a fused model costs: milliseconds a played frame, and parameters.

In: a model (or the size of SmolLM2-135M, with random weights, since what a frame costs does not depend on them). Out:
numbers. As tests/benchmarks/bench_fused.py measures it: whole steps of one lane, trunk, ticks, cross attentions, heads.

    frame_ms(VLPT.from_pretrained("pretrained/agent"))
"""

import time

import torch

from vlpt.checkpoint import model_folder
from vlpt.joints import Joints
from vlpt.language.decoder import DecoderConfig
from vlpt.language.families import build
from vlpt.model import VLPT
from vpt.policy import Policy

PERIOD, PERIODS = 8, 8  # frames in which ticks of 2, 4 and 8 frames come whole times; how often they are timed
# HuggingFaceTB/SmolLM2-135M-Instruct, config.json
SMOLLM2 = dict(model_type="llama", vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
               num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, tie_word_embeddings=True,
               rope_parameters={"rope_type": "default", "rope_theta": 100000.0})  # fmt: skip


@torch.inference_mode()
def frame_ms(model: VLPT, periods: int = PERIODS) -> float:
    """Milliseconds a frame of one lane, the median over so many periods of frames, after one that is not counted."""
    model.eval()
    generator = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    frame = torch.randint(0, 256, (1, 1, 128, 128, 3), dtype=torch.uint8, generator=generator).to(device)
    heard, first = torch.zeros(1, 1, dtype=torch.int64, device=device), torch.zeros(1, 1, dtype=bool, device=device)
    memory, found = model.start(1), []
    for _ in range(1 + periods):
        begin = time.perf_counter()
        for _ in range(PERIOD):
            output, memory = model(frame, first, heard, memory)
            if output.tick_valid.shape[1]:
                model.language.log_probs(output.hidden)
        found.append(1e3 * (time.perf_counter() - begin) / PERIOD)
    return round(float(torch.tensor(found[1:]).median()), 2)


def parameters(model: VLPT, trained: dict) -> dict[str, int]:
    """How many the joints have (`new`), and how many a run with these options trains (`trained`)."""
    model.freeze(trained["stage"], trained["trunk"], trained.get("train_language", False),
                 trained.get("train_agent", False))  # fmt: skip
    counts = {"new": sum(p.numel() for p in Joints.of(model).parameters()),
              "trained": sum(p.numel() for p in model.parameters() if p.requires_grad)}  # fmt: skip
    model.eval()
    return counts


def smollm2_frame_ms(base: str) -> float:
    """Milliseconds a frame of an agent (a run or a folder) joined to a language model of SmolLM2-135M's size."""
    policy = Policy.from_pretrained(model_folder(base))
    return frame_ms(VLPT.from_parts(policy, build(DecoderConfig(SMOLLM2)), intention=True))
