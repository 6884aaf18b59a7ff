"""Who plays: the habits of one channel's player, drawn from the channel's number and the seed.

In: channel number, seed. Out: `Persona`. Two channels differ in how much and how fast they talk, their favourite
phrasings, their mouse and their clumsiness.
"""

from dataclasses import dataclass

import numpy as np

from data_gathering.streamer.motion import HandHabits


@dataclass(frozen=True)
class Persona:
    """The habits of one player."""

    name: str
    words_per_minute: float  # while speaking
    talk: float  # 0..1, how readily a remark comes
    silence_s: float  # mean pause between small talk
    digress: float  # share of small talk that has nothing to do with the game
    taste_seed: int  # which phrasings are liked best
    hand: HandHabits
    pitch_deg: float  # gaze below the horizon while walking
    walk_tolerance_deg: float  # how far off the heading the gaze may be while walking
    strafe: float  # how readily a heading is mended with a step aside
    clumsy: float  # how often things go wrong
    hop: float  # jumps for no reason, per three seconds of walking
    fidget: float  # how often waiting is filled with something


def draw_persona(channel: int, seed: int) -> Persona:
    """The player of a channel: the same for the same (channel, seed)."""
    rng = np.random.default_rng((seed, channel, 77))
    hand = HandHabits(
        frames_per_doubling=rng.uniform(1.9, 3.0),
        gain=rng.uniform(0.96, 1.07),
        gain_noise=rng.uniform(0.04, 0.1),
        sideways_noise=rng.uniform(0.03, 0.07),
        tremor=rng.uniform(0.08, 0.18),
        reaction_frames=(1, int(rng.integers(3, 6))),
    )
    return Persona(
        name=f"player{channel}",
        words_per_minute=rng.uniform(162, 188),
        talk=rng.uniform(0.35, 0.85),
        silence_s=rng.uniform(2.0, 6.0),
        digress=rng.uniform(0.06, 0.2),
        taste_seed=int(rng.integers(1 << 30)),
        hand=hand,
        pitch_deg=rng.uniform(6, 14),
        walk_tolerance_deg=rng.uniform(2.5, 5.0),
        strafe=rng.uniform(0.15, 0.45),
        clumsy=rng.uniform(0.08, 0.2),
        hop=rng.uniform(0.1, 0.6),
        fidget=rng.uniform(0.25, 0.6),
    )
