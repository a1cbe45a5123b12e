"""Going on with a run: what changed since it was opened is refused, accepted with a reason, and never hidden."""

from __future__ import annotations

import json

import nbformat
import pytest
import yaml
from click.testing import CliRunner

from runbook_lib import parameters, run_digests, run_folder
from runbook_lib.archive import verify
from runbook_lib.cli import main
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal
from runbook_lib.report import build_report, render_html, render_markdown
from runbook_lib.run_folder import Terms, create_run
from tests.test_cli import EXAMPLE, write_notebook


def invoke(*arguments):
    """Call the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path):
    """Return a parameters file whose archive is in the test's folder."""
    document = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    document["migration"]["archive"]["directory"] = str(tmp_path / "runs")
    path = tmp_path / "parameters.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def alter(file, section, **values):
    """Change values of a parameters file."""
    document = yaml.safe_load(file.read_text("utf-8"))
    document["migration"].setdefault(section, {}).update(values)
    file.write_text(yaml.safe_dump(document), "utf-8")


@pytest.fixture
def begun(file):
    """Return a run that was opened with the file's parameters."""
    return create_run(parameters.load(file), reason="CHG-1", execute=True)


@pytest.fixture
def other_library(monkeypatch):
    """Let the library be another one from now on."""

    def change():
        for module in (run_digests, run_folder):
            monkeypatch.setattr(module, "library_digest", lambda: "f" * 64)

    return change


def go_on(journal, file, **terms):
    """Continue a run."""
    return create_run(
        parameters.load(file), reason="", execute=True, run_id=journal.run_id, terms=Terms(**terms) if terms else None
    )


def content(journal):
    """Return every file of a run with its bytes."""
    return {p: p.read_bytes() for p in journal.folder.rglob("*") if p.is_file() and p.name != ".lock"}


class TestWhatCounts:
    """What a digest covers."""

    def test_the_library(self, tmp_path, monkeypatch):
        """Sources, templates and Terraform modules count; the sandbox, caches and Terraform's working data do not."""
        package, terraform = tmp_path / "runbook_lib", tmp_path / "terraform"
        counts = ["runbook_lib/run.py", "runbook_lib/templates/a.j2", "terraform/modules/m/main.tf",
                  "terraform/modules/m/files/boot.py", "terraform/modules/m/templates/u.tftpl"]  # fmt: skip
        ignored = ["runbook_lib/sandbox/world.py", "runbook_lib/__pycache__/run.py", "terraform/m/.terraform/x.tf",
                   "terraform/modules/m/tests/m.tftest.hcl", "terraform/modules/m/README.md"]  # fmt: skip
        for name in counts + ignored:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("1")
        monkeypatch.setattr(run_digests, "_PACKAGE", package)
        monkeypatch.setattr(run_digests, "_TERRAFORM", terraform)
        digest = run_digests.library_digest.__wrapped__
        first = digest()
        for name in ignored:
            (tmp_path / name).write_text("2")
        assert digest() == first
        for name in counts:
            before = digest()
            (tmp_path / name).write_text("2")
            assert digest() != before, name
        before = digest()
        (package / "run.py").rename(package / "walk.py")
        assert digest() != before, "a file's name counts"

    def test_every_source_of_this_package(self):
        """The digest is of this very checkout, and covers every module that could act."""
        assert len(run_digests.library_digest()) == 64
        covered = {p.suffix for p in run_digests._PACKAGE.rglob("*") if p.is_file() and "sandbox" not in p.parts}
        assert covered <= {".py", ".j2", ".json", ".pyc", ".typed"}, (
            "a new kind of file must be decided on in run_digests"
        )

    def test_a_notebook(self, tmp_path):
        """The code of a notebook counts; its text, outputs and counts do not."""
        path = write_notebook(tmp_path / "a.ipynb", "runbook.act(run)")
        digest = run_digests.notebook_digest(path)
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.append(nbformat.v4.new_markdown_cell("more text"))
        notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="done")]
        notebook.cells[1].execution_count = 3
        nbformat.write(notebook, path)
        assert run_digests.notebook_digest(path) == digest
        notebook.cells[1].source = "runbook.act_otherwise(run)"
        nbformat.write(notebook, path)
        assert run_digests.notebook_digest(path) != digest


class TestOpening:
    """Continuing a run by its id, whoever does it."""

    def test_nothing_changed(self, begun, file):
        """A run that is what it was goes on without a word."""
        again = go_on(begun, file)
        assert again.last("changes") is None
        assert len(list(again.find("run-opened"))) == 2
        assert set(again.last("run-opened").fields["notebooks_sha256"]) >= {"30_cut_over_volume", "90_roll_back"}

    def test_a_changed_library_is_refused(self, begun, file, other_library):
        """Both digests and the way on are named, and the run folder is as it was."""
        before = content(begun)
        was = begun.last("run-opened").fields["library_sha256"]
        other_library()
        with pytest.raises(JournalError) as refused:
            go_on(begun, file)
        for text in (f"library: was {was[:12]}…, is ffffffffffff…", "Nothing was changed", "--accept-changes REASON",
                     f"runbook roll-back {begun.run_id}"):  # fmt: skip
            assert text in str(refused.value)
        assert refused.value.exit_code == 3
        assert content(begun) == before

    def test_accepted_with_a_reason(self, begun, file, other_library):
        """The reason is in the journal and in every report; from then on the run is what it is now."""
        other_library()
        journal = go_on(begun, file, accept_changes="hot fix 1.2.1, <CHG-8>")
        event = journal.last("changes").fields
        assert (event["reason"], event["accepted"]) == ("hot fix 1.2.1, <CHG-8>", "by a person")
        assert [change["what"] for change in event["changes"]] == ["library"]
        report = build_report(journal.events(), journal.run_id)
        assert "hot fix 1.2.1, &lt;CHG-8&gt;" in render_html(report)
        assert "The run went on although it changed" in render_markdown(report)
        go_on(begun, file)
        assert len(list(journal.find("changes"))) == 1

    def test_the_way_back_is_never_blocked_by_code(self, begun, file, other_library):
        """Rolling back goes on with a changed library, and the record says so, loudly."""
        other_library()
        journal = go_on(begun, file, way_back=True)
        assert journal.last("changes").fields["accepted"] == "because the way back is never blocked"
        report = build_report(journal.events(), journal.run_id)
        assert report["changes"][0]["changes"][0]["now"] == "f" * 64
        assert "The run went on although it changed" in render_html(report)

    def test_other_parameters_block_the_way_back_too(self, begun, file):
        """Going back with other parameters could be about another path: it needs a person's word."""
        alter(file, "volume", mount_path="/srv/other")
        with pytest.raises(JournalError, match="with other parameters"):
            go_on(begun, file, way_back=True)

    def test_other_parameters_accepted(self, begun, file):
        """The run's own file becomes the new one, the former is kept, and the record still verifies."""
        former = begun.read("parameters.yaml")
        seq = begun.last("run-opened").seq
        alter(file, "policy", outage_budget_s=77)
        with pytest.raises(JournalError, match=r"parameters: was(.|\n)*own parameters, .*parameters\.yaml"):
            go_on(begun, file)
        journal = go_on(begun, file, accept_changes="the budget was raised")
        assert journal.read(f"parameters.until-{seq}.yaml") == former
        assert parameters.load(journal.folder / "parameters.yaml").policy.outage_budget_s == 77
        journal.seal()
        assert verify(journal.folder).problems == ()
        assert journal.last("run-opened").fields["outage_budget_s"] == 77

    @pytest.mark.parametrize(
        ("section", "key", "value"),
        [("volume", "volume_id", "vol-0123456789abcdef0"), ("aws", "account_id", "999999999999"),
         ("aws", "region", "eu-west-1")],
    )  # fmt: skip
    def test_another_migration_is_never_accepted(self, begun, file, section, key, value):
        """Another volume, account or Region is another run, whatever the reason."""
        before = content(begun)
        alter(file, section, **{key: value})
        with pytest.raises(JournalError, match=f"{key} .*now '{value}'"):
            go_on(begun, file, accept_changes="please")
        assert content(begun) == before

    def test_a_release_with_a_new_key_changes_the_library_only(self, begun, file):
        """The run's own file, untouched, stays its parameters although this release would write it otherwise."""
        document = yaml.safe_load(begun.read("parameters.yaml"))
        del document["migration"]["policy"]["hold_limit_s"]
        digest = begun.write("parameters.yaml", yaml.safe_dump(document))
        opened = begun.last("run-opened").fields
        begun.append("run-opened", **(opened | {"parameters_sha256": digest}))
        journal = go_on(begun, begun.folder / "parameters.yaml")
        assert journal.last("changes") is None
        assert journal.last("run-opened").fields["parameters_sha256"] == digest

    def test_an_older_release_recorded_nothing(self, begun, file):
        """Where no digest was recorded, the library counts as changed."""
        opened = dict(begun.last("run-opened").fields)
        del opened["library_sha256"], opened["notebooks_sha256"]
        begun.append("run-opened", **opened)
        with pytest.raises(JournalError, match="library: was not recorded"):
            go_on(begun, file)
        go_on(begun, file, way_back=True)


class TestCommands:
    """The same through the command line; one kernel a test."""

    def test_a_changed_notebook(self, file, tmp_path):
        """Resuming with a changed notebook is refused and starts nothing; accepted, it runs and is shown."""
        first = write_notebook(tmp_path / "first.ipynb", "raise RuntimeError('no')")
        result = invoke("run", first, "-f", file)
        assert result.exit_code == 5
        (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/journal.jsonl"))
        journal = Journal(folder, None)
        was = run_digests.notebook_digest(first)
        write_notebook(first, "1")
        events = len(journal.events())
        refused = invoke("resume", folder.name, "-d", folder.parent)
        assert refused.exit_code == 3
        now = run_digests.notebook_digest(first)
        assert f"first.ipynb: was {was[:12]}…, is {now[:12]}…" in refused.output
        assert len(journal.events()) == events
        assert invoke("run", first, "--run-id", folder.name, "-d", folder.parent).exit_code == 3
        again = invoke("resume", folder.name, "-d", folder.parent, "--accept-changes", "mended, CHG-9")
        assert again.exit_code == 0, again.output
        assert "accepted by a person: mended, CHG-9" in again.output
        report = json.loads((folder / "report.json").read_text("utf-8"))
        assert report["changes"][0]["reason"] == "mended, CHG-9"
        assert "mended, CHG-9" in (folder / "report.html").read_text("utf-8")
        assert verify(folder).intact

    def test_what_a_kernel_opens_keeps_the_digests_of_other_notebooks(self, file, tmp_path):
        """A notebook that lies elsewhere is still compared after a kernel opened the run again."""
        other = write_notebook(tmp_path / "other.ipynb", "1")
        journal = create_run(parameters.load(file), reason="", execute=False, notebooks=[other])
        create_run(parameters.load(file), reason="", execute=False, run_id=journal.run_id)
        write_notebook(other, "2")
        with pytest.raises(JournalError, match=r"other\.ipynb: was"):
            create_run(parameters.load(file), reason="", execute=False, run_id=journal.run_id, notebooks=[other])
