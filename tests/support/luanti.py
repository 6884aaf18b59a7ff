"""Marks tests that play the real game: skipped, with what is missing, where it is not installed."""

import pytest

from vlpt.worlds.luanti.game import check_installed

try:
    check_installed()
    MISSING = ""
except RuntimeError as error:
    MISSING = str(error)
needs_luanti = pytest.mark.skipif(bool(MISSING), reason=MISSING)
