"""What the runs found, read from their files: the only place that knows which file holds which number.

In: a folder of runs, as demo.py leaves it:

    <run>/{idm,base,words,language,action,joint,without_words,without_frames,oracle,shuffled}/{options.json, log.jsonl,
                                done.json}
    <run>/evaluation.json      written by evaluate.py dependence
    <run>/worth.json           written by evaluate.py worth; not in folders of before
    <run>/play.mp4, .jsonl     written by vlpt.play in a world; watched.mp4, .jsonl: the same on a recording
    <run>/started              when the demo began, seconds since 1970

Out: `Results`, and from it `summary.json`. What vlpt/show/report.py and main.ipynb show is read here.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlpt.data.shards import Shards
from vlpt.evaluation.worth import MATCHED
from vlpt.files import read_json, read_lines
from vpt.actions import MINECRAFT
from vpt.scores import Scores

STAGES = ("idm", "base", "words", "language", "action", "joint", "without_words", "without_frames", "oracle",
          "shuffled")  # fmt: skip

# Dependence: (run, its condition, the condition with the signal taken away, loss). Positive: the true signal helps.
CONDITIONS = {
    "words": ("joint", "true", "words swapped", "action"),
    "silence": ("joint", "true", "silence", "action"),
    "frames": ("joint", "true", "frames swapped", "token"),
    "oracle": ("oracle", "oracle", "oracle_swapped", "action"),
    "shuffled": ("shuffled", "true", "swapped", "action"),
}
ALONE = ("language_nats_per_token", "agent_nats_per_frame", "without_words_nats_per_frame")
INTERVAL = ("delta", "low", "high")


@dataclass(frozen=True)
class RunRecord:
    """One run of train.py."""

    name: str
    options: dict
    versions: dict  # commit, python, torch
    rows: list[dict]  # one a step
    done: dict  # last validation, unigrams, minutes, peak_gb; empty while it trains

    def series(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps, values) of those steps that logged `key`."""
        rows = [row for row in self.rows if key in row]
        return np.array([row["step"] for row in rows]), np.array([row[key] for row in rows], float)

    def last(self, key: str) -> float | None:
        """The newest value of `key`, or None."""
        values = self.series(key)[1]
        return float(values[-1]) if len(values) else None


@dataclass(frozen=True)
class Results:
    """Everything that there is to show; what has not been made yet is empty or None."""

    folder: Path
    runs: dict[str, RunRecord]
    evaluation: dict | None
    worth: dict | None
    idm: Scores | None  # of the labels in the shards, on held-out channels
    played: list[dict]  # lines of play.jsonl
    watched: list[dict]


def read_results(folder: Path | str) -> Results:
    """All of a folder of runs. Raises ValueError when it holds no run, or a file is broken."""
    folder = Path(folder)
    runs = {name: read_run(folder / name) for name in STAGES if (folder / name / "log.jsonl").exists()}
    if not runs:
        raise ValueError(f"{folder} holds no run ({', '.join(STAGES)}): train.py --runs {folder} makes them")
    evaluation, worth = (read_json(folder / name) if (folder / name).exists() else None
                         for name in ("evaluation.json", "worth.json"))
    return Results(folder, runs, evaluation, worth, idm_scores(evaluation), read_lines(folder / "play.jsonl"),
                   read_lines(folder / "watched.jsonl"))


def read_run(folder: Path) -> RunRecord:
    """One run of train.py, finished or not."""
    made = read_json(folder / "options.json")
    if not isinstance(made, dict) or not isinstance(made.get("options"), dict):
        raise ValueError(f"{folder / 'options.json'} does not say with which options the run was made")
    done = read_json(folder / "done.json") if (folder / "done.json").exists() else {}
    versions = {key: value for key, value in made.items() if key != "options"}
    return RunRecord(folder.name, made["options"], versions, read_lines(folder / "log.jsonl", appended=True), done)


def idm_scores(evaluation: dict | None) -> Scores | None:
    """The inverse dynamics model's labels in the shards against what was truly pressed, on the channels that are
    reported.

    None where that is not known. Labels that are the truth itself (confidence 1 throughout) do not count.
    """
    if evaluation is None or not Path(evaluation["options"]["shards"]).exists():
        return None
    scores, options = Scores(), evaluation["options"]
    for episode in Shards(options["shards"]).episodes:
        inferred = (episode.confidence < 1).any() and episode.true_buttons is not None
        if episode.channel in options["held_out"] and inferred:
            labels = MINECRAFT.decode(episode.buttons_index, episode.camera_index)
            scores.add(*labels, episode.true_buttons, episode.true_camera_deg)
    return scores if scores.n_frames else None


def episode_differences(evaluation: dict, name: str, masked: bool = False) -> np.ndarray:
    """(episodes,) nats that an episode loses without its true signal; episodes without the loss are left out. masked:
    of the frames where something is pressed.
    """
    run, own, other, loss = CONDITIONS[name]
    loss += "_non_null" * masked
    measured = evaluation.get("conditions", {}).get(run, {})
    if own not in measured or other not in measured:
        return np.zeros(0)
    return paired(measured[own][loss], measured[other][loss])


def worth_differences(worth: dict, name: str) -> np.ndarray:
    """(episodes,) nats that an episode gains from a signal, by two runs; episodes without the loss are left out."""
    pair = MATCHED[name]
    return paired(worth["losses"][pair.run][pair.loss], worth["losses"][pair.without][pair.loss])


def paired(true: list[float | None], without: list[float | None]) -> np.ndarray:
    """without - true of each episode that has both."""
    return np.array([other - own for own, other in zip(true, without, strict=True) if None not in (own, other)])


def oracle_loss(evaluation: dict) -> float:
    """Nats a frame of the oracle on its own words, mean over episodes; nan where it was not kept."""
    each = evaluation.get("conditions", {}).get("oracle", {}).get("oracle", {}).get("action", [])
    return float(np.mean([loss for loss in each if loss is not None] or [math.nan]))


def summary(results: Results) -> dict:
    """The numbers of the demo under fixed keys; `alone` and `worth` are None in a folder of before. Raises ValueError
    naming what is missing."""
    joint = results.runs["joint"].done if "joint" in results.runs else {}
    measured = "valid/action" in joint and "valid/token" in joint
    needed = {"joint/done.json (train.py joint)": joint, "losses on held-out channels in it (--held-out)": measured,
              "evaluation.json (evaluate.py dependence)": results.evaluation,
              "labelled shards with true keys on the held-out channels": results.idm}
    if missing := [what for what, there in needed.items() if not there]:
        raise ValueError(f"{results.folder}: no summary without {'; '.join(missing)}")
    idm, dependence, gates = results.idm.numbers(), results.evaluation["dependence"], results.evaluation["gates"]
    return {
        "idm": {key: idm[key] for key in ("balanced_accuracy", "mouse_r2")},
        **reported_losses(results),
        "alone": results.worth and {key: results.worth["alone"][key] for key in ALONE},
        "worth": results.worth and {name: {key: results.worth["worth"][name][key] for key in INTERVAL}
                                    for name in MATCHED},
        "dependence": {name: {key: dependence[name][key] for key in INTERVAL}
                       for name in ("oracle", "shuffled", "words", "frames")},
        "gates": {name: gates[name] for name in ("words_ask_frames", "frames_ask_words")},
        "minutes": round(minutes(results.folder), 2),
        "peak_gb": peak_gb(results),
    }


def reported_losses(results: Results) -> dict[str, dict[str, float]]:
    """Of run `joint`: on the channels that are reported; in a folder of before, on those of its validation."""
    if results.worth:
        joint, unigram = results.worth["joined"]["joint"], results.worth["unigram"]
    else:
        done = results.runs["joint"].done
        joint, unigram = ({"nats_per_frame": done[f"{kind}/action"], "nats_per_token": done[f"{kind}/token"]}
                          for kind in ("valid", "unigram"))
    return {"action": {"nats_per_frame": joint["nats_per_frame"], "unigram": unigram["nats_per_frame"]},
            "token": {"nats_per_token": joint["nats_per_token"], "unigram": unigram["nats_per_token"]}}


def gates_table(runs: dict[str, RunRecord]) -> str:
    """How open each gate was at the end of each stage that has gates, after tanh: a Markdown table, a gate a row."""
    last = {name: {key.removeprefix("gate/"): value for key, value in run.rows[-1].items() if key.startswith("gate/")}
            for name, run in runs.items() if run.rows}
    stages = [name for name, gates in last.items() if gates]
    gates = dict.fromkeys(gate for name in stages for gate in last[name])
    rows = [[f"`{gate}`", *(f"{last[name][gate]:+.3f}" if gate in last[name] else "" for name in stages)]
            for gate in gates]
    return "\n".join(f"| {' | '.join(row)} |" for row in (["gate", *stages], ["---"] * (len(stages) + 1), *rows))


def minutes(folder: Path) -> float:
    """From the demo's start to its last file; without `started`, what the runs themselves took."""
    made = [path for name in ("*/done.json", "evaluation.json", "worth.json", "*.mp4") for path in folder.glob(name)]
    if (folder / "started").exists() and made:
        return (max(path.stat().st_mtime for path in made) - float((folder / "started").read_text())) / 60
    return math.fsum(read_json(path).get("minutes", 0) for path in folder.glob("*/done.json"))


def peak_gb(results: Results) -> float:
    """The largest memory that any of the programs took."""
    found = [run.done.get("peak_gb", 0.0) for run in results.runs.values()]
    return max(found + [(made or {}).get("peak_gb", 0.0) for made in (results.evaluation, results.worth)])


def speech(rows: list[dict], window_ms: int = 5000) -> list[dict]:
    """What a watched recording's person said and the agent would have said, window by window.

    Returns {"ms", "true", "agent", "p_silence" (mean)} for the windows in which either speaks.
    """
    windows: dict[int, list[dict]] = {}
    for row in rows:
        windows.setdefault(row["ms"] // window_ms, []).append(row)
    told = []
    for number, inside in windows.items():
        chances = [row["p_silence"] for row in inside if row["p_silence"] is not None]
        true, agent = ("".join(row[key] for row in inside).strip() for key in ("heard", "word"))
        if true or agent:
            told.append({"ms": number * window_ms, "true": true, "agent": agent,
                         "p_silence": float(np.mean(chances)) if chances else None})
    return told
