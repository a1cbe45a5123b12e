"""The picture of an outage: drawn the same each time, in the page's colours, with every name as text."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from runbook_lib.report import render_html, render_markdown
from runbook_lib.report_outage_picture import draw
from runbook_lib.report_picture import outage_shares
from tests.sample_run import migrated
from tests.test_report import planned, report_of

HOSTILE = (
    "<script>alert(1)</script>",
    "$\\frac{1}{0}$ costs 5$",
    'id="wide-x" url(#x) "#x" #000001',
    "a\nb\x1b[31m\x00\u202e\udc80&amp;",
    "船積み 🚢",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return a report with an outage."""
    return report_of(migrated(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def shares(report):
    """Return what its outage was spent on."""
    return outage_shares(report)


def pictures(text):
    """Return the pictures of a text, read as XML."""
    found = re.findall(r'<svg class="picture.*?</svg>', text, re.DOTALL)
    return [ET.fromstring(one.replace("<svg ", '<svg xmlns:xlink="x" ', 1)) for one in found]  # noqa: S314 - our own


def texts(picture):
    """Return the texts that a picture shows."""
    return [element.text for element in picture.iter("text")]


def test_every_part_is_named_with_its_share(shares):
    """Both pictures show each step, how long it took and which share that is, and say it to a screen reader."""
    wide, narrow = pictures(draw(shares))
    for picture in (wide, narrow):
        assert {share.label for share in shares} | {share.text for share in shares} <= set(texts(picture))
        assert picture.get("role") == "img"
        assert (picture.findtext("title"), "detach-volume 0.9 s · 12%" in picture.findtext("desc")) == (
            "Outage by step",
            True,
        )
        titles = [element.text for element in picture.iter("title")]
        assert any("Detach the volume from the source" in title for title in titles)
    assert [one.get("viewBox").split()[2] for one in (wide, narrow)] == ["760", "346"]


def test_the_same_shares_give_the_same_bytes(shares):
    """Also in another process: a record must not change when its report is made again."""
    program = (
        "from pathlib import Path; import tempfile, hashlib; from tests.sample_run import migrated\n"
        "from runbook_lib.report import build_report\n"
        "from runbook_lib.report_picture import outage_shares; from runbook_lib.report_outage_picture import draw\n"
        "story = migrated(Path(tempfile.mkdtemp()))\n"
        "shares = outage_shares(build_report(story.journal.events(), story.journal.run_id))\n"
        "import sys; sys.stdout.write(draw(shares))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == draw(shares) == draw(shares)


def test_it_is_part_of_the_page_and_fetches_nothing(shares):
    """No file of its own, no address, no style for other elements; each name once; colours and font are the page's."""
    text = draw(shares)
    assert not re.search(r"<\?xml|<!DOCTYPE|<metadata|<style|https?:|font-family|<script", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert not re.search(r"url\(|href", text)
    assert not re.search(r"#[0-9a-f]{6}\b", text)
    assert {"var(--ink)", "var(--muted)", "var(--line)", "var(--good)", "var(--quiet)"} <= set(
        re.findall(r"var\(--\w+\)", text)
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(shares, name):
    """Markup, formulas, escapes and marks of direction are shown as what they are, and nothing else changes."""
    mine = [replace(shares[0], label=name, title=name, status=name), *shares[1:]]
    wide, narrow = pictures(draw(mine))
    plain = pictures(draw(shares))[0]
    for picture in (wide, narrow):
        shown = texts(picture)
        assert any(part in "".join(filter(None, shown)) for part in (name, ascii(name)[1:-1], "a\\nb\\x1b[31m\\x00"))
    assert [element.tag for element in wide.iter()] == [element.tag for element in plain.iter()]


def test_a_status_has_its_colour(shares):
    """A step that failed is told from one that succeeded, and what nobody knows is a warning."""
    mine = [replace(shares[0], status="failed"), replace(shares[1], status="interrupted"), *shares[2:]]
    text = draw(mine)
    assert ("var(--bad)" in text, "var(--warn)" in text) == (True, True)


def test_an_outage_of_a_moment_is_drawn(shares):
    """However short or long it was, there are bars and round numbers."""
    for total_s in (0.001, 86400.0):
        text = draw([replace(shares[0], spans=((0.0, total_s),), total_s=total_s), replace(shares[1], spans=())])
        assert len(pictures(text)) == 2


def test_the_page_has_it_and_the_ticket_has_the_numbers(report):
    """One shows under the other's width; a ticket gets a table."""
    page = render_html(report)
    assert [picture.findtext("title") for picture in pictures(page)][:2] == ["Outage by step", "Outage by step"]
    assert "@media (max-width:640px)" in page
    assert "| detach-volume | 0.9 s · 12% |" in render_markdown(report).replace("\\", "")


def test_without_an_outage_nothing_that_draws_is_imported(tmp_path):
    """Most notebooks have none, and matplotlib takes longer to import than the report to write."""
    assert outage_shares(report_of(planned(tmp_path))) == ()
    program = (
        "import sys, tempfile; from pathlib import Path; from tests.test_report import planned, report_of\n"
        "from runbook_lib.report import render_html\n"
        "render_html(report_of(planned(Path(tempfile.mkdtemp()))))\n"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
