"""Sequences of what can happen to a migration, in any order, and what must be true after each of them.

Between two commands of an operator there may be faults, somebody's hand in EC2, a host without power, another operator.
Every command may be killed, refused or left without an answer at any step. Whatever happened: at most one container
ever writes to the volume, nothing acknowledged is lost, and who is stuck was told what to do; doing that helps.
"""

from __future__ import annotations

import re
import signal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runbook_lib.procedures.observations import SOURCE_DEVICE_TAG
from tests.crash.strikes import KILLED, STRIKES, changing_steps
from tests.fuzz.driver import PAUSED
from tests.fuzz.incidents import BY_HAND, FAULTS, by_hand, switch_on
from tests.fuzz.town import DEVICE, LONG_PATIENCE_S

FORWARD = ("20_snapshot_volume", "30_cut_over_volume", "40_verify_persistence")
ROLL_BACK = "90_roll_back"
CUT_OVER_STEPS = changing_steps("30_cut_over_volume")
STEPS = [(notebook, step_id) for notebook in FORWARD for step_id in changing_steps(notebook)]
CHANGED = re.compile(r"Changed: (no|maybe|yes)\.|[Nn]othing was changed")
NEXT = re.compile(r"^next  |Fix: |`runbook |\b[Rr]un again\b|\bthen run again", re.MULTILINE)
ATTEMPTS = 5

steps_forward = st.one_of(
    st.sampled_from([("30_cut_over_volume", one) for one in CUT_OVER_STEPS]), st.sampled_from(STEPS)
)
steps_back = st.sampled_from(changing_steps(ROLL_BACK))


class Sequences(RuleBasedStateMachine):
    """One sequence: some rules, then the faults are cleared and an operator does what the messages say."""

    town = None
    """The worker's town; set before a sequence begins."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.run_id = self.other_id = ""  # of whom the commands are, and of who was taken over from

    # -- what an operator does ----------------------------------------------------------------------------------

    @initialize(ending=st.sampled_from(["resume", "roll back"]), cut_over=st.sampled_from([False, False, True]))
    def open_run(self, ending, cut_over):
        """Open a run in which 00 and 10 are done, or the cutover is."""
        self.ending = ending
        self.run_id = self.town.new_run()
        if cut_over:
            self.go_on(FORWARD[1])

    @rule(to=st.sampled_from([*FORWARD[:2], *FORWARD[1:2], *FORWARD]))
    def go_on(self, to):
        """Run the next notebooks, up to one."""
        self.command("run", *self.next_notebooks(to), "--run-id", self.run_id, "--execute")

    @rule(where=steps_forward, strike=st.sampled_from(STRIKES))
    def go_on_struck(self, where, strike):
        """Run the next notebooks; something strikes one of their steps."""
        notebook, step_id = where
        argv = ("run", *self.next_notebooks(notebook), "--run-id", self.run_id, "--execute")
        self.command(*argv, step_id=step_id, strike=strike)

    @precondition(lambda self: self.told)
    @rule()
    def resume(self):
        """Go on with what was asked for."""
        self.command("resume", self.run_id)

    @rule()
    def roll_back(self):
        """Roll back, from whatever state."""
        self.command("roll-back", self.run_id, "--execute")

    @rule(step_id=steps_back, strike=st.sampled_from(STRIKES))
    def roll_back_struck(self, step_id, strike):
        """Roll back; something strikes one of the steps."""
        self.command("roll-back", self.run_id, "--execute", step_id=step_id, strike=strike)

    # -- what happens beside ------------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(sorted(FAULTS)), after_calls=st.sampled_from([0, 0, 3, 20]), times=st.integers(1, 4))
    def add_fault(self, fault, after_calls, times):
        """Something of AWS, a host or the application fails, now or later, so many times."""
        switched = switch_on(self.town, fault, after_calls, times)
        self.told.append(
            f"fault {fault}, after {after_calls} calls, {times} times{'' if switched else ': not possible'}"
        )

    @rule()
    def clear_faults(self):
        """Whatever failed works again."""
        self.told.append("faults cleared")
        self.town.clear_faults()

    @rule(what=st.sampled_from(sorted(BY_HAND)))
    def hand(self, what):
        """Somebody does something in EC2 by hand."""
        self.told.append(f"by hand: {what}{'' if by_hand(self.town, what) else ': EC2 refused'}")

    # -- a second operator --------------------------------------------------------------------------------------

    @rule(
        where=steps_forward, asks=st.sampled_from(["run 30", "roll back"]), then=st.sampled_from(["goes on", "killed"])
    )
    def second_operator(self, where, asks, then):
        """A second operator comes while the first one's step is about to begin; the first goes on, or is killed."""
        notebook, step_id = where
        argv = ("run", *self.next_notebooks(notebook), "--run-id", self.run_id, "--execute")
        pid = self.town.begin(*argv, *self.archive(), step_id=step_id, strike=PAUSED)
        if not self.town.is_paused(pid):
            self.must_say(argv, self.town.end(pid))
            return
        before = self.town.where()
        second = self.town.new_run()
        ended = self.ask(second, asks)
        self.must(ended.exit_code == 3 and self.run_id in ended.output, "the second was not refused by name", ended)
        said = self.take_over()
        self.must(said.exit_code == 3 and "cannot be taken over" in said.output, "a living lease was taken", said)
        # the first one's command that verifies the volume waits on the target, and takes it when it is free
        taken = {"volume": "target"} if step_id == "verify-before-start" else {}
        after = self.town.where()
        self.must(after in (before, before | taken), f"the refused one changed something: {before} {after}")
        ended = self.town.kill(pid) if then == "killed" else self.town.let_go(pid)
        self.must_say(
            (*argv, f"paused at {step_id}, second asked, {then}"), ended, strike=KILLED[0] if then == "killed" else ""
        )

    @precondition(lambda self: self.town.dead_holder())
    @rule(asks=st.sampled_from(["run 30", "roll back"]))
    def heir(self, asks):
        """A second operator comes after the first was killed: refused, until the dead one's lease is taken over."""
        dead_id, second = self.town.dead_holder(), self.town.new_run()
        ended = self.ask(second, asks)
        explained = "lease take-over" in ended.output and f"runbook status {dead_id}" in ended.output
        self.must(ended.exit_code == 3 and explained, "a dead holder was not respected", ended)
        said = self.take_over()
        self.must(said.exit_code == 0, "a dead lease could not be taken over", said)
        self.run_id, self.other_id = second, dead_id
        self.must_say((asks, second, "after taking over"), self.ask(second, asks))

    @precondition(lambda self: self.other_id and not self.town.dead_holder())
    @rule()
    def first_operator_returns(self):
        """The operator whose run was taken over goes on with it as if nothing had been."""
        self.run_id, self.other_id = self.other_id, self.run_id
        self.command("resume", self.run_id)

    # -- what must be true --------------------------------------------------------------------------------------

    @invariant()
    def one_writer_and_every_write(self):
        """Nobody wrote beside another, nobody beside the volume; who serves shows every acknowledged write."""
        problems = self.town.writers.problems()
        self.must(not problems, "; ".join(problems))
        missing = self.town.missing()
        if missing:
            self.must(False, f"{missing} acknowledged writes are not there; {self.town.where()}")

    def teardown(self):
        """Do what the messages say until the service serves to the end of the way that was chosen; then go back."""
        if not self.run_id or self.town.is_broken:
            return
        self.town.is_broken = True  # until it is shown that it is not
        self.told.append(f"the end: {self.ending}")
        if self.ending == "resume":
            self.follow("resume")
            self.serves()
        self.follow("roll back")
        self.serves()
        where = self.town.where()
        self.must((where["volume"], where["serving"]) == ("source", "compose"), f"not back: {where}")
        self.town.as_at_first()
        self.town.is_broken = False

    def follow(self, way):
        """Mend what was named, then run the command that was printed, until one ends well."""
        for self.attempt in range(ATTEMPTS):
            self.town.mend()
            argv = ("resume", self.run_id) if way == "resume" else ("roll-back", self.run_id, "--execute")
            ended = self.command(*argv, patience_s=LONG_PATIENCE_S)
            if ended.exit_code == 0:
                return
            if "take-over" in ended.output:
                said = self.take_over()
                self.must(said.exit_code == 0, "told to take over, but could not", said)
            self.do_what_it_says(ended.output)
            if way == "resume" and self.attempt > 0 and "roll-back" in ended.output:
                self.follow("roll back")
                return
        self.must(False, f"{way} does not end although its messages were followed {ATTEMPTS} times", ended)

    def do_what_it_says(self, output):
        """Do by hand what a message asks for, where no command of the runbook does it."""
        flat = " ".join(output.split())
        by_hand = re.search(r"`aws ec2 detach-volume --volume-id (\S+) --instance-id (\S+)`", flat)
        if by_hand and self.attempt == 0:
            self.town.by_hand("detach_volume", VolumeId=by_hand[1], InstanceId=by_hand[2])
        elif "replace the container instance" in flat:
            self.town.replace_target()
        if "unmount the volume on the source" in flat:
            self.town.unmount_source()
        if f"set the tag {SOURCE_DEVICE_TAG}" in flat:
            tag = {"Key": SOURCE_DEVICE_TAG, "Value": DEVICE}
            self.town.by_hand("create_tags", Resources=[self.town.volume_id], Tags=[tag])

    def serves(self):
        """Somebody serves, with every acknowledged write."""
        try:
            self.town.wait(lambda: self.town.missing() is not None, "somebody serves")
        except AssertionError as late:
            self.must(False, f"{late}; {self.town.where()}; {self.town.status()}")
        self.one_writer_and_every_write()

    # -- how it is asked ----------------------------------------------------------------------------------------

    def archive(self):
        return ("-d", self.town.archive)

    def ask(self, run_id, asks):
        """Run a second operator's command."""
        words = ("run", *FORWARD[:2], "--run-id", run_id) if asks == "run 30" else ("roll-back", run_id)
        return self.town.command(*words, "--execute", *self.archive())

    def take_over(self):
        return self.town.command("lease", "take-over", "-f", self.town.parameters, "--reason", "its machine burned")

    def command(self, *argv, **strike):
        """Run a command of the first operator; check what it said."""
        ended = self.town.command(*argv, *self.archive(), **strike)
        self.must_say(
            (*argv, *filter(None, (strike.get("step_id"), strike.get("strike")))), ended, strike.get("strike", "")
        )
        return ended

    def next_notebooks(self, to):
        """Return the notebooks up to one that this run has not completed since it last went back, at least that one."""
        done = self.town.completed(self.run_id)
        return [one for one in FORWARD if one == to or (one < to and one not in done)]

    def must_say(self, argv, ended, strike=""):
        """Check that a command that did not end well said what failed, whether anything changed, and what to do."""
        self.told.append(f"{' '.join(map(str, argv))}\n    -> {ended.exit_code} {last_lines(ended.output)}")
        if ended.exit_code == -signal.SIGKILL:
            self.must(strike in KILLED, "killed by nobody", ended)
            said = self.town.command("status", self.run_id, *self.archive())
            self.must("runbook resume" in said.output and self.run_id in said.output, "status leads nowhere", said)
            return
        self.must(ended.exit_code in {0, 3, 4}, "a defect", ended)
        if ended.exit_code:
            self.must(CHANGED.search(ended.output), "nothing says whether anything changed", ended)
            self.must(NEXT.search(ended.output), "nothing says what to do next", ended)

    def must(self, condition, what, ended=None):
        """Fail with everything that happened."""
        if not condition:
            output = f"\n--- output:\n{ended.output}" if ended is not None else ""
            story = "\n  ".join(self.told)
            raise AssertionError(f"{what}\n--- what happened (run {self.run_id}):\n  {story}{output}")


def last_lines(output):
    """Return what a command said last that matters, in one line."""
    lines = [line.strip() for line in output.splitlines() if "failed" in line or "Changed" in line]
    return " | ".join(lines[-2:])[:400]
