"""Found videos -> those worth downloading, by rules over what their site says of them.

In: `1_found.jsonl` and a file of rules (data_gathering/rules.toml explains itself). Out: `2_kept.jsonl` and, beside it,
`2_dropped.jsonl` with the names of the rules that each video broke. Both are made anew each time. What is said in a
video is not known yet: LiveCC's filters of talk are options of data_gathering.transcribe, and data_gathering.stats
reports what they look at. Run:

    python -m data_gathering.filter --found data/1_found.jsonl --out data/2_kept.jsonl
"""

import math
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from data_gathering.ledger import read_ledger
from vlpt.data.words import SHORT
from vlpt.files import read_text, write_lines
from vlpt.options import run
from vpt.errors import one_line

RULES = Path(__file__).with_name("rules.toml")
FIELDS = ("title", "channel", "language", "duration_s", "live")


@dataclass(frozen=True)
class Options:
    """Keeps videos by their metadata."""

    found: str = "data/1_found.jsonl"  # ledger of data_gathering.find
    rules: str = str(RULES)  # TOML file of rules
    out: str = "data/2_kept.jsonl"  # JSON lines of what is kept


@dataclass(frozen=True)
class Rule:
    """One condition on one field."""

    name: str
    field: str
    drop: str = ""
    keep: str = ""
    least: float | None = None
    most: float | None = None
    equals: bool | None = None
    unknown_is: str = "dropped"

    def __post_init__(self) -> None:
        if self.field not in FIELDS or self.unknown_is not in ("kept", "dropped"):
            raise ValueError(f"field is one of {', '.join(FIELDS)}, unknown_is kept or dropped")
        if not (self.drop or self.keep) and (self.least, self.most, self.equals) == (None, None, None):
            raise ValueError("a rule needs drop, keep, least, most or equals")
        re.compile(self.drop), re.compile(self.keep)
        for bound in (self.least, self.most):
            if bound is not None and not _is_number(bound):
                raise ValueError(f"least and most are numbers, got {SHORT.repr(bound)}")

    def broken_by(self, record: dict) -> bool:
        """Whether a video breaks the rule."""
        value = record.get(self.field)
        if self.drop:
            return bool(re.search(self.drop, str(value or ""), re.IGNORECASE))
        bounded = (self.least, self.most) != (None, None)
        if value in (None, "") or (bounded and not _is_number(value)):
            return self.unknown_is == "dropped"
        if self.keep:
            return not re.search(self.keep, str(value), re.IGNORECASE)
        if self.equals is not None:
            return value != self.equals
        return (self.least is not None and value < self.least) or (self.most is not None and value > self.most)


def _is_number(value) -> bool:
    """Sites say anything: numbers only can be compared."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_rules(path: Path | str) -> list[Rule]:
    """Raises ValueError naming the file and the rule that is wrong."""
    name = "the file"
    try:
        content = tomllib.loads(read_text(path))
        rules = []
        for i, entry in enumerate(content["rule"], start=1):
            if not isinstance(entry, dict):
                raise ValueError("a rule is a table [[rule]]")
            name = f"rule {i} ({entry.get('name', 'without a name')})"
            rules.append(Rule(**entry))
        return rules
    except (OSError, KeyError, TypeError, ValueError, RecursionError, re.error) as error:
        raise ValueError(f"{path}, {name}: {one_line(error, 200, of=path)}") from error


def main(options: Options) -> dict[str, int]:
    """Returns how many were kept, dropped, and broke each rule."""
    rules, records = read_rules(options.rules), read_ledger(options.found, "find")
    kept, dropped, broken = [], [], Counter({rule.name: 0 for rule in rules})
    for record in records:
        reasons = [rule.name for rule in rules if rule.broken_by(record)]
        broken.update(reasons)
        (dropped if reasons else kept).append({**record, **({"dropped_by": reasons} if reasons else {})})
    out = Path(options.out)
    write_lines(out, kept)
    write_lines(out.with_name("2_dropped.jsonl"), dropped)
    print(f"{out}: {len(kept)} of {len(records)} kept; broken rules (a video may break several):")
    for name, count in broken.items():
        print(f"{count:8d}  {name}")
    return {"kept": len(kept), "dropped": len(dropped), **broken}


if __name__ == "__main__":
    run(main, Options)
