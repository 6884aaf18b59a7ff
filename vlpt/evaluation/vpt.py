"""What an agent of OpenAI's, or one of ours, loses on contractors' recordings: the first thing to look at when weights
are at hand, for a mistake anywhere between file and frame shows here.

In: an agent without words (OpenAI's .model and .weights, or a folder), a folder of recordings (`<id>.mp4` and
`<id>.jsonl`). Out: a table and JSON, nats a frame:

    masked     buttons and, where the camera's meta-button is on, camera: the loss that the agent was trained by
    unmasked   buttons and camera on every frame, as the published fine-tuning script counts: where the meta-button is
               off it asks the camera head for the one class that it was never asked for
    non-null   masked, of frames on which something is pressed, as the foundation models were trained

Expected of OpenAI's foundation models: 2 to 3 masked, 13 to 15 unmasked. More than 5 masked means that pictures or
actions are not what the agent knows: the pointer is missing (--cursor), the video is not 640x360, rows and frames have
slipped. An agent of ours was trained with the mask too, and on another game.

    python evaluate.py vpt --model 2x.model --weights 2x.weights --recordings data/3_openai --cursor pointer.png
    python evaluate.py vpt --model pretrained/base --recordings data_gathering/samples --most 2
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from vlpt.agent import PolicyAgent, load_agent
from vlpt.files import check_writable, write_json
from vlpt.metrics import interval, over_channels
from vlpt.options import Count, CountOrNone, Device, NotNegative, Seed, run, to_dict, use_threads
from vlpt.training.losses import action_nats
from vpt.actions import MINECRAFT, Recording, read_contractor
from vpt.agent_video import AgentVideo, Pointer, inspect_video
from vpt.frames import FRAMES_PER_SECOND, read_cursor
from vpt.policy import Policy

LOSSES = ("masked", "unmasked", "non_null")
EXPECTED = "expected of OpenAI's foundation models: 2 to 3 nats/frame masked, 13 to 15 unmasked"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measures an agent's losses on contractors' recordings, with and without the camera's mask."""

    model: str  # OpenAI's .model file, or a run or folder with an agent that has no words
    weights: str = ""  # OpenAI's .weights file, where --model is their .model file
    recordings: str = "data/3_openai"  # folder of <id>.mp4 and <id>.jsonl
    cursor: str = ""  # a picture of the pointer, as shrink's (empty: the recordings show it, or have no open windows)
    most: CountOrNone = 0  # recordings at most, in the order of their names (0: all)
    most_seconds: NotNegative = 0.0  # of each recording, from its beginning (0: all of it)
    chunk: Count = 128  # frames at a time; memory is carried on
    seed: Seed = 0  # of the interval
    threads: CountOrNone = 0  # processor threads; 0: torch's choice
    device: Device = "auto"  # where the agent runs
    out: str = ""  # JSON file to write; none if empty

    def __post_init__(self) -> None:
        if bool(self.weights) != self.model.endswith(".model"):
            raise ValueError("OpenAI's agents are two files: --model names the .model, --weights the .weights")


def main(options: Options) -> dict:
    """Everything in the module's docstring; also written to `options.out`. Raises ValueError naming a file that is
    missing or wrong, and rows that are not one a picture."""
    if options.out:
        check_writable(Path(options.out).parent)
    use_threads(options.threads)
    videos = recordings(options)
    agent = load_agent(options.model, options.weights, options.device)
    if not isinstance(agent, PolicyAgent):
        raise ValueError(f"{options.model} speaks: evaluate.py worth measures agents with words")
    sums = {video.path.stem: measure(agent.model, video, options) for video in tqdm(videos, "recordings", unit="")}
    return report(sums, options)


def recordings(options: Options) -> list[AgentVideo]:
    """The videos that have rows. Raises ValueError where there is none."""
    folder = Path(options.recordings)
    paths = [path for path in sorted(folder.glob("*.mp4")) if path.with_suffix(".jsonl").is_file()]
    if not paths:
        raise ValueError(f"{folder} holds no <id>.mp4 with <id>.jsonl: data_gathering.openai downloads some")
    return [inspect_video(path) for path in paths[: options.most or None]]


def measure(policy: Policy, video: AgentVideo, options: Options) -> dict[str, tuple[float, int]]:
    """{loss: (nats, frames)} of one recording."""
    rows = read_contractor(video.path.with_suffix(".jsonl"))
    if len(rows) != video.count:
        raise ValueError(f"{video.path} shows {video.count} frames at 20 a second, its .jsonl has {len(rows)} rows: "
                         "get both anew, or leave the recording out")  # fmt: skip
    pointer = Pointer(read_cursor(options.cursor), rows.gui_open, rows.cursor) if options.cursor else None
    sums = {name: np.zeros(2) for name in LOSSES}
    for nats, null in outputs(policy, video.read_frames(pointer), rows, options):
        masked, unmasked = nats
        for name, values in zip(LOSSES, (masked, unmasked, masked[~null]), strict=True):
            sums[name] += values.sum(), values.size
    return {name: (float(nats), int(count)) for name, (nats, count) in sums.items()}


@torch.no_grad()
def outputs(policy: Policy, frames: Iterator[np.ndarray], rows: Recording, options: Options
            ) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Chunk by chunk: masked and unmasked nats (2, T), and which frames are null (T,)."""
    device, memory = policy.final_norm.weight.device, policy.start(1)
    indices = torch.from_numpy(np.stack(MINECRAFT.encode(rows.buttons, rows.camera_deg), -1))  # (N, 2)
    before = torch.cat([torch.full((1, 2), -1), indices[:-1]])
    most = min(len(rows), round(options.most_seconds * FRAMES_PER_SECOND) or len(rows))
    for start in range(0, most, options.chunk):
        part = slice(start, min(start + options.chunk, most))
        pictures = torch.from_numpy(np.stack([next(frames) for _ in range(part.stop - start)]))[None].to(device)
        first = torch.zeros(pictures.shape[:2], dtype=torch.bool, device=device)
        first[0, 0] = start == 0
        output, memory = policy(pictures, first, memory, before[None, part].to(device))
        buttons, camera = indices[None, part].to(device).unbind(-1)
        masked = sum(action_nats(output.action, buttons, camera))
        unmasked = -(output.action.buttons.gather(-1, buttons[..., None]) +
                     output.action.camera.gather(-1, camera[..., None]))[..., 0].float()  # fmt: skip
        yield torch.stack([masked, unmasked])[:, 0].double().cpu().numpy(), rows.null[part]


def report(sums: dict[str, dict[str, tuple[float, int]]], options: Options) -> dict:
    """Means over frames, a 95 % interval over contractors, and each recording."""
    channels = [name.rsplit("-", 3)[0] if name.count("-") >= 3 else name.rsplit("-", 1)[0] for name in sums]
    losses, each = {}, {name: {loss: ratio(one[loss]) for loss in LOSSES} for name, one in sums.items()}
    for loss in LOSSES:
        values = [np.nan if one[loss] is None else one[loss] for one in each.values()]
        total = np.sum([one[loss] for one in sums.values()], axis=0)
        losses[loss] = {"nats": ratio(total), "frames": int(total[1]), "over_channels":
                        over_channels(values, channels, range(len(values)), options.seed).to_dict()}  # fmt: skip
    result = {"losses": losses, "recordings": each, "options": to_dict(options), "expected": EXPECTED}
    if options.out:
        write_json(options.out, result)
    print(f"{len(sums)} recordings of {len(set(channels))} contractors, nats a frame, 95 % interval over contractors")
    for loss, found in losses.items():
        nats = "none" if found["nats"] is None else f"{found['nats']:.3f}"
        print(f"{loss.replace('_', '-'):9} {nats:>7} of {found['frames']} frames   "
              f"{interval(found['over_channels'], 2)}")  # fmt: skip
    print(EXPECTED)
    return result


def ratio(pair) -> float | None:
    """Nats a frame; None without frames."""
    return float(pair[0] / pair[1]) if pair[1] else None


if __name__ == "__main__":
    run(main, Options)
