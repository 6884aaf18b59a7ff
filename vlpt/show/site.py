"""The documentation as pages to read in a browser: docs/*.md in their order, and a page of every module's API.

In: the repository's folder. Out: a folder of HTML that loads nothing from elsewhere, with the pictures it shows.

    python -m vlpt.show.site --out runs/docs         # make docs; then open runs/docs/index.html
"""

import re
import shutil
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

from markdown_it import MarkdownIt
from pdoc.doc import Module

from vlpt.files import check_writable, read_text, whole_folder, write_text
from vlpt.show.api_pages import FILES, address, index_page, module_page, modules
from vpt.options import run

PAGES = {  # in the order in which they are read
    "index": "Overview", "start": "Start", "gather": "Gather", "train": "Train", "evaluate": "Evaluate", "play": "Play",
    "minecraft": "Minecraft", "scale": "Many machines", "results": "Results", "log": "Log of experiments",
}  # fmt: skip
PACKAGES = ("vpt", "vlpt")
PICTURES = (".gif", ".png", ".jpg", ".svg", ".json")  # what pages show, and the numbers that they name


@dataclass(frozen=True)
class Options:
    """Write the documentation as pages to read in a browser."""

    out: str = "runs/docs"  # folder to write
    root: str = "."  # the repository's folder


def build(options: Options) -> list[str]:
    """Writes the folder; returns its pages, "start.html" and "api/vlpt/agent.html" among them.

    Raises ValueError where docs/index.md is missing or the folder cannot be written.
    """
    root, docs = Path(options.root), Path(options.root) / "docs"
    if not (docs / "index.md").is_file():
        raise ValueError(f"{docs}/index.md is missing: start in the repository's folder, or name it with --root")
    check_writable(options.out)
    there = [name for name in PAGES if (docs / f"{name}.md").is_file()]
    found = {name: module for package in PACKAGES for name, module in modules(package, root).items()}
    with whole_folder(options.out) as out:
        pages = write_guides(out, root, there) + write_api(out, root, found, there)
        shutil.copyfile(FILES / "site.css", out / "site.css")
        for picture in docs.glob("*.*"):
            if picture.suffix in PICTURES:
                shutil.copyfile(picture, out / picture.name)
    print(f"{options.out}/index.html: {len(there)} pages, {len(found)} modules")
    return pages


def write_guides(out: Path, root: Path, there: list[str]) -> list[str]:
    """The pages of docs/, each with a link to the one that is read next, where it has none; returns their names."""
    for name, after in zip(there, [*there[1:], ""], strict=True):
        text = read_text(root / f"docs/{name}.md")
        body = render(text, root, root / "docs") + ("" if "\nNext: [" in text else following(after))
        write_text(out / f"{name}.html", page(PAGES[name], f"<main>\n{body}</main>", there, name, ""))
    return [f"{name}.html" for name in there]


def write_api(out: Path, root: Path, found: dict[str, Module], there: list[str]) -> list[str]:
    """A page a module, and one that lists them; returns their names, from the site's folder."""
    write_text(out / "api/index.html", page("API", index_page(found), there, "api", "../"))
    for name, module in found.items():
        body = without_place(module_page(module, found), root)
        write_text(out / "api" / address(name), page(name, body, there, "api", "../" * (name.count(".") + 1)))
    return ["api/index.html", *(f"api/{address(name)}" for name in found)]


def without_place(html: str, root: Path) -> str:
    """Values and defaults name files of the repository from the repository, not from this machine."""
    place = escape(str(root.resolve()))
    return html.replace(f"{place}/", "").replace(place, ".")


def render(text: str, root: Path, folder: Path) -> str:
    """Markdown of a page in docs/ -> HTML whose links lead to pages; folder: where the text lies."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.disable("html_inline")  # `<id>` in prose is text
    html = re.sub(r"<h([1-6])>(.*?)</h\1>", _with_anchor, parser.render(text), flags=re.S)
    return re.sub(r'<a href="([^"]*)">(.*?)</a>', lambda found: _link(found, root, folder), html, flags=re.S)


def _with_anchor(found: re.Match) -> str:
    """As GitHub names them."""
    plain = unescape(re.sub(r"<[^>]*>", "", found[2])).lower()
    return f'<h{found[1]} id="{re.sub(r"[^a-z0-9 _-]", "", plain).replace(" ", "-")}">{found[2]}</h{found[1]}>'


def _link(found: re.Match, root: Path, folder: Path) -> str:
    """A link to a page of ours as that page; one to a file of the repository, which is not here, as its name."""
    leads, shown = found[1], found[2]
    if leads.startswith(("http://", "https://", "#", "mailto:")):
        return found[0]
    path, _, anchor = leads.partition("#")
    tail = f"#{anchor}" if anchor else ""
    place = (folder / path).resolve()
    inside = place.relative_to(root.resolve()) if place.is_relative_to(root.resolve()) else place
    if inside.parent == Path("docs"):
        name = f"{inside.stem}.html" if inside.suffix == ".md" else inside.name
        return f'<a href="{name}{tail}">{shown}</a>'
    if inside.suffix == ".py" and inside.parts[0] in PACKAGES:
        return f'<a href="api/{str(inside).removesuffix("/__init__.py").removesuffix(".py")}.html">{shown}</a>'
    return f"{shown} (<code>{escape(str(inside))}</code>)"


def following(name: str) -> str:
    """A link to the page that is read next."""
    return f'<p class="next">Next: <a href="{name}.html">{PAGES[name]}</a></p>' if name else ""


def page(title: str, body: str, there: list[str], here: str, up: str) -> str:
    """The whole HTML of a page: the list of all pages beside its main part; up: from its folder to the site's."""
    names = [*((name, PAGES[name], f"{up}{name}.html") for name in there), ("api", "API", f"{up}api/index.html")]
    links = "".join(f'<a href="{where}"{" class=here" * (name == here)}>{text}</a>' for name, text, where in names)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · VLPT</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="stylesheet" href="{up}site.css"></head>\n'
            f"<body><nav><b>VLPT</b>{links}</nav>\n{body}\n</body></html>\n")


if __name__ == "__main__":
    run(build, Options)
