"""The spaces of MineStudio's and MineRL's own Python classes as JSON, for tests to hold ours against.

Runs in an environment of its own, as both want numpy < 2 and neither needs Java or a network to say what its spaces
are. In: the name of the package. Out: JSON on stdout, which is kept in tests/fixtures:

    python -m venv /tmp/studio && /tmp/studio/bin/pip install --no-deps minestudio==1.1.6
    /tmp/studio/bin/pip install "numpy<2" "opencv-python-headless<4.11" gym==0.26.2 gymnasium Pyro4 psutil lxml \
        xmltodict diskcache coloredlogs rich jinja2 requests pyyaml absl-py attrs
    MINESTUDIO_DIR=/tmp/studio/home /tmp/studio/bin/python tests/support/dump_minecraft_spaces.py minestudio

    python -m venv /tmp/minerl && /tmp/minerl/bin/pip install --no-deps "setuptools<66" wheel gym==0.17.3
    READTHEDOCS=1 /tmp/minerl/bin/pip install --no-deps minerl==0.4.4
    /tmp/minerl/bin/pip install "numpy<2" "opencv-python-headless<4.11" "cloudpickle<1.4" scipy lxml jinja2 Pyro4 \
        psutil xmltodict coloredlogs requests tqdm "pyglet<1.6" daemoniker filelock inflection dill
    /tmp/minerl/bin/python tests/support/dump_minecraft_spaces.py minerl

MineStudio's simulator imports torch, of which neither its spaces nor its steps use anything: `without_torch` stands in
for it, here and in tests/support/minecraft_environments.py. With the spaces goes the action of MinecraftSim.
"""

import contextlib
import importlib.abc
import importlib.machinery
import json
import sys
import types
from importlib import import_module
from importlib.metadata import version

TASKS = {
    "minestudio": {"HumanSurvival": "human_survival_specs:HumanSurvival", "FindCave": "basalt_specs:FindCaveEnvSpec",
                   "MakeWaterfall": "basalt_specs:MakeWaterfallEnvSpec",
                   "CreateVillageAnimalPen": "basalt_specs:PenAnimalsVillageEnvSpec",
                   "BuildVillageHouse": "basalt_specs:VillageMakeHouseEnvSpec"},
    "minerl": {"Treechop": "treechop_specs:Treechop", "Navigate": "navigate_specs:Navigate"},
}  # fmt: skip
SPECS = {"minestudio": "minestudio.simulator.minerl.herobraine.env_specs", "minerl": "minerl.herobraine.env_specs"}


def described(space) -> dict | str:
    """A space as plain JSON: Dict -> {key: space}, Box -> its bounds, shape and type, Discrete -> how many."""
    kind = type(space).__name__
    if hasattr(space, "spaces"):
        return {str(key): described(inner) for key, inner in space.spaces.items()}
    if kind == "Box":
        low, high = float(space.low.min()), float(space.high.max())
        return {"kind": kind, "shape": list(space.shape), "dtype": str(space.dtype), "low": low, "high": high}
    if kind == "Discrete":
        return {"kind": kind, "n": int(space.n)}
    return {"kind": kind, "values": [str(value) for value in getattr(space, "values", [])][:40]}


class _Empty(types.ModuleType):
    """A module that has a class of any name in it, and calls that do nothing."""

    __path__ = []

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *given, **named: None, "__call__": lambda self, given: given})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torch" else None

    def create_module(self, spec):
        return _Empty(spec.name)

    def exec_module(self, module):
        """Nothing is in it."""


def without_torch() -> None:
    """Whatever imports torch from here on gets modules that can do nothing."""
    sys.meta_path.insert(0, _Finder())


def main(package: str) -> None:
    """Prints {"package", "versions", "tasks": {name: {"action", "observation", "resolution"}}, "simulator"}."""
    if package == "minestudio":
        without_torch()
    tasks, result = {}, {"package": package, "versions": {}}
    for name, place in TASKS[package].items():
        module, spec = place.split(":")
        with contextlib.redirect_stdout(sys.stderr):
            given = {"dense": True, "extreme": False} if name == "Navigate" else {}
            task = getattr(import_module(f"{SPECS[package]}.{module}"), spec)(**given)
        tasks[name] = {"id": task.name, "resolution": list(task.resolution), "action": described(task.action_space),
                       "observation": shortened(described(task.observation_space)),
                       "max_episode_steps": task.max_episode_steps}  # fmt: skip
    for name in (package, "gym", "numpy"):
        result["versions"][name] = version(name)
    result["tasks"] = tasks
    if package == "minestudio":
        sim = import_module("minestudio.simulator.entry").MinecraftSim
        bare = sim.__new__(sim)
        bare.obs_size = (640, 360)
        result["simulator"] = {"observation": described(bare.observation_space)}
        for kind in ("env", "agent"):
            bare.action_type = kind
            action = bare.action_space
            result["simulator"][kind] = {key: {"n": int(space.nvec[0])} if kind == "agent" else described(space)
                                         for key, space in action.spaces.items()}  # fmt: skip
    print(json.dumps(result, indent=1))


def shortened(observation: dict, most: int = 60) -> dict:
    """What the game counts for each of its thousand items is left at how many there are."""
    return {key: {"keys": len(space)} if "kind" not in space and len(space) > most else space
            for key, space in observation.items()}  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
