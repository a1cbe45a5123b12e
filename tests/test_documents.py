"""README, docs and configuration say what the code does."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from runbook_lib import errors
from runbook_lib.execute_names import MIGRATION
from tests.crash import strikes

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("parameters/*.md")])
CONDA_NAMES = {"docker": "docker-py", "playwright": "playwright-python"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def package_name(requirement):
    """Return the name a requirement begins with, in its normal form."""
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def test_conda_and_pip_users_get_the_same_packages():
    """environment.yml names the packages of pyproject.toml, plus Python, Terraform and pip."""
    declared = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    wanted = {CONDA_NAMES.get(package_name(d), package_name(d)) for d in declared}
    document = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    found = {package_name(d) for d in document["dependencies"] if isinstance(d, str)}
    assert found - {"python", "terraform", "pip"} == wanted
    assert {"python", "terraform", "pip"} <= found


def test_every_declared_package_is_locked_with_its_hash():
    """requirements.lock pins each declared package, and every pin has a hash."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pinned = {package_name(line) for line in lock.splitlines() if re.match(r"[a-z0-9]", line)}
    declared = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {package_name(d) for d in declared} <= pinned
    blocks = re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link of a page points to a file that exists."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_names_every_notebook():
    """The README's table has each notebook of the migration, retirement and rollback."""
    text = (ROOT / "README.md").read_text("utf-8")
    notebooks = [path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")]
    assert [name for name in notebooks if f"`{name}`" not in text] == []
    assert set(MIGRATION) <= set(notebooks)


def test_readme_gives_the_exit_codes_of_the_errors():
    """Each exit code that an error carries stands in the README."""
    line = (ROOT / "README.md").read_text("utf-8").partition("Exit codes:")[2].partition("\n\n")[0]
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.RunbookError)]
    assert {str(c.exit_code) for c in classes} <= set(re.findall(r"\b(\d)\b", line))


def journal_kinds():
    """Return every event kind that the library appends to the journal."""
    found = set()
    for path in (ROOT / "runbook_lib").glob("**/*.py"):
        if "sandbox" in path.parts or "host_scripts" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_append = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append"
            if is_append and node.args and isinstance(node.args[0], ast.Constant) and node.keywords:
                found.add(node.args[0].value)
    return found


def test_every_event_kind_is_documented():
    """docs/run-record.md lists each kind of journal event."""
    text = (ROOT / "docs" / "run-record.md").read_text("utf-8")
    kinds = journal_kinds()
    assert {"step", "outage", "manifest", "api-call"} <= kinds
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in text] == []


def test_no_path_of_a_developer_machine_is_committed():
    """No page names a home folder or a work folder of somebody's machine."""
    assert [str(p) for p in PAGES if re.search(r"(?<![\w.])/(home|Users|work)/", p.read_text("utf-8"))] == []


def test_the_guards_name_tests_that_exist():
    """Each of the seventeen dangers of docs/what-if.md names tests that are there."""
    text = (ROOT / "docs" / "what-if.md").read_text("utf-8")
    assert len(re.findall(r"(?m)^\| \d+ \|", text)) == 17
    named = re.findall(r"`([\w./]+)::(\w+)`", text)
    assert len(named) >= 17
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf'(?m)^(def {name}\(|run "{name}")', (ROOT / file).read_text("utf-8"))
    ]
    assert missing == []


def rows_of(text, step_id):
    """Return the rows of a step of the crash matrix, as lists of cells."""
    section = text.partition(f"\n#### `{step_id}`: ")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_answers_what_if_it_stops_here_for_every_step():
    """Each changing step has a full row for each strike, each other step is named, and no notebook is left out."""
    text = (ROOT / "docs" / "what-if.md").read_text("utf-8")
    for notebook in (path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")):
        section = text.partition(f"\n### {notebook}\n")[2].partition("\n### ")[0]
        for step_id in strikes.changing_steps(notebook):
            rows = rows_of(text, step_id)
            assert [row[0] for row in rows] == list(strikes.STRIKES), step_id
            assert [row for row in rows if not all(row)] == [], step_id
        ids = [step.step_id for step in strikes.procedure(notebook).STEPS]
        assert [step_id for step_id in ids if f"`{step_id}`" not in section] == [], notebook
