"""What a page may ask for, checked.

In: JSON of a WebSocket, {"do": ..., ...}. Out: one of the classes below. Raises ValueError for anything else.

    match parse('{"do": "say", "text": "jump"}'): case Say(text=text): ...
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from vlpt.data.words import Word
from vpt.actions import BUTTONS

MOST_TEXT = 300  # characters that are said at once: 20 s of talk
MOST_PX = 100_000.0
Motion = Annotated[float, Field(ge=-MOST_PX, le=MOST_PX)]


class Say(BaseModel):
    """Say something to the agent."""

    do: Literal["say"]
    text: Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]


class Take(BaseModel):
    """Keyboard and mouse are the person's from now on, or the agent's again."""

    do: Literal["take"]
    on: bool


class Hold(BaseModel):
    """Which buttons are down, and how far the mouse went (right, down) since this was last told."""

    do: Literal["hold"]
    held: Annotated[set[Literal[BUTTONS]], Field(max_length=len(BUTTONS))]
    motion_px: tuple[Motion, Motion] = (0.0, 0.0)


class Draw(BaseModel):
    """How freely the agent draws, or how far words guide it, from now on."""

    do: Literal["draw"]
    name: Literal["action_temperature", "word_temperature", "guidance"]
    value: Annotated[float, Field(ge=0, le=10)]


class Pause(BaseModel):
    """Time stands still, or goes on."""

    do: Literal["pause"]
    on: bool


class Step(BaseModel):
    """One frame, while time stands still."""

    do: Literal["step"]


class Reset(BaseModel):
    """A new life in the arena of a seed."""

    do: Literal["reset"]
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class Record(BaseModel):
    """A recording begins, or ends and is saved."""

    do: Literal["record"]
    on: bool


class Look(BaseModel):
    """Tell with each tick where in the picture words look."""

    do: Literal["look"]
    on: bool


class Listen(BaseModel):
    """The microphone is on; the sound comes as bytes once it is off."""

    do: Literal["listen"]


Message = Say | Take | Hold | Draw | Pause | Step | Reset | Record | Look | Listen
_ANY = TypeAdapter(Annotated[Message, Field(discriminator="do")])


def parse(text: str) -> Message:
    """Raises ValueError saying, in short, what is wrong."""
    try:
        return _ANY.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'][:2])) or 'it'}: {first['msg']}") from None


# ---- what the program itself says to the game


@dataclass(frozen=True)
class Spoken:
    """Words from the microphone, times from `began_s` of time.monotonic."""

    words: tuple[Word, ...]
    began_s: float


@dataclass(frozen=True)
class Watched:
    """So many viewers from now on."""

    count: int


class End(BaseException):
    """The program ends."""
