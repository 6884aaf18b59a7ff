"""Ctrl-C and SIGTERM during training: the step that runs is brought to its end and saved; a second one ends at once.

    with interrupts() as noted:
        for step in steps:
            ...
            if anywhere(noted): break       # in all processes that train together
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vlpt.training.processes import summed

SIGINT = signal.SIGINT
ENDS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}  # what a second one does


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """A context whose list stays empty until the first signal, whose number is noted there instead of ending the
    program: SIGINT, or SIGTERM, by which schedulers take a machine back.

    Outside the main thread nothing is noted: Python hears signals only there.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, _frame) -> None:
        noted.append(number)
        signal.signal(number, ENDS[number])

    before = {number: signal.signal(number, note) for number in ENDS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def anywhere(noted: list[int]) -> int:
    """The signal that this or another process has noted, 0 for none; SIGINT where there were both."""
    heard = summed({str(int(number)): float(number in noted) for number in ENDS})
    return next((int(number) for number in ENDS if heard[str(int(number))]), 0)
