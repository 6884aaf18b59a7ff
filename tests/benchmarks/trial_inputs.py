"""Files as they come and files that mean harm, for every reader: which are read, which are refused in one clear line?

    python tests/benchmarks/trial_inputs.py [--number 1000] [--seed 0] [--only meta.json ledger] [--keep trials]

Small real files are changed with a seed: values, keys, lines, bytes, their ends, their encoding, what kind of thing
lies at their place. Each is read in a process of its own, which may take 5 seconds of a processor and 300 MB beyond
what it begins with. Printed is a table reader x outcome; `--keep` keeps the files that came out wrong, to be read
again. Of each kind the first is unchanged and must be read. The status is 1 where anything came out wrong.
"""

import contextlib
import io
import json
import os
import pickle
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.toy_runs import write_labelled_shards  # noqa: E402

from data_gathering import download, gather  # noqa: E402
from data_gathering.label_file import Labels, read_labels, write_labels  # noqa: E402
from data_gathering.ledger import LatestLedger, Ledger  # noqa: E402
from data_gathering.recordings import meta_of  # noqa: E402
from data_gathering.rehearsal_site import rolled_up  # noqa: E402
from data_gathering.transcription.captions import read_captions  # noqa: E402
from vlpt.data.shards import Shards  # noqa: E402
from vlpt.data.words import load_tokenizer, read_words  # noqa: E402
from vlpt.options import Count, CountOrNone, run  # noqa: E402
from vpt.actions import BUTTONS, read_contractor  # noqa: E402
from vpt.agent_video import inspect_video  # noqa: E402
from vpt.frames import write_video  # noqa: E402
from vpt.policy import Policy, PolicyConfig  # noqa: E402
from vpt.released import load_policy, write_released  # noqa: E402

SAMPLE = ROOT / "data_gathering/samples/ch0-00.mp4"
OUTCOMES = ("right", "one clear line", "traceback", "too slow", "too large")
SECONDS, MEGABYTES = 5.0, 300.0  # of a processor; beyond what the process begins with
HANG_S = 30.0  # on any clock, in which nothing is done: it waits for something
ROOM_MB = 4096.0  # what a process may ask for: asking is not yet taking
LONGEST_LINE = 2000  # characters: a list of weights that do not fit is long
PLAIN = PolicyConfig(width=16, heads=2, blocks=1, impala_width=0.25, px=16)


@dataclass(frozen=True)
class Options:
    """Tries readers on files that are wrong in many ways."""

    number: Count = 24  # files a reader; 1000 and more for the long form
    seed: CountOrNone = 0  # of the changes
    only: tuple[str, ...] = ()  # readers, by their names in the table; all of them when empty
    workers: Count = 2  # processes at a time
    keep: str = ""  # folder for the files that came out wrong


# ---- real files


@cache
def originals() -> Path:
    """A folder with a small real file of each kind."""
    folder = Path(tempfile.mkdtemp(prefix="trial_inputs_"))
    shutil.copy(SAMPLE.with_suffix(".meta.json"), folder / "a.meta.json")
    for ending in (".jsonl", ".words.jsonl"):
        lines = SAMPLE.with_suffix(ending).read_text().splitlines(keepends=True)[:40]
        (folder / f"a{ending}").write_text("".join(lines))
    words = read_words(folder / "a.words.jsonl")
    (folder / "a.en.vtt").write_text(rolled_up(words))
    events = [{"tStartMs": round(word.start_ms), "dDurationMs": 900, "segs": [{"utf8": word.word, "tOffsetMs": 0}]}
              for word in words]  # fmt: skip
    (folder / "a.en.json3").write_text(json.dumps({"wireMagic": "pb3", "events": events}))
    rows = [{"key": f"youtube:{i}", "title": f"Survival {i}", "duration_s": 900} for i in range(20)]
    (folder / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copy(ROOT / "data_gathering/gather.yaml", folder)
    shutil.copy(ROOT / "pretrained/words/tokenizer.json", folder)
    labels = Labels(np.zeros((40, len(BUTTONS)), np.uint8), np.zeros((40, 2)), np.full(40, 0.5, np.float32))
    write_labels(folder / "a.parquet", labels, "weights")
    with write_video(folder / "a.mp4", (160, 90)) as video:
        for i in range(60):
            video.write(np.full((90, 160, 3), 4 * i, np.uint8))
    Policy(PLAIN).save_pretrained(folder / "policy")
    write_released(Policy(PLAIN), folder / "m.model", folder / "m.weights")
    write_labelled_shards(folder / "shards", 40, np.random.default_rng(0))
    return folder


@dataclass(frozen=True)
class Reader:
    """What is read, of which the file `changed` is changed, and by what kinds of change."""

    changed: str
    read: Callable[[Path], object]  # given the folder
    needs: tuple[str, ...] = ()  # other files
    kind: str = "bytes"  # or "json", "lines", "text", "pickle", "zip"


READERS = {
    "captions json3": Reader("a.en.json3", lambda folder: read_captions(folder / "a.en.json3"), kind="json"),
    "captions vtt": Reader("a.en.vtt", lambda folder: read_captions(folder / "a.en.vtt"), kind="text"),
    "words.jsonl": Reader("a.words.jsonl", lambda folder: read_words(folder / "a.words.jsonl"), kind="lines"),
    "contractor jsonl": Reader("a.jsonl", lambda folder: read_contractor(folder / "a.jsonl"), kind="lines"),
    "meta.json": Reader("a.meta.json", lambda folder: meta_of(folder, "a"), kind="json"),
    "ledger": Reader("ledger.jsonl", lambda folder: ledgers(folder / "ledger.jsonl"), kind="lines"),
    "label parquet": Reader("a.parquet", lambda folder: read_labels(folder / "a.parquet")),
    "gather.yaml": Reader("gather.yaml", lambda folder: gather.read_config(folder / "gather.yaml"), kind="text"),
    "mp4": Reader("a.mp4", lambda folder: pictures(folder / "a.mp4")),
    "mp4 downloaded": Reader("a.mp4", lambda folder: download.read_to_the_end(folder / "a.mp4")),
    "tokenizer.json": Reader("tokenizer.json", lambda folder: load_tokenizer(folder / "tokenizer.json"), kind="json"),
    "config.json": Reader("policy/config.json", lambda folder: Policy.from_pretrained(folder / "policy"),
                          ("policy/model.safetensors",), "json"),
    "safetensors": Reader("policy/model.safetensors", lambda folder: Policy.from_pretrained(folder / "policy"),
                          ("policy/config.json",)),
    ".model": Reader("m.model", lambda folder: load_policy(folder / "m.model", folder / "m.weights"), ("m.weights",),
                     "pickle"),
    ".weights": Reader("m.weights", lambda folder: load_policy(folder / "m.model", folder / "m.weights"), ("m.model",),
                       "zip"),
    "shards info.json": Reader("shards/meta/info.json", lambda folder: Shards(folder / "shards").episodes, ("shards",),
                               "json"),
}  # fmt: skip


def ledgers(path: Path) -> None:
    """Both kinds, read and added to."""
    Ledger(path).add({"key": "new"})
    LatestLedger(path).add({"key": "newer", "label": "clean"})
    assert {"new", "newer"} <= Ledger(path).keys


def pictures(path: Path) -> int:
    """As labelling sees them."""
    return sum(1 for _ in inspect_video(path).read_frames())


# ---- what becomes of them


VALUES = (
    None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 10**9, 2**31, 2**63, 10**30, 10**400, float("nan"), float("inf"),
    "", "a", "12", "\ud800", "a\u2028b", "\x00", "\x1b[2J", "../../x", "x" * 100_000, "é", [], {}, [1],
    {"a": 1}, [[[]]], ["a", 1], [0] * 10_000,
)  # fmt: skip
NESTED = ("[" * 100_000, '{"a":' * 100_000, "[" * 900 + "]" * 900, "[[]," * 1_000_000, '"' + "x" * 9_000_000,
          "9" * 1_000_000, "{}" * 1_000_000, "[" + "{}," * 3_000_000 + "{}]", "\n" * 5_000_000)  # fmt: skip


def change(content: bytes, kind: str, random_: random.Random) -> bytes:
    """A file's content made into another's."""
    if random_.random() < 0.1:
        return random_.choice(NESTED).encode()
    if random_.random() < 0.25:
        return random_.choice(WHOLE)(content)
    changes = {"json": change_json, "lines": change_line, "text": change_text, "pickle": change_pickle,
               "zip": change_zip}  # fmt: skip
    if kind in changes and random_.random() < 0.8:
        return changes[kind](content, random_)
    return change_bytes(content, random_)


WHOLE = (
    lambda content: content,
    lambda content: b"",
    lambda content: b"\xef\xbb\xbf" + content,
    lambda content: content.replace(b"\n", b"\r\n"),
    lambda content: content + b"\n\n",
    lambda content: content.rstrip(b"\n"),
    lambda content: content[: len(content) // 2],
    lambda content: content[: -7],
    lambda content: content + content,
    lambda content: content.decode("utf-8", "replace").encode("utf-16"),
    lambda content: bytes(len(content)),
    lambda content: (content + b"\n") * min(100, 1 + 9_000_000 // (len(content) + 1)),
)  # fmt: skip


def change_bytes(content: bytes, random_: random.Random) -> bytes:
    """Flipped, put in, taken out or written over."""
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 3, 30))):
        at, length = random_.randrange(len(data) + 1), random_.choice((1, 2, 8, 100, 1000))
        match random_.randrange(4):
            case 0:
                data[at:at + 1] = bytes([random_.randrange(256)])
            case 1:
                data[at:at] = random_.randbytes(length)
            case 2:
                del data[at:at + length]
            case _:
                data[at:at + length] = random_.choice((bytes(length), b"\xff" * length, random_.randbytes(length)))
    return bytes(data)


TEXTS = ("-->", "*a", "&a [*a, *a]", "? !!python/object:os.system x", "- {a: [", "<<: *a", "find: {limit: -1}",
         "99:99:99.999 --> 00:00:00.000", "<00:00:00.353><c> x", "a: &a {a: *a}")  # fmt: skip


def change_text(content: bytes, random_: random.Random) -> bytes:
    """Lines doubled, moved, taken out, and their numbers and words replaced."""
    lines = content.decode().split("\n")
    for _ in range(random_.choice((1, 2, 10))):
        at = random_.randrange(len(lines))
        value = random_.choice((*map(str, VALUES), *TEXTS, laughs()))
        match random_.randrange(4):
            case 0:
                lines.insert(at, lines[random_.randrange(len(lines))])
            case 1:
                lines[at:at + 1] = []
                lines = lines or [""]
            case 2:
                lines.insert(at, value)
            case _:
                lines[at] = lines[at].replace(random_.choice(lines[at].split() or [""]) or " ", value, 1)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def laughs() -> str:
    """A few lines of YAML that stand for 10 to the 9."""
    named = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join([*named, "find: *a9"])


def change_json(content: bytes, random_: random.Random) -> bytes:
    """Values and keys anywhere in it."""
    holder = [json.loads(content)]
    for _ in range(random_.choice((1, 1, 2, 5))):
        change_value(holder, random_)
    return json.dumps(holder[0], ensure_ascii=random_.random() < 0.5).encode("utf-8", "surrogatepass")


def change_line(content: bytes, random_: random.Random) -> bytes:
    """One or some of JSON's lines."""
    lines = content.rstrip(b"\n").split(b"\n")
    for _ in range(random_.choice((1, 1, 5))):
        at = random_.randrange(len(lines))
        with contextlib.suppress(ValueError):  # changed before
            lines[at] = random_.choice((*(change_json(lines[at], random_) for _ in range(2)), b"", lines[0]))
    return b"\n".join(lines) + random_.choice((b"\n", b"\n", b"", b'\n{"key": "to'))


def change_value(holder: list | dict, random_: random.Random) -> None:
    """Walks down at random and changes what it comes to."""
    parent, key = holder, 0
    while isinstance(parent[key], list | dict) and parent[key] and random_.random() < 0.85:
        parent = parent[key]
        key = random_.choice(list(parent)) if isinstance(parent, dict) else random_.randrange(len(parent))
    match random_.randrange(6) if parent is not holder else 0:
        case 1 if isinstance(parent, dict):
            del parent[key]
        case 2 if isinstance(parent, dict):
            parent[random_.choice(("odd", "", "key", key + "s"))] = deepcopy(parent[key])
        case 3:
            parent[key] = [parent[key]] * random_.choice((1, 2, 1000))
        case _:
            parent[key] = deepcopy(random_.choice(VALUES))  # which later changes must not reach


def change_pickle(content: bytes, random_: random.Random) -> bytes:
    """Settings with other values, and pickles that ask for much in few bytes."""
    crafted = (
        b"\x80\x02}r\xff\xff\xff\x7f.", b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.", b"\x80\x02]" * 10_000 + b".",
        b"\x80\x05\x96\x00\x00\x00\x00\xff\x00\x00\x00.", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x00}.",
        b"\x80\x02" + b"(" * 100_000 + b".", b"\x80\x02]q\x00" + b"(h\x00h\x00lq\x00" * 50 + b".",
        b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00Ns.", b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02c__builtin__\nset\nq\x00](" + b"M\x01\x02" * 9_000 + b"eq\x01" + b"h\x00h\x01\x85R0" * 9_000 + b"}.",
    )  # fmt: skip
    if random_.random() < 0.3:
        return random_.choice(crafted)
    holder = [pickle.loads(content)]  # our own
    for _ in range(random_.choice((1, 1, 2))):
        change_value(holder, random_)
    return pickle.dumps(holder[0], protocol=random_.randrange(6))


NAMES = ((b"K\x10", b"J\xff\xff\xff\x7f"), (b"FloatStorage", b"DoubleStorage"), (b"K\x01", b"K\x7f"),
         (b"_rebuild_tensor_v2", b"_rebuild_qtensor"), (b"OrderedDict", b"deque"), (b"cpu", b"cuda"))  # fmt: skip


def change_zip(content: bytes, random_: random.Random) -> bytes:
    """A .weights packed anew: compressed, filled with zeros, with other names or sizes than it says."""
    out, pressed = io.BytesIO(), random_.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", pressed) as new:
        chosen = random_.choice(old.namelist())
        for name in old.namelist():
            data = old.read(name)
            if name == chosen:
                big = bytes(400_000_000 if pressed == zipfile.ZIP_DEFLATED else 4_000_000)
                data = random_.choice((b"", data[:5], big, change_bytes(data, random_)))
            if name.endswith("data.pkl") and random_.random() < 0.4:
                data = data.replace(*random_.choice(NAMES))
            new.writestr(name, data)
    return out.getvalue()


def lay_out(folder: Path, reader: Reader, seed: int | None) -> None:
    """The reader's files in a folder, changed; unchanged without a seed."""
    for name in (*reader.needs, reader.changed):
        source, place = originals() / name, folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, copy_function=os.link)
        elif not place.exists():
            os.link(source, place)
    path, content, random_ = folder / reader.changed, (originals() / reader.changed).read_bytes(), random.Random(seed)
    path.unlink()
    if seed is None:
        path.write_bytes(content)
    elif random_.random() < 0.04:
        random_.choice((os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere"), lambda path: None))(path)
    else:
        path.write_bytes(change(content, reader.kind, random_)[:10_000_000])


# ---- reading, in a process of its own


def try_one(name: str, seed: int | None, keep: str) -> tuple[str, str, str]:
    """(reader, outcome, what was said)."""
    reader = READERS[name]
    with tempfile.TemporaryDirectory(dir=originals()) as folder:
        lay_out(Path(folder), reader, seed)
        outcome, said = read_apart(reader, Path(folder))
        if seed is None and outcome != "right":
            outcome, said = "traceback", f"the file as it is was not read: {said}"
        if keep and outcome not in OUTCOMES[:2]:
            shutil.copytree(folder, Path(keep) / f"{name} {seed}".replace("/", "-"), symlinks=True,
                            ignore=lambda at, names: [n for n in names if not (Path(at) / n).is_file()
                                                      and not (Path(at) / n).is_dir()])  # fmt: skip
    return name, outcome, f"seed {seed}: {said}"


def read_apart(reader: Reader, folder: Path) -> tuple[str, str]:
    """Outcome and what was said, of a forked process with limits."""
    back, front = os.pipe()
    if (child := os.fork()) == 0:
        os.close(back)
        with open(front, "w", encoding="utf-8", errors="replace") as out:
            out.write(json.dumps(read_limited(reader, folder)))
        os._exit(0)
    os.close(front)
    spent, ended = -1, []
    while not ended and spent != (spent := ticks(child)):  # it works, on a machine that has little time for it
        ended = select.select([back], [], [], HANG_S)[0]
    if not ended:
        os.kill(child, signal.SIGKILL)
    with open(back, encoding="utf-8") as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    if not ended:
        return "too slow", f"it waits: nothing was done in {HANG_S:.0f} s"
    if not said:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return ("too slow" if number == signal.SIGXCPU else "traceback"), f"the process ended with signal {number}"
    return tuple(json.loads(said))


def ticks(process: int) -> int:
    """What a process has had of the processors, in the system's units."""
    return sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))


def read_limited(reader: Reader, folder: Path) -> tuple[str, str]:
    """What happens, in this process, which is thrown away."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1), os.dup2(nowhere.fileno(), 2)
    before_mb = resident_mb()
    size = int(1e6 * (ROOM_MB + float(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() / 1e6))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (int(3 * SECONDS), int(3 * SECONDS) + 1))
    began = time.process_time()
    outcome, said = outcome_of(reader, folder)
    spent_s = time.process_time() - began
    taken_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before_mb
    if spent_s > SECONDS:
        return "too slow", f"{spent_s:.1f} s: {said}"
    if taken_mb > MEGABYTES:
        return "too large", f"{taken_mb:.0f} MB: {said}"
    return outcome, said


def outcome_of(reader: Reader, folder: Path) -> tuple[str, str]:
    """What a reader says, without looking at what it cost."""
    try:
        reader.read(folder)
    except MemoryError as error:
        return "too large", repr(error)
    except (ValueError, OSError) as error:
        said, named = str(error), str(folder) in str(error)
        clear = named and len(said.splitlines()) == 1 and len(said) < LONGEST_LINE and said.isprintable()
        return ("one clear line" if clear else "traceback"), f"{type(error).__name__}: {said[:400]!r}"
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {str(error)[:400]!r}"
    return "right", ""


def resident_mb() -> float:
    """What this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


# ---- all of them


def trial(options: Options) -> tuple[dict[str, Counter], list[str]]:
    """Reader -> how often each outcome; and a line for each file that came out wrong, printed when it does."""
    names = options.only or tuple(READERS)
    if unknown := sorted(set(names) - set(READERS)):
        raise ValueError(f"--only {unknown[0]}: the readers are {', '.join(READERS)}")
    table, wrong = {name: Counter() for name in names}, []
    seeds = [None, *(1_000_003 * options.seed + i for i in range(1, options.number))]
    try:
        originals()
        with ProcessPoolExecutor(options.workers, get_context("fork")) as pool:
            jobs = [pool.submit(try_one, name, seed, options.keep) for name in names for seed in seeds]
            for job in jobs:
                name, outcome, said = job.result()
                table[name][outcome] += 1
                if outcome not in OUTCOMES[:2]:
                    wrong.append(f"{name}: {outcome}: {said}")
                    print(wrong[-1], flush=True)  # the long form takes hours
    finally:
        shutil.rmtree(originals(), ignore_errors=True)
        originals.cache_clear()
    return table, wrong


def main(options: Options) -> dict[str, Counter]:
    """Prints the table, and returns it if all is well."""
    table, wrong = trial(options)
    print(f"{'reader':<20}" + "".join(f"{outcome:>16}" for outcome in OUTCOMES))
    for name, counts in table.items():
        print(f"{name:<20}" + "".join(f"{counts[outcome]:>16}" for outcome in OUTCOMES))
    if wrong:
        sys.exit(1)
    return table


if __name__ == "__main__":
    run(main, Options)
