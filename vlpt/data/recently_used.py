"""What was used last, up to a number of bytes: the cache of labels and words, and that of pictures.

    cache = RecentlyUsed(budget_mb=128)
    columns = cache.get(key) or cache.put(key, read(), n_bytes)
"""

import os
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock


class RecentlyUsed:
    """Forgets what was not used for longest; keeps one thing, however large. It travels empty to another process."""

    def __init__(self, budget_mb: float):
        self.budget_mb, self.bytes = budget_mb, 0
        self.kept: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self.process, self.lock = os.getpid(), Lock()

    def __reduce__(self):
        return type(self), (self.budget_mb,)

    def own_lock(self) -> Lock:
        """This process's: a thread of a child's parent may have held the other when the child was forked."""
        if self.process != os.getpid():
            self.process, self.lock = os.getpid(), Lock()
        return self.lock

    def get(self, key: Hashable):
        """What was put there, or None."""
        with self.own_lock():
            if key not in self.kept:
                return None
            self.kept.move_to_end(key)
            return self.kept[key][0]

    def put(self, key: Hashable, value, n_bytes: int):
        """Keeps `value`, and returns it."""
        with self.own_lock():
            self.bytes += n_bytes - self.kept.pop(key, (None, 0))[1]
            self.kept[key] = value, n_bytes
            while self.bytes > self.budget_mb * 2**20 and len(self.kept) > 1:
                self.bytes -= self.kept.popitem(last=False)[1][1]
        return value
