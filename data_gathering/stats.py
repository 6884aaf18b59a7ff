"""What a dataset holds: hours, words, silence, actions, confidence, lateness, and what was left out and why.

In: a dataset folder (data_gathering.shard), and the ledgers beside it where there are any. Out: a page that needs
nothing else (`stats.html`), beside it a line a transcript (`stats.transcripts.jsonl`: its longest gap, words a second
here and there, nats a token, see transcription/pace.py), and in the dataset folder a card (`README.md`) as the Hugging
Face Hub reads it. The page also says how many transcripts run as LiveCC's did (arXiv 2504.16030); the others are left
out by options of data_gathering.transcribe (--longest-gap-s, --most-words-a-second ...). Run:

    python -m data_gathering.stats --shards data/6_shards --out data/stats.html
"""

from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from data_gathering.ledger import read_rows
from data_gathering.transcription.pace import measure_pace, text_loss
from vlpt.data.dataset_card import card
from vlpt.data.shards import Episode, Shards
from vlpt.data.words import count_ticks, load_tokenizer, place, tokenise, vocabulary
from vlpt.files import write_lines, write_text
from vlpt.options import Count, CountOrNone, run
from vlpt.show.plots import canvas, title
from vlpt.show.report import picture
from vpt.actions import BUTTONS, MINECRAFT
from vpt.frames import FRAMES_PER_SECOND

LIVECC = {"longest_gap_s": (0.0, 3.0), "words_a_second": (1.0, 4.0), "nats_a_token": (1.5, 5.0)}  # arXiv 2504.16030
STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2430}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .9rem .25rem 0;text-align:left;vertical-align:top}
td+td,th+th{text-align:right}img{max-width:100%}h2{margin-top:2.5rem}"""


@dataclass(frozen=True)
class Options:
    """Counts what a dataset holds."""

    shards: str = "data/6_shards"  # dataset folder
    ledgers: str = ""  # folder with 1_found.jsonl, 2_dropped.jsonl ... (empty: the one above the dataset)
    tokenizer: str = "pretrained/words/tokenizer.json"  # for silence, lateness of tokens, and nats a token
    frames_per_tick: Count = 4  # frames a tick of the language model
    max_lateness_ms: CountOrNone = 2000  # later tokens are not trained on
    out: str = "data/stats.html"  # page to write


def main(options: Options) -> dict:
    """Writes the page and the card and returns the numbers. Raises ValueError naming what is missing."""
    shards = Shards(options.shards)
    numbers = count(shards.episodes, options)
    numbers["gathered"] = gathered(Path(options.ledgers) if options.ledgers else Path(options.shards).parent)
    write_text(options.out, page(numbers))
    write_lines(Path(options.out).with_suffix(".transcripts.jsonl"), numbers["transcripts"])
    write_text(Path(options.shards) / "README.md", card(numbers))
    print(f"{options.out}: {numbers['hours']:.2f} hours, {numbers['words_a_minute']:.0f} words a minute, "
          f"{numbers['silence']:.0%} of ticks silent")
    return numbers


def count(episodes: list[Episode], options: Options) -> dict:
    """Numbers of the episodes."""
    n_frames, n_words = sum(one.n_frames for one in episodes), sum(len(one.words) for one in episodes)
    minutes = n_frames / FRAMES_PER_SECOND / 60
    pressed, bins = np.zeros(len(BUTTONS)), np.zeros((2, MINECRAFT.camera.n_bins))
    for episode in episodes:
        buttons, camera_bins = MINECRAFT.decode_bins(episode.buttons_index, episode.camera_index)
        pressed += buttons.sum(0)
        for axis in (0, 1):
            bins[axis] += np.bincount(camera_bins[:, axis], minlength=MINECRAFT.camera.n_bins)
    confidence = np.concatenate([episode.confidence for episode in episodes])
    return {
        "episodes": len(episodes), "channels": len({episode.channel for episode in episodes}), "frames": n_frames,
        "hours": minutes / 60, "words": n_words, "words_a_minute": n_words / minutes, **timing(episodes, options),
        "null_frames": float(np.concatenate([episode.null for episode in episodes]).mean()),
        "truth_known": sum(episode.true_buttons is not None for episode in episodes),
        "confidence": {f"{q} %": float(np.percentile(confidence, q)) for q in (5, 25, 50, 75, 95)},
        "pressed": dict(zip(BUTTONS, (pressed / n_frames).tolist(), strict=True)),
        "camera": {name: (bins[axis] / n_frames).tolist() for axis, name in enumerate(("pitch", "yaw"))},
        "transcripts": [{"id": episode.id, **measure_pace(episode.words), "nats_a_token":
                         text_loss(options.tokenizer).nats_a_token(episode.words, episode.id)} for episode in episodes],
    }  # fmt: skip


def timing(episodes: list[Episode], options: Options) -> dict:
    """Of the words on the language model's clock: silence, how late tokens are, what could not be placed."""
    tokenizer = load_tokenizer(options.tokenizer)
    silence, ticks, spoken, lateness_ms, late, overflow = vocabulary(tokenizer), 0, 0, [], 0, 0
    for episode in episodes:
        speech = tokenise(episode.words, tokenizer)
        here = count_ticks(episode.n_frames, options.frames_per_tick)
        placed = place(speech.tokens, speech.onsets_ms, here, options.frames_per_tick, options.max_lateness_ms, silence)
        ticks, spoken = ticks + here, spoken + int((placed.tokens != silence).sum())
        lateness_ms.append(placed.lateness_ms)
        late, overflow = late + int(placed.late.sum()), overflow + placed.overflow
    every = np.concatenate(lateness_ms) if spoken else np.zeros(1)
    return {"tokens": spoken, "silence": 1 - spoken / max(1, ticks), "lateness_ms_median": float(np.median(every)),
            "lateness_ms_95": float(np.percentile(every, 95)), "tokens_too_late": late,
            "tokens_after_the_end": overflow}  # fmt: skip


def gathered(folder: Path) -> dict:
    """How many videos there were after each program, and why the others were dropped."""
    steps, reasons = {}, Counter()
    for name, label in (("1_found", "found"), ("2_kept", "kept"), ("3_downloaded", "downloaded"),
                        ("4_words/transcripts", "transcribed")):  # fmt: skip
        path = folder / f"{name}.jsonl"
        if path.exists():
            latest = {row["key"]: row for row in read_rows(path)}
            steps[label] = sum("left_out" not in row for row in latest.values())
    for row in read_rows(folder / "2_dropped.jsonl"):
        reasons.update(row.get("dropped_by", ()))
    return {"videos": steps, "dropped_by": dict(reasons.most_common())}


def paces(transcripts: list[dict]) -> dict[str, str]:
    """Of each number of the transcripts: 5, 50 and 95 %, and how many lie where LiveCC kept clips."""
    said = [row for row in transcripts if row["nats_a_token"] is not None]  # in the others nobody speaks
    lines = {}
    for name, (least, most) in LIVECC.items():
        low, high = ([row[name][part] if isinstance(row[name], dict) else row[name] for row in said]
                     for part in ("median", "most"))  # fmt: skip
        within = sum(least <= a and b <= most for a, b in zip(low, high, strict=True))
        shown = "; ".join(f"{np.percentile(low, q):.1f}" for q in (5, 50, 95)) if said else "none"
        lines[f"{name.replace('_', ' ')}: 5, 50, 95 % of transcripts"] = shown
        lines[f"transcripts of {least:g} to {most:g} (LiveCC's bounds)"] = f"{within} of {len(said)}"
    return lines


# ---- the page


def page(numbers: dict) -> str:
    """The whole page as HTML."""
    lines = {
        "hours": f"{numbers['hours']:.2f}", "episodes; channels": f"{numbers['episodes']}; {numbers['channels']}",
        "frames, 20 a second": f"{numbers['frames']:,}", "words": f"{numbers['words']:,}",
        "words a minute": f"{numbers['words_a_minute']:.0f}", "silent ticks": f"{numbers['silence']:.1%}",
        "tokens later than their word's onset: median; 95 %":
            f"{numbers['lateness_ms_median']:.0f}; {numbers['lateness_ms_95']:.0f} ms",
        "tokens too late to be trained on; after the end":
            f"{numbers['tokens_too_late']}; {numbers['tokens_after_the_end']}",
        "frames on which nothing is pressed and nothing moves": f"{numbers['null_frames']:.1%}",
        "episodes whose true keys are known": str(numbers["truth_known"]),
    }  # fmt: skip
    steps, reasons = numbers["gathered"]["videos"], numbers["gathered"]["dropped_by"]
    sections = [("", table(lines)), ("Actions", picture(actions_figure(numbers))),
                ("Confidence of labels, by share of frames", table({k: f"{v:.3f}" for k, v in
                                                                    numbers["confidence"].items()}))]  # fmt: skip
    sections.append(("How the talk runs (nats under trigrams of the sample's talk, not LiveCC's language model)",
                     table(paces(numbers["transcripts"]))))  # fmt: skip
    if steps:
        sections.append(("Videos after each program", table({name: f"{n:,}" for name, n in steps.items()})))
    if reasons:
        sections.append(("Dropped, by rule", table({name: f"{n:,}" for name, n in reasons.items()})))
    body = "".join(f"{f'<h2>{escape(heading)}</h2>' if heading else ''}{content}" for heading, content in sections)
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>A dataset of narrated play</title>"
            f"<style>{STYLE}</style><h1>A dataset of narrated play</h1>{body}</html>\n")


def table(rows: dict[str, str]) -> str:
    """Two columns."""
    return "<table>" + "".join(f"<tr><td>{escape(a)}<td>{escape(b)}" for a, b in rows.items()) + "</table>"


def actions_figure(numbers: dict):
    """How often each button is pressed, and how far the view is turned."""
    figure, ((left, right),) = canvas(1, 2, 10, 4)
    held = {name: share for name, share in numbers["pressed"].items() if share}
    left.barh(list(held)[::-1], [100 * share for share in held.values()][::-1])
    title(left, "Pressed", "% of frames")
    degrees = MINECRAFT.camera.degrees(np.arange(MINECRAFT.camera.n_bins))
    for name, shares in numbers["camera"].items():
        right.plot(degrees, np.maximum(shares, 1e-5), marker="o", label=name)
    right.set_yscale("log")
    right.legend(frameon=False)
    title(right, "View turned", "share of frames by degrees a frame")
    return figure


if __name__ == "__main__":
    run(main, Options)
