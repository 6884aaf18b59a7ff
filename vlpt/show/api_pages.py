"""What every public class and function says of itself, as pdoc reads it: a page a module, and one that lists them all.

In: a package's folder, from which it can be imported. Out: HTML of the main part of a page, with an anchor a name.

    found = modules("vlpt")
    print(module_page(found["vlpt.agent"], found))

pdoc imports the modules; they import what is optional where it is used, so that none of it is needed. The templates
that change pdoc's page lie in vlpt/show/pages. A field's help is the comment beside it, as on the command line.
"""

import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pdoc.render
from markdown_it import MarkdownIt
from pdoc.doc import Class, Function, Module, Namespace, Variable
from pdoc.doc_ast import parse, walk_tree
from tyro._docstrings import get_field_docstring  # private: what --help prints; hence tyro's exact version

FILES = Path(__file__).parent / "pages"  # the style, and how pdoc's page of a module is changed

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")  # `<id>` in a docstring is text


def modules(package: str, root: Path | str = ".") -> dict[str, Module]:
    """Every module of a package by its dotted name. Raises ValueError naming one that cannot be imported from there."""
    paths = sorted((Path(root) / package).rglob("*.py"))
    return {name: _module(name, path) for path in paths if (name := _dotted(path.relative_to(root)))}


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _module(name: str, path: Path) -> Module:
    try:
        imported = importlib.import_module(name)
    except Exception as error:
        raise ValueError(f"{path} cannot be imported as {name}: {type(error).__name__}, {error}") from error
    if not Path(imported.__file__).samefile(path):
        raise ValueError(f"{name} is imported from {imported.__file__}, not from {path}: start in the folder that "
                         "holds its package")  # fmt: skip
    module = Module(imported)
    module.docstring = (imported.__doc__ or "").strip()  # written at the margin: what is indented is a program
    _add_what_a_star_leaves_out(module)
    _show_constants_as_written(module)
    for one in _classes(module):
        _tell_fields(one)
    return module


def _add_what_a_star_leaves_out(module: Module) -> None:
    """pdoc shows what stands in `__all__`, where there is one; what has a name for others and is written there, too."""
    for name, thing in list(vars(module.obj).items()):
        written_here = getattr(thing, "__module__", "") == module.modulename and not name.startswith("_")
        if written_here and name not in module.members and (inspect.isclass(thing) or inspect.isroutine(thing)):
            kind = Class if inspect.isclass(thing) else Function
            module.members[name] = kind(module.modulename, name, thing, (module.modulename, name))


def _show_constants_as_written(module: Module) -> None:
    """Not as they print, which may be long or name a folder of this machine; those from elsewhere are shown there."""
    nodes = [node for node in parse(module.obj).body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    targets = [(part, node.value) for node in nodes for target in getattr(node, "targets", None) or [node.target]
               for part in (target, *getattr(target, "elts", ()))]  # fmt: skip
    written = {target.id: value for target, value in targets if isinstance(target, ast.Name)}
    for name, member in list(module.members.items()):
        if isinstance(member, Variable) and name not in written:
            del module.members[name]
        elif isinstance(member, Variable) and (len(ast.unparse(written[name])) < len(member.default_value_str)):
            member.default_value_str = ast.unparse(written[name])


def _classes(inside: Namespace) -> Iterator[Class]:
    """Those that are written there, and those within them."""
    for member in inside.own_members:
        if isinstance(member, Class):
            yield member
            yield from _classes(member)


def _tell_fields(one: Class) -> None:
    """Fields by their comments; the constructor that a dataclass makes of them would say them a second time."""
    if dataclasses.is_dataclass(one.obj):
        one.members.pop("__init__", None)
        for field in dataclasses.fields(one.obj):
            member = one.members[field.name]
            if not member.is_inherited and not member.docstring:
                member.docstring = get_field_docstring(one.obj, field.name, ()) or ""
    for member in one.own_members:
        if isinstance(member, Variable) and "Annotated[" in member.annotation_str:  # pydantic's bounds, at length
            member.annotation_str = f": {walk_tree(one.obj).annotations[member.name]}"  # as it is written: Count


def _to_html(docstring: str) -> str:
    """Indented lines stand as they are written, also without an empty line before them. A leading dot is the ending of
    a file's name; pdoc would take `.model` for a module beside this one.
    """
    apart = re.sub(r"^(\S.*\n)(?= {4})", r"\1\n", docstring, flags=re.M)
    return re.sub(r"(?<![\w.&])\.(?=\w)", "&#46;", MARKDOWN.render(apart))


def address(name: str) -> str:
    """Where the page of a module lies in the API's folder: of "vlpt.live.server" vlpt/live/server.html."""
    return f"{name.replace('.', '/')}.html"


def module_page(module: Module, found: dict[str, Module]) -> str:
    """The main part of a module's page; found: all that have one, to which it links."""
    if pdoc.render.env.filters["to_html"] is not _to_html:  # once: it forgets the templates that it has read
        pdoc.render.configure(docformat="markdown", search=False, show_source=False, template_directory=FILES)
        pdoc.render.env.filters["to_html"] = _to_html
    return pdoc.render.html_module(module, found)


def public(module: Module) -> list[str]:
    """Names of its classes and functions, in the file's order."""
    return [one.name for one in module.own_members if one.kind != "variable" and not one.name.startswith("_")]


def index_page(found: dict[str, Module]) -> str:
    """The main part of a page that lists all modules, each with the first line of what it says and with its names."""
    parts, room = ["<h1>API</h1>\n<p>Every public class and function, by module, as pdoc reads them.</p>"], ""
    for name, module in found.items():
        own = name if module.is_package else name.rpartition(".")[0]
        if own != room:
            room = own
            parts.append(f'<h2 id="{room}">{room}</h2>')
        parts.append(_listed(name, module))
    return "\n".join(["<main>", *parts, "</main>"])


def _listed(name: str, module: Module) -> str:
    place, says = address(name), MARKDOWN.renderInline(module.docstring.partition("\n")[0])
    names = "\n".join(f'<a href="{place}#{one}">{one}</a>' for one in public(module))
    return f'<p><a href="{place}"><b>{name}</b></a> {says}</p>' + (f'\n<p class="names">{names}</p>' if names else "")
