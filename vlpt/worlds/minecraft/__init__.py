"""Minecraft behind our worlds' interface: MineRL 1.0 and MineStudio, each in a Python environment of its own.

`world.py` is the world; `bridge.py` runs in the game's environment and is asked over a pipe by `process.py`, which ends
what does not answer; `actions.py` and `truth.py` translate; `checks.py` says what is missing before anything starts.
"""
