"""Ctrl-C during training: the step that runs is brought to its end and saved; a second one ends at once.

    with interrupts() as noted:
        for step in steps:
            ...
            if noted: break
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """A context whose list stays empty until the first interrupt, which is noted there instead of ending the program.

    Outside the main thread nothing is noted: Python hears signals only there.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, _frame) -> None:
        noted.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
