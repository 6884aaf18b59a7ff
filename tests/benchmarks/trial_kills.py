"""Every program is killed again and again, run once more, and must leave what it leaves when nobody kills it.

    python tests/benchmarks/trial_kills.py [--kills 50] [--seed 0] [--only shard train-words]

In: the repository's own sample and weights. Out: a table program x (kills that hit it at work, what differs). A
program first runs undisturbed, twice: the first time all files come from the disk, so that only the second tells how
long it takes. Right after, in a folder of its own, it is started and killed (SIGKILL, its whole process group) at
random moments of that time, until `--kills` hit it at work, and at last left to end. Where it ends before its kill (it
goes on from what the one before had done) what it left is compared, and it begins anew in an empty folder. Compared
are all files by content, without what tells time, place or memory (JSON), TensorBoard's events and the trainer's
state, whose weights are compared as the model's. Left-over temporary files and locks count as differences. The status
is 1 where anything differs.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from data_gathering.rehearsal_site import rehearsal_site, rolled_up  # noqa: E402
from vlpt.data.words import read_words  # noqa: E402
from vlpt.options import CountOrNone, Seed, run  # noqa: E402

SAMPLES = ROOT / "data_gathering/samples"
IDS = ("ch0-00", "ch0-01", "ch1-00")
TIMING = {"minutes", "seconds", "frames_per_s", "peak_gb", "where", "commit", "bytes_a_s", "started", "at"}
NOT_COMPARED = ("tensorboard/*", "*/trainer.pt")
TRAINING = "--steps 8 --warmup 1 --save-every 1 --validate-every 4 --lanes 2 --chunk 16 --accumulate 1 --no-progress"
MOST_TRIES = 4  # for each kill that is to hit a program at work
SITE = "--extractors generic html5 --wait-s 0"


@dataclass(frozen=True)
class Options:
    """Kills every program at random moments and compares what it makes."""

    kills: CountOrNone = 5  # of each program
    seed: Seed = 0  # of the moments
    only: tuple[str, ...] = ()  # programs, by their names in the table (none named: all)


@dataclass(frozen=True)
class Program:
    """What is run: {out} is a folder of its own, {given} one that nobody writes to."""

    line: str
    given: Callable[[Path], None] = lambda folder: None  # makes what the program reads


def programs(address: str) -> dict[str, Program]:
    """By the names in the table."""
    train = "train.py {stage} --name run --runs {out}/runs --shards {given}/shards --held-out ch1 " + TRAINING
    play = "-m vlpt.play --model pretrained/base --world dummy --seconds 2 --no-progress --out {out}/play.mp4"
    return {
        "find": Program(f"-m data_gathering.find --sources {address}/feed --out {{out}}/1_found.jsonl {SITE}"),
        "filter": Program("-m data_gathering.filter --found {given}/1_found.jsonl --out {out}/2_kept.jsonl", found),
        "download": Program("-m data_gathering.download --kept {given}/1_found.jsonl --out {out}/3_video --pause-s 0 "
                            f"--keep-free-gb 0 {SITE}", lambda folder: found(folder, address)),
        "transcribe": Program("-m data_gathering.transcribe --videos {given}/videos --out {out}/4_words --use captions",
                              captioned),
        "shrink": Program("-m data_gathering.shrink --videos {given}/videos --out {out}/4_small", larger),
        "label": Program("-m data_gathering.label --videos {given}/videos --out {out}/5_actions", recordings),
        "shard": Program("-m data_gathering.shard --recordings {given}/videos --labels truth --out {out}/6_shards",
                         recordings),
        "demonstrate": Program("-m data_gathering.demonstrate --out {out}/3_video --world dummy --channels 2 "
                               "--episodes 1 --seconds 4"),
        "play": Program(play),
        "train-idm": Program(train.format(stage="idm", out="{out}", given="{given}"), sharded),
        "train-base": Program(train.format(stage="base", out="{out}", given="{given}"), sharded),
        "train-words": Program("train.py words --name run --runs {out}/runs " + TRAINING),
        "train-joint": Program(train.format(stage="joint", out="{out}", given="{given}"), sharded),
    }  # fmt: skip


def main(options: Options) -> None:
    """Prints the table; ends with status 1 where anything differs."""
    moments, worst = random.Random(options.seed), 0
    print(f"{'program':14} {'undisturbed':>11}  kills at work  differs")
    with rehearsal_site() as site:
        publish(site)
        for name, program in programs(site.address).items():
            if options.only and name not in options.only:
                continue
            with tempfile.TemporaryDirectory() as folder:
                seconds, hits, differs = trial(program, Path(folder), options.kills, moments)
            worst = max(worst, len(differs))
            print(f"{name:14} {seconds:9.1f} s  {hits:6d} of {options.kills:2d}   {', '.join(differs[:4]) or '-'}",
                  flush=True)
    sys.exit(bool(worst))


def trial(program: Program, folder: Path, kills: int, moments: random.Random) -> tuple[float, int, list[str]]:
    """How long it takes undisturbed; how often it was killed before its end; which files then differ."""
    given, whole, again, killed = (folder / part for part in ("given", "whole", "again", "killed"))
    for part in (given, whole, again, killed):
        part.mkdir()
    program.given(given)
    finish(program, given, whole)
    begin = time.monotonic()
    finish(program, given, again)
    seconds, hits = time.monotonic() - begin, 0
    differs = {f"{path} (undisturbed)" for path in differences(whole, again)}
    for _ in range(MOST_TRIES * kills):
        if hits == kills:
            break
        if kill(program, given, killed, moments.uniform(0.3, 1.0) * seconds):
            hits += 1
        else:
            differs |= differences(whole, killed)
            shutil.rmtree(killed)
            killed.mkdir()
    finish(program, given, killed)
    return seconds, hits, sorted(differs | differences(whole, killed))


def differences(one: Path, other: Path) -> set[str]:
    """What two folders do not have alike."""
    ours, theirs = contents(one), contents(other)
    return {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}


def start(program: Program, given: Path, out: Path, **how) -> subprocess.Popen:
    line = program.line.format(out=out, given=given)
    return subprocess.Popen([sys.executable, *line.split()], cwd=ROOT, start_new_session=True, text=True, **how)


def finish(program: Program, given: Path, out: Path) -> None:
    """To its end. Raises RuntimeError with what it said where that is not a good one."""
    process = start(program, given, out, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{program.line}: status {process.returncode}\n{said[-2000:]}")


def kill(program: Program, given: Path, out: Path, after_s: float) -> bool:
    """Whether it was still at work."""
    process = start(program, given, out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def contents(folder: Path) -> dict[str, str]:
    """Relative path -> a digest of what matters in the file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.match(pattern) for pattern in NOT_COMPARED):
            found[str(path.relative_to(folder))] = hashlib.sha256(without_timing(path, folder)).hexdigest()
    return found


def without_timing(path: Path, folder: Path) -> bytes:
    """A file's bytes; of JSON, what does not tell time, place or memory, rows in any order."""
    content = path.read_bytes().replace(str(folder).encode(), b"")
    if path.suffix not in (".json", ".jsonl"):
        return content
    rows = content.decode().splitlines() if path.suffix == ".jsonl" else [content.decode()]
    return "\n".join(sorted(json.dumps(stripped(json.loads(row)), sort_keys=True) for row in rows)).encode()


def stripped(value):
    """Without the keys in TIMING, at any depth."""
    if isinstance(value, dict):
        return {key: stripped(inner) for key, inner in value.items() if key not in TIMING}
    return [stripped(inner) for inner in value] if isinstance(value, list) else value


# ---- what programs read


def publish(site) -> None:
    """A channel of three recordings with captions."""
    for id_ in IDS:
        captions = rolled_up(read_words(SAMPLES / f"{id_}.words.jsonl"))
        site.video(id_, (SAMPLES / f"{id_}.mp4").read_bytes(), f"Let's play Luanti survival {id_}", captions)
    site.feed("/feed", list(IDS))


def found(folder: Path, address: str = "http://127.0.0.1:9") -> None:
    """A ledger of found videos."""
    rows = [{"key": f"generic:{id_}", "extractor": "generic", "id": id_, "url": f"{address}/watch/{id_}", "title": id_,
             "channel": "ch", "channel_url": None, "duration_s": 50, "language": "en", "live": False, "license": None,
             "from": "list"} for id_ in IDS]  # fmt: skip
    (folder / "1_found.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def recordings(folder: Path) -> None:
    """Three recordings of the sample."""
    (folder / "videos").mkdir()
    for id_ in IDS:
        for path in SAMPLES.glob(f"{id_}.*"):
            shutil.copy(path, folder / "videos")


def captioned(folder: Path) -> None:
    """The same with captions."""
    recordings(folder)
    for id_ in IDS:
        words = read_words(SAMPLES / f"{id_}.words.jsonl")
        (folder / f"videos/{id_}.en.vtt").write_text(rolled_up(words))


def larger(folder: Path) -> None:
    """Two recordings at the world's own size."""
    (folder / "videos").mkdir()
    for path in sorted((SAMPLES / "large").glob("*.mp4")):
        shutil.copy(path, folder / "videos")


def sharded(folder: Path) -> None:
    """The three recordings as a dataset, with the trunk's features beside it."""
    recordings(folder)
    line = f"-m data_gathering.shard --recordings {folder}/videos --labels truth --out {folder}/shards"
    subprocess.run([sys.executable, *line.split()], cwd=ROOT, check=True, capture_output=True)


if __name__ == "__main__":
    run(main, Options)
