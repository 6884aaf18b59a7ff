"""How long a person waits for the review page: until it stands with 10,000 videos listed, for a sheet, after a key.

    python tests/benchmarks/bench_review.py [--videos 10000] [--labels 60] [--pause-s 0.5]

The videos are links to the sample's; the long one is its larger recordings joined to 20 minutes.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from data_gathering.frame_quality.contact_sheet import contact_sheet  # noqa: E402
from vlpt.data.video_reader import VideoReader, join  # noqa: E402
from vlpt.options import Count, NotNegative, run  # noqa: E402

SAMPLES = ROOT / "data_gathering/samples"
WATCH = """
let pressed = null;
window.waits = [];
addEventListener("keydown", event => pressed = event.timeStamp, true);  // before the page's own
new MutationObserver(changes => {
  const added = changes.flatMap(change => [...change.addedNodes]);
  if (pressed === null || !added.some(node => node.matches?.("#stage > img"))) return;
  const from = pressed;
  pressed = null;
  requestAnimationFrame(() => requestAnimationFrame(() => waits.push(performance.now() - from)));  // it is painted
}).observe(document, {childList: true, subtree: true});
"""


@dataclass(frozen=True)
class Options:
    """Measures the review page."""

    videos: Count = 10_000  # how many are listed
    labels: Count = 60  # keys pressed
    pause_s: NotNegative = 0.5  # seconds between two keys: how fast a person may be
    chromium: str = "/usr/bin/chromium"  # the browser


def sheets(folder: Path) -> None:
    """Print what a sheet costs."""
    paths = [SAMPLES / "ch0-00.mp4", SAMPLES / "large/ch0-00.mp4", folder / "long.mp4"]
    large = SAMPLES / "large/ch0-00.mp4"
    join([large] * (24_000 // len(VideoReader(large)) + 1), paths[2])
    for path in paths:
        film, start = VideoReader(path), time.perf_counter()
        contact_sheet(path)
        seconds = time.perf_counter() - start
        print(f"sheet of {len(film):6d} frames, {film.stream.width}x{film.stream.height}   {1000 * seconds:8.0f} ms")


def pressed(address: str, options: Options) -> np.ndarray:
    """Milliseconds from each key to the next sheet."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(address)
        page.wait_for_selector("#stage > img")
        for i in range(options.labels):
            time.sleep(options.pause_s)
            page.keyboard.press("123"[i % 3])
        page.wait_for_function("n => window.waits.length >= n", arg=options.labels)
        return np.array(page.evaluate("window.waits"))


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sheets(Path(folder))
        videos, samples = Path(folder) / "3_video", sorted(SAMPLES.glob("*.mp4"))
        videos.mkdir()
        first = [Path(folder) / path.name for path in samples]
        for sample, copy in zip(samples, first, strict=True):
            copy.write_bytes(sample.read_bytes())  # links need one file system
        for i in range(options.videos):
            os.link(first[i % len(first)], videos / f"v{i:06d}.mp4")
        start = time.perf_counter()
        running = subprocess.Popen([sys.executable, "-m", "data_gathering.review", "--videos", videos, "--port", "0",
                                    "--out", f"{folder}/3_reviewed.jsonl"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            address = re.search(r"http://[\d.:]+", running.stdout.readline()).group()
            print(f"address told, {options.videos} videos     {1000 * (time.perf_counter() - start):8.0f} ms")
            urllib.request.urlopen(f"{address}/next").read()
            print(f"the first videos known           {1000 * (time.perf_counter() - start):8.0f} ms")
            waits = pressed(address, options)
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(timeout=20)
        print(f"key to next sheet, {len(waits)} keys      {np.median(waits):8.0f} ms median, "
              f"{np.quantile(waits, 0.95):.0f} ms for 95 %, {waits.max():.0f} ms at most")


if __name__ == "__main__":
    run(main, Options)
