"""Does a sentence fit the film under which it is said? An independent scorer, which never saw the agent.

In: people's lives with what is in view (lives.py), to learn from; an agent's, or other people's, to judge. Out: of
each sentence, the share of other lives' moments under which it is less likely than under its own.

A logistic regression (that of ceilings.py) from what is in view in the seconds before, by thing and third of the
picture, and from the keys and the mouse of the seconds after the last word, to what a sentence is about: its rule, and
the colour that it names. Sentences that no film tells (plans, greetings, chat, answers) are left out.
"""

from collections.abc import Sequence

import numpy as np

from vlpt.data.sentences import Grammar
from vlpt.data.words import Word
from vlpt.evaluation.carried_out import colour_of
from vlpt.evaluation.ceilings import Classifier
from vlpt.evaluation.lives import TICK_FRAMES, Life
from vpt.frames import FRAME_MS, FRAMES_PER_SECOND

TOLD_BY_FILM = ("announce", "whim", "counted", "sight", "after", "during", "tool", "count")
TIE_NATS = 1e-6
Kind = tuple[str, str]  # of a thing: what, of which colour


def topic(sentence: Sequence[Word], grammar: Grammar) -> str | None:
    """What a sentence is about; None for one that the grammar cannot make, or no film tells."""
    found = grammar.recognise(" ".join(word.word for word in sentence))
    if found is None or found[0].split(":")[0] not in TOLD_BY_FILM:
        return None
    rule, held = found
    named = " ".join(held.get(slot, "") for slot in ("colour", "flower", "it"))
    return f"{rule} {colour_of(named, grammar)}".strip()


class Films:
    """What is seen and done at any moment of some lives."""

    def __init__(self, lives: Sequence[Life], kinds: Sequence[Kind], seconds: float) -> None:
        self.lives, self.length = lives, max(1, round(seconds * FRAMES_PER_SECOND))
        self.shown = [covered(life, kinds) for life in lives]

    def at(self, life: int, frame: int) -> np.ndarray:
        """(features,): mean share of the picture of each thing by third, before a frame; each button's share of the
        frames after it, and how far the gaze turned in them.
        """
        one, stop = self.lives[life], frame + self.length
        ticks = self.shown[life][max(0, frame - self.length) // TICK_FRAMES : frame // TICK_FRAMES + 1]
        seen = ticks.mean(0) if len(ticks) else np.zeros(self.shown[life].shape[1])
        return np.concatenate([seen, one.buttons[frame:stop].mean(0), one.camera_deg[frame:stop].sum(0)])

    def moments(self, life: int) -> int:
        """How many frames have all their seconds after them."""
        return max(0, self.lives[life].frames - self.length + 1)


def covered(life: Life, kinds: Sequence[Kind]) -> np.ndarray:
    """(ticks, things x 3): the share of the picture that each thing covers, by third."""
    found, column = np.zeros((len(life.lines), len(kinds), 3)), {kind: i for i, kind in enumerate(kinds)}
    for row, line in zip(found, life.lines, strict=True):
        for thing in line.things:
            if (thing.kind, thing.colour) in column:
                row[column[thing.kind, thing.colour]] += thing.share
    return found.reshape(len(found), 3 * len(kinds))


def last_frame(sentence: Sequence[Word], life: Life) -> int:
    """The frame in which its last word ends."""
    return min(int(sentence[-1].end_ms // FRAME_MS), life.frames - 1)


class Scorer:
    """Fitted on people's lives. Raises ValueError where fewer than two topics can be learned."""

    def __init__(self, learned: Sequence[Life], grammar: Grammar, seconds: float, least: int) -> None:
        """least: times that a topic must be there."""
        self.grammar, self.seconds = grammar, seconds
        self.kinds = sorted({(thing.kind, thing.colour) for life in learned for line in life.lines
                             for thing in line.things})  # fmt: skip
        rows = self.examples(Films(learned, self.kinds, seconds))
        topics, counts = np.unique([about for _, _, about, _ in rows], return_counts=True)
        kept = {*topics[counts >= least].tolist()}
        chosen = [(numbers, about) for _, _, about, numbers in rows if about in kept]
        self.judge = Classifier([numbers for numbers, _ in chosen], [about for _, about in chosen])
        self.learned = len(chosen)
        if self.judge.model is None:
            raise ValueError(f"{len(kept)} topics of sentences come {least} times in the channels to learn from: two "
                             "are needed; take more episodes, or fewer --held-out")  # fmt: skip

    def examples(self, films: Films) -> list[tuple[int, int, str, np.ndarray]]:
        """(life, number of the sentence, topic, features) of every sentence of some lives that a film can tell."""
        found = []
        for number, life in enumerate(films.lives):
            for index, sentence in enumerate(life.sentences):
                frame = last_frame(sentence, life)
                about = topic(sentence, self.grammar) if frame < films.moments(number) else None
                if about is not None:
                    found.append((number, index, about, films.at(number, frame)))
        return found

    def pairs(self, lives: Sequence[Life], others: int, random: np.random.Generator) -> list[tuple[int, int, float]]:
        """(life, number of the sentence, share of `others` random moments of other lives at which it is less likely; a
        tie counts half) of every sentence on a topic that was learned.
        """
        films = Films(lives, self.kinds, self.seconds)
        able = [number for number in range(len(lives)) if films.moments(number)]
        known, found = {about: i for i, about in enumerate(self.judge.known)}, []
        for life, index, about, numbers in self.examples(films):
            strangers = [number for number in able if number != life]
            if about not in known or not strangers:
                continue
            drawn = random.choice(strangers, others)
            films_of = [films.at(number, int(random.integers(films.moments(number)))) for number in drawn]
            nats = self.judge.model.predict_log_proba(np.stack([numbers, *films_of]))[:, known[about]]
            won = nats[0] - nats[1:]
            found.append((life, index, float(np.mean((won > TIE_NATS) + 0.5 * (np.abs(won) <= TIE_NATS)))))
        return found
