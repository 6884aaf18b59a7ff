"""A folder of runs with made-up numbers, in the files that train.py, evaluate.py and vlpt.play write."""

import json
from pathlib import Path

import numpy as np

from support.numbered_recordings import record
from vlpt.data.shards import Episode, write_shards
from vlpt.evaluation.hand import KEYS
from vlpt.metrics import paired_difference
from vpt.actions import MINECRAFT, read_contractor

STAGES = {"base": ["action"], "words": ["token"], "language": ["action", "token", "silence"],
          "action": ["action", "token", "silence"], "without_words": ["action", "token", "silence"],
          "without_frames": ["action", "token", "silence"], "joint": ["action", "token", "silence"],
          "oracle": ["action", "token", "silence"], "shuffled": ["action", "token", "silence"]}  # fmt: skip
START, END = {"action": 7.0, "token": 4.0, "silence": 0.5}, {"action": 4.2, "token": 2.4, "silence": 0.35}
EPISODES = 8
CHANNELS = ["ch4", "ch5"] * 4  # of each episode


def write_runs(folder: Path, frames: int = 60, steps: int = 100) -> Path:
    """Everything but the videos."""
    random = np.random.default_rng(0)
    for stage, losses in STAGES.items():
        write_run(folder / stage, losses, steps, random)
    write_run(folder / "idm", ["buttons", "camera"], steps, random)
    write_labelled_shards(folder / "shards", frames, random)
    write_evaluation(folder, random)
    write_worth(folder, random)
    write_hand_and_probe(folder)
    write_matching(folder)
    (folder / "started").write_text("0")
    return folder


def write_run(folder: Path, losses: list[str], steps: int, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    rows, valid = [], {}
    for step in range(1, steps + 1):
        row = {"step": step}
        for loss in losses:
            start, end = START.get(loss, 3.0), END.get(loss, 1.0)
            value = end + (start - end) * np.exp(-4 * step / steps)
            row[loss] = float(value + random.normal(0, 0.1))
            valid |= {f"valid/{loss}": value + 0.05, f"unigram/{loss}": start * 0.95}
            if "silence" in losses and loss != "silence":
                valid[f"alone/{loss}"] = end + 0.2
        if "silence" in losses:
            opened = {"shuffled": 0.02}.get(folder.name, 0.12) * step / steps
            row |= {"gate/words_ask_frames": opened, "gate/frames_ask_words": opened * 0.7 + 0.01,
                    "gate/frames_ask_words.1.attention_gate": opened}
        rows.append(row | (valid if step % 50 == 0 else {}))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"stage": folder.name, "held_out": ["ch4", "ch5"], "steps": steps, "augment": True, "start": ""}
    made = {"options": options, "commit": "abc1234", "python": "3.11", "torch": "2.13"}
    (folder / "options.json").write_text(json.dumps(made))
    (folder / "done.json").write_text(json.dumps(valid | {"minutes": 1.5, "peak_gb": 2.5}))


def write_labelled_shards(folder: Path, frames: int, random: np.random.Generator) -> None:
    """Two held-out episodes whose labels are mostly right."""
    episodes = []
    for number, id_ in enumerate(("ch4-00", "ch5-00")):
        source = folder.parent / "recordings"
        record(source, id_, number, frames)
        truth = read_contractor(source / f"{id_}.jsonl")
        wrong = truth.buttons ^ (random.random(truth.buttons.shape) < 0.03)
        noisy_deg = truth.camera_deg + random.normal(0, 0.6, truth.camera_deg.shape)
        buttons, camera = MINECRAFT.encode(wrong, noisy_deg)
        episodes.append(Episode(id_, id_[:3], source / f"{id_}.mp4", [], buttons, camera, truth.null,
                                np.full(frames, 0.9, np.float32), truth.buttons, truth.camera_deg.astype(np.float32)))
    write_shards(folder, episodes, {"labels": "idm"})


def write_evaluation(folder: Path, random: np.random.Generator) -> None:
    def losses(action: float, token: float) -> dict:
        return {"action": action + random.normal(0, 0.08, EPISODES), "token": token + random.normal(0, 0.08, EPISODES)}

    joint, own = losses(4.2, 2.4), {"oracle": losses(3.4, 2.0), "shuffled": losses(4.4, 2.6)}
    gap = dict(size=EPISODES)
    for made in (joint, *own.values()):
        made["action_non_null"] = made["action"] + 0.3
    found = {
        "joint": {"true": joint, "words swapped": {k: v + random.normal(0.15, 0.08, **gap) for k, v in joint.items()},
                  "silence": {k: v + random.normal(0.1, 0.06, **gap) for k, v in joint.items()},
                  "frames swapped": {k: v + random.normal(0.3, 0.1, **gap) for k, v in joint.items()}},
        "oracle": {"oracle": own["oracle"],
                   "oracle_swapped": {k: v + random.normal(1.1, 0.2, **gap) for k, v in own["oracle"].items()}},
        "shuffled": {"true": own["shuffled"],
                     "swapped": {k: v + random.normal(0.0, 0.01, **gap) for k, v in own["shuffled"].items()}},
    }  # fmt: skip
    pairs = {"words": ("joint", "true", "words swapped", "action"), "silence": ("joint", "true", "silence", "action"),
             "frames": ("joint", "true", "frames swapped", "token"),
             "oracle": ("oracle", "oracle", "oracle_swapped", "action"),
             "shuffled": ("shuffled", "true", "swapped", "action")}  # fmt: skip
    dependence = {name: paired_difference(found[run][true][loss], found[run][other][loss], CHANNELS).to_dict()
                  for name, (run, true, other, loss) in pairs.items()}
    masked = "action_non_null"
    non_null = {name: paired_difference(found[run][true][masked], found[run][other][masked], CHANNELS).to_dict()
                for name, (run, true, other, loss) in pairs.items() if loss == "action"}
    conditions = {run: {condition: {loss: [*values.tolist()[:-1], None] for loss, values in measured.items()}
                        for condition, measured in every.items()} for run, every in found.items()}
    gates = {"words_ask_frames": 0.12, "frames_ask_words": 0.094, "frames_ask_words.1.attention_gate": 0.094}
    options = {"shards": str(folder / "shards"), "held_out": ["ch4", "ch5"]}
    (folder / "evaluation.json").write_text(json.dumps(dict(
        dependence=dependence, dependence_non_null=non_null, conditions=conditions,
        episodes=[f"{channel}-{n:02}" for n, channel in enumerate(CHANNELS)], gates=gates,
        options=options, peak_gb=3.25)))


def write_worth(folder: Path, random: np.random.Generator) -> None:
    """As evaluate.py worth leaves it: words are worth 0.05 nats a frame, frames nothing that could be told."""
    each = {"words": {"token": 2.6}, "base": {"action": 4.3}, "language": {"action": 4.3, "token": 2.5},
            "action": {"action": 4.2, "token": 2.5}, "joint": {"action": 4.2, "token": 2.4},
            "without_words": {"action": 4.25, "token": 2.5}, "without_frames": {"token": 2.5}}  # fmt: skip
    losses = {run: {loss: mean + random.normal(0, 0.01, EPISODES) for loss, mean in of.items()}
              for run, of in each.items()}  # fmt: skip
    pairs = {"words": ("action", "without_words", "action"), "frames": ("language", "without_frames", "token")}
    gains = {"token": ("joint", "words", "token"), "action": ("joint", "base", "action")}
    worth, gain = ({name: paired_difference(losses[own][loss], losses[other][loss], CHANNELS).to_dict()
                    for name, (own, other, loss) in some.items()} for some in (pairs, gains))  # fmt: skip
    (folder / "worth.json").write_text(json.dumps(dict(
        alone={"language_nats_per_token": 2.6, "agent_nats_per_frame": 4.3, "without_words_nats_per_frame": 4.25,
               "without_frames_nats_per_token": 2.5},
        joined={name: {"nats_per_token": each[name]["token"], "nats_per_frame": each[name]["action"]}
                for name in ("language", "action", "joint")},
        unigram={"nats_per_token": 5.5, "nats_per_frame": 6.0},
        worth=worth, worth_non_null={"words": worth["words"]}, gain=gain,
        losses={run: {loss: values.tolist() for loss, values in of.items()} for run, of in losses.items()},
        episodes=[f"{channel}-{n:02}" for n, channel in enumerate(CHANNELS)], options={}, peak_gb=1.5)))  # fmt: skip


def write_hand_and_probe(folder: Path) -> None:
    """As evaluate.py hand and evaluate.py probe leave them."""
    held = dict(count=210, people=0.83, felt=0.74, unfelt=0.11)
    press = dict(median=5.0, q90=10.0, count=42)
    losses = dict(action=1.16, action_non_null=1.74)
    (folder / "hand.json").write_text(json.dumps(dict(
        last_action=True, nats={"felt": losses, "unfelt": losses}, held={key: held for key in KEYS},
        presses={"recordings": {key: press for key in KEYS}})))  # fmt: skip
    reading = dict(groups={"pillar": 0.874, "tree": 0.881}, features=1280, mean_auc=0.878, distance_r2=None)
    (folder / "probe.json").write_text(json.dumps(dict(
        readings={"patches": reading}, questions=34, left_out=[], ticks={"test": 1000})))  # fmt: skip


def write_matching(folder: Path) -> None:
    """As evaluate.py matching leaves it."""
    won = dict(share=0.61, low=0.47, high=0.74, count=49, channels=2)
    shares = {"all": won, "kinds": {"hop": won}}
    found = {**shares, "same_kind": shares, "ceiling": None, "left_out": 3}
    (folder / "matching.json").write_text(json.dumps(dict(
        actions_from_words=found, words_from_frames=found, announcements=52, untold_errands=0)))  # fmt: skip


def write_watched(path: Path, seconds: int = 40) -> None:
    """Lines as vlpt.play writes them on a recording."""
    said = " okay let's go and chop that tall tree over there by the water I think we need some wood".split(" ")[1:]
    would = " okay so we could chop the tree now there is a red pillar and I see sand".split(" ")[1:]
    rows = []
    for t in range(seconds * 20):
        speaks = t % 8 == 0 and t // 60 % 3 != 2
        rows.append({"frame": t, "ms": t * 50, "buttons": ["forward"], "camera_deg": [0.0, 1.5],
                     "word": " " + would[t // 8 % len(would)] if speaks and t % 3 else "",
                     "heard": " " + said[t // 8 % len(said)] if speaks else "", "p_silence": 0.8,
                     "true": {"buttons": ["forward", "attack"], "camera_deg": [0.0, 1.4]}})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
