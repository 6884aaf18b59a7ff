"""A game's action space as data: buttons, exclusive groups of buttons, and a quantised camera.

In: a description (button names, groups, camera bins). Out: vectorised numpy maps between what is pressed
(buttons 0/1, camera degrees) and the two class indices that a VPT policy predicts.
Nothing here knows a game: Minecraft's instance is `vpt.actions.MINECRAFT`.

    space.encode(buttons, camera_deg) -> buttons_index, camera_index
    space.decode(buttons_index, camera_index) -> buttons, camera_deg

Source: the hierarchical mapping of VPT (arXiv 2206.11795, appendix C).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class CameraQuantiser:
    """Degrees per frame <-> an odd number of bins, the middle one meaning no motion.

    `mu_law` gives fine bins to small motions and coarse ones to large: e = sign(a) max ln(1 + mu|a|/max) / ln(1 + mu).
    """

    maxval_deg: float = 10.0
    binsize: float = 2.0
    mu: float = 10.0
    scheme: str = "mu_law"

    def __post_init__(self) -> None:
        if self.scheme not in ("mu_law", "linear"):
            raise ValueError(f"camera scheme is 'mu_law' or 'linear', not {self.scheme!r}")

    @property
    def n_bins(self) -> int:
        return int(2 * self.maxval_deg / self.binsize) + 1

    @property
    def null_bin(self) -> int:
        return self.n_bins // 2

    def bins(self, camera_deg) -> np.ndarray:
        """camera_deg: any shape, degrees -> int64 bins of the same shape; beyond +-maxval_deg is clipped."""
        a = np.clip(np.asarray(camera_deg, dtype=np.float64), -self.maxval_deg, self.maxval_deg)
        if not np.isfinite(a).all():
            raise ValueError("camera_deg holds a value that is not a number")
        if self.scheme == "mu_law":
            a = np.sign(a) * np.log1p(self.mu * np.abs(a) / self.maxval_deg) / np.log1p(self.mu) * self.maxval_deg
        return np.round((a + self.maxval_deg) / self.binsize).astype(np.int64)

    def shares(self, camera_deg) -> np.ndarray:
        """camera_deg (...) -> (..., n_bins) float32: how near the angle is to each bin ("two-hot").

        An angle between two bins' centres is shared between these two so that the mean of the centres is the angle
        itself: what is learned from shares can be read to finer than a bin.
        """
        centres = self.degrees(np.arange(self.n_bins))
        a = np.clip(np.asarray(camera_deg, dtype=np.float64), -self.maxval_deg, self.maxval_deg)
        upper = np.searchsorted(centres, a).clip(1, self.n_bins - 1)
        share = (a - centres[upper - 1]) / (centres[upper] - centres[upper - 1])
        out = np.zeros((*a.shape, self.n_bins), dtype=np.float32)
        np.put_along_axis(out, upper[..., None] - 1, (1 - share)[..., None], axis=-1)
        np.put_along_axis(out, upper[..., None], share[..., None], axis=-1)
        return out

    def degrees(self, bins) -> np.ndarray:
        """bins: any shape, int -> the angle in degrees (float64) that each bin stands for."""
        e = np.asarray(bins) * float(self.binsize) - self.maxval_deg
        if self.scheme == "linear":
            return e
        return np.sign(e) * self.maxval_deg * np.expm1(np.abs(e) / self.maxval_deg * np.log1p(self.mu)) / self.mu


@dataclass(frozen=True)
class Group:
    """Buttons of which a policy presses at most one; where two are held the later one counts, or they cancel."""

    name: str
    members: tuple[str, ...]
    cancel: bool = False


@dataclass(frozen=True)
class ActionSpace:
    """Buttons, their groups (most significant first) and the camera.

    The buttons index is a mixed-radix number over the groups, "none" being 0 in each, with a last binary digit, the
    camera meta-button: on iff the camera moves. Each button in `alone` stands outside the groups, takes an index of
    its own at the end and pushes everything else aside.
    """

    buttons: tuple[str, ...]
    groups: tuple[Group, ...]
    alone: tuple[str, ...] = ()
    camera: CameraQuantiser = CameraQuantiser()
    mirrored: tuple[tuple[str, str], ...] = ()  # pairs that change places in a mirror; the yaw turns round by itself

    def __post_init__(self) -> None:
        named = sorted([name for group in self.groups for name in group.members] + list(self.alone))
        if named != sorted(self.buttons):
            odd = sorted(set(named) ^ set(self.buttons)) or "a button is named twice"
            raise ValueError(f"every button belongs to exactly one group or stands alone; see {odd}")

    @cached_property
    def column(self) -> dict[str, int]:
        """name of a button -> its column in a `buttons` array."""
        return {name: i for i, name in enumerate(self.buttons)}

    @cached_property
    def mirror(self) -> list[int]:
        """For each button, the column of the one that its mirror image presses."""
        other = dict(self.mirrored) | {b: a for a, b in self.mirrored}
        return [self.column[other.get(name, name)] for name in self.buttons]

    @cached_property
    def _strides(self) -> tuple[int, ...]:
        strides, stride = [], 2
        for group in reversed(self.groups):
            strides.insert(0, stride)
            stride *= len(group.members) + 1
        return (*strides, stride)

    @property
    def n_combined(self) -> int:
        """How many indices the groups make: the indices of `alone` start here."""
        return 2 * int(np.prod([len(group.members) + 1 for group in self.groups]))

    @property
    def n_buttons_index(self) -> int:
        return self.n_combined + len(self.alone)

    @property
    def n_camera_index(self) -> int:
        return self.camera.n_bins**2

    @property
    def null_camera_index(self) -> int:
        return self.camera.null_bin * (self.camera.n_bins + 1)

    def camera_bins(self, camera_deg) -> np.ndarray:
        """camera_deg (..., 2): pitch, yaw in degrees, down and right positive -> (..., 2) int64 bins."""
        return self.camera.bins(camera_deg)

    def camera_deg_of_bins(self, bins) -> np.ndarray:
        """bins (..., 2) -> (..., 2) float64 degrees."""
        return self.camera.degrees(bins)

    def encode(self, buttons, camera_deg) -> tuple[np.ndarray, np.ndarray]:
        """buttons (..., n) 0/1, camera_deg (..., 2) -> buttons_index (...), camera_index (...), both int64."""
        return self.encode_bins(buttons, self.camera_bins(camera_deg))

    def encode_bins(self, buttons, camera_bins) -> tuple[np.ndarray, np.ndarray]:
        """As `encode`, from camera bins (..., 2)."""
        pressed = self._checked(buttons)
        bins = np.asarray(camera_bins, dtype=np.int64)
        buttons_index = (bins != self.camera.null_bin).any(-1).astype(np.int64)
        for group, stride in zip(self.groups, self._strides[:-1], strict=True):
            buttons_index += stride * self._choice(group, pressed)
        camera_index = bins[..., 0] * self.camera.n_bins + bins[..., 1]
        for i, name in enumerate(self.alone):
            on = pressed[..., self.column[name]]
            buttons_index = np.where(on, self.n_combined + i, buttons_index)
            camera_index = np.where(on, self.null_camera_index, camera_index)
        return buttons_index, camera_index

    def decode(self, buttons_index, camera_index) -> tuple[np.ndarray, np.ndarray]:
        """Indices (...) -> buttons (..., n) uint8, camera_deg (..., 2) float64.

        The camera stays still where the meta-button is off. Beside a button that stands alone it is kept as it is:
        so does the released agent.
        """
        buttons, bins = self.decode_bins(buttons_index, camera_index)
        return buttons, self.camera_deg_of_bins(bins)

    def decode_bins(self, buttons_index, camera_index) -> tuple[np.ndarray, np.ndarray]:
        """As `decode`, giving camera bins (..., 2) int64."""
        index = self._in_range(buttons_index, self.n_buttons_index, "buttons_index")
        camera = self._in_range(camera_index, self.n_camera_index, "camera_index")
        bins = np.stack([camera // self.camera.n_bins, camera % self.camera.n_bins], axis=-1)
        still = (index < self.n_combined) & (index % 2 == 0)
        return self._table[index], np.where(still[..., None], self.camera.null_bin, bins)

    def camera_meta(self, buttons_index):
        """buttons_index (...), array or tensor -> bool: does it hold the camera meta-button (never so for `alone`)?"""
        return (buttons_index % 2 == 1) & (buttons_index < self.n_combined)

    def is_null(self, buttons, camera_deg) -> np.ndarray:
        """buttons (..., n), camera_deg (..., 2) -> bool: nothing pressed and both camera bins at rest.

        The rule as VPT documents it; its published code compares with a method and never finds a null action.
        """
        still = (self.camera_bins(camera_deg) == self.camera.null_bin).all(-1)
        return still & ~self._checked(buttons).any(-1)

    @cached_property
    def _table(self) -> np.ndarray:
        """(n_buttons_index, n) uint8: the buttons that each index presses."""
        index = np.arange(self.n_buttons_index)
        table = np.zeros((self.n_buttons_index, len(self.buttons)), dtype=np.uint8)
        for group, stride in zip(self.groups, self._strides[:-1], strict=True):
            choice = index[: self.n_combined] // stride % (len(group.members) + 1)
            for i, name in enumerate(group.members, start=1):
                table[: self.n_combined, self.column[name]] = choice == i
        for i, name in enumerate(self.alone):
            table[self.n_combined + i, self.column[name]] = 1
        return table

    def _choice(self, group: Group, pressed: np.ndarray) -> np.ndarray:
        members = [pressed[..., self.column[name]] for name in group.members]
        choice = np.zeros(pressed.shape[:-1], dtype=np.int64)
        for i, held in enumerate(members, start=1):
            choice = np.where(held, i, choice)
        if group.cancel:
            choice = np.where(np.sum(members, axis=0) > 1, 0, choice)
        return choice

    def _checked(self, buttons) -> np.ndarray:
        pressed = np.asarray(buttons).astype(bool)
        if pressed.shape[-1:] != (len(self.buttons),):
            raise ValueError(f"buttons must end in an axis of {len(self.buttons)}, got shape {pressed.shape}")
        return pressed

    @staticmethod
    def _in_range(index, n: int, name: str) -> np.ndarray:
        index = np.asarray(index, dtype=np.int64)
        if index.size and (index.min() < 0 or index.max() >= n):
            raise ValueError(f"{name} must lie in 0..{n - 1}, got {index.min()}..{index.max()}")
        return index
