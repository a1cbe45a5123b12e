"""The outage benchmark's arithmetic: gaps, phases, the critical path, ratios, and reading what the ways print."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from benchmarks import outage_scale, outage_tools
from benchmarks.outage_path import by_phase, critical_path, total_s
from benchmarks.outage_scale import Point, growth, misses, reads, report_reads
from benchmarks.outage_scale import report as scale_report
from benchmarks.outage_table import (
    BEST_OTHER,
    OURS,
    PATH,
    PHASE_OF_STEP,
    PROVED_PATH,
    Cutover,
    Gap,
    Results,
    commands_inside,
    longest_gap,
    phase_table,
    phases_of_marks,
    phases_of_steps,
    table,
)
from benchmarks.outage_ways import ANSIBLE, BASH, marks_of
from runbook_lib.procedures import cut_over_volume
from runbook_lib.sandbox.latency import Latency

FOLDER = Path(outage_tools.REQUIREMENTS).parent
T0 = 1_800_000_000.0


def at(seconds):
    """Return a moment after T0 as the journal writes it."""
    return datetime.fromtimestamp(T0 + seconds, tz=UTC).isoformat()


def step(step_id, seconds, status="succeeded"):
    """Return a journal line of a step that ended then."""
    return {"kind": "step", "step_id": step_id, "status": status, "at_utc": at(seconds)}


def cutover(way, seconds, **changes):
    """Return a cutover with an outage of so many seconds."""
    commands = [("stop_compose", 0.5)] * 4
    made = Cutover(way, Gap(T0, T0 + seconds), {"all of it": seconds}, commands, 0.25, acknowledged=100, missing=0)
    return dataclasses.replace(made, **changes)


def results(*cutovers):
    """Return results with these cutovers."""
    made = Results(10.0, 12.0)
    for one in cutovers:
        made.cutovers.setdefault(one.way, []).append(one)
    return made


def test_the_outage_is_the_longest_time_without_an_acknowledged_write():
    assert longest_gap([0, 0.05, 0.1, 9.1, 9.15], since=0.08) == Gap(0.1, 9.1)


def test_a_gap_that_ended_before_the_cutover_does_not_count():
    assert longest_gap([0, 50, 50.1, 53.1, 53.2], since=50.05) == Gap(50.1, 53.1)


def test_no_answer_after_the_cutover_is_no_measurement():
    with pytest.raises(ValueError, match="never answered again"):
        longest_gap([0, 1, 2], since=3)


def test_the_critical_path_is_made_of_the_latency_table_alone():
    """Every figure in it counts, once and whole, and nothing else does."""
    aws = Latency.named("aws")
    legs = critical_path(aws)
    parts = (aws.ssm_delivery_s, aws.detach_s, aws.attach_s, aws.schedule_s, aws.container_start_s, aws.tick_s)
    assert total_s(legs) == pytest.approx(sum(parts))
    assert sum(by_phase(legs).values()) == pytest.approx(total_s(legs))
    slower = critical_path(dataclasses.replace(aws, detach_s=aws.detach_s + 5))
    assert by_phase(slower)["detach"] == pytest.approx(by_phase(legs)["detach"] + 5)


def test_the_proof_before_the_start_costs_a_container():
    """Nothing else: its command is delivered while EC2 detaches, and the volume is attached once."""
    aws = Latency.named("aws")
    longer = total_s(critical_path(aws, proof=True)) - total_s(critical_path(aws))
    assert longer == pytest.approx(aws.container_start_s)


def test_without_latencies_the_critical_path_is_only_the_reconcilers_pause():
    none = Latency.named("none")
    assert total_s(critical_path(none)) == none.tick_s


def test_phases_of_a_journal_add_up_to_the_outage():
    """What a step began before the outage, and what follows the first answer, is cut off."""
    events = [
        step("take-hot-manifest", -5),
        {"kind": "api-call", "at_utc": at(1.1)},
        step("stop-source-service", 2.0),
        step("create-rollback-point", 2.1),
        step("detach-volume", 2.2, "running"),
        step("detach-volume", 5.5),
        step("name-volume", 5.6),
        step("verify-before-start", 9.6),
        step("start-target-service", 14.0),
    ]
    phases = phases_of_steps(events, Gap(T0, T0 + 13.0))
    expected = {
        "stop and unmount": 2.0,
        "rollback point": 0.1,
        "detach": 3.4,
        "name": 0.1,
        "attach": 4.0,
        "start": 3.4,
    }
    assert phases == pytest.approx(expected)


def test_every_step_of_the_cutover_inside_the_outage_has_its_phase():
    inside = {one.step_id for one in cut_over_volume.STEPS if one.in_outage}
    assert inside == set(PHASE_OF_STEP)


def test_host_commands_count_inside_the_outage_only():
    ran = [(-1, "a"), (0.5, "b"), (3, "c"), (9, "d")]
    events = [{"kind": "host-command", "at_utc": at(s), "script": name, "duration_s": s} for s, name in ran]
    assert commands_inside(events, Gap(T0, T0 + 8)) == [("b", 0.5), ("c", 3)]


def test_marks_are_read_from_plain_lines_and_from_what_ansible_prints():
    output = 'TASK [x] ***\n    "msg": "phase 1800000001.25 snapshot"\nphase 1800000002.5 detach\nphase of the moon\n'
    assert marks_of(output) == [(1800000001.25, "snapshot"), (1800000002.5, "detach")]


def test_marked_phases_add_up_to_the_outage():
    marks = [(T0 - 3, "stop"), (T0 + 2, "detach"), (T0 + 6, "start"), (T0 + 20, "end")]
    phases = phases_of_marks(marks, Gap(T0, T0 + 10))
    assert phases == pytest.approx({"stop": 2, "detach": 4, "start": 4})


def test_both_other_ways_mark_the_phase_in_which_the_service_starts():
    """Without marks a way's outage could not be broken down; both files print them in the same words."""
    playbook = (FOLDER / "cut_over.yaml").read_text("utf-8")
    assert "\nphase start\n" in (FOLDER / "cut_over.sh").read_text("utf-8")
    assert 'phase {{ now(utc=true).timestamp() }} start"' in playbook
    assert yaml.safe_load(playbook)[0]["hosts"] == "localhost"
    assert isinstance(yaml.safe_load((FOLDER / "run_on_source.yaml").read_text("utf-8")), list)


def test_ratios_compare_medians_with_the_path_and_with_the_best_other_way():
    made = results(
        *(cutover(OURS, s) for s in (11, 12, 40)), *(cutover(BASH, s) for s in (90, 95)), cutover(ANSIBLE, 30)
    )
    assert made.ratios() == pytest.approx({PATH: 1.2, PROVED_PATH: 1.0, BEST_OTHER: 0.4})
    assert made.misses() == []


@pytest.mark.parametrize(
    ("made", "missed"),
    [
        (results(cutover(OURS, 12.6), cutover(BASH, 90)), ["1.26 x the critical path"]),
        (results(cutover(OURS, 12), cutover(ANSIBLE, 20)), ["0.60 x the best other"]),
        (results(cutover(OURS, 12, missing=3), cutover(ANSIBLE, 30)), ["lost 3 acknowledged writes"]),
        (results(cutover(OURS, 12), cutover(BASH, 90, missing=1)), [f"{BASH} lost 1"]),
    ],
)
def test_a_missed_ratio_and_a_lost_write_are_told(made, missed):
    assert len(made.misses()) == 1
    assert all(part in made.misses()[0] for part in missed)


def test_the_table_has_every_way_with_its_rounds_and_the_sandbox_s_share():
    text = table(results(cutover(OURS, 12), cutover(OURS, 13), cutover(BASH, 90)))
    assert "| critical path | 10.00 | | | 1.25 x |" in text
    assert f"| {OURS} | 12.50 | 12.00, 13.00 | 1.00 |  |" in text
    assert f"| {BASH} | 90.00 | 90.00 | 1.00 | 0.14 x |" in text


def test_the_phase_table_stands_beside_the_critical_path():
    one = cutover(OURS, 5, phases={"detach": 3.5, "manifest": 1.5})
    text = phase_table([one], {"detach": 3.0, "attach": 3.0})
    assert "| detach | 3.50 | 3.00 |" in text
    assert "| manifest | 1.50 | 0.00 |" in text
    assert "| attach | 0.00 | 3.00 |" in text
    assert "| detach | 3.50 |\n" in phase_table([one]) + "\n"


def test_growth_is_told_per_million_files_and_per_gib():
    points = [
        Point(0, 0, 10.0, 0.1, 0.2, 4.0),
        Point(100_000, 0, 11.0, 9.0, 0.7, 4.5),
        Point(300_000, 0, 13.0, 30.0, 1.7, 5.5),
        Point(0, 1024, 10.0, 2.0, 0.2, 4.0),
        Point(0, 2048, 10.5, 4.0, 0.2, 4.0),
    ]
    per_million, per_gib = growth(points)
    assert (per_million, per_gib) == pytest.approx((10.0, 0.25))
    assert misses(points) == []
    assert "10.0 s per million files, extrapolated from at most 300,000" in scale_report(points, cold=True)
    assert misses([*points, Point(600_000, 0, 40.0, 1.0, 9.0, 20.0)])


def test_the_two_reads_are_measured_outside_the_sandbox_too(monkeypatch):
    """The caches of the machine that runs the tests are left alone."""
    monkeypatch.setattr(outage_scale, "drop", lambda _folder: "kept")
    warm, cold = reads(20)
    assert warm > 0
    assert cold > 0
    text = report_reads([(100_000, 0.5, 0.6), (300_000, 1.5, 1.8)])
    assert "both reads take 11.0 s per million files" in text
    assert "| 300,000 | 1.50 | 1.80 |" in text


def test_without_an_index_the_error_says_what_to_do(monkeypatch, tmp_path):
    """A folder that cannot be made stands for every failed installation: nothing is half installed, and it is told."""
    (tmp_path / "in-the-way").write_text("a file")
    monkeypatch.setattr(outage_tools, "HOME", tmp_path / "in-the-way" / "tools")
    with pytest.raises(outage_tools.ToolsMissingError, match="--ways runbook"):
        outage_tools.bin_dir()
