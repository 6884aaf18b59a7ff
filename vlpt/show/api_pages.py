"""What every public class and function says of itself, read from the files without running them: pages for the API.

In: a package's folder. Out: a page in Markdown a module, with an anchor a name, and a page that lists them.

    for module in modules("vlpt"):
        print(module_page(module))

Nothing is imported: no optional package is needed, and 200 modules take a second or two. A field's help is the comment
beside it or above it, as on the command line.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from vlpt.files import read_text

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Entry:
    """A public class, function, method or property."""

    name: str  # within its module, as Agent.act
    signature: str
    text: str  # its docstring; "" where it has none
    fields: tuple[tuple[str, str], ...] = ()  # of a class: declaration and help


@dataclass(frozen=True)
class Module:
    """A file: its dotted name, its docstring and what is public in it, in the file's order."""

    name: str
    text: str
    entries: tuple[Entry, ...]

    @property
    def says(self) -> str:
        """The first line of its docstring."""
        return self.text.strip().splitlines()[0] if self.text.strip() else ""


def modules(package: str, root: Path | str = ".") -> list[Module]:
    """Every module of a package, by name; those without a word or a public name are left out."""
    paths = sorted((Path(root) / package).rglob("*.py"))
    found = [read_module(path, _dotted(path.relative_to(root))) for path in paths]
    return [module for module in found if module.text or module.entries]


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def read_module(path: Path, name: str) -> Module:
    """Raises ValueError naming a file that is no Python."""
    source = read_text(path)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{path} is no Python: {error}") from error
    return Module(name, ast.get_docstring(tree) or "", tuple(_entries(tree, source.split("\n"), "")))


def _entries(parent: ast.Module | ast.ClassDef, lines: list[str], before: str) -> Iterator[Entry]:
    for node in parent.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        name, text = before + node.name, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            yield Entry(name, f"class {node.name}" + (f"({bases})" if bases else ""), text,
                        tuple(_fields(node, lines)))  # fmt: skip
            yield from _entries(node, lines, f"{name}.")
        else:
            inherits = isinstance(parent, ast.ClassDef) and parent.bases
            yield Entry(name, _signature(node), text or ("As its base class says." if inherits else ""))


def _signature(node: Function) -> str:
    """As it is written, with its decorators."""
    arrow = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    head = f"def {node.name}({ast.unparse(node.args)}){arrow}"
    return "\n".join([*(f"@{ast.unparse(decorator)}" for decorator in node.decorator_list), head])


def _fields(node: ast.ClassDef, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Declared fields that are public, each with its comment."""
    for part in node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name) or part.target.id[0] == "_":
            continue
        above, line = [], part.lineno - 2
        while lines[line].lstrip().startswith("#"):
            above.insert(0, lines[line].strip("# "))
            line -= 1
        rest = lines[part.end_lineno - 1].encode()[part.end_col_offset :].decode()  # the parser counts bytes
        beside = [rest.strip("# ")] if rest.lstrip().startswith("#") else []
        yield ast.unparse(part), " ".join(above + beside)


def module_page(module: Module) -> str:
    """A module's page in Markdown, with HTML where it names anchors."""
    names = [entry.name for entry in module.entries if "." not in entry.name]
    parts = [f"# {module.name}", module.text, ", ".join(f"[{name}](#{name})" for name in names)]
    for entry in module.entries:
        depth = "##" if "." not in entry.name else "###"
        parts += [f'<div id="{escape(entry.name)}"></div>', f"{depth} {entry.name}",
                  f"```python\n{entry.signature}\n```", entry.text]  # fmt: skip
        if entry.fields:
            rows = (f"| `{_cell(declared)}` | {_cell(told)} |" for declared, told in entry.fields)
            parts.append("| field | |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def index_page(found: list[Module]) -> str:
    """All modules, each with the first line of what it says, under its package."""
    lines, room = ["# API", "Every public class and function, read from the files."], ""
    for module in found:
        own = module.name.rpartition(".")[0] or module.name
        if own != room:
            room = own
            lines += ["", f"## {room}", ""]
        lines.append(f"* [{module.name}]({module.name}.md): {module.says}")
    return "\n".join(lines) + "\n"
