"""Small datasets made of numbered recordings by the real program, and all that is in one, to be compared.

    recordings = record_all(tmp_path / "3_video", {"ch0-00": 40, "ch1-00": 33})
    assert whole(make_shards(recordings, tmp_path / "shards")) == ...
"""

from pathlib import Path

from data_gathering import shard
from support.numbered_recordings import numbers, record
from vlpt.data.shards import Episode, Shards


def record_all(folder: Path, frames: dict[str, int]) -> Path:
    """Recordings of so many frames, by their ids; a word every thirteen frames, from the third on."""
    for number, (id_, n) in enumerate(frames.items()):
        record(folder, id_, number, n, word_frames=range(3, n, 13))
    return folder


def make_shards(recordings: Path, out: Path, labels: Path | str = "truth", only: list[str] | None = None,
                **more) -> Path:  # fmt: skip
    """The dataset of a folder of recordings, or of those of its ids in `only`."""
    if only is not None:
        more["only"] = str(out.parent / "only.txt")
        Path(more["only"]).write_text("\n".join(only))
    shard.main(shard.Options(str(recordings), labels=str(labels), out=str(out), **more))
    return out


def described(episode: Episode) -> tuple:
    """What an episode is, without its place."""
    truth = None if episode.true_buttons is None else episode.true_buttons.tolist()
    return (episode.id, episode.channel, episode.words, episode.errands, episode.seed, episode.world,
            episode.buttons_index.tolist(), episode.camera_index.tolist(), episode.null.tolist(),
            episode.confidence.tolist(), truth)  # fmt: skip


def whole(place) -> list[tuple]:
    """Everything of a dataset, by id, pictures too."""
    shards = Shards(place)
    return sorted((*described(one), numbers(shards.read_frames(one)).tolist()) for one in shards.episodes)
