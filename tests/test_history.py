"""Runs side by side and over time: what differs in an operator's words, and what a notebook gets to plot."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

import runbook_lib as runbook
from runbook_lib.cli import main
from runbook_lib.errors import JournalError
from runbook_lib.history_diff import Duration, RunDifference, compare_runs
from runbook_lib.history_notebooks import show_notebooks
from runbook_lib.history_words import notable, sentence
from tests.sample_run import RUN_ID, Story, migrated

OTHER_ID = "20260201T030007Z-guestbook-77aa"
PARAMETERS = (
    "migration:\n  name: guestbook\n  source:\n    service: {service}\n  policy:\n    outage_budget_s: {budget}\n"
)


def diff(archive: Path, *options: str) -> str:
    """Compare the two runs of an archive as an operator does."""
    result = CliRunner().invoke(main, ["diff", RUN_ID, OTHER_ID, "-d", str(archive), *options])
    assert result.exit_code == 0, result.output
    return result.output


def lines_of(output: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in output.splitlines()]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    """Return an archive with a migration, and one that differs as operators fear."""
    archive = tmp_path_factory.mktemp("two")
    first = migrated(archive)
    first.journal.write("parameters.yaml", PARAMETERS.format(service="guestbook", budget=90))
    second = Story(archive, run_id=OTHER_ID)
    second.journal.write("parameters.yaml", PARAMETERS.format(service="wiki", budget=60))
    second.prepare()
    second.call("ec2", "CreateTags", "vol-0fedcba9876543210")
    second.start("30_cut_over_volume")
    second.step("create-rollback-point", "Copy", 0.4, in_outage=True)
    second.step("detach-volume", "Detach", 3.69, in_outage=True)
    second.fail("name-volume")
    return archive


def test_one_line_for_an_operator(two_runs):
    """The first line says what matters: verdict, parameters, calls, steps, and what was slower, by how much."""
    assert diff(two_runs).splitlines()[0] == (
        "failed instead of succeeded, 2 parameters, 1 extra call, 3 calls fewer, 2 notebooks not the same, "
        "name-volume failed, 13 steps fewer, detach-volume 4.1 times slower"
    )


def test_tables_behind_it(two_runs):
    """Every difference stands in a table with its value in either run."""
    lines = lines_of(diff(two_runs))
    assert ["policy.outage_budget_s", "90", "60"] in lines
    assert ["source.service", "guestbook", "wiki"] in lines
    assert ["ec2", "CreateTags", "0", "1"] in lines
    assert ["30_cut_over_volume/name-volume", "succeeded", "failed"] in lines
    assert ["45_adopt_volume/adopt-volume", "succeeded", "-"] in lines
    assert ["30_cut_over_volume/detach-volume", "0.9", "3.7", "+2.8"] in lines
    assert not [line for line in lines if line[:1] == ["30_cut_over_volume/create-rollback-point"]]
    assert ["30_cut_over_volume/create-rollback-point", "0.3", "0.4", "+0.1"] in lines_of(diff(two_runs, "--all"))


def test_as_json(two_runs):
    """The same for programs."""
    found = json.loads(diff(two_runs, "--json"))
    assert found["summary"].startswith("failed instead of succeeded, 2 parameters")
    assert {"name": "ec2 CreateTags", "first": 0, "second": 1} in found["calls"]
    assert {"step": "30_cut_over_volume/detach-volume", "first_s": 0.9, "second_s": 3.69} in found["durations"]


def test_a_run_and_itself(two_runs):
    """A run does not differ from itself."""
    folder = two_runs / RUN_ID
    found = compare_runs(folder, folder)
    assert (found.is_empty, sentence(found), notable(found.durations)) == (True, "no difference", [])


def test_planned_beside_executed(two_runs, tmp_path):
    """Beside a run that only planned, no step counts as different that went as planned, and no seconds are compared."""
    planned = Story(tmp_path, execute=False)
    planned.prepare()
    found = compare_runs(planned.journal.folder, two_runs / RUN_ID)
    assert not [one for one in found.steps if one.name.startswith(("00", "10", "20"))]
    assert found.durations == ()
    assert sentence(found).startswith("succeeded instead of planned")


def differing(**fields) -> RunDifference:
    """Return runs that differ in nothing else."""
    nothing = dict.fromkeys(("facts", "parameters", "calls", "scripts", "steps", "durations", "notebooks"), ())
    return RunDifference(**nothing | fields)


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([("a/slow", 1.0, 4.1)], "slow 4.1 times slower"),
        ([("a/quick", 9.0, 3.0)], "quick 3.0 times quicker"),
        ([("a/noise", 1.0, 1.4), ("a/tiny", 0.1, 0.5)], "no difference"),
        ([("a/new", 0.0, 2.0)], "new 2.0 s slower"),
        (
            [(f"a/{n}", 1.0, 10.0 - n) for n in range(5)],
            "0 10.0 times slower, 1 9.0 times slower, 2 8.0 times slower, 2 more steps slower or quicker",
        ),
    ],
)
def test_what_counts_as_slower(durations, expected):
    """Half a second and half as much again are noticed; the largest come first."""
    assert sentence(differing(durations=tuple(Duration(*one) for one in durations))) == expected


def test_hostile_values_are_text(tmp_path):
    """Escape sequences in parameters and operators do not reach the terminal."""
    for run_id, value in ((RUN_ID, "plain"), (OTHER_ID, '"\\e[2J\u202eevil"')):
        Story(tmp_path, run_id=run_id).journal.write("parameters.yaml", f"migration:\n  name: {value}\n")
    output = diff(tmp_path)
    assert r"\x1b[2J\u202eevil" in output
    assert "\x1b" not in output


def write_executed(archive: Path, run_id: str, source: str, output: str = "done") -> None:
    """Write an executed notebook as Papermill leaves it, and note it in the run."""
    story = Story(archive, run_id=run_id)
    cells = [
        nbformat.v4.new_code_cell(f"run_id = '{run_id}'", id="injected", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell(source, id="detach-volume"),
    ]
    cells[1].outputs = [nbformat.v4.new_output("stream", text=f"{output}\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    story.journal.write("notebooks/30_cut_over_volume.1.ipynb", nbformat.writes(notebook))
    story.start("30_cut_over_volume")
    story.finish()


class TestNotebooks:
    """Executed notebooks, as nbdime sees them."""

    def test_other_code(self, tmp_path):
        """Code that differs is counted, and shown cell by cell when asked for; what Papermill injects is not."""
        write_executed(tmp_path, RUN_ID, "runbook.detach_volume(run)")
        write_executed(tmp_path, OTHER_ID, "runbook.detach_volume(run, force=True)")
        assert "1 notebook not the same" in diff(tmp_path).splitlines()[0]
        assert ["30_cut_over_volume", "1", "code", "cells", "1", "code", "cells,", "other", "code"] in lines_of(
            diff(tmp_path)
        )
        shown = diff(tmp_path, "--notebooks")
        assert "-  runbook.detach_volume(run)" in shown
        assert "+  runbook.detach_volume(run, force=True)" in shown
        assert "run_id = " not in shown

    def test_other_outputs_only(self, tmp_path):
        """Outputs alone make no other notebook; --outputs shows them, with what was injected, as text."""
        write_executed(tmp_path, RUN_ID, "1", output="3 files")
        write_executed(tmp_path, OTHER_ID, "1", output="4 files \x1b[2J")
        assert "the notebooks that both executed have the same code" in diff(tmp_path, "--notebooks")
        shown = diff(tmp_path, "--outputs")
        assert all(text in shown for text in ("3 files", "4 files", f"run_id = '{OTHER_ID}'"))
        assert "\x1b" not in shown

    def test_a_missing_file(self, tmp_path):
        """A notebook whose file was taken away is said to be missing, and is no crash."""
        write_executed(tmp_path, RUN_ID, "1")
        write_executed(tmp_path, OTHER_ID, "1")
        (tmp_path / OTHER_ID / "notebooks/30_cut_over_volume.1.ipynb").unlink()
        assert "executed, its file is missing" in diff(tmp_path, "--notebooks")

    def test_nothing_to_show(self, tmp_path):
        """Runs without notebooks have nothing that differs."""
        assert show_notebooks((tmp_path, []), (tmp_path, [])) == ""


class TestHistory:
    """`runbook.history()` and its picture."""

    def test_table(self, two_runs):
        """A notebook gets one row per run, oldest first, with real times and numbers; asking twice works."""
        for _ in range(2):
            table = runbook.history(two_runs)
        assert list(table.index) == [RUN_ID, OTHER_ID]
        assert table.loc[RUN_ID, "outage_s"] == 7.4
        assert table["outage_s"].isna().tolist() == [False, True]
        assert str(table["started_utc"].dt.tz) == "UTC"
        assert (table["runtime_s"] > 0).all()
        assert table["status"].tolist() == ["succeeded", "failed"]

    def test_no_archive(self, tmp_path):
        """An empty archive is an empty table; a folder that is not there is an error, never an empty table."""
        assert len(runbook.history(tmp_path)) == 0
        with pytest.raises(JournalError, match="no archive in"):
            runbook.history(tmp_path / "nowhere")

    def test_picture(self, two_runs):
        """The outage with what was allowed, and how long notebooks ran, over time; a notebook shows it by itself."""
        picture = runbook.plot_history(runbook.history(two_runs))
        above, below = picture.axes
        assert [axes.get_title(loc="left") for axes in picture.axes] == ["Service unavailable", "Notebooks ran"]
        assert [points.get_offsets()[:, 1].tolist() for points in above.collections] == [[7.4]]
        assert (list(above.lines), above.get_title(loc="right")) == ([], "allowed: 90 s, above this scale")
        assert [len(points.get_offsets()) for points in below.collections] == [1, 1]
        labels = {text.get_text() for legend in picture.legends for text in legend.get_texts()}
        assert labels == {"succeeded (1)", "failed (1)"}
        data, told = picture._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
        assert told["image/png"]["alt"] == "Outages and durations of 2 runs that executed: 1 succeeded, 1 failed"

    @pytest.mark.parametrize(
        ("budgets", "lines"), [([20, 20], [[20, 20]]), ([10, 20], [[10, 20]]), ([10, 200], [[10, 200]])]
    )
    def test_what_was_allowed(self, two_runs, budgets, lines):
        """An allowed outage near the outages is a line; it steps where the policy changed."""
        table = runbook.history(two_runs).assign(outage_s=[7.4, 12.0], outage_budget_s=budgets)
        above = runbook.plot_history(table).axes[0]
        assert [list(line.get_ydata()) for line in above.lines] == lines
        assert above.get_ylim()[0] == 0
        assert above.get_ylim()[1] > max(12.0, *budgets)

    def test_picture_of_nothing(self, tmp_path):
        """Without runs the picture says so."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = runbook.plot_history(runbook.history(tmp_path))
            assert picture._repr_png_().startswith(b"\x89PNG")
        assert [axes.texts[0].get_text() for axes in picture.axes] == ["none in these runs"] * 2
