"""AgentBuild: the decisions. "An image of this agent, built from these inputs, exists."

The walk of a healthy one: hold it, find the source, stage its context, look for what is ours, name the agent, write
the intent down, create, follow, report. Every line of `RULES` below is one step of it, or a reason to leave it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from agentex_operator.api.build import AgentBuildSpec, AgentBuildStatus, BuiltImage, SourceStatus
from agentex_operator.api.scalars import duration
from agentex_operator.core import account_binding, creation, plan, protocol, reasons
from agentex_operator.core.errors import ExternalError, Rejected, Unavailable
from agentex_operator.core.failures import Failure, Means, classify
from agentex_operator.core.ownership import BuildToken, build_token, derived_tag, marked_ref, owner_of
from agentex_operator.core.plan import Account, Agent, Fact, Plan, Progress, Revision, StagedContext, Verdict
from agentex_operator.core.protocol import hold_of, holding
from agentex_operator.core.remote import BUILD_STATES, BuildRecord, BuildRequest, RemoteState, build_state

if TYPE_CHECKING:
    from datetime import datetime, timedelta

ALIVE = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.UNKNOWN, RemoteState.LEAVING})
WORTH_ANOTHER_TRY = frozenset({RemoteState.ERRORED, RemoteState.TIMED_OUT})
UNSUCCESSFUL = frozenset({RemoteState.FAILED, RemoteState.CANCELLED}) | WORTH_ANOTHER_TRY
IMAGE_HAS_NO_CONTEXT = ""


@dataclass(frozen=True, kw_only=True)
class Observed(protocol.Observed[AgentBuildStatus, BuildRecord]):
    """What is known of one AgentBuild in one pass."""

    noun: ClassVar[str] = "build"
    spec: AgentBuildSpec
    revision: Revision | None = None         # of the source, a moment ago; once staged, of what was staged
    source_failure: Failure | None = None    # why there is none, or why it cannot be staged
    staged: str | None = None                # working tree hash of the context whose archive is at hand
    agent: str | Agent | None = None         # its id, or what FindAgent said
    name_refused: str | None = None          # what the remote said when it refused a create by agent name
    log_withheld: bool = False               # the log could not be read just now

    @property
    def owner(self) -> str:
        """Eight hex digits of the cluster's and our uid."""
        return owner_of(self.cluster, self.meta.uid)

    @property
    def orphan(self) -> bool:
        """deletionPolicy: Orphan leaves a running build alone."""
        return self.spec.deletion_policy == "Orphan"

    @property
    def nothing_left(self) -> bool:
        """Nothing was sent, or the one build on record has ended and no create is open."""
        hold = hold_of(self.status)
        quiet = hold.pending is None and hold.unanswered_at is None and not hold.condemned
        return quiet and (self.ended if hold.id else not self.may_have_taken_its_own_name)

    @property
    def may_have_taken_its_own_name(self) -> bool:
        """Whether the first build of an agent was refused, and nothing was found behind its name so far."""
        return self.status.refused_at is not None and self.status.agent_id is None and self.spec.agent_name is not None

    @property
    def follow(self) -> timedelta:
        """The account's poll interval while something is in flight, else the slow resync."""
        resting = self.nothing_left or self.may_have_taken_its_own_name or not isinstance(self.account, Account)
        return self.policy.resync if resting else self.account.poll  # type: ignore[union-attr]  # narrowed above

    @property
    def ended(self) -> bool:
        """Whether the recorded build is known to have ended; that is never taken back (I10)."""
        return self.status.completion_time is not None

    @property
    def digest(self) -> str | None:
        """The inputs digest that is wanted now; None while the context behind it is not known."""
        context = self.context_digest
        return None if context is None else inputs_digest(self.spec, context)

    @property
    def context_digest(self) -> str | None:
        """The working tree hash of the source's present revision, if it was staged before."""
        if self.spec.source.image is not None:
            return IMAGE_HAS_NO_CONTEXT
        known = self.status.source
        if self.staged is not None:
            return self.staged
        fresh = self.revision is not None and known is not None and known.fingerprint == self.fingerprint_of_source
        return self.status.context_digest if fresh else None

    @property
    def fingerprint_of_source(self) -> str:
        """What the staged context depends on: the source, its revision, the path and the manifest."""
        revision = self.revision.revision if self.revision else None
        return _digest(repr(self.spec.source), repr(self.spec.context), revision)

    def alive(self, record: BuildRecord) -> bool:
        """A build that ended needs no removal: the API has none (agentex-api.md §1.4)."""
        return record.state in ALIVE

    def of_another(self, record: BuildRecord) -> bool:
        """By its token; without one, the build on record is known by its tag."""
        token, image = build_token(record.image_tag, record.source_ref), self.status.image
        if token is not None:
            return token.owner != self.owner
        if image is None or record.id != self.status.build_id:
            return False
        return record.image_tag not in ("", image.tag)

    def wanted(self, record: BuildRecord) -> bool:
        """The pending attempt's; or, when our memory was lost (a restored backup), any of ours."""
        token = build_token(record.image_tag, record.source_ref)
        if token is None or token.owner != self.owner:
            return False
        pending = self.status.pending_create
        if pending is not None:
            return token.attempt == pending.attempt
        return self.status.attempt == 0 or self._took_effect_late(record, token)

    def _took_effect_late(self, record: BuildRecord, token: BuildToken) -> bool:
        """The create of this attempt that was still open when its repetition got a definite no, or made that no true:
        a name can be taken by ourselves, and lists that lag do not show it at once.
        """
        unsure = self.status.unanswered_create_at is not None or self.may_have_taken_its_own_name
        return unsure and token.attempt == self.status.attempt and (
            record.state not in UNSUCCESSFUL | {RemoteState.LEAVING})

    def mirrored(self, now: datetime) -> Observed:
        """With the recorded build's words, image and times in the status."""
        record = self.recorded
        if record is not None:
            return replace(self, status=mirror(self.status, record, now))
        missing = self.status.remote_id is not None and self.seen.absent(self.status.remote_id)
        since = (self.status.missing_since or now) if missing else self.status.missing_since
        return replace(self, status=replace(self.status, missing_since=since))

    def facts(self) -> tuple[Fact, ...]:
        """SourceReady, Succeeded, and Suspended while it is."""
        suspended = Fact("Suspended", "True", reasons.SUSPENDED, "spec.suspend is true; nothing is started.")
        return (source_ready(self), succeeded(self), *((suspended,) if self.spec.suspend else ()))


# --- values -------------------------------------------------------------------------------------------------------


def inputs_digest(spec: AgentBuildSpec, context_digest: str) -> str:
    """sha256 (hex) of everything that makes the image: context, build args, platform, image name, pinned tag, agent."""
    args = sorted((arg.name, arg.value) for arg in spec.build_args)
    image = spec.source.image.url if spec.source.image else None
    return _digest(context_digest, args, spec.platform, spec.image.name, spec.image.tag, spec.agent_name,
                   spec.agent_id, image)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def mirror(status: AgentBuildStatus, record: BuildRecord, now: datetime) -> AgentBuildStatus:
    """The status with what the record says; a build that ended stays ended, whatever a stale answer says (I10)."""
    if status.completion_time is not None and record.state in ALIVE - {RemoteState.LEAVING}:
        return replace(status, missing_since=None)
    token = build_token(record.image_tag, record.source_ref)
    return replace(
        status,
        agent_id=record.agent_id or status.agent_id,
        attempt=max(status.attempt, token.attempt if token else 0),
        image=BuiltImage(name=record.image_name, tag=record.image_tag, url=record.image_url),
        remote_status=record.raw_status,
        completion_time=status.completion_time or (None if record.state in ALIVE else now),
        missing_since=None,
    )


def state_of(observed: Observed) -> RemoteState | None:
    """Where the recorded build is: by its record, or, ended and out of sight, by what the status says."""
    record = observed.recorded
    known = build_state(observed.status.remote_status) if observed.ended else None
    if record is None or (known is not None and record.state in ALIVE - {RemoteState.LEAVING}):
        return known
    return record.state


def is_current(observed: Observed) -> bool:
    """Whether the attempt on record is for the inputs wanted now. Unknown inputs are given the benefit of the doubt."""
    digest, status = observed.digest, observed.status
    if digest is None:
        return True
    if status.inputs_digest is not None:
        return status.inputs_digest == digest
    token = _token_on_record(observed)
    return token is not None and token.digest in (None, digest[:12])


def _token_on_record(observed: Observed) -> BuildToken | None:
    record = observed.recorded
    return None if record is None else build_token(record.image_tag, record.source_ref)


def another_is_due(observed: Observed, now: datetime) -> bool:
    """Whether the attempt on record is spent, and the next one may start."""
    state = state_of(observed)
    gone = protocol.is_lost(observed, now) or state is RemoteState.DELETED
    return gone or _rebuild_requested(observed) or _cancelled_by_us(observed, state) or may_retry(observed, state)


def may_retry(observed: Observed, state: RemoteState | None) -> bool:
    """`retries`: extra attempts after error or timed_out; a failed build is not retried."""
    spent = state in WORTH_ANOTHER_TRY or (state is RemoteState.CANCELLED and _why_removed(observed) == "TimedOut")
    return spent and observed.status.retries_used < observed.spec.retries


def _rebuild_requested(observed: Observed) -> bool:
    asked = observed.meta.rebuild_requested_at
    return asked is not None and asked != observed.status.last_handled_rebuild_at and observed.ended


def _cancelled_by_us(observed: Observed, state: RemoteState | None) -> bool:
    return state is RemoteState.CANCELLED and _why_removed(observed) == "Requested" and not observed.spec.cancel


def _why_removed(observed: Observed) -> str | None:
    if observed.status.cancelled_for is not None:
        return observed.status.cancelled_for
    asked = observed.status.removal
    return asked.reason if asked and asked.id == observed.status.build_id else None


def overdue(observed: Observed, now: datetime) -> bool:
    """Whether the running build has had more than `timeout`, on our own clock."""
    started = observed.status.start_time
    return started is not None and now >= started + duration(observed.spec.timeout)


# --- facts --------------------------------------------------------------------------------------------------------


def source_ready(observed: Observed) -> Fact:
    """The build context can be read and packed."""
    failure = observed.source_failure
    if failure is not None:
        return Fact("SourceReady", "False", failure.reason, failure.message)
    if observed.context_digest is None and observed.status.source is None:
        return Fact("SourceReady", "Unknown", reasons.PROGRESSING, "The build context was not looked at yet.")
    return Fact("SourceReady", "True", reasons.SUCCEEDED, "The build context can be read.")


def succeeded(observed: Observed) -> Fact:
    """The build of the inputs on record ended well."""
    state = state_of(observed)
    if state is RemoteState.SUCCEEDED:
        return Fact("Succeeded", "True", reasons.SUCCEEDED, "The image exists.")
    if state in UNSUCCESSFUL:
        return Fact("Succeeded", "False", _unsuccessful(observed)[0], "The build ended without an image.")
    return Fact("Succeeded", "Unknown", reasons.PROGRESSING, "The build has not ended yet.")


# --- rules --------------------------------------------------------------------------------------------------------


def look_for_ours(observed: Observed, now: datetime) -> Plan[Any] | Verdict | None:
    """Suspended and never started: there is nothing to look for, and no account needed."""
    if observed.spec.suspend and hold_of(observed.status).empty:
        return None
    if observed.name_refused is not None:
        return protocol.look(observed, observed.began)
    waiting = protocol.wait_for_the_account(observed, now)
    return waiting or _look_behind_the_refusal(observed, now) or protocol.look_for_ours(observed, now)


def _look_behind_the_refusal(observed: Observed, now: datetime) -> Plan[Any] | None:
    """Before the name is tried again: what our own create has made by that name shows by now."""
    refused_at = observed.status.refused_at
    if refused_at is None or not observed.may_have_taken_its_own_name or protocol.creating(observed):
        return None
    settled_at = refused_at + observed.policy.settle
    return protocol.look(observed, settled_at) if now >= settled_at else None


def hands_off_when_suspended(observed: Observed, _now: datetime) -> Verdict | None:
    """Look but do not touch."""
    if not observed.spec.suspend:
        return None
    return protocol.suspended(observed, "spec.suspend is true: the remote side is watched, nothing is started or "
                                        "stopped.")


def remove_duplicates(observed: Observed, now: datetime) -> Plan[Any] | None:
    """P7: whatever of ours is alive beside the one on record goes first."""
    return protocol.remove_one_of(observed, _duplicates(observed), "Duplicate", now)


def _duplicates(observed: Observed) -> list[BuildRecord]:
    return [record for record in observed.seen.records
            if observed.alive(record) and record.id != observed.status.build_id]


def cancel_when_asked(observed: Observed, now: datetime) -> Plan[Any] | Verdict | None:
    """`cancel: true` ends a running build and starts none."""
    if not observed.spec.cancel:
        return None
    if state_of(observed) is RemoteState.SUCCEEDED:
        return None
    return _cancel(observed, "Requested", now) or start_none_when_cancelled(observed, now)


def cancel_when_overdue(observed: Observed, now: datetime) -> Plan[Any] | Verdict | None:
    """A build beyond `timeout` is cancelled."""
    return _cancel(observed, "TimedOut", now) if overdue(observed, now) else None


def _cancel(observed: Observed, why: Any, now: datetime) -> Plan[Any] | Verdict | None:
    record = observed.recorded
    if record is None or state_of(observed) not in ALIVE:
        return None
    # beside `removal`, which the removal of a duplicate that comes later overwrites
    told = replace(observed, status=replace(observed.status, cancelled_for=None if why == "Replaced" else why))
    return protocol.remove(told, record, why, now) or _wait_for_the_end(observed, record, reasons.CANCELLING)


def _wait_for_the_end(observed: Observed, record: BuildRecord, reason: str) -> Verdict:
    return Verdict(ready="Unknown", reason=reason, phase="Cancelling", progress=Progress.RECONCILING,
                   message=f"Waiting for the remote build {record.id} to end ({record.raw_status}).",
                   follow=observed.follow, look_again=observed.policy.settle)


def start_none_when_cancelled(observed: Observed, _now: datetime) -> Verdict | None:
    """`cancel: true` outweighs changed inputs and a requested rebuild, beside an image that exists."""
    if not observed.spec.cancel:
        return None
    message = "spec.cancel is true, so no image is built. Set it to false to build."
    return Verdict(ready="False", reason=reasons.CANCELLED, message=message, phase="Cancelled",
                   progress=Progress.STALLED, follow=observed.follow, look_again=_next_look(observed))


def find_the_source(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """Ask the source for its version, every pass: cheap."""
    if observed.revision is not None or observed.source_failure is not None:
        return None
    return Plan(plan.ResolveSource(observed.spec.source))


def stage_what_moved(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """Fetch the context when its version is new to us: dear."""
    if observed.context_digest is not None or observed.source_failure is not None:
        return None
    return Plan(_staging(observed))


def _staging(observed: Observed) -> plan.StageContext:
    return plan.StageContext(observed.spec.source, observed.spec.context, observed.spec.agent_name)


def cancel_what_is_outdated(observed: Observed, now: datetime) -> Plan[Any] | Verdict | None:
    """The inputs changed while a build runs: it is cancelled before the next one starts."""
    return None if is_current(observed) else _cancel(observed, "Replaced", now)


def follow_the_running(observed: Observed, _now: datetime) -> Verdict | None:
    """In flight: say how far, and leave it alone."""
    record, state = observed.recorded, state_of(observed)
    if record is None or state not in ALIVE:
        return None
    reason, phase = IN_FLIGHT.get(state, (reasons.PROGRESSING, "Building"))
    if record.raw_status.lower() not in BUILD_STATES:
        reason = reasons.UNRECOGNIZED_STATUS
    left = (observed.status.start_time or observed.began) + duration(observed.spec.timeout)
    return Verdict(ready="Unknown", reason=reason, phase=phase, progress=Progress.RECONCILING,
                   message=f"The remote build {record.id} is {record.raw_status}.", follow=observed.follow,
                   look_again=min(creation.until(left, observed.began), _next_look(observed)))


IN_FLIGHT = {
    RemoteState.WAITING: (reasons.QUEUED, "Queued"),
    RemoteState.RUNNING: (reasons.BUILDING, "Building"),
    RemoteState.LEAVING: (reasons.CANCELLING, "Cancelling"),
}


def report_success(observed: Observed, now: datetime) -> Verdict | None:
    """The image of these very inputs exists."""
    done = state_of(observed) is RemoteState.SUCCEEDED and is_current(observed) and _source_allows(observed)
    if not done or another_is_due(observed, now):
        return None
    image = observed.status.image
    return Verdict(ready="True", reason=reasons.SUCCEEDED, phase="Ready", follow=observed.follow,
                   message=f"Image {image.url or f'{image.name}:{image.tag}'} is built." if image else "Built.",
                   look_again=_next_look(observed))


def _source_allows(observed: Observed) -> bool:
    return observed.source_failure is None or protocol.is_ready_now(observed)


def _next_look(observed: Observed) -> timedelta:
    names_an_object = observed.spec.source.config_map or observed.spec.source.secret
    return observed.policy.reference_resync if names_an_object else observed.policy.resync


def explain_the_end(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """Why a build failed is only in its log (agentex-api.md §1.2): read the last lines, until there is an answer."""
    unexplained = state_of(observed) in UNSUCCESSFUL - {RemoteState.CANCELLED} and observed.status.log_tail is None
    if not unexplained or observed.log_withheld or observed.status.build_id is None or not is_current(observed):
        return None
    return Plan(plan.ReadLogTail(observed.status.build_id))


def report_failure(observed: Observed, now: datetime) -> Verdict | None:
    """It ended without an image, and no other attempt is due."""
    over = state_of(observed) in UNSUCCESSFUL and is_current(observed) and not another_is_due(observed, now)
    if not over:
        return None
    reason, message = _unsuccessful(observed)
    return Verdict(ready="False", reason=reason, message=message, phase="Failed", progress=Progress.STALLED,
                   follow=observed.follow, look_again=_next_look(observed))


def _unsuccessful(observed: Observed) -> tuple[str, str]:
    again = "Change the inputs, or annotate agentex.scale.com/rebuild-requested-at to try again."
    if state_of(observed) is RemoteState.TIMED_OUT or _why_removed(observed) == "TimedOut":
        return reasons.BUILD_TIMED_OUT, f"The build took longer than allowed. {again}"
    if state_of(observed) is RemoteState.CANCELLED:
        ours = _why_removed(observed) is not None
        return ((reasons.CANCELLED, f"The build was cancelled. {again}") if ours else
                (reasons.CANCELLED_EXTERNALLY, f"Somebody else cancelled the build. {again}"))
    why = observed.status.failure_message or f"The remote build ended as {observed.status.remote_status}."
    return reasons.BUILD_FAILED, f"{why} {again}"


def stop_without_source(observed: Observed, _now: datetime) -> Verdict | None:
    """Nothing can be created from a context that cannot be read. To download it again is dear: that is tried slowly."""
    failure = observed.source_failure
    if failure is None:
        return None
    verdict = protocol.failed(observed, failure)
    return replace(verdict, look_again=_next_look(observed)) if failure.means is Means.STALLED else verdict


def wait_for_the_open_create(observed: Observed, now: datetime) -> Verdict | None:
    """As P5 has it; a create that was refused for its agent's name is answered, not open."""
    return None if observed.name_refused is not None else protocol.wait_for_the_open_create(observed, now)


def wait_for_the_duplicates(observed: Observed, _now: datetime) -> Verdict | None:
    """What was asked to go runs on for a while: no other is started meanwhile."""
    leaving = _duplicates(observed)
    return _wait_for_the_end(observed, leaving[0], reasons.REPLACING) if leaving else None


def name_the_agent(observed: Observed, _now: datetime) -> Plan[Any] | Verdict | None:
    """`agent_id` for an agent there is; `agent_name` only for the very first build (agentex-api.md §3)."""
    name = observed.spec.agent_name
    if name is None or observed.status.agent_id or isinstance(observed.agent, str):
        return None
    if observed.agent is None:
        return Plan(plan.FindAgent(name, live=observed.name_refused is not None))
    return _agent_trouble(observed, name)


def _agent_trouble(observed: Observed, name: str) -> Verdict | None:
    if observed.agent is Agent.BUSY:
        return Verdict(ready="Unknown", reason=reasons.AGENT_BUSY, phase="Pending", progress=Progress.RECONCILING,
                       message=f"Another AgentBuild is creating the agent {name!r}; this one follows it.",
                       look_again=observed.account.poll if isinstance(observed.account, Account) else None,
                       follow=observed.follow)
    if observed.name_refused is None:
        return None
    message = (f"Agentex refused the first build of agent {name!r} ({observed.name_refused}) and shows no build of "
               "it. If the name is taken, set spec.agentID in a new AgentBuild, or choose another name.")
    return protocol.failed(observed, Failure(Means.STALLED, reasons.AGENT_NAME_TAKEN, message))


def have_the_archive(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """The bytes to send must be at hand; after a restart they are fetched again."""
    at_hand = observed.staged is not None or observed.spec.source.image is not None
    return None if at_hand else Plan(_staging(observed))


def write_down_the_intent(observed: Observed, now: datetime) -> Plan[Any] | None:
    """P3: a conditional write right before every POST."""
    attempt = next_attempt(observed)
    purpose = f"create {attempt}"
    if observed.fenced == purpose:
        return None
    return Plan(plan.WriteIntent(intended(observed, attempt, now), purpose))


def next_attempt(observed: Observed) -> int:
    """The pending attempt is sent again under its own token; anything else is a new one. Never counted back."""
    pending, digest = observed.status.pending_create, observed.digest or ""
    if pending is not None and pending.token == token_text(observed, digest, pending.attempt):
        return pending.attempt
    return observed.status.attempt + 1


def token_text(observed: Observed, digest: str, attempt: int) -> str:
    """The ownership token of one attempt, as status.pendingCreate shows it."""
    return BuildToken(observed.owner, attempt, digest[:12]).text


def intended(observed: Observed, attempt: int, now: datetime) -> AgentBuildStatus:
    """The status with the intent of one POST, and nothing left of the attempt before it."""
    status, digest = observed.status, observed.digest or ""
    again, refused = attempt == status.attempt, _refused_before(observed)
    hold = creation.intend(hold_of(status), token_text(observed, digest, attempt), attempt, now)
    fresh = replace(status, remote_status=None, image=None, start_time=now, completion_time=None, missing_since=None,
                    log_tail=None, failure_message=None, removal=None, cancelled_for=None)
    account = account_binding.bound_account(observed.account, status.account)
    written = replace(fresh, account=account, attempt=attempt, inputs_digest=digest,
                      context_digest=observed.context_digest or None, source=_source_status(observed),
                      retries_used=status.retries_used if again else _retries(observed),
                      last_handled_rebuild_at=observed.meta.rebuild_requested_at)
    held = holding(replace(written, refused_at=status.refused_at if refused else None), hold)
    return held if refused else protocol.said(replace(observed, status=held), CREATING, now)


CREATING = Verdict(ready="Unknown", reason=reasons.BUILDING, message="Creating the remote build.", phase="Building",
                   progress=Progress.RECONCILING)


def _refused_before(observed: Observed) -> bool:
    """A slow retry of the same refused inputs says nothing new until it succeeds (ecosystem.md R8)."""
    same = observed.status.inputs_digest == observed.digest
    return same and observed.status.refused_at is not None


def _retries(observed: Observed) -> int:
    retry = is_current(observed) and may_retry(observed, state_of(observed))
    return observed.status.retries_used + 1 if retry else 0


def _source_status(observed: Observed) -> SourceStatus | None:
    if observed.revision is None:
        return observed.status.source
    return SourceStatus(revision=observed.revision.revision, digest=observed.revision.digest,
                        fingerprint=observed.fingerprint_of_source)


def create(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """P5: one POST."""
    return Plan(plan.CreateBuild(request(observed), observed.context_digest or None))


def request(observed: Observed) -> BuildRequest:
    """What is sent: the token rides in the tag, or, where the user pins the tag, in source_ref."""
    spec, attempt, digest = observed.spec, observed.status.attempt, observed.digest or ""
    found = observed.agent if isinstance(observed.agent, str) else None
    agent_id = spec.agent_id or observed.status.agent_id or found
    return BuildRequest(
        image_name=spec.image.name,
        image_tag=spec.image.tag or derived_tag(digest, observed.owner, attempt),
        agent_id=agent_id,
        agent_name=None if agent_id else spec.agent_name,
        build_args=tuple((arg.name, arg.value) for arg in spec.build_args),
        platform=spec.platform,
        working_tree_hash=observed.context_digest or None,
        source_ref=marked_ref(None, observed.owner, attempt) if spec.image.tag else None,
        image_url=spec.source.image.url if spec.source.image else None,
    )


# The order is the design: see the test of each by name.
RULES = (
    protocol.stop_at_failure,
    protocol.let_go_when_deleted,
    protocol.take_hold,
    look_for_ours,
    protocol.confirm_what_is_missing,
    hands_off_when_suspended,
    protocol.wait_for_the_missing,
    remove_duplicates,
    cancel_when_asked,
    cancel_when_overdue,
    find_the_source,
    stage_what_moved,
    cancel_what_is_outdated,
    follow_the_running,
    explain_the_end,
    report_success,
    report_failure,
    start_none_when_cancelled,
    stop_without_source,
    protocol.rest_when_refused,
    wait_for_the_duplicates,
    wait_for_the_open_create,
    name_the_agent,
    have_the_archive,
    write_down_the_intent,
    create,
)


def decide(observed: Observed, now: datetime) -> Plan[Any]:
    """The next call for this AgentBuild, or how the pass ends."""
    return protocol.decide(observed, RULES, now)


# --- settling -----------------------------------------------------------------------------------------------------


def settle(observed: Observed, call: object, outcome: object, now: datetime) -> Observed:
    """Fold the outcome of a call back into what is observed. Pure; `outcome` is a value or an ExternalError."""
    match call:
        case plan.ResolveSource() | plan.StageContext():
            return settle_source(observed, outcome)
        case plan.FindAgent():
            return settle_agent(observed, outcome, now)
        case plan.CreateBuild():
            return settle_create(observed, call, outcome, now)
        case plan.ReadLogTail():
            return settle_log(observed, outcome)
        case _:
            return protocol.settle(observed, call, outcome, now)


def settle_source(observed: Observed, outcome: object) -> Observed:
    """A source that cannot be read stops a create, not a build that runs."""
    if isinstance(outcome, ExternalError):
        return replace(observed, source_failure=classify(outcome))
    if isinstance(outcome, Revision):
        return replace(observed, revision=outcome)
    assert isinstance(outcome, StagedContext)  # noqa: S101 - the only other outcome
    staged = replace(observed, staged=outcome.digest, revision=outcome.revision)
    known = replace(staged.status, context_digest=staged.staged, source=_source_status(staged))
    return replace(staged, status=known)


def settle_agent(observed: Observed, outcome: object, now: datetime) -> Observed:
    """The name has an id, or is free for us, or busy."""
    if isinstance(outcome, ExternalError):
        return replace(observed, failure=classify(outcome))
    found = outcome if isinstance(outcome, (str, Agent)) else None
    status = observed.status
    if observed.name_refused is not None:  # looked for in vain, so the refusal was the answer
        refused_at = status.refused_at if isinstance(found, str) else now
        status = replace(holding(status, creation.refused(hold_of(status))), refused_at=refused_at)
    return replace(observed, agent=found, status=status)


def settle_create(observed: Observed, call: plan.CreateBuild, outcome: object, now: datetime) -> Observed:
    """Answered: on record. Refused: nothing is open. Anything else: open, to be looked for (P5)."""
    if isinstance(outcome, BuildRecord):
        status = holding(observed.status, creation.answered(hold_of(observed.status), outcome.id))
        status = mirror(replace(status, refused_at=None), outcome, now)
        return replace(observed, status=status, seen=observed.seen.confirm(outcome.id, outcome), fenced=None)
    if call.request.agent_name is not None and _says_no(outcome):
        return look_behind_the_name(observed, str(outcome), now)
    if isinstance(outcome, ExternalError):
        return protocol.settle_refusal(observed, outcome, now)
    raise AssertionError(f"an unexpected outcome {outcome!r}")


def _says_no(outcome: object) -> bool:
    """Whether the answer may be about the name: 409, or the 400 or 422 of which nobody knows which it is (§3)."""
    conflict = isinstance(outcome, Unavailable) and outcome.status == 409
    return conflict or (isinstance(outcome, Rejected) and outcome.status in (400, 422))


def look_behind_the_name(observed: Observed, message: str, now: datetime) -> Observed:
    """The name may be in use because of us: our own lost first POST is found by its token (agentex-api.md §3.5)."""
    return replace(observed, name_refused=message, agent=None, fenced=None, looked_since=None,
                   seen=creation.Sightings(), began=now)


def settle_log(observed: Observed, outcome: object) -> Observed:
    """The log's last lines, and the one that says why. Where there is none it is left at that; what cannot be had just
    now is asked for again in the next pass.
    """
    if isinstance(outcome, ExternalError) and classify(outcome).means is not Means.STALLED:
        return replace(observed, log_withheld=True)
    lines = outcome if isinstance(outcome, tuple) else ()
    tail = "\n".join(lines).encode()[-4096:].decode(errors="ignore") or "(no log)"
    return replace(observed, status=replace(observed.status, log_tail=tail, failure_message=telling_line(lines)))


def telling_line(lines: tuple[str, ...]) -> str | None:
    """The last line that names an error, else the last that says anything; at most 300 characters."""
    spoken = [line.strip() for line in lines if line.strip()]
    telling = [line for line in spoken if any(word in line.lower() for word in ("error", "failed", "denied", "fatal"))]
    return (telling or spoken or [""])[-1][:300] or None
