"""Panic while a notebook cuts over in JupyterLab: from a terminal beside it, back to compose, nothing lost.

Tests of a panic button in a live card belong here, beside the terminal's.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(900)]


@pytest.fixture
def cutting_over(lab_page, lab, wait_until):
    """Return the notebook of a cutover that holds, opened and run in the page; everything slow before it is done."""
    lab.set_parameters({("policy", "hold_before_cutover"): True})
    code, said = lab.runbook("run", "00", "10", "20", "-f", "parameters/sandbox.yaml", "--execute", "--reason", "test")
    assert code == 0, said
    (run_id,) = lab.run_ids()
    lab.prepare("30", run_id)
    notebook = lab_page.open(f"notebooks/work/{run_id}/30_cut_over_volume.ipynb")
    notebook.run_all()

    def holds():
        return any((e["kind"], e.get("step_id")) == ("wait", "hold-cutover") for e in lab.events(run_id))

    wait_until(holds, "the cutover holds", timeout_s=120)
    return notebook


def test_panic_from_a_terminal_takes_the_service_back(lab_page, lab, cutting_over, wait_until):
    """The cell that ran is ended and says so; the run is rolled back, compose serves, no write is missing."""
    (run_id,) = lab.run_ids()
    lab_page.type_in_terminal(f"cd {lab.folder} && .venv/bin/runbook cut-over {run_id} --reason go")

    def stopping():
        return any(e.get("step_id") == "stop-source-service" for e in lab.events(run_id))

    wait_until(stopping, "the service is being stopped", timeout_s=120)
    lab_page.type_in_terminal(f".venv/bin/runbook panic {run_id} --yes --reason 'CHG-1 called off'")
    wait_until(lambda: lab.report(run_id)["status"] == "rolled_back", "the run is rolled back", timeout_s=240)
    lab_page.picture("panic-terminal")

    lab_page.go_to_tab("30_cut_over_volume")
    notebook = lab_page.notebook()
    notebook.wait_until_run()
    lab_page.picture("panic-notebook")
    assert notebook.never_run() > 0
    (panic,) = [event for event in lab.events(run_id) if event["kind"] == "panic"]
    assert panic["reason"] == "CHG-1 called off"
    assert panic["processes"] != []
    client = lab.sandbox.control("GET", "/_sandbox/client")
    assert client["missing"] == 0
    wait_until(
        lambda: lab.sandbox.control("GET", "/_sandbox/client")["acknowledged"] > client["acknowledged"],
        "compose serves again",
    )
