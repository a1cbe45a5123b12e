"""The migration as a person does it: the start page's links, notebooks run by hand, whatever happens to the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from runbook_lib.execute_names import MIGRATION

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1200)]
RELOADED, RESTARTED = "30_cut_over_volume", "40_verify_persistence"
POLICY = {("policy", "outage_budget_s"): 600, ("policy", "bake_time_s"): 0}
"""The page is loaded again inside the outage, on a machine that may be busy; then nobody watches for five minutes."""


@pytest.fixture
def wait_for_step(lab, wait_until):
    """Return a function that waits until a step of the only run has a status in its record."""

    def wait(step_id, status):
        (run_id,) = lab.run_ids()

        def seen():
            events = (event for event in lab.events(run_id) if event["kind"] == "step")
            return any((event["step_id"], event["status"]) == (step_id, status) for event in events)

        wait_until(seen, f"{step_id} {status}", timeout_s=240)

    return wait


def test_from_compose_to_ecs_by_hand(lab_page, lab, wait_for_step):
    """By links, mouse and keyboard to the end; a reload in the outage and a restarted kernel lose nothing."""
    lab.set_parameters(POLICY)
    start = lab_page.open()
    start.run("import runbook_lib")
    links = start.run('execute=True, reason="my first migration"')
    expect(links.get_by_role("link")).to_have_text(list(MIGRATION))
    lab_page.picture("prepared")
    notebook = start
    for number, name in enumerate(MIGRATION):
        if number % 3:
            notebook = notebook.go_on(name)
        elif MIGRATION.index(RELOADED) < number:  # a page loaded again has no links; the run's folder is shown
            lab_page.open_from_folder(name)
            notebook = lab_page.notebook(name)
        else:
            lab_page.go_to_tab("start_here")
            links.get_by_role("link", name=name).click()
            notebook = lab_page.notebook(name)
        begin = notebook.run_all if number % 2 else notebook.restart_and_run_all
        begin()
        if name == RELOADED:
            wait_for_step("stop-source-service", "succeeded")
            notebook = lab_page.reload(name)
            notebook.run_all()
        if name == RESTARTED:
            wait_for_step("replace-instance", "running")
            notebook.restart()
            notebook.run_all()
        assert notebook.wait_until_run() == [], name
        assert notebook.never_run() == 0, name
        lab_page.picture(name)
        notebook.save()

    (run_id,) = lab.run_ids()
    report = lab.report(run_id)
    assert (report["status"], report["data"]["identical"]) == ("succeeded", True)
    assert lab.sandbox.control("GET", "/_sandbox/client")["missing"] == 0
    retire(lab_page, lab, run_id)


def retire(lab_page, lab, run_id):
    """Retire the source: nothing happens until the service's name is typed; then the same cell goes on."""
    lab.prepare("50", run_id)
    lab_page.open_from_folder("50_retire_source")
    notebook = lab_page.notebook("50_retire_source")
    notebook.run_all()
    (refused,) = notebook.wait_until_run()
    assert "only a restore from the rollback point goes back" in refused
    expect(notebook.panel.locator(".runbook-ended")).to_contain_text("It stopped at a cell")
    asked = notebook.output("retire_mount(run)")
    confirm = asked.get_by_role("button", name="Confirm")
    expect(confirm).to_be_disabled()
    asked.get_by_label("The service's name").fill("guestbook")
    lab_page.picture("type-the-name")
    confirm.click()
    expect(asked).to_contain_text("Run this cell again")
    notebook.run_all()
    assert (notebook.wait_until_run(), notebook.never_run()) == ([], 0)
    assert [event["service"] for event in lab.events(run_id) if event["kind"] == "confirmation"] == ["guestbook"]
