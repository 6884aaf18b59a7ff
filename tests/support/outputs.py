"""The fused model's output laid out by frame, so that chunks of different sizes can be compared."""

import torch

from vlpt.model import VLPT, Output


def by_frame(model: VLPT, output: Output, n_frames: int) -> dict[str, torch.Tensor]:
    """Every output as rows of frames (B, T, ...), 0 on frames without a tick."""
    spread = {}
    at_ticks = dict(silence_logit=output.silence_logit, token_log_probs=model.language.log_probs(output.hidden))
    for name, value in at_ticks.items():
        value = value[..., None] if value.ndim == 2 else value
        value = value * output.tick_valid[..., None]
        index = output.tick_index[..., None].expand_as(value)
        spread[name] = value.new_zeros(len(value), n_frames, value.shape[2]).scatter_add(1, index, value)
    ticks = torch.zeros(len(output.tick_valid), n_frames, dtype=torch.long)
    spread["ticks"] = ticks.scatter_add(1, output.tick_index, output.tick_valid.long())[..., None]
    return spread | dict(buttons=output.action.buttons, camera=output.action.camera)
