"""An approval in JupyterLab: the cell stops, somebody else says yes on the card, and the notebook goes on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.lab_page import ERROR

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]
POLICY = {"required": 1, "notebooks": ["20_snapshot_volume"]}


@pytest.fixture
def as_bob(lab):
    """Let Alice be who runs things; return the profile with which Bob says yes."""
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
    return "bob"


def test_a_cell_waits_for_somebody_else(lab_page, lab, as_bob):
    """The step that would act fails and says how to approve; the card is dead until all is typed; then it runs on."""
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
    assert re.findall(rf"runbook approve {run_id} --digest (\w+)", said) != []
    notebook.panel.locator(ERROR).scroll_into_view_if_needed()
    lab_page.picture("waits-for-approval")

    lab_page.go_to_tab("00_inspect_source")  # a working copy: what is written there is nobody's change
    beside = lab_page.notebook("00_inspect_source")
    beside.scroll_to("inspect_writers(run)")
    card = beside.insert_below("inspect_writers(run)", f"runbook.approval_card({run_id!r})")
    button = card.get_by_role("button", name="Approve")
    page = card.frame_locator("iframe")
    expect(page.get_by_role("heading", name="Point of no return, and the way back")).to_be_visible()
    button.scroll_into_view_if_needed()
    lab_page.pictures("approval-card")
    for label, text in (("The service's name", "wiki"), ("Why it is right", "looked at it")):
        card.get_by_label(label).fill(text)
    expect(card).to_contain_text("Type the service's name, guestbook, to approve")
    expect(button).to_be_disabled()
    card.get_by_label("The service's name").fill("guestbook")
    card.get_by_label("Your AWS profile").fill(as_bob)
    expect(button).to_be_enabled()
    button.click()
    expect(card).to_contain_text(re.compile(r"Approved by \S+user/bob as "))
    expect(button).to_be_disabled()
    lab_page.picture("approved")
    lab_page.go_to_tab(name)
    notebook.run_all()

    assert (notebook.wait_until_run(), notebook.never_run()) == ([], 0)
    assert [one["state"] for one in lab.report(run_id)["approvals"]] == ["used"]
