"""Options of a program: one frozen dataclass in, a checked instance out.

In: a frozen dataclass whose fields are made with `option(default, help)`, and the command line.
Out: an instance of it; the same instance to and from JSON, so that a run writes down how it was made.

    @dataclass(frozen=True)
    class Options:
        "Trains something."
        steps: int = option(1000, "updates of the weights")
        stage: str = option("base", "which part to train", choices=("idm", "base"))
        held_out: tuple[str, ...] = option((), "channels kept for evaluation")

    if __name__ == "__main__":
        run(main, Options)            # main(options) is called; a ValueError becomes one line on stderr

`frames_per_tick` is written `--frames-per-tick` (the underscore works too), a bool is `--flag` or `--no-flag`,
a tuple takes several values, `T | None` takes the word "none". A field without a default must be given.
"""

import argparse
import dataclasses
import difflib
import json
import sys
import types
import typing
from pathlib import Path


def option(default=dataclasses.MISSING, help: str = "", choices: tuple = ()):
    """A dataclass field with one line of help (say the unit) and, optionally, the values it may take."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def parse(options_class, argv: list[str] | None = None):
    """Read the command line (`sys.argv[1:]` when None) into an instance of `options_class`.

    Ends the program with status 2 and one line for a wrong flag, a wrong value or a ValueError of `__post_init__`.
    """
    parser = _Parser(description=options_class.__doc__, allow_abbrev=False,
                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for field, kind in _fields(options_class):
        _add_flag(parser, field, kind)
    values, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(_unknown_flag(unknown[0], options_class))
    try:
        return from_dict(options_class, vars(values))
    except ValueError as error:
        parser.error(str(error))


def run(program, options_class, argv: list[str] | None = None):
    """Call `program(options)`; what a person got wrong (ValueError, missing file) ends as one line and status 1."""
    options = parse(options_class, argv)
    try:
        return program(options)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


def to_dict(options) -> dict:
    """Plain containers only: what `json.dumps` takes (tuples become lists, paths become strings)."""
    return {field.name: _plain(getattr(options, field.name)) for field in dataclasses.fields(options)}


def from_dict(options_class, values: dict):
    """The inverse of `to_dict`; fields left out take their defaults.

    Raises ValueError for a name that is no field, a value of the wrong kind or outside the choices.
    """
    known = dict((field.name, (field, kind)) for field, kind in _fields(options_class))
    for name in values:
        if name not in known:
            raise ValueError(_unknown_flag(f"--{name}", options_class))
    return options_class(**{name: _checked(*known[name], value) for name, value in values.items()})


def to_json(options, path: Path | str) -> None:
    """Write the options to a file, one key a field."""
    Path(path).write_text(json.dumps(to_dict(options), indent=2) + "\n")


def from_json(options_class, path: Path | str):
    """Read what `to_json` wrote. Raises ValueError naming the file when it does not fit."""
    try:
        return from_dict(options_class, json.loads(Path(path).read_text()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


class _Parser(argparse.ArgumentParser):
    """argparse without the page of usage in front of the one line that matters."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (--help lists every flag)\n")


def _fields(options_class):
    hints = typing.get_type_hints(options_class)
    return [(field, hints[field.name]) for field in dataclasses.fields(options_class)]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _unknown_flag(flag: str, options_class) -> str:
    flags = [_flag(field.name) for field in dataclasses.fields(options_class)]
    near = difflib.get_close_matches(flag.split("=")[0].replace("_", "-"), flags, n=1)
    return f"no such flag {flag!r}" + (f", did you mean {near[0]}?" if near else "")


def _add_flag(parser, field, kind) -> None:
    names = list(dict.fromkeys([_flag(field.name), "--" + field.name]))
    missing = field.default is dataclasses.MISSING
    # "%" starts a format in argparse's help, and an empty help would hide the default.
    shared = {"dest": field.name, "help": field.metadata.get("help", "").replace("%", "%%") or " ",
              "default": argparse.SUPPRESS if missing else field.default, "required": missing}
    element, count = _element(kind)
    if element is bool:
        parser.add_argument(*names, action=argparse.BooleanOptionalAction, **shared)
        return
    choices = field.metadata.get("choices")
    shown = "{" + ",".join(map(str, choices)) + "}" if choices else getattr(element, "__name__", "value").upper()
    many = {} if count is None else {"nargs": count}
    parser.add_argument(*names, metavar=shown, **many, **shared)


def _element(kind):
    """The type of one value, and argparse's nargs: None for a single one, "*" or a number for a tuple."""
    kind, _ = _without_none(kind)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        return inner[0], "*" if inner[-1] is Ellipsis else len(inner)
    return kind, None


def _without_none(kind):
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(kind) if part is not type(None)]
        return rest[0], len(rest) < len(typing.get_args(kind))
    return kind, False


def _checked(field, kind, value):
    """The value as the field's type; strings come from the command line, the rest from JSON or a default."""
    kind, optional = _without_none(kind)
    if optional and (value is None or value == "none"):
        return None
    element, count = _element(kind)
    if count is None:
        return _single(field, element, value)
    if not isinstance(value, (list, tuple)) or (count != "*" and len(value) != count):
        raise ValueError(f"{_flag(field.name)} takes {'several' if count == '*' else count} values, got {value!r}")
    return tuple(_single(field, element, one) for one in value)


def _single(field, kind, value):
    wrong = ValueError(f"{_flag(field.name)} takes {kind.__name__}, got {value!r}")
    if isinstance(value, bool) != (kind is bool) or (kind is str and not isinstance(value, (str, Path))):
        raise wrong
    try:
        # int(2.5) would pass in silence
        converted = kind(value) if not (kind is int and isinstance(value, float)) else int(str(value))
    except (TypeError, ValueError):
        raise wrong from None
    choices = field.metadata.get("choices")
    if choices and converted not in choices:
        raise ValueError(f"{_flag(field.name)} is one of {', '.join(map(str, choices))}, got {value!r}")
    return converted


def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
