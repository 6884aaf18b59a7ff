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

from vlpt.files import check_writable, read_text, whole_folder, write_text
from vlpt.show.api_pages import index_page, module_page, modules
from vpt.options import run

PAGES = {  # in the order in which they are read
    "index": "Overview", "start": "Start", "gather": "Gather", "train": "Train", "evaluate": "Evaluate", "play": "Play",
    "minecraft": "Minecraft", "scale": "Many machines", "results": "Results", "log": "Log of experiments",
}  # fmt: skip
PACKAGES = ("vpt", "vlpt")
STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1c2329, #dde3e8); --soft: light-dark(#5b6770, #98a4ad);
  --paper: light-dark(#ffffff, #14181b); --shade: light-dark(#f3f5f7, #1e2428); --line: light-dark(#dde2e6, #333c42);
  --link: light-dark(#0a62a8, #72b7ee) }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.6 system-ui, sans-serif; display: flex }
nav { width: 13rem; flex: none; padding: 1.5rem; border-right: 1px solid var(--line); box-sizing: border-box;
  position: sticky; top: 0; height: 100vh; overflow: auto }
nav a { display: block; padding: .2rem 0; color: var(--soft) } nav a.here { color: var(--ink); font-weight: 600 }
nav b { display: block; margin-bottom: .6rem }
main { min-width: 0; max-width: 52rem; padding: 1rem 2.5rem 4rem; flex: 1 }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
h1 { line-height: 1.2 } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem }
h3 { margin-top: 1.8rem } img { max-width: 100%; border-radius: 6px }
code { background: var(--shade); border-radius: 3px; padding: .1em .3em; font-size: .88em; overflow-wrap: break-word }
pre { background: var(--shade); border-radius: 6px; padding: .8rem 1rem; overflow: auto; line-height: 1.45 }
pre code { background: none; padding: 0; overflow-wrap: normal }
table { border-collapse: collapse; display: block; overflow: auto; margin: 1rem 0; font-size: .92em }
th, td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top }
tr:nth-child(even) td { background: var(--shade) }
.next { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem }
@media (max-width: 46rem) { body { display: block } nav { width: auto; height: auto; position: static; border: 0 }
  nav a { display: inline-block; margin-right: .8rem } main { padding: 1rem } }
"""


@dataclass(frozen=True)
class Options:
    """Write the documentation as pages to read in a browser."""

    out: str = "runs/docs"  # folder to write
    root: str = "."  # the repository's folder


def build(options: Options) -> list[str]:
    """Writes the folder; returns its pages, "start.html" and "api/vlpt.agent.html" among them.

    Raises ValueError where docs/index.md is missing or the folder cannot be written.
    """
    root, docs = Path(options.root), Path(options.root) / "docs"
    if not (docs / "index.md").is_file():
        raise ValueError(f"{docs}/index.md is missing: start in the repository's folder, or name it with --root")
    check_writable(options.out)
    there = [name for name in PAGES if (docs / f"{name}.md").is_file()]
    found = [module for package in PACKAGES for module in modules(package, root)]
    api = {"index": index_page(found)} | {module.name: module_page(module) for module in found}
    with whole_folder(options.out) as out:
        for number, name in enumerate(there):
            after = there[number + 1] if number + 1 < len(there) else ""
            body = render(read_text(docs / f"{name}.md"), root, docs, "")
            write_text(out / f"{name}.html", page(PAGES[name], body + following(after), there, name, ""))
        for name, text in api.items():
            body = render(text, root, root / "docs/api", "../")
            write_text(out / f"api/{name}.html", page(name, body, there, "api", "../"))
        for picture in docs.glob("*.*"):
            if picture.suffix in (".gif", ".png", ".jpg", ".svg", ".json"):
                shutil.copyfile(picture, out / picture.name)
    pages = [f"{name}.html" for name in there] + [f"api/{name}.html" for name in api]
    print(f"{options.out}/index.html: {len(there)} pages, {len(found)} modules")
    return pages


def render(text: str, root: Path, folder: Path, up: str) -> str:
    """Markdown -> HTML whose links lead to pages; folder: where the text lies, `up` from where its page does."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.disable("html_inline")  # `<id>` in prose is text
    html = re.sub(r"<h([1-6])>(.*?)</h\1>", _with_anchor, parser.render(text), flags=re.S)
    return re.sub(r'<a href="([^"]*)">(.*?)</a>', lambda found: _link(found, root, folder, up), html, flags=re.S)


def _with_anchor(found: re.Match) -> str:
    """As GitHub names them."""
    plain = unescape(re.sub(r"<[^>]*>", "", found[2])).lower()
    return f'<h{found[1]} id="{re.sub(r"[^a-z0-9 _-]", "", plain).replace(" ", "-")}">{found[2]}</h{found[1]}>'


def _link(found: re.Match, root: Path, folder: Path, up: str) -> str:
    """A link to a page of ours as that page; one to a file of the repository, which is not here, as its name."""
    address, shown = found[1], found[2]
    if address.startswith(("http://", "https://", "#", "mailto:")):
        return found[0]
    path, _, anchor = address.partition("#")
    tail = f"#{anchor}" if anchor else ""
    if folder.name == "api" and path.endswith(".md"):
        return f'<a href="{path.removesuffix(".md")}.html{tail}">{shown}</a>'
    place = (folder / path).resolve()
    inside = place.relative_to(root.resolve()) if place.is_relative_to(root.resolve()) else place
    if inside.parent == Path("docs"):
        name = f"{inside.stem}.html" if inside.suffix == ".md" else inside.name
        return f'<a href="{up}{name}{tail}">{shown}</a>'
    if inside.suffix == ".py" and inside.parts[0] in PACKAGES:
        return f'<a href="{up}api/{".".join(inside.with_suffix("").parts)}.html">{shown}</a>'
    return f"{shown} (<code>{escape(str(inside))}</code>)"


def following(name: str) -> str:
    """A link to the page that is read next."""
    return f'<p class="next">Next: <a href="{name}.html">{PAGES[name]}</a></p>' if name else ""


def page(title: str, body: str, there: list[str], here: str, up: str) -> str:
    """The whole HTML of a page, with the list of all pages beside it."""
    names = [*((name, PAGES[name], f"{up}{name}.html") for name in there), ("api", "API", f"{up}api/index.html")]
    links = "".join(f'<a href="{where}"{" class=here" * (name == here)}>{text}</a>' for name, text, where in names)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · VLPT</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<style>{STYLE}</style></head>\n<body><nav><b>VLPT</b>{links}</nav><main>\n{body}</main></body></html>\n")


if __name__ == "__main__":
    run(build, Options)
