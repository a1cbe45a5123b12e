"""The outage as users see it is watched whatever else goes wrong."""

from __future__ import annotations

from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.probe import OutageProbe


def test_a_look_that_cannot_find_the_address_does_not_end_the_watch(url, wait_until):
    """AWS may fail to name the address once; the outage still ends when the service answers."""
    looks = []

    def urls():
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("throttled")
        return ["http://127.0.0.1:9/"] if len(looks) == 2 else [url]

    probe = OutageProbe(Clock(), urls, urls_every_s=0)
    probe.start(last_success=Clock().now_utc())
    try:
        facts = wait_until(lambda: probe.facts()["outage_s"] is not None and probe.facts(), "the service answers")
    finally:
        probe.stop()
    assert facts["failures"] == 2  # the one it began with, and the one it saw; the look that failed says nothing


def test_a_service_that_was_down_from_the_beginning_is_seen_to_answer(url, wait_until):
    """A way back may begin when the service hangs already; its end must be seen, or the step waits for nothing."""
    looks = []

    def urls():
        looks.append(1)
        return ["http://127.0.0.1:9/"] if len(looks) < 3 else [url]

    probe = OutageProbe(Clock(), urls, urls_every_s=0)
    probe.start()
    try:
        facts = wait_until(lambda: probe.facts()["outage_s"] is not None and probe.facts(), "the service answers")
    finally:
        probe.stop()
    assert (facts["last_success_utc"], facts["failures"], facts["outage_s"] > 0) == ("", 2, True)


def test_the_addresses_are_not_asked_for_at_every_look(wait_until):
    """Finding them takes four API calls: at every look they would be twenty a second, enough to be throttled."""
    asked = []

    def urls():
        asked.append(1)
        return ["http://127.0.0.1:9/"]

    probe = OutageProbe(Clock(), urls, urls_every_s=3600)
    probe.start()
    try:
        wait_until(lambda: probe.facts()["failures"] > 3, "it looked several times")
    finally:
        probe.stop()
    assert len(asked) == 1
