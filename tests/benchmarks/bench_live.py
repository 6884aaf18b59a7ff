"""How many frames a second the game behind the page makes, and what of a frame is the agent's, the world's, the rest's.

Out: a table: frames/s that would be made if nothing held them to 20, processor time of this process, with and without
guidance, as played by the agent that comes with the repository. Run:

    python tests/benchmarks/bench_live.py --world luanti --frames 200
"""

import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from vlpt.agent import load_agent  # noqa: E402
from vlpt.live.life import Life  # noqa: E402
from vlpt.options import Count, CountOrNone, run, use_threads  # noqa: E402
from vlpt.worlds import make  # noqa: E402

WARM_UP = 20  # frames


@dataclass(frozen=True)
class Options:
    """Measures the page's game without a page."""

    model: str = "pretrained/agent"  # model folder
    world: str = "luanti"  # by its name in vlpt.worlds
    size: tuple[Count, Count] = (320, 180)  # width and height of the world's picture, pixels
    frames: Count = 200  # of each measurement
    threads: CountOrNone = 1  # processor threads; 0: torch's choice


def main(options: Options) -> None:
    """Prints the table."""
    use_threads(options.threads)
    agent = load_agent(options.model)
    print("guidance  looking   frames/s   agent ms   world ms   of its own, ms of processor")
    with closing(make(options.world, size=options.size)) as world:
        life = Life(agent, world, seed=3)
        for guidance, look in ((3.0, False), (3.0, True), (0.0, False)):
            life.draw(guidance=guidance)
            print(f"{guidance:8.1f}  {look!s:7}   {measure(life, look, options.frames)}")


def measure(life: Life, look: bool, frames: int) -> str:
    """One line, of so many frames after the first few."""
    costs_s = []
    for t in range(WARM_UP + frames):
        if t == WARM_UP:
            begin_s, processor_s = time.monotonic(), time.process_time()
        life.go_on(None, look, lambda told, jpeg: None)
        costs_s.append(life.costs_s)
    agent_ms, world_ms = (1000 * sum(part[WARM_UP:]) / frames for part in zip(*costs_s, strict=True))
    rate = frames / (time.monotonic() - begin_s)
    own_ms = 1000 * (time.process_time() - processor_s) / frames
    return f"{rate:8.1f}   {agent_ms:8.1f}   {world_ms:8.1f}   {own_ms:8.1f}"


if __name__ == "__main__":
    run(main, Options)
