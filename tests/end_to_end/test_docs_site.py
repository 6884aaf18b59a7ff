"""The pages and the API as `make docs` writes them: complete, whole, from this machine alone.

Run: pytest tests/end_to_end/test_docs_site.py
"""

import ast
import inspect
import re
from html import unescape
from pathlib import Path

import pytest
from support.places import ROOT
from support.repository import tracked

import vlpt.agent
import vpt.policy
from vlpt.show.api_pages import address
from vlpt.show.site import PAGES, Options, build, render


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "docs"
    build(Options(str(out), str(ROOT)))
    return out


def sources() -> dict[str, str]:
    """Dotted name -> source, of every file of the two packages."""
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): (ROOT / path).read_text()
            for path in tracked("vpt/*.py", "vlpt/*.py")}  # fmt: skip


def written(parent: ast.Module | ast.ClassDef, before: str = "") -> list[str]:
    """Public classes, functions and methods as a file defines them, "Agent.act" among them."""
    found = []
    for node in parent.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found.append(before + node.name)
            found += written(node, f"{before}{node.name}.") if isinstance(node, ast.ClassDef) else []
    return found


def words(text: str) -> str:
    return re.sub(r"\W+", " ", unescape(re.sub(r"<[^>]*>", "", text))).strip()


def reached(start: Path) -> set[str]:
    """Addresses, with what stands after #, to which links lead from a page on, as "/folder/page.html#anchor"."""
    seen, waiting = set(), [start]
    while waiting:
        page = waiting.pop()
        for link in re.findall(r'href="([^"]+\.html(?:#[^"]*)?)"', page.read_text()):
            path, _, anchor = link.partition("#")
            place = (page.parent / path).resolve()
            if str(place) not in seen:
                seen.add(str(place))
                waiting.append(place)
            seen.add(f"{place}#{anchor}")
    return seen


def test_every_public_name_is_reached_from_the_index(site):
    """By links alone, from the overview: each class and function has a link to its place on its page, methods one."""
    links, count = reached(site / "index.html"), 0
    for name, source in sources().items():
        place = (site / "api" / address(name)).resolve()
        assert str(place) in links, name
        page = place.read_text()
        for one in written(ast.parse(source)):
            assert f'id="{one}"' in page, f"{name}.{one} is not on its page"
            assert "." in one or f"{place}#{one}" in links, f"nothing leads to {name}.{one}"
            count += 1
    assert count > 1000


def test_every_public_class_and_function_explains_itself():
    silent = [f"{name}.{node.name}" for name, source in sources().items() for node in ast.parse(source).body
              if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
              and not node.name.startswith("_") and not ast.get_docstring(node)]
    assert not silent, f"without a docstring: {silent}"


@pytest.mark.parametrize("module", [vlpt.agent, vpt.policy], ids=["vlpt.agent", "vpt.policy"])
def test_what_python_itself_says_is_on_the_page(site, module):
    """Docstrings, methods, fields with their comments, against the imported module."""
    page = (site / "api" / address(module.__name__)).read_text()
    text = words(page)
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        assert words(inspect.getdoc(thing).split("\n\n")[0].replace("`", "")) in text, name
        for method, value in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(value) and not method.startswith("_"):
                assert f'id="{name}.{method}"' in page, f"{name}.{method}"
    if module is vlpt.agent:
        assert "only the likeliest tokens that together have this much probability" in text  # beside Sampling.top_p


def test_docstrings_keep_their_lines_and_constants_are_as_written(site):
    contract, options, pages = ((site / "api" / address(f"vlpt.{name}")).read_text()
                                for name in ("worlds.contract", "options", "show.api_pages"))  # fmt: skip
    assert '<p><code>info</code> of every reset and step:</p>\n<pre><code>&quot;truth&quot;      ' in contract
    assert "<pre><code>device: Device = &quot;auto&quot;  # where the networks run\n</code></pre>" in options
    assert "Literal[&#39;auto&#39;, &#39;cpu&#39;, &#39;cuda&#39;]" in options and 'id="Count"' not in options
    assert "Path(__file__).parent / &#39;pages&#39;" in pages


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 150
    assert sum(file.stat().st_size for file in site.rglob("*")) < 8e6
    for page in pages:
        html = page.read_text()
        assert not re.search(r'(?:src|href)="(?:https?:)?//[^"]*"[^>]*(?:rel|type)=|<script|@import|url\(', html), page
        assert str(ROOT) not in html and str(Path.home()) not in html, f"{page} names a folder of this machine"
        for leads in re.findall(r'(?:src|href)="([^"#]+)', html):
            assert leads.startswith("http") or (page.parent / leads).is_file(), f"{page.name} links {leads}"


def test_pages_follow_each_other(site):
    there = [name for name in PAGES if (ROOT / f"docs/{name}.md").exists()]
    for one, after in zip(there, there[1:], strict=False):
        assert f'Next: <a href="{after}.html"' in (site / f"{one}.html").read_text()


def test_links_and_text_become_what_they_are(tmp_path):
    (tmp_path / "docs").mkdir()
    html = render("# A *b* & c\n\n[x](train.md#a-run) [y](../vlpt/agent.py) [z](../SECURITY.md) `[ __ ]` <id> a|b",
                  tmp_path, tmp_path / "docs")
    assert '<h1 id="a-b--c">' in html and 'href="train.html#a-run"' in html and 'href="api/vlpt/agent.html"' in html
    assert "z (<code>SECURITY.md</code>)" in html and "&lt;id&gt;" in html


def test_what_is_wrong_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="docs/index.md is missing"):
        build(Options(str(tmp_path / "out"), str(tmp_path)))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Ours")
    (tmp_path / "vpt").mkdir()
    (tmp_path / "vpt/policy.py").write_text("")
    with pytest.raises(ValueError, match=r"vpt.policy is imported from .*, not from .*vpt/policy.py: start in"):
        build(Options(str(tmp_path / "out"), str(tmp_path)))
    (tmp_path / "vpt/nowhere.py").write_text("def f(:")
    with pytest.raises(ValueError, match="nowhere.py cannot be imported as vpt.nowhere: ModuleNotFoundError"):
        build(Options(str(tmp_path / "out"), str(tmp_path)))
    assert not (tmp_path / "out").exists()
