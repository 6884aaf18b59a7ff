"""One thing to do, and how it is called. Which comes next: errands.py; how it is done: chores.py."""

from dataclasses import dataclass

from data_gathering.streamer.ground import Target


@dataclass
class Errand:
    """One thing to do: `it` names it as a person would."""

    kind: str
    it: str = ""
    target: Target | None = None
    number: int = 0
    yaw_deg: float = 0.0  # absolute, where a direction is meant

    def title(self) -> str:
        """As the log calls it."""
        return " ".join(part for part in (self.kind, self.it, str(self.number or "")) if part)
