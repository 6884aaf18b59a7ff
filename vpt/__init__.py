"""VPT and its inverse dynamics model: actions, frames, networks, checkpoints. Imports no game and no GPU code.

`vpt.load_policy` and `vpt.load_idm` read OpenAI's released files; torch is imported only when they are asked for.
"""


def __getattr__(name: str):
    if name in ("load_policy", "load_idm"):
        from vpt import released

        return getattr(released, name)
    raise AttributeError(f"module 'vpt' has no attribute {name!r}")
