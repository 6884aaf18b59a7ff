"""Keep freed memory in the process: training on a processor allocates the same large buffers at every step.

In: nothing. Out: true where it took effect (glibc). By default each buffer over 32 MB, and the top of the heap, goes
back to the system when freed, and its pages are zeroed anew at the next step: 5 to 12 % of the processor time of a
training step at picture widths 0.25 to 1, and a third of one from cached features where new pages are dear, as on some
virtual machines. The process then stays at its peak size until it ends.

    from vpt.allocator import keep_freed_memory
    keep_freed_memory()        # once, at the start of a program (train.py, evaluate.py and label do)
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of these settings in malloc.h


def keep_freed_memory() -> bool:
    """Returns False, and changes nothing, where the C library has no such settings."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 1 << 30)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
