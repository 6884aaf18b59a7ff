"""What gathering costs a processor, step by step, and the bill for many hours of video.

In: a folder of videos (--videos; else some are made: recordings shown at 640x360, 30 pictures a second, that speak).
Out: tables on standard output; nothing is asserted. One thread. Recognition is measured where faster-whisper is
installed; the GPU's rate and the prices are options, because they are not measured here.

    python tests/benchmarks/bench_gather.py --hours 70000
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from data_gathering import clean, label, rehearsal, shard, shrink, transcribe  # noqa: E402
from data_gathering.recordings import words_path  # noqa: E402
from data_gathering.transcription.refine import read_sound, refine  # noqa: E402
from vlpt.data.recognition import whisper  # noqa: E402
from vlpt.data.words import write_words  # noqa: E402
from vlpt.options import NotNegative, Positive, run, use_threads  # noqa: E402


@dataclass(frozen=True)
class Options:
    """Measures what gathering costs, and writes the bill."""

    videos: str = ""  # folder of videos (empty: some are made)
    clean: str = ""  # fitted model of data_gathering.clean (empty: pictures are not classified)
    hours: Positive = 70_000.0  # of video, that the bill is for
    core_hour: NotNegative = 0.04  # price
    gpu_hour: NotNegative = 2.5  # price
    gigabyte_month: NotNegative = 0.02  # price
    gpu_frames_s: Positive = 25_365.0  # labelled by one GPU (docs/results.md)
    rate_kb_s: Positive = 2000.0  # polite download rate of one worker


def make_videos(folder: Path) -> None:
    """Recordings of the sample as a platform would have them, each with espeak's voice."""
    ids = rehearsal.publish(rehearsal.Options(channels=("ch4",), speech="espeak"), folder / "site")
    for id_ in ids:
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", folder / f"site/{id_}.mp4", "-vf",
                        "scale=640:360:flags=bicubic,noise=alls=4:allf=t,fps=30", "-c:v", "libx264", "-crf", "23",
                        "-preset", "medium", "-c:a", "copy", folder / f"{id_}.mp4"], check=True)  # fmt: skip


def seconds(work) -> tuple[float, object]:
    begin = time.process_time()
    made = work()
    return time.process_time() - begin, made


def measure(videos: Path, out: Path, clean_model: str) -> tuple[dict[str, float], float, dict[str, float]]:
    """Processor seconds of each step, seconds of video, gigabytes an hour of what is kept."""
    spent, ids = dict.fromkeys(("clean", "recognise", "refine", "shrink", "label", "shard"), 0.0), []
    length_s = sum(transcribe.length_ms(path) for path in videos.glob("*.mp4")) / 1000
    words = transcribe.Options(videos=str(videos), out=str(out / "4_words"), use="speech")
    small = shrink.Options(videos=str(videos), out=str(out / "4_small"))
    labelling = label.Options(videos=small.out, out=str(out / "5_actions"), threads=1, device="cpu")
    for path in sorted(videos.glob("*.mp4")):
        ids.append(path.stem)
        if clean_model:
            classify = clean.VideoClassifier(clean.Options(videos=str(videos), model=clean_model))
            spent["clean"] += seconds(lambda: classify(path.stem))[0]
        found = []
        if importlib.util.find_spec("faster_whisper"):
            whisper("")
            cost, found = seconds(lambda: transcribe.recognise(path, words))
            spent["recognise"] += cost
            if importlib.util.find_spec("pocketsphinx"):
                spent["refine"] += seconds(lambda: refine(found, read_sound(path)))[0]
        write_words(words_path(words.out, path.stem), found)
        spent["shrink"] += seconds(lambda: shrink.shrink(path.stem, small))[0]
    spent["label"] = seconds(lambda: label.main(labelling))[0]
    spent["shard"] = seconds(lambda: shard.main(shard.Options(
        recordings=small.out, words=words.out, labels=labelling.out, out=str(out / "6_shards"))))[0]  # fmt: skip
    size = {name: sum(path.stat().st_size for path in folder.glob("*.mp4")) / 1e9 / (length_s / 3600)
            for name, folder in (("downloaded", videos), ("small", out / "4_small"))}  # fmt: skip
    return spent, length_s, size


def main(options: Options) -> None:
    use_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(options.videos or folder)
        if not options.videos:
            make_videos(videos)
        spent, length_s, size = measure(videos, Path(folder) / "made", options.clean)
    print(f"{length_s / 60:.1f} minutes of video\n\n| step | frames/s a core | hours of video a core-hour |")
    print("|---|---|---|")
    for name, cost in spent.items():
        print(f"| {name} | {20 * length_s / cost:,.0f} | {length_s / cost:,.0f} |" if cost else f"| {name} | - | - |")
    print(f"downloaded {size['downloaded']:.2f} GB an hour, small {size['small']:.3f} GB an hour")
    cores = {name: options.hours * cost / length_s for name, cost in spent.items() if name != "label"}
    gpu = options.hours * 72_000 / options.gpu_frames_s / 3600
    print(f"\n{options.hours:,.0f} hours of video:")
    for name, hours in cores.items():
        print(f"{name:>12}: {hours:10,.0f} core-hours  {hours * options.core_hour:10,.0f}")
    print(f"{'label':>12}: {gpu:10,.0f} GPU-hours   {gpu * options.gpu_hour:10,.0f}")
    terabytes = {name: options.hours * gigabytes / 1000 for name, gigabytes in size.items()}
    for name, amount in terabytes.items():
        print(f"{name:>12}: {amount:10,.1f} TB a month {1000 * amount * options.gigabyte_month:10,.0f}")
    print(f"    download: {1e9 * terabytes['downloaded'] / options.rate_kb_s / 86_400:10,.0f} days of one worker")
    print(f"         all: {sum(cores.values()) * options.core_hour + gpu * options.gpu_hour:32,.0f} without storage")


if __name__ == "__main__":
    run(main, Options)
