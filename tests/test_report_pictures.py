"""The pictures of a run, in its report and in a notebook: true to the journal, the same each time, told in words."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

import runbook_lib as runbook
from runbook_lib import report_data_picture, report_holders_picture
from runbook_lib.errors import JournalError
from runbook_lib.report import render_html
from runbook_lib.report_holders import Holding, changed_hands, holdings
from runbook_lib.report_outage_picture import draw as draw_outage
from runbook_lib.report_picture import outage_shares
from runbook_lib.report_pictures import data_picture, holders_picture
from tests.sample_run import migrated
from tests.test_report import planned, report_of

SOURCE, FIRST, SECOND = "i-0123456789abcdef0", "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
HOSTILE = '<script>alert(1)</script>\u202e$x$ id="wide"'


def report_with(*steps, volume_id="vol-0123456789abcdef0"):
    """Return a report as far as holders need it: steps are pairs of an id and the facts before and after."""
    return {
        "volume": {"volume_id": volume_id, "filesystem_uuid": ""},
        "steps": [
            {"id": name, "started_utc": f"2026-01-31T03:00:{number:02d}+00:00", "before": before, "after": after}
            for number, (name, before, after) in enumerate(steps)
        ],
    }


def looked(holder, *, on_source=False, volume_id="vol-0123456789abcdef0"):
    """Return what a step saw of a volume."""
    return {"volume": {"volume_id": volume_id, "holder": holder, "on_source": on_source}}


MOVED = report_with(
    ("inspect-instance", looked(SOURCE, on_source=True), {}),
    ("detach-volume", looked(SOURCE, on_source=True), looked("")),
    ("verify-before-start", {"naming": looked("")}, {"naming": looked(FIRST)}),
    ("adopt-volume", {"holder": SECOND, "on_source": False}, {}),
)


def pictures(text):
    """Return the pictures of a text, read as XML."""
    found = re.findall(r'<svg class="picture.*?</svg>', text, re.DOTALL)
    return [ET.fromstring(one.replace("<svg ", '<svg xmlns:xlink="x" ', 1)) for one in found]  # noqa: S314 - our own


def texts(picture):
    """Return the texts that a picture shows."""
    return [element.text for element in picture.iter("text")]


def test_the_volume_is_followed_from_holder_to_holder():
    """Source, nobody, one host, another: each once, with the step that first saw it so."""
    found = holdings(MOVED)
    assert [(one.instance_id, one.role, one.step_id) for one in found] == [
        (SOURCE, "source host", "inspect-instance"),
        ("", "attached nowhere", "detach-volume"),
        (FIRST, "container instance", "verify-before-start"),
        (SECOND, "container instance", "adopt-volume"),
    ]


def test_another_volume_says_nothing():
    """A clone or a restored copy that a step looked at is not the data volume."""
    report = report_with(
        ("one", looked(SOURCE, on_source=True), {}), ("two", looked(FIRST, volume_id="vol-0fffffffffffffff0"), {})
    )
    assert [one.instance_id for one in holdings(report)] == [SOURCE]
    assert (changed_hands(report), holders_picture(report)) == ((), "")


def test_the_holder_is_drawn_and_told():
    """Before and after, wide and narrow: the volume stands once in each column, and the words have the way between."""
    for picture in pictures(holders_picture(MOVED)):
        shown = texts(picture)
        assert shown.count("■ vol-0123456789abcdef0") == 2
        assert shown.count("does not have the volume") == 4
        assert {"Before", "After", f"source host {SOURCE}", f"container instance {SECOND}"} <= set(shown)
        assert "attached nowhere (seen by detach-volume)" in picture.findtext("desc")


def test_a_run_that_ends_with_the_volume_free_says_so():
    """An interrupted cutover: nobody has it."""
    held = [Holding(SOURCE, True, "a", ""), Holding("", False, "detach-volume", "")]
    for picture in pictures(report_holders_picture.draw(held, {"volume_id": "vol-1"})):
        assert "After: attached nowhere" in texts(picture)
        assert texts(picture).count("■ vol-1") == 1


COMPARISON = {
    "phase": "after",
    "entries": 51,
    "identical": True,
    "missing": [],
    "added": [],
    "changed": [],
    "written_since_start_count": 2,
    "removed_since_start_count": 0,
}


def data_of(*comparisons, control=None):
    """Return a report as far as the comparison needs it."""
    return {"data": {"comparisons": list(comparisons), "negative_control": control}}


def test_the_comparison_counts_every_entry():
    """What is as it was, what the service wrote, what differs; the control is last and has to fail."""
    bad = COMPARISON | {
        "phase": "after-restart",
        "identical": False,
        "missing": ["a", "b"],
        "changed": [["c", ["mode"]]],
    }
    control = COMPARISON | {"phase": "negative-control", "identical": False}
    good, worse, failing = report_data_picture.looks(data_of(COMPARISON, bad, control=control))
    assert (good.verdict, good.text) == ("✓ identical", "49 as they were · 2 written by the service")
    assert worse.verdict == "✗ not identical"
    assert worse.text == "46 as they were · 2 written by the service · 2 missing · 1 changed"
    assert failing.verdict == "✓ fails, as it must"
    assert all(sum(number for _, number in look.parts) == 51 for look in (good, worse, failing))
    for picture in pictures(report_data_picture.draw((good, worse, failing))):
        assert {good.text, worse.text, "✗ not identical", "after the task was restarted"} <= set(texts(picture))
        assert worse.text in picture.findtext("desc")


def test_a_control_that_passes_is_the_failure():
    """A comparison that finds an empty directory identical proves nothing, and the picture says it in red."""
    control = COMPARISON | {"phase": "negative-control", "identical": True}
    look = report_data_picture.looks(data_of(COMPARISON, control=control))[-1]
    assert look.verdict == "✗ finds no difference: proves nothing"
    assert "var(--bad)" in report_data_picture.draw((look,))


def test_nothing_compared_draws_nothing():
    """And imports nothing that draws."""
    assert data_picture(data_of()) == ""


def test_hostile_names_are_text():
    """Markup, formulas and marks of direction stay what they are, and every name of a part stands once on the page."""
    held = [Holding(HOSTILE, True, HOSTILE, ""), Holding(FIRST, False, "b", "")]
    look = replace(report_data_picture.looks(data_of(COMPARISON))[0], label=HOSTILE)
    text = report_holders_picture.draw(held, {"volume_id": HOSTILE}) + report_data_picture.draw((look,))
    assert len(pictures(text)) == 4
    assert not re.search(r"<script|url\(|href|https?:|font-family|#[0-9a-f]{6}\b", text)
    ids = [element.get("id") for picture in pictures(text) for element in picture.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_a_page_with_all_pictures_has_each_name_once(tmp_path):
    """The report holds three pictures; no part of one has the name of a part of another."""
    report = report_of(migrated(tmp_path))
    look = report_data_picture.looks(data_of(COMPARISON))
    text = draw_outage(outage_shares(report)) + report_data_picture.draw(look) + holders_picture(MOVED)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert (len(ids), len(pictures(text))) == (len(set(ids)), 6)


def test_the_same_run_gives_the_same_bytes():
    """Also in another process: a record must not change when its report is made again."""
    program = (
        "from tests import test_report_pictures as t; import sys; from runbook_lib import report_data_picture as d\n"
        "from runbook_lib.report_pictures import holders_picture\n"
        "sys.stdout.write(holders_picture(t.MOVED) + d.draw(d.looks(t.data_of(t.COMPARISON))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    looks = report_data_picture.looks(data_of(COMPARISON))
    assert done.stdout == holders_picture(MOVED) + report_data_picture.draw(looks)


def test_a_notebook_shows_the_pictures_of_a_run(tmp_path):
    """By the path of its folder, in the colours of JupyterLab's theme; the record is not touched."""
    story = migrated(tmp_path)
    folder = story.journal.folder
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    shown = runbook.plot_outage(folder)._repr_html_()
    assert (len(pictures(shown)), "body[data-jp-theme-light=false]" in shown) == (2, True)
    assert "prefers-color-scheme:dark" in runbook.plot_outage(folder).page()
    assert runbook.plot_outage(story)._repr_html_() == shown
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_run_without_them_says_so(tmp_path):
    """Planned only: no outage, nothing compared, the volume in one hand; and a page without empty sections."""
    folder = planned(tmp_path).journal.folder
    said = [plot(folder)._repr_html_() for plot in (runbook.plot_outage, runbook.plot_comparison, runbook.plot_holders)]
    assert ["No outage" in said[0], "No data was compared" in said[1], "did not change hands" in said[2]] == [True] * 3
    assert "Who holds the volume" not in render_html(report_of(planned(tmp_path / "again")))


def test_a_folder_that_is_no_run_is_refused_and_not_made(tmp_path):
    """The message says what was expected."""
    with pytest.raises(JournalError, match=r"no run in .*; expected the path of a run folder, as \.\./runs/RUN_ID"):
        runbook.plot_holders(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
