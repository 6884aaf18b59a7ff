"""Whether a player sees a thing: for one who has to look for what it cannot see, as whoever learns from its pictures
must.

In: `info["arena"]` of a world and, each frame, its truth. Out: is enough of a target in view? A player without this
knows where everything is and turns straight to it; what its pictures and words do not tell, nobody can learn from it
(docs/log.md).
"""

import numpy as np

from data_gathering.streamer.ground import Arena, Target, bearing_deg, flat_m
from data_gathering.streamer.motion import turn_deg
from vlpt.data.in_view import View, eye_of, read_things

HALF_VIEW_DEG = 48.0  # beyond which to either side nothing is looked at more closely
LEAST_SHARE = 0.001  # of the picture


class Sight:
    """What can be seen in one arena, whatever has been dug or placed meanwhile."""

    def __init__(self, arena: Arena) -> None:
        self.things = read_things(arena)
        self.middles = [thing.boxes[0].mean(0) for thing in self.things]

    def sees(self, truth: dict, target: Target) -> bool:
        """truth: of this frame; target: one of the arena's things."""
        position = truth["position"]
        if abs(turn_deg(truth["yaw_deg"], bearing_deg(position, target.position))) > HALF_VIEW_DEG:
            return False
        shown = View(eye_of(position), truth["yaw_deg"], truth["pitch_deg"]).cast(self.things)
        at = min(range(len(self.things)), key=lambda i: flat_m(self.middles[i], target.position))
        return bool(np.mean(shown == at) >= LEAST_SHARE)

