"""The pages and the API as `make docs` writes them: complete, whole, from this machine alone.

Run: pytest tests/end_to_end/test_docs_site.py
"""

import ast
import inspect
import re
from html import unescape

import pytest
from support.places import ROOT
from support.repository import tracked

import vlpt.agent
import vpt.policy
from vlpt.show.api_pages import read_module
from vlpt.show.site import PAGES, Options, build, render

PUBLIC = re.compile(r"^(?:class|def|async def) ([A-Za-z]\w*)", re.M)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "docs"
    build(Options(str(out), str(ROOT)))
    return out


def sources() -> dict[str, str]:
    """Dotted name -> source, of every file of the two packages."""
    return {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): (ROOT / path).read_text()
            for path in tracked("vpt/*.py", "vlpt/*.py")}  # fmt: skip


def words(text: str) -> str:
    return re.sub(r"\W+", " ", unescape(re.sub(r"<[^>]*>", "", text))).strip()


def test_every_public_class_and_function_is_there_with_what_it_says(site):
    """Found by a plain search of the source, not by the parser that writes the pages."""
    count = 0
    for name, source in sources().items():
        public = PUBLIC.findall(source)
        if not public and not source.strip():
            continue
        page = (site / f"api/{name}.html").read_text()
        for one in public:
            assert f'id="{one}"' in page, f"{name}.{one} is not on its page"
            count += 1
    assert count > 500
    index = (site / "api/index.html").read_text()
    assert all(f'href="{name}.html"' in index for name, source in sources().items() if source.strip())


def test_every_public_class_and_function_explains_itself():
    silent = [f"{name}.{node.name}" for name, source in sources().items() for node in ast.parse(source).body
              if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
              and not node.name.startswith("_") and not ast.get_docstring(node)]
    assert not silent, f"without a docstring: {silent}"


@pytest.mark.parametrize("module", [vlpt.agent, vpt.policy], ids=["vlpt.agent", "vpt.policy"])
def test_what_python_itself_says_is_on_the_page(site, module):
    """Docstrings, methods, fields with their comments, against the imported module."""
    page = (site / f"api/{module.__name__}.html").read_text()
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


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 150
    for page in pages:
        html = page.read_text()
        assert not re.search(r'(?:src|href)="(?:https?:)?//[^"]*"[^>]*(?:rel|type)=|<script|@import|url\(', html), page
        for address in re.findall(r'(?:src|href)="([^"#]+)', html):
            if address.startswith("http"):
                continue
            assert (page.parent / address).is_file() or address == "minecraft.html", f"{page.name} links {address}"


def test_pages_follow_each_other(site):
    there = [name for name in PAGES if (ROOT / f"docs/{name}.md").exists()]
    for one, after in zip(there, there[1:], strict=False):
        assert f'Next: <a href="{after}.html"' in (site / f"{one}.html").read_text()


def test_links_and_text_become_what_they_are(tmp_path):
    (tmp_path / "docs").mkdir()
    html = render("# A *b* & c\n\n[x](train.md#a-run) [y](../vlpt/agent.py) [z](../SECURITY.md) `[ __ ]` <id> a|b",
                  tmp_path, tmp_path / "docs", "")
    assert '<h1 id="a-b--c">' in html and 'href="train.html#a-run"' in html and 'href="api/vlpt.agent.html"' in html
    assert "z (<code>SECURITY.md</code>)" in html and "&lt;id&gt;" in html


def test_what_is_wrong_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="docs/index.md is missing"):
        build(Options(str(tmp_path / "out"), str(tmp_path)))
    (tmp_path / "broken.py").write_text("def f(:")
    with pytest.raises(ValueError, match="broken.py is no Python"):
        read_module(tmp_path / "broken.py", "broken")
