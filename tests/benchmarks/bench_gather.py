"""What gathering costs a processor, step by step, and the bill for many hours of video.

In: a folder of videos (--videos; else some are made: recordings shown at 640x360, 30 pictures a second, that speak).
Out: tables on standard output; nothing is asserted. One thread. Recognition is measured where faster-whisper is
installed; the GPU's rate and the prices are options, because they are not measured here.

    python tests/benchmarks/bench_gather.py --hours 70000
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from data_gathering import clean, label, rehearsal, shard, shrink, transcribe  # noqa: E402
from data_gathering.transcription.refine import read_sound, refine  # noqa: E402


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
    spent, ids = dict.fromkeys(("look", "recognise", "refine", "shrink", "label", "shard"), 0.0), []
    length_s = sum(transcribe.length_ms(path) for path in videos.glob("*.mp4")) / 1000
    words = transcribe.Options(videos=str(videos), out=str(out / "4_words"), use="speech")
    small = shrink.Options(videos=str(videos), out=str(out / "4_small"))
    labelling = label.Options(videos=small.out, out=str(out / "5_actions"), threads=1)
    for path in sorted(videos.glob("*.mp4")):
        ids.append(path.stem)
        if clean_model:
            judge = clean.Judge(clean.Options(videos=str(videos), model=clean_model))
            spent["look"] += seconds(lambda: judge(path.stem))[0]
        found = []
        if importlib.util.find_spec("faster_whisper"):
            transcribe.whisper("")
            cost, found = seconds(lambda: transcribe.recognise(path, words))
            spent["recognise"] += cost
            if importlib.util.find_spec("pocketsphinx"):
                spent["refine"] += seconds(lambda: refine(found, read_sound(path)))[0]
        transcribe.write_lines(out / f"4_words/{path.stem}.words.jsonl", [
            {"word": word.word, "start_ms": word.start_ms, "end_ms": word.end_ms} for word in found])  # fmt: skip
        spent["shrink"] += seconds(lambda: shrink.shrink(path.stem, small))[0]
    spent["label"] = seconds(lambda: label.main(labelling))[0]
    spent["shard"] = seconds(lambda: shard.main(shard.Options(
        recordings=small.out, words=words.out, labels=labelling.out, out=str(out / "6_shards"))))[0]  # fmt: skip
    size = {name: sum(path.stat().st_size for path in folder.glob("*.mp4")) / 1e9 / (length_s / 3600)
            for name, folder in (("downloaded", videos), ("small", out / "4_small"))}  # fmt: skip
    return spent, length_s, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--clean", default="", help="fitted model of data_gathering.clean")
    parser.add_argument("--hours", type=float, default=70_000)
    parser.add_argument("--core-hour", type=float, default=0.04, help="price")
    parser.add_argument("--gpu-hour", type=float, default=2.5, help="price")
    parser.add_argument("--gigabyte-month", type=float, default=0.02, help="price")
    parser.add_argument("--gpu-frames-s", type=float, default=25_365, help="labelled by one GPU (docs/results.md)")
    parser.add_argument("--rate-kb-s", type=float, default=2000, help="polite download rate of one worker")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos or Path(folder)
        if options.videos is None:
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
    main()
