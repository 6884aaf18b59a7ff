"""From a search to a dataset, all programs in one go, on one machine or on many.

In: a configuration (data_gathering/gather.yaml explains itself). Out: below its data folder what the single programs
make, `gathered.jsonl` (a line a video: done, left out or failed, and why) and a dataset. Killed and run again it goes
on where it was; what failed is tried again. Run:

    python -m data_gathering.gather --config data_gathering/gather.yaml
    python -m data_gathering.gather --config data_gathering/gather.yaml --ray auto     # on a Ray cluster

On a cluster the data folder lies on storage that all machines share, and this repository at one place on all of them:
processors download, transcribe and shrink, GPUs label (pipeline.py); no machine's death loses a video or doubles one.
"""

import json
import math
import os
import reprlib
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import yaml
from tqdm import tqdm

from data_gathering import download, filter, find, shard, stats
from data_gathering.download import credit
from data_gathering.ledger import Ledger, end_with, read_ledger
from data_gathering.pipeline import PROGRAMS, Label, Plan, Prepare, shard_parts
from vlpt.files import locked, write_lines
from vlpt.options import Count, from_dict, run
from vpt.errors import one_line
from vpt.files import existing_file

NOTES = {"download": "3_downloaded.jsonl", "clean": "3_clean.jsonl", "transcribe": "4_words/transcripts.jsonl"}
ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_name("gather.yaml")
MOST_TEXT = 100_000  # characters of a configuration


@dataclass(frozen=True)
class Options:
    """Gathers a dataset from a search to shards."""

    config: str = str(CONFIG)  # what to look for, and how
    ray: str = ""  # a Ray cluster: its address, or auto for the one that runs here (empty: this machine alone)


@dataclass(frozen=True)
class Settings:
    """What the configuration says beside the sections of programs."""

    data: str = "data"
    workers: Count = 2
    attempts: Count = 3
    parts: Count = 1
    keep_originals: bool = True


def main(options: Options) -> dict[str, int]:
    """Returns how many videos are in the dataset, left out, and failed (then the status is 1)."""
    plan, sections = read_config(Path(options.config))
    with locked(plan.data), download.alone(Path(plan.programs["download"].out)):
        return gather(plan, sections, options)


def gather(plan: Plan, sections: dict, options: Options) -> dict[str, int]:
    """What `main` does, in a data folder into which no other program gathers or downloads meanwhile."""
    failed = list(find_and_filter(plan, sections))
    records = read_ledger(plan.data / "2_kept.jsonl", "filter")
    rows = [{"record": json.dumps(record)} for record in records]
    process = on_ray(options.ray) if options.ray else on_this_machine
    ends = []
    with tqdm(total=len(rows), desc="videos", unit="") as bar:
        for row in process(plan, rows):
            ends.append({**json.loads(row["progress"]), "record": json.loads(row["record"])})
            bar.update()
    done = write_down(plan, ends)
    totals = Counter(done=len(done), left_out=sum("left_out" in end for end in ends))
    failed += [f"{end['key']}: {end['failed']}" for end in ends if "failed" in end]
    print(f"{plan.data}: {totals['done']} videos done, {totals['left_out']} left out, {len(failed)} failed")
    print_speed(ends)
    if done:
        make_shards(plan, done, options.ray)
    end_with(failed)
    return {**totals, "failed": len(failed)}


def read_config(path: Path) -> tuple[Plan, dict]:
    """The plan, and the sections as given. Raises ValueError naming the file and what is wrong in it."""
    try:
        content = _read_yaml(path)
        known = [field.name for field in fields(Settings)]
        for name, value in content.items():
            if name not in known and name not in PROGRAMS:
                raise ValueError(f"{reprlib.repr(name)} is no setting: {', '.join((*known, *PROGRAMS))} are")
            if name in PROGRAMS and not isinstance(value, dict | None):
                raise ValueError(f"{name} takes options, got {reprlib.repr(value)}")
        given = vars(from_dict(Settings, {name: content[name] for name in known if name in content}))
        sections = {name: content[name] or {} for name in PROGRAMS if name in content}
        places = {"data": Path(given["data"]).absolute(), "folder": os.getcwd()}
        return Plan.from_sections(sections, **{**given, **places}), sections
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {one_line(error, of=path)}") from error
    except Exception as error:  # a date, which no option takes; nesting without end; whatever else YAML can say
        raise ValueError(f"{path}: it says what no option takes ({one_line(error, of=path)})"
                         ) from error  # fmt: skip


def _read_yaml(path: Path) -> dict:
    with open(existing_file(path), encoding="utf-8") as file:
        text = file.read(MOST_TEXT + 1)
    loader = yaml.SafeLoader(text)
    node = loader.get_single_node() if len(text) <= MOST_TEXT else None
    if len(text) > MOST_TEXT or _expanded(node, {}) > MOST_TEXT:
        raise ValueError(f"it is longer than {MOST_TEXT:,} characters, what aliases stand for written out: that is no "
                         "configuration")  # fmt: skip
    content = loader.construct_document(node) if node else None
    if not isinstance(content, dict):
        raise ValueError("it is no mapping")
    return content


def _expanded(node: yaml.Node | None, known: dict[int, float]) -> float:
    """How long a YAML node is with its aliases written out, by which a few lines can stand for more than any memory
    holds; infinity for one that holds itself."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value) if node else 0
    if id(node) not in known:
        known[id(node)] = math.inf  # where it is met again inside itself
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(node)]


def find_and_filter(plan: Plan, sections: dict) -> Iterator[str]:
    """Find and filter; yields what failed. Without a section `find` the ledger of kept videos is taken as it is."""
    if "find" in sections:
        try:
            find.main(plan.programs["find"])
        except SystemExit:
            yield "find: some sources failed, see above"
    if "find" in sections or "filter" in sections:
        filter.main(plan.programs["filter"])


def on_this_machine(plan: Plan, rows: list[dict]) -> Iterator[dict]:
    """On this machine: `workers` videos are prepared side by side, at most twice as many ahead of the labels."""
    prepare, label, waiting, rows = Prepare(plan), Label(plan), deque(), iter(rows)
    with ThreadPoolExecutor(plan.workers) as pool:
        while True:
            while len(waiting) < 2 * plan.workers and (row := next(rows, None)):
                waiting.append(pool.submit(prepare, row))
            if not waiting:
                return
            yield label(waiting.popleft().result())


def on_ray(address: str) -> Callable[[Plan, list[dict]], Iterator[dict]]:
    """On a Ray cluster, with Ray Data: it gives work to free machines, holds back what the next step cannot take yet,
    and does again what a machine that died had begun."""
    ray = start_ray(address)

    def process(plan: Plan, rows: list[dict]) -> Iterator[dict]:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        device = plan.programs["label"].device
        gpu = device == "cuda" or (device == "auto" and "GPU" in ray.cluster_resources())
        nodes = sum(node["Alive"] for node in ray.nodes())
        preparing = ray.data.ActorPoolStrategy(min_size=1, max_size=plan.workers * nodes)
        labelling = ray.data.ActorPoolStrategy(min_size=1, max_size=nodes * (8 if gpu else 1))
        videos = ray.data.from_items(rows, override_num_blocks=min(len(rows), 20_000))
        prepared = videos.map(Prepare, fn_constructor_args=(plan,), compute=preparing, num_cpus=1)
        labelled = prepared.map(Label, fn_constructor_args=(plan,), compute=labelling,
                                **({"num_gpus": 1} if gpu else {"num_cpus": 1}))  # fmt: skip
        yield from labelled.iter_rows()

    return process


def start_ray(address: str):
    """Ray, connected. Raises ValueError saying how to install it, or that no cluster answers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError('--ray needs: pip install "ray[data]==2.60.0"') from error
    if not ray.is_initialized():
        try:
            places = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": places})
        except ConnectionError as error:
            raise ValueError(f"--ray {address}: no cluster answers ({error}): start one with `ray start`") from error
    return ray


def write_down(plan: Plan, ends: list[dict]) -> list[str]:
    """Ledgers of the steps, credits, and what became of each video; returns the ids that are complete, sorted."""
    credits = Ledger(plan.data / "credits.jsonl")
    for step, name in NOTES.items():
        ledger = Ledger(plan.data / name)
        for end in ends:
            if noted := end["steps"].get(step, {}).get("noted"):
                ledger.add({"key": end["key"] if step == "download" else end["id"], **noted})
    for end in ends:
        if "download" in end["steps"]:
            credits.add(credit(end["record"]))
    write_lines(plan.data / "gathered.jsonl", [
        {"key": end["key"], "id": end["id"], "state": state(end),
         "why": end.get("failed") or end.get("left_out"),
         "steps": {name: step["where"] for name, step in end["steps"].items()}}
        for end in sorted(ends, key=lambda end: end["key"])])  # fmt: skip
    return sorted(end["id"] for end in ends if state(end) == "done")


def state(end: dict) -> str:
    """What became of a video."""
    return next((name for name in ("failed", "left_out") if name in end), "done")


def print_speed(ends: list[dict]) -> None:
    """Frames a second of one worker, step by step, over all videos that came through."""
    done = [end for end in ends if state(end) == "done"]
    frames = sum(end["steps"].get("label", {}).get("noted", {}).get("frames", 0) for end in done)
    seconds = Counter()
    for end in done:
        seconds.update({name: step["seconds"] for name, step in end["steps"].items()})
    for name, spent in seconds.items():
        print(f"{name:>12}: {frames / max(spent, 1e-9):8.0f} frames/s a worker")


def make_shards(plan: Plan, ids: list[str], ray_address: str) -> None:
    """The dataset, its parts side by side on a cluster, and a page of what it holds."""
    parts = shard_parts(plan, ids)
    forget_other_parts(Path(plan.programs["shard"].out), [Path(part.out) for part in parts])
    if ray_address:
        ray = start_ray(ray_address)
        ray.get([ray.remote(max_retries=-1)(shard.main).remote(part) for part in parts])
    else:
        for part in parts:
            shard.main(part)
    stats.main(plan.programs["stats"])


def forget_other_parts(folder: Path, wanted: list[Path]) -> None:
    """A dataset in other parts than now wanted would be read beside the new ones: it is made again from its videos."""
    (folder / "README.md").unlink(missing_ok=True)  # the card of all parts, made at the end
    for made in [*folder.glob("meta/info.json"), *folder.glob("*/meta/info.json")]:
        if made.parents[1] not in wanted:
            shutil.rmtree(made.parents[1])


if __name__ == "__main__":
    run(main, Options)
