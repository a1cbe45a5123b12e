"""Approvals: what is stopped, who may say yes, what makes a yes void, and what happens without one."""

from __future__ import annotations

import os

import pytest

from runbook_lib import approval, parameters, run_approval
from runbook_lib.approval_digest import digest_of, find_parts
from runbook_lib.archive import verify
from runbook_lib.errors import ApprovalError, AwsError, JournalError, ObservationError, ParameterError, TerraformError
from runbook_lib.run_attempt import runner_fields
from tests.approval_desk import ALICE, BOB, CAROL, PLAN, PROVISION, PULL, STOP
from tests.parameter_sets import SANDBOX, changed
from tests.sample_run import digest


class TestStopping:
    """What is stopped, and what is said."""

    @pytest.mark.parametrize("policy", [{"required": 0}, {"notebooks": ["30_cut_over_volume"]}])
    def test_nothing_is_asked_where_the_policy_wants_nothing(self, desk, policy):
        """Without a number, or for another notebook, nobody is asked and nothing noted."""
        one = desk(**policy)
        before = one.journal.events()
        one.confirm()
        assert (one.journal.events(), one.asked_sts) == (before, 0)

    def test_the_first_act_is_stopped(self, desk):
        """It ends with 6 and nothing changed, says what is missing and which commands go on, and notes it."""
        one = desk(required=2)
        with pytest.raises(ApprovalError) as stopped:
            one.confirm()
        (request,) = one.kinds("approval-request")
        assert (stopped.value.exit_code, stopped.value.changed) == (6, "no")
        for text in ("needs 2 approvals and has 0", request["digest"], "runbook approve", "runbook resume"):
            assert text in str(stopped.value)
        assert request["requester"]["arn"] == ALICE
        assert request["parts"]["Terraform plan"] == PLAN
        assert request["about"]["rolls_back_with"].startswith("terraform destroy")

    def test_the_same_is_asked_for_once(self, desk):
        """Coming again without an approval asks neither STS nor the approvers anew, whoever comes."""
        one = desk()
        one.stopped_at()
        one.at_keyboard = BOB
        one.stopped_at()
        assert (len(one.kinds("approval-request")), one.asked_sts) == (1, 1)

    def test_who_asks_must_be_known(self, desk, monkeypatch):
        """When AWS does not say who asks, nothing is asked for and nothing changed."""
        one = desk()

        def no_answer():
            raise AwsError("GetCallerIdentity", "ExpiredToken", "expired")

        monkeypatch.setattr(one, "_caller", no_answer)
        with pytest.raises(ObservationError, match="does not say who asks"):
            one.confirm()
        assert one.kinds("approval-request") == []


class TestSayingYes:
    """Who may approve, and what an approval lets pass."""

    def test_it_goes_on(self, desk):
        """After somebody else's yes the act passes, and so do the acts behind it; its use is noted once a process."""
        one = desk()
        one.stopped_at()
        event, decision = one.approve(BOB, reason="CHG-7", role="")
        assert (event.fields["role"], event.fields["request_id"], decision.missing) == ("approver", "request-bob", 0)
        one.confirm()
        one.confirm(PULL)
        assert [used["by"] for used in one.kinds("approval-used")] == [[BOB]]
        one.confirm(process="another")
        assert len(one.kinds("approval-used")) == 2
        assert verify(one.journal.folder).problems[0].startswith("report.json: made from"), "it went on after the seal"

    def test_who_asked_may_not(self, desk):
        """Nobody approves what they asked for, unless the policy lets them."""
        one = desk()
        one.stopped_at()
        with pytest.raises(JournalError, match="asked for this itself"):
            one.approve(ALICE)
        assert one.kinds("approval") == []

    def test_who_asked_may_where_the_policy_says_so(self, desk):
        """`requester_may_approve` is for teams of one."""
        one = desk(requester_may_approve=True)
        one.stopped_at()
        one.approve(ALICE)
        one.confirm()

    def test_a_yes_of_the_asking_person_never_counts(self, desk):
        """Also when it got into the journal by another way: the gate decides again."""
        one = desk()
        one.stopped_at()
        event, _ = one.approve(BOB)
        one.journal.append("approval", **{**event.fields, "approver": ALICE})
        one.journal.append("approval", **{**event.fields, "approver": ALICE, "digest": "0"})
        two = approval.decide(one.journal.events(), event.fields["parts"], approval.Terms(2), one.story.now)
        assert (two.missing, {why for _, why in two.void}) == (
            1,
            {"given by who asked for it (policy.approvals.requester_may_approve is false)"},
        )

    def test_a_yes_that_nobody_asked_for_never_counts(self, desk):
        """An approval of something that was never asked for is no approval, also when it fits."""
        one = desk()
        one.stopped_at()
        event, _ = one.approve(BOB)
        other = find_parts(one.journal.events(), "30_cut_over_volume")
        one.journal.append("approval", **{**event.fields, "notebook": "30_cut_over_volume", "parts": other})
        assert "nobody had asked for it" in one.stopped_at(STOP)

    def test_two_who_take_turns_are_not_in_each_others_way(self, desk):
        """Who asks for the next plan may be who approved the last one; acts that apply none go on under either."""
        one = desk()
        one.stopped_at()
        other = run_approval.Act(PROVISION.step_id, PROVISION.notebook, digest("another plan"))
        one.at_keyboard = BOB
        one.stopped_at(other)
        one.approve(ALICE)
        one.confirm(other)
        one.confirm(PULL)
        assert [used["by"] for used in one.kinds("approval-used")] == [[ALICE]]

    def test_one_yes_covers_an_act_and_the_plan_behind_it(self, desk):
        """A step that knows the plan of a later one asks for both at once; made anew, the plan must be the same."""
        one, plans = desk(), [PLAN]
        first = run_approval.Act("withhold-volume", PROVISION.notebook, "", lambda _run: plans[-1])
        one.stopped_at(first)
        assert one.kinds("approval-request")[0]["parts"]["Terraform plan"] == PLAN
        one.approve()
        for act in (first, PROVISION, PULL):
            one.confirm(act)
        plans.append("")  # applied: nothing is left to change
        one.confirm(first)
        plans.append(digest("2"))
        assert "Terraform plan: was" in one.stopped_at(first)
        assert len(one.kinds("approval-used")) == 1

    def test_a_plan_that_cannot_be_made_is_asked_for_by_nobody(self, desk):
        """Without the plan nobody could say what is approved: the step could not look, and changed nothing."""
        one = desk()

        def fails(_run):
            raise TerraformError("plan", ["no credentials"])

        with pytest.raises(ObservationError, match=r"cannot be made: .*no credentials"):
            one.confirm(run_approval.Act("withhold-volume", PROVISION.notebook, "", fails))
        assert one.kinds("approval-request") == []
        desk(required=0).confirm(run_approval.Act("withhold-volume", PROVISION.notebook, "", fails))

    def test_two_people_are_two(self, desk):
        """Where two are wanted, one person twice is one; the second yes of the same person changes nothing."""
        one = desk(required=2)
        one.stopped_at()
        first, _ = one.approve(BOB)
        again, decision = one.approve(BOB)
        assert (again.seq, decision.missing, len(one.kinds("approval"))) == (first.seq, 1, 1)
        assert "has 1" in one.stopped_at()
        one.approve(CAROL)
        one.confirm()

    def test_a_yes_is_for_one_notebook(self, desk):
        """The cutover needs an approval of its own."""
        one = desk()
        one.stopped_at()
        one.approve()
        assert "30_cut_over_volume needs 1 approval and has 0" in one.stopped_at(STOP)

    def test_what_was_looked_at_is_what_is_approved(self, desk):
        """Another digest than the one that waits is refused; a beginning of it is enough, three letters are not."""
        one = desk()
        one.stopped_at()
        waits = one.kinds("approval-request")[0]["digest"]
        with pytest.raises(JournalError, match="what was looked at is not what would be done now"):
            one.approve(digest=digest("another"))
        with pytest.raises(ParameterError, match="8 characters"):
            one.approve(digest=waits[:3])
        assert one.approve(digest=f" {waits[:12].upper()}")[0].fields["digest"] == waits

    def test_what_changed_since_it_was_asked_for_is_not_approved(self, desk):
        """When the run was opened with something else since, it has to ask again."""
        one = desk()
        one.stopped_at()
        one.open(git_commit="5" * 40)
        with pytest.raises(JournalError, match="git commit: was 4444"):
            one.approve()
        one.journal.write("parameters.yaml", "migration: {}\n")
        with pytest.raises(JournalError, match=r"parameters\.yaml: altered since"):
            one.approve()

    def test_nothing_waits(self, desk):
        """Before anything was asked for, and once it was used, there is nothing to approve."""
        one = desk()
        with pytest.raises(JournalError, match="waits for no approval"):
            one.approve()
        one.stopped_at()
        one.approve()
        one.confirm()
        with pytest.raises(JournalError, match="waits for no approval"):
            one.approve(CAROL)

    @pytest.mark.parametrize(
        ("options", "text"),
        [({"reason": " "}, "--reason"), ({"valid_for_s": 0}, "--valid-for"), ({"valid_for_s": 3601}, "at most 1 hour")],
    )
    def test_what_is_said_must_make_sense(self, desk, options, text):
        """A reason is needed, and nothing is valid for longer than the policy allows."""
        one = desk(valid_for_s=3600)
        one.stopped_at()
        with pytest.raises(ParameterError, match=text):
            one.approve(**options)

    @pytest.mark.parametrize(
        ("arn", "wanted", "expected"),
        [
            ("arn:aws:sts::222222222222:assumed-role/Change/dora", "", "change-manager"),
            ("arn:aws:iam::012345678901:user/bob", "owner", "owner"),
            ("arn:aws:iam::012345678901:user/bob", "", "say which with --role"),
            ("arn:aws:iam::012345678901:user/bob", "change-manager", "is no change-manager"),
            ("arn:aws:iam::012345678901:user/eve", "", "fits nobody"),
            ("arn:aws:sts::222222222222:assumed-role/Changeling/dora", "", "fits nobody"),
        ],
    )
    def test_roles(self, arn, wanted, expected):
        """Who may approve, and as what, is what the policy's patterns say of the identity."""
        approvers = {
            "change-manager": ("arn:aws:sts::222222222222:assumed-role/Change/*",),
            "owner": ("arn:aws:iam::012345678901:user/bob",),
            "deputy": ("arn:aws:iam::012345678901:user/b*",),
        }
        account_id = arn.split(":")[4]
        try:
            found = approval.find_role(arn, account_id, approvers, own="012345678901", wanted=wanted)
        except ValueError as error:
            found = str(error)
        assert expected in found

    def test_without_patterns_the_account_counts(self, desk):
        """An identity of a foreign account is somebody's, but nobody's who is known here."""
        one = desk()
        one.stopped_at()
        with pytest.raises(JournalError, match="is of account 999999999999"):
            one.approve("arn:aws:iam::999999999999:user/bob")


class TestVoid:
    """What ends an approval."""

    @pytest.mark.parametrize(
        ("other", "text"),
        [
            ({"parameters_sha256": digest("other")}, "parameters: was"),
            ({"library_sha256": digest("other")}, "library: was"),
            ({"library_version": "9.9"}, "library version: was 0.1.0, is 9.9"),
            ({"git_commit": ""}, "git commit: was 4444"),
            ({"notebooks_sha256": {"10_provision_target": "x"}}, "notebook 10_provision_target: was"),
            ({"targets": {"volume": "vol-1"}}, "target volume: was vol-0fedcba9876543210, is vol-1"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_a_changed_part(self, desk, other, text):
        """Whatever part changes, the run stops again, says which part, and asks anew under another digest."""
        one = desk()
        one.stopped_at()
        one.approve()
        one.open(**other)
        said = one.stopped_at()
        assert (text in said, f"does not count: {BOB}" in said) == (True, True), said
        first, second = one.kinds("approval-request")
        assert first["digest"] != second["digest"]
        assert text in second["void"][0]["why"]

    def test_another_plan(self, desk):
        """The plan that is about to be applied is the one that was approved, or nothing is applied."""
        one = desk()
        one.stopped_at()
        one.approve()
        assert "Terraform plan: was" in one.stopped_at(
            run_approval.Act(PROVISION.step_id, PROVISION.notebook, digest("2"))
        )

    def test_another_plan_applied_before(self, desk):
        """What the target was made from belongs to the approval of the cutover."""
        one = desk()
        one.stopped_at(STOP)
        one.approve()
        one.story.step("provision-target", status="running", notebook="10_provision_target")
        one.journal.append("terraform", action="apply", plan_sha256=PLAN)
        assert "Terraform plan applied before: was none" in one.stopped_at(STOP)

    def test_an_own_apply_changes_nothing(self, desk):
        """Having applied the approved plan, a notebook goes on with what is left of it."""
        one = desk()
        one.stopped_at()
        one.approve()
        one.confirm()
        one.story.step("provision-target", status="running", notebook="10_provision_target")
        one.journal.append("terraform", action="apply", plan_sha256=PLAN)
        one.confirm(PULL)

    def test_time(self, desk):
        """An expired approval is refused, and a new one is needed."""
        one = desk()
        one.stopped_at()
        one.approve(valid_for_s=3600)
        one.confirm()
        one.pass_time(1)
        assert "expired 2026-01-31T04" in one.stopped_at()
        one.approve(BOB)
        one.confirm()

    def test_no_cutover_is_stopped_while_the_service_is_down(self, desk):
        """An approval that runs out in the outage that began under it still counts; up again, it does not."""
        one = desk()
        one.stopped_at(STOP)
        one.approve(valid_for_s=60)
        one.confirm(STOP)
        one.journal.append("outage", phase="started")
        one.pass_time(9)
        one.confirm(STOP)
        one.confirm(STOP, process="another")
        one.journal.append("outage", phase="ended", outage_s=9.0)
        assert "expired" in one.stopped_at(STOP)

    def test_an_outage_that_nobody_approved_helps_nothing(self, desk):
        """An approval that was never used before the outage is no older right to go on."""
        one = desk()
        one.stopped_at(STOP)
        one.approve(valid_for_s=60)
        one.journal.append("outage", phase="started")
        one.pass_time(9)
        assert "expired" in one.stopped_at(STOP)

    def test_a_way_back(self, desk):
        """Once the run went back, what was approved before is over; a way back that was only planned ends nothing."""
        one = desk()
        one.stopped_at(STOP)
        one.approve()
        one.story.step("check-way-back", status="planned", notebook="90_roll_back")
        one.confirm(STOP)
        one.story.step("stop-target-service", notebook="90_roll_back")
        assert "has 0" in one.stopped_at(STOP)
        assert len(one.kinds("approval-request")) == 2

    def test_a_laxer_policy(self, desk):
        """What a run has asked for it needs, also when somebody lets it go on with parameters that want less."""
        one = desk(required=2)
        one.stopped_at()
        for laxer in ({"required": 0}, {"required": 1, "requester_may_approve": True}):
            one.parameters = parameters.load(SANDBOX, changed("policy.approvals", laxer))
            one.open(parameters_sha256=digest(str(laxer)))
            assert "needs 2 approvals and has 0" in one.stopped_at()
        one.journal.write("parameters.yaml", str(laxer))
        with pytest.raises(JournalError, match="asked for this itself"):
            one.approve(ALICE)
        one.approve(BOB)
        one.stopped_at()

    def test_the_digest_is_what_it_says(self, desk):
        """Anybody can make it again from the parts that stand in the record."""
        one = desk()
        one.stopped_at()
        (request,) = one.kinds("approval-request")
        assert digest_of(request["parts"]) == request["digest"]
        assert find_parts(one.journal.events(), "10_provision_target", PLAN) == request["parts"]
        assert request["parts"]["run"] == one.journal.run_id


class TestBreakGlass:
    """Acting without a yes, and the review of it."""

    def break_glass(self, one, **runner):
        """Note what `--break-glass` notes."""
        fields = {**runner_fields(os.getppid()), **runner}
        one.journal.append("break-glass", phase="requested", operator="ops@host", reason="disk dies", **fields)

    def test_it_acts_and_stays_open(self, desk):
        """The act passes without asking for anything; what was missing is noted once a notebook and plan."""
        one = desk(required=2)
        self.break_glass(one)
        one.confirm(STOP)
        one.confirm(STOP)
        (used,) = [event for event in one.kinds("break-glass") if event["phase"] == "used"]
        assert (used["missing"], used["reason"], used["identity"]["arn"]) == (2, "disk dies", ALICE)
        assert (len(approval.open_reviews(one.journal.events())), one.kinds("approval-request")) == (1, [])

    def test_it_leaves_nothing_where_it_was_not_needed(self, desk):
        """With an approval there is nothing to break."""
        one = desk()
        one.stopped_at()
        one.approve()
        self.break_glass(one)
        one.confirm()
        assert approval.open_reviews(one.journal.events()) == []

    def test_it_is_for_one_process(self, desk):
        """Another process, also a later one with the same number, is stopped as ever."""
        one = desk()
        self.break_glass(one, process_start=1)
        assert "has 0" in one.stopped_at()

    def test_review(self, desk):
        """Somebody else closes it, with a reason, once."""
        one = desk()
        self.break_glass(one)
        one.confirm()
        with pytest.raises(ParameterError, match="what the review found"):
            one.review(reason="")
        with pytest.raises(JournalError, match="asked for this itself"):
            one.review(ALICE)
        assert len(one.review(BOB)) == 1
        with pytest.raises(JournalError, match="nothing to review"):
            one.review(BOB)
        assert one.kinds("review")[0]["reviewer"] == BOB
        assert verify(one.journal.folder).problems == ()
