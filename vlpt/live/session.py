"""The game that is played on the page: the agent in a world in real time, in a thread of its own that waits for nobody.

In: messages (vlpt/live/messages.py), and how many viewers there are. Out: to an audience, `show(state, jpeg)` once a
frame and `note(news)` in between; recordings. There is a game while somebody watches, and for `GRACE_S` after that.

    session = Session(agent, Game("luanti"), audience); session.start(); session.tell(Watched(1))
    session.tell(Say(do="say", text="jump")); session.end()

State: {"frame", "seed", "rate" (frames/s), "ms" ([agent, world] of a frame), "buttons", "camera_deg", "person" (whose
hands), "said" ([[who, piece], ...]), "p_silence", "unheard" (tokens), "look" (P shares, between ticks null), "paused",
"recording" ({"id", "frames"} or null)}.
"""

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from vlpt.agent import Agent
from vlpt.live.drawing import draw_otherwise
from vlpt.live.hands import Hands
from vlpt.live.life import Life
from vlpt.live.messages import Draw, End, Hold, Look, Pause, Record, Reset, Say, Spoken, Step, Take, Watched
from vlpt.live.pace import Pace
from vlpt.live.recorder import LiveRecorder
from vlpt.worlds import make
from vpt.errors import one_line

GRACE_S = 3.0  # a page that is loaded again finds its game
PATIENCE_S = 0.2  # between looks at whether somebody still watches, while nothing happens
MOST_ERROR = 300  # characters of an error that are shown


class Audience(Protocol):
    """Whoever watches; called from the game's thread, returns at once."""

    def show(self, state: dict, jpeg: bytes) -> None: ...

    def note(self, news: dict) -> None: ...


@dataclass(frozen=True)
class Game:
    """What is played, and where it is kept."""

    world: str
    size: tuple[int, int] = (320, 180)
    seed: int = 0
    recordings: str = "data/3_played"
    channel: str = "live"
    model: str = ""  # its name, for the recordings


class Session:
    """All of it is touched by its own thread only; others put messages into its inbox."""

    def __init__(self, agent: Agent, game: Game, audience: Audience) -> None:
        self.agent, self.game, self.audience, self.inbox = agent, game, audience, SimpleQueue()
        self.thread = Thread(target=self._run, name="game", daemon=True)  # a game that hangs holds no program
        self.viewers, self.left_s = 0, float("-inf")
        self.seed, self.wants_reset = game.seed, False
        self.hands, self.taken, self.paused, self.steps, self.look = Hands(), False, False, 0, False
        self.pace = Pace()
        self.life: Life | None = None
        self.shown: tuple[dict, bytes] | None = None

    # ---- from any thread

    def start(self) -> None:
        self.thread.start()

    def tell(self, message) -> None:
        """A message of a page, `Spoken`, `Watched` or `End`."""
        self.inbox.put(message)

    def end(self, timeout_s: float = 30.0) -> None:
        """Saves the recording, ends the game; waits for that."""
        self.tell(End())
        self.thread.join(timeout_s)

    # ---- the thread

    def _run(self) -> None:
        try:
            while True:
                self._obey(self.inbox.get())
                if self.viewers:
                    self._have_a_game()
        except End:
            return

    def _have_a_game(self) -> None:
        """Until nobody watches; what a game dies of is told, and a reset begins another."""
        self.paused, self.steps = False, 0
        while self._is_watched():
            self.wants_reset = True
            try:
                self.audience.note({"starting": self.game.world})
                with closing(make(self.game.world, size=self.game.size)) as world:
                    self._play(world)
            except Exception as error:  # whatever a game came up with: the page goes on
                self._tell_and_wait(error)

    def _play(self, world) -> None:
        """Life after life; whatever ends them, what was recorded is saved before the game is ended."""
        try:
            while self._is_watched():
                if self.wants_reset:
                    self._begin_life(world)
                still = self.paused and not self.steps
                if not self._next_message(PATIENCE_S if still else self.pace.left_s()) and not still:
                    self._go_on()
        finally:
            self._end_life()

    def _is_watched(self) -> bool:
        return self.viewers > 0 or time.monotonic() - self.left_s < GRACE_S

    def _next_message(self, wait_s: float) -> bool:
        """Obeys the next message, if one comes in time; then there may be more."""
        try:
            message = self.inbox.get(timeout=wait_s) if wait_s > 0 else self.inbox.get_nowait()
        except Empty:
            return False
        self._obey(message)
        return True

    def _tell_and_wait(self, error: Exception) -> None:
        """Tells what happened; waits for a reset, or for nobody to watch."""
        self.wants_reset = False
        self.audience.note({"error": f"the game stopped ({one_line(error, MOST_ERROR)}): a reset begins another"})
        while self._is_watched() and not self.wants_reset:
            self._next_message(PATIENCE_S)

    def _begin_life(self, world) -> None:
        """What was recorded of the last one is saved: a recording is of one life."""
        self._end_life()
        self.life, self.wants_reset = Life(self.agent, world, self.seed), False
        self.hands.let_go()
        self.pace.begin()
        self.audience.note({"life": self.seed})

    def _end_life(self) -> None:
        self._stop_recording()
        self.life = self.shown = None

    def _go_on(self) -> None:
        self.life.go_on(self.hands if self.taken else None, self.look, self._show)
        self.steps, self.wants_reset = max(0, self.steps - 1), self.life.over
        self.pace.count(*self.life.costs_s)

    def _show(self, told: dict, jpeg: bytes) -> None:
        self.shown = told, jpeg
        self._tell_state()

    def _tell_state(self) -> None:
        """The last picture with what is so now; its words are told once."""
        if self.shown is None:
            return
        (told, jpeg), recorder = self.shown, self.life.recorder
        recording = {"id": recorder.id, "frames": recorder.frames} if recorder else None
        now = {"seed": self.seed, "rate": self.pace.rate(), "ms": self.pace.ms, "person": self.taken,
               "paused": self.paused, "recording": recording}  # fmt: skip
        self.audience.show({**told, **now}, jpeg)
        self.shown = {**told, "said": []}, jpeg

    # ---- messages

    def _obey(self, message) -> None:
        """Does what is asked for; what cannot be done is told."""
        try:
            self._do(message)
        except (ValueError, OSError) as error:
            self.audience.note({"error": one_line(error, MOST_ERROR)})

    def _do(self, message) -> None:
        match message:
            case End():
                raise message
            case Watched(count):
                self.left_s = time.monotonic() if self.viewers and not count else self.left_s
                self.viewers = count
            case Say(text=text):
                self._hear(text.split(), "typed", lambda life: life.hear(text))
            case Spoken(words, began_s):
                said = [word.word for word in words]
                self._hear(said, "spoken", lambda life: life.hear_spoken(list(words), began_s))
            case Hold(held=held, motion_px=motion_px):
                self.hands.move(held, motion_px) if self.taken else None
            case Take(on=on):
                self.taken = on
                self.hands.let_go()
            case Draw(name=name, value=value):
                self._draw(name, value)
            case Pause(on=on):
                self.paused, self.steps = on, 0
                self.pace.begin()
            case Step():
                self.paused, self.steps = True, self.steps + 1
            case Reset(seed=seed):
                self.seed, self.wants_reset = seed, True
            case Look(on=on):
                self.look = on
            case Record(on=on):
                self._start_recording() if on else self._stop_recording()
        if isinstance(message, Take | Pause | Record):
            self._tell_state()

    def _hear(self, words: list[str], how: str, tell) -> None:
        if words and self.life:
            tell(self.life)
            self.audience.note({"told": " ".join(words), "how": how})

    def _draw(self, name: str, value: float) -> None:
        if self.life:
            self.life.draw(**{name: value})
        else:
            draw_otherwise(self.agent, self.agent.start(), **{name: value})
        self.audience.note({"drawing": asdict(self.agent.sampling)})

    def _start_recording(self) -> None:
        if self.life and not self.life.recorder:
            game, about = self.game, {"seed": self.seed, "world": self.game.world, "model": self.game.model}
            self.life.recorder = LiveRecorder(game.recordings, game.channel, game.size, self.life.frame, **about)

    def _stop_recording(self) -> None:
        """Saved, or told why not."""
        recorder = self.life and self.life.recorder
        if not recorder:
            return
        self.life.recorder = None
        try:
            if saved := recorder.close():
                self.audience.note({"saved": f"{self.game.recordings}/{saved}.mp4", "frames": recorder.frames})
        except (ValueError, OSError) as error:
            self.audience.note({"error": f"{recorder.id} is not saved: {one_line(error, MOST_ERROR)}"})
