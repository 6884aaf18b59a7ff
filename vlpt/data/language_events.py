"""Words on the frames of a dataset, as LeRobot 0.6 keeps speech: the column `language_events`.

In: the words of an episode. Out: for each frame the words that begin in it, and back. LeRobot's tools carry this column
along when they delete, split, merge or relabel, where they drop columns of episodes that are not theirs. An event is a
row that its annotation writer takes for speech: role "assistant", no style, no content, a call of the tool "say", here
with the exact times beside the text.

    column = to_events(words, n_frames)                    # pyarrow, one list a frame
    words = from_events(column.to_pylist())
"""

import json
from collections.abc import Sequence

import pyarrow as pa

from vlpt.data.words import Word
from vpt.frames import FRAME_MS

EVENTS = "language_events"
FEATURE = {"dtype": "language", "shape": [1], "names": None}

_ARGUMENTS = pa.struct({"text": pa.string(), "start_ms": pa.float64(), "end_ms": pa.float64()})
_CALL = pa.struct({"type": pa.string(), "function": pa.struct({"name": pa.string(), "arguments": _ARGUMENTS})})
_EVENT = pa.struct({"role": pa.string(), "content": pa.string(), "style": pa.string(), "camera": pa.string(),
                    "tool_calls": pa.list_(_CALL)})  # fmt: skip


def to_events(words: Sequence[Word], n_frames: int) -> pa.Array:
    """(n_frames,) lists of events. A word stands on the frame in which it begins, one after the end on the last, one
    that begins before the word spoken before it on that one's: so the order is kept.
    """
    frames, frame = [[] for _ in range(n_frames)], 0
    for word in words:
        frame = max(frame, min(n_frames - 1, int(word.start_ms // FRAME_MS)))
        frames[frame].append(_event(word))
    return pa.array(frames, pa.list_(_EVENT))


def from_events(frames: Sequence[Sequence[dict] | None]) -> list[Word]:
    """The words of an episode in spoken order; speech without times, which other programs wrote, is at its frame's.

    Raises ValueError, or what Python raises for the wrong kind of thing, when an event is not as LeRobot has it.
    """
    return [_word(arguments, frame) for frame, events in enumerate(frames) for event in events or ()
            for arguments in _said(event)]


def _event(word: Word) -> dict:
    arguments = {"text": word.word, "start_ms": word.start_ms, "end_ms": word.end_ms}
    return {"role": "assistant", "content": None, "style": None, "camera": None,
            "tool_calls": [{"type": "function", "function": {"name": "say", "arguments": arguments}}]}  # fmt: skip


def _said(event: dict) -> list[dict]:
    """The arguments of what an event says: of the player's speech only."""
    if event["role"] != "assistant" or event["style"] is not None:
        return []
    calls = [json.loads(call) if isinstance(call, str) else call for call in event["tool_calls"] or ()]
    return [call["function"]["arguments"] for call in calls if call["function"]["name"] == "say"]


def _word(arguments: dict, frame: int) -> Word:
    start_ms = arguments.get("start_ms")
    start_ms = float(frame * FRAME_MS if start_ms is None else start_ms)
    end_ms = arguments.get("end_ms")
    return Word(arguments["text"], start_ms, start_ms if end_ms is None else float(end_ms))
