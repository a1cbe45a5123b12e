"""An approval in JupyterLab: the cell stops, says what to do, and goes on once somebody else said yes."""

from __future__ import annotations

import re

import pytest

from tests.browser.lab_page import ERROR

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]
POLICY = {"required": 1, "notebooks": ["20_snapshot_volume"]}


@pytest.fixture
def as_bob(lab):
    """Let Alice be who runs things; return what to add to a command so that Bob does it."""
    iam, lines = lab.sandbox.client("iam"), []
    for name in ("alice", "bob"):
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        lines += [f"[{name}]", f"aws_access_key_id = {key['AccessKeyId']}"]
        lines += [f"aws_secret_access_key = {key['SecretAccessKey']}"]
    file = lab.folder / ".sandbox" / "people"
    file.write_text("\n".join(lines), "utf-8")
    credentials = {("aws", "profile"): "alice", ("aws", "credentials_file"): str(file)}
    lab.set_parameters({("policy", "approvals"): POLICY} | credentials)
    return ("--profile", "bob", "--credentials-file", file)


def test_a_cell_waits_for_somebody_else(lab_page, lab, as_bob):
    """The step that would act fails with the command to approve; after it, the same notebook runs to its end."""
    start = lab_page.open()
    start.run("import runbook_lib")
    links = start.run('execute=True, reason="my first migration"')
    for name in ("00_inspect_source", "20_snapshot_volume"):
        lab_page.go_to_tab("start_here")
        links.get_by_role("link", name=name).click()
        notebook = lab_page.notebook(name)
        notebook.restart_and_run_all()
        errors = notebook.wait_until_run()
    (run_id,) = lab.run_ids()
    (said,) = errors
    (digest,) = set(re.findall(rf"runbook approve {run_id} --digest (\w+)", said))
    notebook.panel.locator(ERROR).scroll_into_view_if_needed()
    lab_page.picture("waits-for-approval")

    code, said = lab.runbook("approve", run_id, "--digest", digest, "--reason", "looked at it", *as_bob)
    assert (code, "user/bob" in said) == (0, True), said
    notebook.run_all()

    assert (notebook.wait_until_run(), notebook.never_run()) == ([], 0)
    assert [one["state"] for one in lab.report(run_id)["approvals"]] == ["used"]
