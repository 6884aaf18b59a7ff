"""The card of a dataset folder: a README.md with the front matter that the Hugging Face Hub reads.

In: numbers of the dataset, few (`data_gathering.shard`) or many (`data_gathering.stats`). Out: a card with which
`datasets.load_dataset(folder)` and the Hub take the tables for the data; without it they would take the videos.

    write_card("data/6_shards", {"frames": 24000, "episodes": 24, "channels": 6, "words": 2080})
"""

from pathlib import Path

from vlpt.files import write_text
from vpt.frames import FRAMES_PER_SECOND

SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))


def write_card(folder: Path | str, numbers: dict) -> None:
    """Writes README.md."""
    write_text(Path(folder) / "README.md", card(numbers))


def card(numbers: dict) -> str:
    """The card as Markdown. numbers: "frames", "episodes", "channels", "words", and those of data_gathering.stats."""
    size = next((name for most, name in SIZES if numbers["frames"] < most), "n>10M")
    hours = numbers["frames"] / FRAMES_PER_SECOND / 3600
    pressed = ", ".join(f"{name} {share:.1%}" for name, share in numbers.get("pressed", {}).items() if share >= 0.001)
    return f"""---
license: other
task_categories:
- robotics
tags:
- LeRobot
- video
- gaming
- speech
size_categories:
- {size}
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# Narrated play

{hours:.2f} hours of play in {numbers['episodes']} episodes of {numbers['channels']} channels: 128x128
pictures at 20 a second, what was pressed after each (VPT's classes of buttons and camera), and the words that were
said, with their times. LeRobotDataset v3.0. Made by `data_gathering.shard`.

| | |
|---|---|
{_rows(numbers, 60 * hours)}

{f"Pressed: {pressed}. " if pressed else ""}Sources are credited in `credits.jsonl`, where there are any; \
their licences are theirs.
"""


def _rows(numbers: dict, minutes: float) -> str:
    rows = {"words; a minute": f"{numbers['words']:,}; {numbers['words'] / minutes:.0f}"}
    if "confidence" in numbers:
        rows |= {"silent language ticks": f"{numbers['silence']:.1%}",
                 "frames without any action": f"{numbers['null_frames']:.1%}",
                 "confidence of labels, median": f"{numbers['confidence']['50 %']:.3f}",
                 "episodes whose true keys are known": str(numbers["truth_known"])}  # fmt: skip
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())
