"""The site builds without a warning, fetches nothing, and a page or a link that is wrong breaks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def build(config, site):
    """Build a site as `make docs` does; return how that ended."""
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert (done.returncode, re.findall(r"(?m)^(?:WARNING|ERROR).*", done.stdout + done.stderr)) == (0, [])
    return folder


def test_every_page_is_built_and_can_be_found(site):
    """Each Markdown file under docs/ is a page, and the search knows words of each."""
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {page.parent / ("index.html" if page.name == "README.md" else f"{page.stem}.html") for page in pages}
    assert {page for page in built if not (site / page).is_file()} == set()
    index = (site / "search" / "search_index.js").read_text("utf-8")
    assert {page.as_posix() for page in built if f'"{page.as_posix()}' not in index} == set()


def test_a_reader_fetches_nothing_from_elsewhere(site):
    """No page loads a script, style, font or picture from an address; what a reader follows is another matter."""
    loads = re.compile(
        r'<(?:script|img|iframe|source)\b[^>]*\bsrc="?(https?:)?//|<link\b[^>]*\bhref="?(https?:)?//[^>]*>'
    )
    found = [(page.name, tag[0]) for page in site.rglob("*.html") for tag in loads.finditer(page.read_text("utf-8"))]
    assert found == []
    assert all('src="https:' not in page.read_text("utf-8") for page in site.rglob("*.html"))
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?https?:|@import", styles)


def test_pictures_are_small_and_told_in_words():
    """At most eight images of at most 150 kB, each used by a page, and none without its content in words."""
    images = sorted((ROOT / "docs" / "images").glob("*"))
    assert 0 < len(images) <= 8
    assert [path.name for path in images if path.stat().st_size > 150_000] == []
    text = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    told = {name: words for words, name in re.findall(r"!\[([^\]]*)\]\(images/([^)]+)\)", text)}
    assert {path.name for path in images} == set(told)
    assert [name for name, words in told.items() if len(words.split()) < 4] == []


@pytest.mark.parametrize(
    ("text", "nav", "said"),
    [
        ("# A page\n\n[elsewhere](nowhere.md)\n", ["index.md"], "nowhere.md"),
        ("# A page\n\n[elsewhere](#nowhere)\n", ["index.md"], "no such anchor"),
        ("# A page\n", [], "not included in the"),
    ],
    ids=["link", "heading", "navigation"],
)
def test_what_is_wrong_breaks_the_build(tmp_path, text, nav, said):
    """With the settings of the site: a link to no page, to no heading, a page outside of the navigation."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(text)
    (docs / "other.md").write_text("# Another\n")
    settings = {"INHERIT": str(ROOT / "mkdocs.yml"), "docs_dir": str(docs), "nav": [*nav, "other.md"]}
    settings["theme"] = {"name": "mkdocs"}  # quicker; what is tested are the rules
    settings["plugins"] = settings["hooks"] = []
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert (done.returncode != 0, said in done.stderr + done.stdout) == (True, True), done.stderr
