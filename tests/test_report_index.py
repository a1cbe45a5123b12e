"""The page of an archive, and text that shows what it is."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from runbook_lib.archive_summary import RunSummary
from runbook_lib.cli import main
from runbook_lib.report import write_report
from runbook_lib.report_index import render_index
from runbook_lib.report_text import visible
from tests.sample_run import RUN_ID, Story, migrated

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe\n\"'&"


def row(run_id=RUN_ID, **fields):
    """Return a run as the page gets it."""
    given = {
        "name": "guestbook",
        "status": "succeeded",
        "execute": True,
        "started_utc": f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T03:00:07+00:00",
        "outage_s": 7.4,
        "outage_budget_s": 90,
        "runtime_s": 81.5,
        "operator": "ops@bastion",
        "reason": "CHG-1042",
        "evidence_grade": "simulated host",
        "has_report": True,
    }
    rest = {key: given.pop(key, True) for key in ("has_report",)} | {
        key: fields.pop(key) for key in ("has_report",) if key in fields
    }
    return RunSummary(run_id, **given | fields)._asdict() | rest


def page(*rows, **options):
    """Return the page of these runs."""
    given = {"base": ".", "total": len(rows), "made_utc": "2026-02-01T00:00:00+00:00"}
    return render_index(rows, **given | options)


class Reader(HTMLParser):
    """What a browser would see: tags with attributes, links and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.open += ["open" in values] if tag == "details" else []
        self.links += [value for key, value in attributes if key in {"href", "src"}]

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def test_what_it_says():
    """State, run, reason, outage, runtime, evidence and operator of each run; the run leads to its report."""
    seen = Reader(page(row(), base="../runs"))
    assert f"../runs/{RUN_ID}/report.html" in seen.links
    for text in (
        "1 run",
        RUN_ID,
        "“CHG-1042”",
        "7.4 s",
        "81.5 s",
        "simulated host",
        "ops@bastion",
        "Median outage 7.4 s",
    ):
        assert text in seen.words


def test_self_contained():
    """It asks nobody for anything and runs no script."""
    text = page(row(), row("20260201T030007Z-guestbook-77aa"))
    seen = Reader(text)
    assert "script" not in seen.tags
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(link.startswith(("data:,", "./")) for link in seen.links)
    assert "prefers-color-scheme:dark" in text


@pytest.mark.parametrize("field", ["run_id", "reason", "operator", "evidence_grade", "status"])
def test_hostile_values_are_text(field):
    """Markup is text; escape sequences, line breaks and marks that turn the writing are shown as numbers."""
    text = page(row() | {field: HOSTILE}, row())
    seen = Reader(text)
    assert "script" not in seen.tags
    assert r"<script>alert(1)</script>\x1b[31m\u202egnp.exe\n" in seen.words
    assert not set("\x1b\u202e") & set(text)


def test_hostile_links_stay_links():
    """A run folder's name cannot leave the archive's folder or name another scheme."""
    for name in ("javascript:alert(1)", '" onclick="x', "//evil.example/x", "odd\udcff"):
        links = [link for link in Reader(page(row() | {"run_id": name})).links if link != "data:,"]
        assert links
        assert all(link.startswith("./") and '"' not in link and ":" not in link for link in links)


def test_a_run_without_a_report_is_no_link():
    """What is not there is not linked."""
    assert Reader(page(row(has_report=False))).links == ["data:,"]


def test_what_needs_somebody():
    """Runs that wait, were interrupted, are damaged, or have an open review stand first."""
    rows = [
        row(),
        row(status="waiting", reason="needs amy"),
        row(open_reviews=2, reason="broke the glass"),
        RunSummary("20260101T000000Z-x-0000")._asdict() | {"has_report": False},
    ]
    first = Reader(page(*rows)).words.partition("All of them")[0].partition("Needs somebody")[2]
    assert all(text in first for text in ("needs amy", "broke the glass", "2 open reviews", "20260101T000000Z-x-0000"))
    assert RUN_ID not in Reader(page(row())).words.partition("All of them")[0]


def test_months():
    """Runs lie in months; the newest are open, older ones are opened by hand."""
    rows = [row(f"2026{month:02}01T000000Z-x-{number:04x}") for month in (3, 2, 1) for number in range(40)]
    seen = Reader(page(*rows))
    assert seen.open == [True, True, False]
    assert "2026-03 40 runs" in seen.words
    damaged = RunSummary("20260302T000000Z-x-0000")._asdict() | {"has_report": False}
    assert "2026-03 41 runs" in Reader(page(*rows[:20], damaged, *rows[20:])).words


def test_outages_over_time():
    """From two outages on, each is a mark on a time axis; one over its budget says so in its row."""
    text = page(row(outage_s=120.0), row("20260101T030007Z-guestbook-77aa"))
    assert text.count('<svg class="dot ') == 2 + 1  # and one that tells the shape
    assert "over 90 s" in Reader(text).words
    assert "<path" not in page(row())


def test_an_empty_archive():
    """A page without runs says so."""
    assert "No run fits." in Reader(page(total=7)).words
    assert "Chosen from 7 in the archive." in Reader(page(total=7)).words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, größer, 文字", "plain, größer, 文字"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f"),
        ("\u200bzero\ufeff", r"\u200bzero\ufeff"),
        ("\udcff", r"\udcff"),
        ("10\u202f000\u00a0files", "10 000 files"),
        (7, "7"),
    ],
)
def test_visible(text, expected):
    """Nothing hides: what does not print is shown as its number."""
    assert visible(text) == expected


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return an archive with a migration that has a report, and a planned run of a hostile operator."""
    directory = tmp_path_factory.mktemp("runs")
    write_report(migrated(directory).journal)
    story = Story(directory, execute=False, run_id="20260201T030007Z-wiki-77aa")
    fields = story.journal.last("run-opened").fields
    story.journal.append("run-opened", **fields | {"name": "wiki", "operator": "eve\x1b[2J", "reason": "x" * 60})
    return directory


class TestCommand:
    """`runbook list`."""

    def runs(self, archive, *options):
        """Return the ids that are listed."""
        result = CliRunner().invoke(main, ["list", "-d", str(archive), *options])
        assert result.exit_code == 0, result.output
        return [line.split()[0][-4:] for line in result.output.splitlines()[1:]]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ((), ["77aa", "4c1d"]),
            (("--name", "wiki"), ["77aa"]),
            (("--notebook", "30"), ["4c1d"]),
            (("--status", "planned", "--status", "failed"), ["77aa"]),
            (("--mode", "executed"), ["4c1d"]),
            (("--mode", "planned", "--operator", "eve"), ["77aa"]),
            (("--since", "2026-01-31", "--until", "2026-01-31"), ["77aa", "4c1d"]),
            (("--volume", "vol-0fedcba9876543210", "-n", "1"), ["77aa"]),
            (("--rebuild", "--limit", "9"), ["77aa", "4c1d"]),
        ],
    )
    def test_filters(self, archive, options, expected):
        """Each option chooses."""
        assert self.runs(archive, *options) == expected

    def test_none_fits(self, archive):
        """When no run fits, that is said, with how many there are; it is no error."""
        result = CliRunner().invoke(main, ["list", "-d", str(archive), "--open-reviews"])
        assert (result.exit_code, result.output) == (0, f"no such run among the 2 in {archive}\n")

    def test_hostile_and_long_values(self, archive):
        """An operator's escape sequence is text, and a long reason is cut."""
        output = CliRunner().invoke(main, ["list", "-d", str(archive)]).output
        assert r"eve\x1b[2J" in output
        assert f"{'x' * 39}…" in output

    def test_open_reviews(self, tmp_path):
        """An open review stands in the run's line, and below is the command that closes it; afterwards neither does."""
        journal = Story(tmp_path).journal
        glass = journal.append("break-glass", phase="used", notebook="30_cut_over_volume")
        output = CliRunner().invoke(main, ["list", "-d", str(tmp_path), "--open-reviews"]).output
        assert output.splitlines()[1].split()[2:4] == ["1", "open"]
        assert f"`runbook review {RUN_ID} --reason FOUND`" in output
        journal.append("review", closes=[glass.seq])
        assert "review" not in CliRunner().invoke(main, ["list", "-d", str(tmp_path)]).output

    def test_json(self, archive):
        """JSON has every field."""
        (found,) = json.loads(
            CliRunner().invoke(main, ["list", "-d", str(archive), "--json", "--name", "guest"]).output
        )
        assert (found["run_id"], found["outage_s"], found["notebooks"][0]) == (RUN_ID, 7.4, "00_inspect_source")
        assert set(found) == set(RunSummary._fields)

    def test_html(self, archive, tmp_path):
        """The page is written where it was asked for, and its links lead from there to reports that exist."""
        path = tmp_path / "page.html"
        result = CliRunner().invoke(main, ["list", "-d", str(archive), "--html", str(path)])
        assert result.output == f"{path}\n"
        links = [link for link in Reader(path.read_text()).links if link != "data:,"]
        assert [(path.parent / link).resolve() for link in links] == [archive / RUN_ID / "report.html"]

    @pytest.mark.parametrize("option", [("--since", "soon"), ("--status", "fine"), ("--limit", "0")])
    def test_wrong_options(self, archive, option):
        """A value that means nothing exits 2 and says what is expected."""
        result = CliRunner().invoke(main, ["list", "-d", str(archive), *option])
        assert (result.exit_code, option[0] in result.output) == (2, True)
