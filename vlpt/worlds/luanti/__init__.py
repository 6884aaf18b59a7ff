"""Luanti (Debian's `minetest`) as a gymnasium world in lockstep; see `world.py`."""
