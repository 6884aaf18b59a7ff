"""Command lines: a frozen dataclass says what a program may be asked; an instance of it, checked, is what it gets.

    @dataclass(frozen=True)
    class Options:
        "Trains something."
        name: str  # of the run                                      no default: it must be given
        steps: Count = 1000  # updates of the weights                the comment is the flag's help
        stage: Literal["idm", "base"] = "base"  # which part to train
        held_out: tuple[str, ...] = ()  # channels kept for evaluation

    if __name__ == "__main__":
        run(main, Options)                        # python program.py --name first --held-out ch4 ch5
        run(main, {"idm": IDMOptions, ...})       # python program.py idm --name first

tyro reads the command line and writes --help; pydantic checks kinds and bounds, there and in options from JSON. What a
person got wrong is one line on stderr: status 2 for the command line, 1 for what the program then finds. Ctrl-C is
one line too, and status 130.
"""

import dataclasses
import difflib
import json
import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import tyro
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from tyro import _errors as parse_errors  # private: hence tyro's exact version in requirements.txt

from vpt.errors import one_line

Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]  # 0 switches something off
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # numpy takes no other


def _is_plain_name(name: str) -> str:
    if not name or not (name[0].isalnum() or name[0] == "_") or set(name) & set("/\\") or not name.isprintable():
        raise ValueError(f"should be one name without slashes that begins with a letter or digit, got {short(name)}")
    if len(name.encode()) > 200:
        raise ValueError(f"should be shorter than 200 bytes, got {short(name)}")
    return name


Port = Annotated[int, Field(ge=0, le=65_535)]  # 0 takes a free one
PlainName = Annotated[str, AfterValidator(_is_plain_name)]  # of a file or folder that is made in another one

REPOSITORY = Path(__file__).parents[1]
SHIPPED = ("pretrained", "data_gathering")  # its folders that defaults name
LONGEST = 2000  # characters of the line that ends a program: weights that do not fit a model are named one by one


def parse(options_class: type | Mapping[str, type], argv: Sequence[str] | None = None):
    """The command line (`sys.argv[1:]` when None) as an instance of `options_class`, or of the class that its first
    word names. Ends the program with status 2 and one line for a flag or value that is wrong.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    with parse_errors.on_parse_error(_Refusal(options_class, argv)):
        if isinstance(options_class, Mapping):
            options = tyro.extras.subcommand_cli_from_dict(dict(options_class), args=argv)
        else:
            options = tyro.cli(options_class, args=argv)
    try:
        return from_dict(type(options), to_dict(options))
    except ValueError as error:
        _refuse(str(error))


def run(program: Callable, options_class: type | Mapping[str, type], argv: Sequence[str] | None = None):
    """Calls `program(options)`; what a person got wrong ends as one line and status 1, and Ctrl-C as one and 130."""
    options = parse(options_class, argv)
    try:
        return program(options)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {one_line(error, LONGEST)}")
    except KeyboardInterrupt as interrupt:
        print(f"{str(interrupt) or 'stopped'}; the same command goes on", file=sys.stderr)
        sys.exit(130)


def short(value) -> str:
    """`repr`, long and deeply nested values cut."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlevel = 3


def to_dict(options) -> dict:
    """Plain containers only: what JSON holds."""
    return TypeAdapter(type(options)).dump_python(options, mode="json")


def to_flags(options) -> list[str]:
    """The command line that gives these options: those that are not as by default."""
    flags: list[str] = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            flags.append(flag(field.name) if value else "--no-" + flag(field.name).removeprefix("--"))
        else:
            flags += [flag(field.name), *map(str, value if isinstance(value, tuple) else (value,))]
    return flags


def from_dict(options_class: type, values: dict):
    """The inverse of `to_dict`; fields left out take their defaults, and those that name a file or folder of this
    repository find it from any working directory.

    Raises ValueError for a name that is no field, a value of the wrong kind or out of bounds, a field not given.
    """
    try:
        checked = with_config(ConfigDict(extra="forbid"))(options_class)
        options = TypeAdapter(checked).validate_json(_json(values), strict=True)
    except ValidationError as error:
        raise ValueError(_said(options_class, error.errors()[0])) from None
    for field in dataclasses.fields(options):
        if (there := _shipped(getattr(options, field.name), field.default)) is not None:
            object.__setattr__(options, field.name, there)
    return options


def _json(values: dict) -> str:
    """Raises ValueError naming a value that JSON does not have: YAML makes dates of what looks like one."""
    if not isinstance(values, dict):
        raise ValueError(f"options are names with values, got {short(values)}")
    for name, value in values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            kind = type(value).__name__
            raise ValueError(f"{flag(str(name))} should be text or numbers, got a {kind}, {short(value)}: write it in "
                             "quotes if it is text") from None  # fmt: skip
    return json.dumps({str(name): value for name, value in values.items()})


def _shipped(value, default) -> str | None:
    """Where a default lies that is a part of this repository and not of the working directory."""
    if not isinstance(value, str) or value != default or not value.startswith(tuple(f"{name}/" for name in SHIPPED)):
        return None
    return str(REPOSITORY / value) if not Path(value).exists() and (REPOSITORY / value).exists() else None


def without_effect(options, because: str, *names: str) -> None:
    """Raises ValueError where one of these fields is not as by default: `because` of another option it does nothing."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    for name in names:
        if getattr(options, name) != defaults[name]:
            raise ValueError(f"{flag(name)} has no effect with {because}: leave one of the two out")


def flag(name: str) -> str:
    """How a field is written on the command line."""
    return "--" + name.replace("_", "-")


def _said(options_class: type, error: dict) -> str:
    """A pydantic error in one line."""
    name, got = ".".join(str(part) for part in error["loc"][:1]), error["input"]
    if error["type"] == "unexpected_keyword_argument":
        return _no_such_flag(flag(name), options_class)
    if error["type"] == "value_error":  # of __post_init__, or of one field's kind
        return f"{flag(name)} {error['ctx']['error']}" if name else str(error["ctx"]["error"])
    if error["type"] in ("missing", "missing_argument"):
        return f"{flag(name)} must be given"
    expected = error["msg"].removeprefix("Input should be ")
    for theirs, ours in (("greater than or equal to", "at least"), ("less than or equal to", "at most")):
        expected = expected.replace(theirs, ours)
    return f"{flag(name)} should be {expected}, got {short(got)}"


def _no_such_flag(given: str, options_class: type) -> str:
    flags = [flag(field.name) for field in dataclasses.fields(options_class)]
    near = difflib.get_close_matches(given.split("=")[0].replace("_", "-"), flags, n=1)
    return f"no such flag {short(given)}" + (f", did you mean {near[0]}?" if near else "")


class _Refusal:
    """What tyro finds wrong with a command line, in one line."""

    def __init__(self, options_class: type | Mapping[str, type], argv: Sequence[str]) -> None:
        self.commands = options_class if isinstance(options_class, Mapping) else {}
        self.options_class = self.commands.get(argv[0] if argv else "") if self.commands else options_class

    def __call__(self, event) -> NoReturn:
        _refuse(self._said(event))

    def _said(self, event) -> str:
        argument = getattr(event, "argument", None)
        named = argument and f"{argument.lowered.name_or_flags[0]} takes {argument.lowered.metavar}"
        match event:
            case parse_errors.UnrecognizedArgs(tokens=[token, *_]):
                return self._unknown(token)
            case parse_errors.MissingArgs(unrecognized_tokens=[token, *_]):
                return self._unknown(token)
            case parse_errors.MissingArgs(missing_arguments=missing):
                return f"{', '.join(one.arg.lowered.name_or_flags[0] for one in missing)} must be given"
            case parse_errors.MissingSubcommand(found_token=found):
                return self._which(found)
            case parse_errors.InvalidChoice(value=value, choices=choices):
                return f"{argument.lowered.name_or_flags[0]} is one of {', '.join(choices)}, got {short(value)}"
            case parse_errors.InstantiationFailure(argument=None, message=message):
                return message
            case parse_errors.InstantiationFailure(message=message):
                return f"{named}: {message.splitlines()[0]}"
            case _:
                return named or type(event).__name__

    def _unknown(self, token: str) -> str:
        if self.options_class is None:
            return self._which(token)
        said = _no_such_flag(token, self.options_class)
        name = token.split("=")[0].removeprefix("--").replace("-", "_")
        owners = [command for command, options in self.commands.items() if name in options.__dataclass_fields__]
        return said + (f" ({', '.join(owners)} takes it)" if owners else "")

    def _which(self, found: str | None) -> str:
        return f"say first what to do, one of {', '.join(self.commands)}" + (f"; got {short(found)}" if found else "")


def _refuse(said: str) -> NoReturn:
    print(f"{one_line(said)} (--help lists every flag)", file=sys.stderr)
    sys.exit(2)
