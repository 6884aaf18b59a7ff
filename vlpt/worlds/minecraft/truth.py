"""What Minecraft's environments tell beside the picture -> `info["truth"]` of vlpt/worlds/contract.py.

In: the plain values that bridge.py sends of a step. Out: the truth; what the task does not tell (a BASALT task tells
nothing but the picture) is None, or empty. Minecraft counts in a right-handed world: yaw 0 looks to +z, and clockwise
from above is towards -x, so that "clockwise from +z" is its own yaw.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Truth"]

COUNTED = {"mine_block": "dig", "pickup": "pickup"}  # of the game's statistics: events of our contract


class Truth:
    """Follows one life: statistics that grew since the last step are events."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], float] = {}
        self._slot = 0

    def of(self, told: dict[str, Any], pressed: dict[str, Any] | None = None) -> dict[str, Any]:
        """One step's truth; pressed: the step's action, of which the selected slot follows."""
        for slot in range(9):
            if pressed and pressed.get(f"hotbar.{slot + 1}"):
                self._slot = slot
        place = told.get("place")
        position = [float(place[axis]) for axis in "xyz"] if place else None
        return {
            "position": position,
            "yaw_deg": float(place["yaw"]) if place else None,
            "pitch_deg": float(place["pitch"]) if place else None,
            "hotbar": self._slot,
            "hand": told.get("hand"),
            "inventory": inventory(told.get("inventory") or []),
            "gui_open": bool(told.get("gui_open")),
            "events": self._events(told.get("counts") or {}, position),
        }

    def _events(self, counts: dict[str, dict[str, float]], position: list[float] | None) -> list[dict[str, Any]]:
        events, first = [], not self._counts
        for statistic, kind in COUNTED.items():
            for item, count in counts.get(statistic, {}).items():
                grown = count - self._counts.get((statistic, item), 0)
                self._counts[statistic, item] = count
                if grown > 0 and not first:
                    events += [{"kind": kind, "node": item, "position": position}] * int(grown)
        self._counts.setdefault(("", ""), 0)  # from now on, what grows is new
        return events


def inventory(slots: list[tuple[str, int]]) -> dict[str, int]:
    """{item: count} of (item, count) by slot, without what is air."""
    held: dict[str, int] = {}
    for item, count in slots:
        if item not in ("air", "none") and count > 0:
            held[item] = held.get(item, 0) + int(count)
    return held
