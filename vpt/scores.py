"""How well actions were recovered: the scores of an inverse dynamics model, added up over any number of videos.

In: predicted and true buttons (N, 20) 0/1 and camera degrees (N, 2). Out: numbers, and tables for a report.

    scores = Scores()
    scores.add(buttons, camera_deg, true_buttons, true_camera_deg)
    scores.numbers()        # {"balanced_accuracy": ..., "mouse_r2": ..., "keypress_accuracy": ...}
"""

import numpy as np

from vpt.actions import BUTTONS, MINECRAFT


class Scores:
    """Counts, from which the scores follow; of which button they are follows BUTTONS.

    pressed (20, 2, 2) int64: frames by truth (no, yes) and prediction; camera (2, 11, 11): pitch and yaw, true bin by
    predicted bin; exact: frames on which all buttons are right.
    """

    def __init__(self) -> None:
        n_bins = MINECRAFT.camera.n_bins
        self.pressed = np.zeros((len(BUTTONS), 2, 2), dtype=np.int64)
        self.camera = np.zeros((2, n_bins, n_bins), dtype=np.int64)
        self.n_frames = self.exact = 0
        self._sums = np.zeros((3, 2))  # per axis, degrees: truth, its square, the squared error

    def add(self, buttons, camera_deg, true_buttons, true_camera_deg) -> None:
        """Arrays (or CPU tensors) of N frames: two predicted, two true. Raises ValueError when they do not fit."""
        said, true = np.asarray(buttons).astype(bool), np.asarray(true_buttons).astype(bool)
        said_deg, true_deg = (np.asarray(x, dtype=np.float64) for x in (camera_deg, true_camera_deg))
        n = len(true)
        if not said.shape == true.shape == (n, len(BUTTONS)) or not said_deg.shape == true_deg.shape == (n, 2):
            raise ValueError(
                f"scores compare (N, {len(BUTTONS)}) buttons and (N, 2) degrees; got {said.shape}, "
                f"{said_deg.shape} and, as truth, {true.shape}, {true_deg.shape}"
            )
        for truth in (0, 1):
            for prediction in (0, 1):
                self.pressed[:, truth, prediction] += ((true == truth) & (said == prediction)).sum(0)
        bins, true_bins = MINECRAFT.camera_bins(said_deg), MINECRAFT.camera_bins(true_deg)
        for axis in (0, 1):
            np.add.at(self.camera[axis], (true_bins[:, axis], bins[:, axis]), 1)
        # what lies beyond the largest bin can neither be said nor be asked for
        limit = MINECRAFT.camera.maxval_deg
        clipped, error = true_deg.clip(-limit, limit), said_deg.clip(-limit, limit) - true_deg.clip(-limit, limit)
        self._sums += [clipped.sum(0), (clipped**2).sum(0), (error**2).sum(0)]
        self.n_frames += n
        self.exact += int((said == true).all(1).sum())

    def balanced_accuracy(self) -> dict[str, float]:
        """Of each button that is pressed on some frames and not on others: mean of its hit rates on either."""
        of_truth = self.pressed.sum(2)
        hits = np.diagonal(self.pressed, axis1=1, axis2=2)
        return {name: float((hits[i] / of_truth[i]).mean()) for i, name in enumerate(BUTTONS) if of_truth[i].all()}

    def mouse_r2(self) -> float:
        """1 - squared error / variance of the truth, both axes together, degrees; nan where nothing moved."""
        total, squares, errors = self._sums
        variance = (squares - total**2 / max(self.n_frames, 1)).sum()
        return float(1 - errors.sum() / variance) if variance > 1e-9 else float("nan")

    def numbers(self) -> dict[str, float]:
        """balanced_accuracy: mean over the buttons that occur; keypress_accuracy: frames with every button right."""
        each = self.balanced_accuracy()
        return {
            "balanced_accuracy": float(np.mean(list(each.values()))) if each else float("nan"),
            "mouse_r2": self.mouse_r2(),
            "keypress_accuracy": self.exact / self.n_frames if self.n_frames else float("nan"),
        }

    def table(self) -> list[dict]:
        """One row a button that occurs: how often it is pressed, found, and said in vain."""
        rows = []
        for name, balanced in self.balanced_accuracy().items():
            (right_no, wrong_yes), (missed, right_yes) = self.pressed[BUTTONS.index(name)].tolist()
            rows.append(
                {
                    "button": name,
                    "pressed": missed + right_yes,
                    "found": right_yes,
                    "in_vain": wrong_yes,
                    "balanced_accuracy": balanced,
                }
            )
        return rows

    def __str__(self) -> str:
        numbers = self.numbers()
        lines = [
            f"{row['button']:>10} {row['balanced_accuracy']:.3f}  pressed {row['pressed']:6d}  found "
            f"{row['found']:6d}  in vain {row['in_vain']:6d}"
            for row in self.table()
        ]
        return "\n".join(
            [
                f"{self.n_frames} frames: balanced accuracy {numbers['balanced_accuracy']:.3f}, mouse R2 "
                f"{numbers['mouse_r2']:.3f}, all buttons right on {numbers['keypress_accuracy']:.3f}",
                *lines,
            ]
        )
