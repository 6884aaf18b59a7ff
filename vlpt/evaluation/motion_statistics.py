"""How a hand moves: keys and camera of a stretch of play in a few numbers, which tell a calm one from an erratic one.

In: buttons (N, 20) and camera_deg (N, 2) of N frames, in the policy's action space. Out: {name: number or None}:

    nothing_pressed       share of frames without any button
    camera_moving         share of frames in which the camera moves
    degrees_a_second      by which it turns, both angles added
    reversals_a_second    how often an angle turns back: against the last frame in which that angle moved
    flips_a_second        how often one of KEYS goes down or up
    short_presses         share of presses of KEYS that last two frames at most
    presses_a_minute:KEY, press_frames:KEY    how often each key is pressed, and the median length of its presses

    statistics(buttons, camera_deg)
    people(episodes, seconds=15)        # the same of recordings, {name: mean and interval over channels}
"""

from collections.abc import Sequence

import numpy as np

from vlpt.data.shards import Episode
from vlpt.evaluation.hand import press_lengths
from vlpt.metrics import over_channels
from vpt.actions import MINECRAFT
from vpt.frames import FRAMES_PER_SECOND

KEYS = ("forward", "back", "left", "right", "jump", "sprint", "sneak", "attack", "use")
SHORT_FRAMES = 2


def statistics(buttons: np.ndarray, camera_deg: np.ndarray) -> dict[str, float | None]:
    """Of one stretch; None for what is of presses where there are none."""
    seconds, moves = len(buttons) / FRAMES_PER_SECOND, (camera_deg != 0).any(1)
    down = np.asarray(buttons)[:, [MINECRAFT.column[key] for key in KEYS]].astype(bool)
    lengths = [press_lengths(of_key) for of_key in down.T]
    every = np.concatenate(lengths)
    found = {
        "nothing_pressed": float(1 - np.asarray(buttons).any(1).mean()),
        "camera_moving": float(moves.mean()),
        "degrees_a_second": float(np.abs(camera_deg).sum() / seconds),
        "reversals_a_second": sum(map(reversals, np.asarray(camera_deg).T)) / seconds,
        "flips_a_second": float((down[1:] != down[:-1]).sum() / seconds),
        "short_presses": float((every <= SHORT_FRAMES).mean()) if len(every) else None,
    }  # fmt: skip
    for key, its in zip(KEYS, lengths, strict=True):
        found[f"presses_a_minute:{key}"] = 60 * len(its) / seconds
        found[f"press_frames:{key}"] = float(np.median(its)) if len(its) else None
    return found


def reversals(angle_deg: np.ndarray) -> int:
    """angle_deg (N,) degrees a frame -> how often it changes its sign, frames without motion left out."""
    signs = np.sign(angle_deg[angle_deg != 0])
    return int((signs[1:] != signs[:-1]).sum())


def people(episodes: Sequence[Episode], seconds: float) -> dict[str, dict]:
    """As labelled, in stretches as long as the agents play; what is left at an episode's end is left out."""
    length, rows = round(seconds * FRAMES_PER_SECOND), []
    for number, episode in enumerate(episodes):
        buttons, camera_deg = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
        step = min(length, episode.n_frames)
        rows += [(statistics(buttons[start : start + step], camera_deg[start : start + step]), episode.channel, number)
                 for start in range(0, episode.n_frames - step + 1, step)]  # fmt: skip
    channels, numbers = ([row[i] for row in rows] for i in (1, 2))
    return {name: over_channels([np.nan if row[0][name] is None else row[0][name] for row in rows], channels,
                                numbers).to_dict() for name in rows[0][0]}  # fmt: skip
