"""AgentDeployment: the decisions. "This build of this agent runs in this environment."

The remote has no update: a changed wish is a new deployment. A production one takes over the agent's only Helm
release, so its predecessor is never removed by us (that would tear down the release in use); a preview has a release
of its own, so its predecessor is removed once the new one is healthy (agentex-api.md §0.6, §6).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from agentex_operator.api.deployment import AgentDeploymentSpec, AgentDeploymentStatus, DeployEvent
from agentex_operator.api.scalars import duration
from agentex_operator.core import account_binding, conditions, creation, expiry, plan, protocol, reasons
from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady
from agentex_operator.core.failures import Failure, Means, classify
from agentex_operator.core.manifest import (
    Manifest,
    configuration_fingerprint,
    expected_namespace,
    render_environments,
    sanitised_label,
)
from agentex_operator.core.ownership import deployment_owner, deployment_token, with_token
from agentex_operator.core.plan import Account, Fact, Notice, Plan, Progress, Verdict
from agentex_operator.core.protocol import hold_of, holding
from agentex_operator.core.remote import (
    DEPLOYMENT_STATES,
    BuildRecord,
    DeploymentRecord,
    DeploymentRequest,
    RemoteState,
    deployment_state,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.api.build import AgentBuild
    from agentex_operator.api.references import KeyRef

DEAD = frozenset({RemoteState.DELETED, RemoteState.CANCELLED, RemoteState.SUPERSEDED})
ROLLING_OUT = frozenset({RemoteState.WAITING, RemoteState.RUNNING, RemoteState.UNKNOWN})


@dataclass(frozen=True, kw_only=True)
class Observed(protocol.Observed[AgentDeploymentStatus, DeploymentRecord]):
    """What is known of one AgentDeployment in one pass."""

    noun: ClassVar[str] = "deployment"
    removed_at_once: ClassVar[bool] = True
    spec: AgentDeploymentSpec
    build: AgentBuild | None = None                  # the one buildRef names, as last seen or read
    texts: tuple[tuple[KeyRef, str], ...] = ()       # ConfigMap keys read in this pass
    unread: bool = False                             # one of them has gone, which an ended preview does not mind
    named_build: tuple[BuildRecord | None] | None = None    # what buildID names, once asked
    built_from: tuple[str, str] | None = None        # working tree hash and manifest of the build's context
    read_live: frozenset[object] = frozenset()       # the calls of this pass that asked how things are now

    @property
    def owner(self) -> str:
        """`<cluster>/<uid>`, as our tokens begin."""
        return f"{self.cluster}/{self.meta.uid}"

    @property
    def orphan(self) -> bool:
        """deletionPolicy: Orphan leaves the remote deployment alone."""
        return self.spec.deletion_policy == "Orphan"

    @property
    def nothing_left(self) -> bool:
        """Nothing was sent; or, of a preview, what was on record is known to be gone. A production deployment may have
        earlier ones alive beside it that are on no record (see remove_extra_previews): only a listing rules them out.
        """
        if self.status.attempt == 0:
            return hold_of(self.status).empty
        return self.spec.preview is not None and not self.moving and known_state(self.status) in DEAD

    @property
    def moving(self) -> bool:
        """Whether something is under way: a create, a rollout, a replacement, a removal."""
        hold = hold_of(self.status)
        rolling = hold.id is not None and known_state(self.status) in ROLLING_OUT
        return bool(rolling or hold.condemned or self.status.predecessor_id or creation.open_since(hold))

    @property
    def follow(self) -> timedelta:
        """The poll interval while something moves; a slow look at what serves; slower at what is gone."""
        if self.nothing_left or not isinstance(self.account, Account):
            return self.policy.resync
        if self.moving or self.meta.deleting:
            return self.account.poll
        serving = known_state(self.status) is RemoteState.SUCCEEDED
        return self.policy.reference_resync if serving else self.policy.resync

    @property
    def ids(self) -> frozenset[str]:
        """Every remote id on record, the predecessor's too."""
        predecessor = self.status.predecessor_id
        return hold_of(self.status).ids | (frozenset({predecessor}) if predecessor else frozenset())

    @property
    def fingerprint(self) -> str | None:
        """Of the configuration last sent, while its answer is missing."""
        pending = self.status.pending_create
        return pending.fingerprint if pending else None

    @property
    def predecessor(self) -> DeploymentRecord | None:
        """The record that serves while the new one rolls out."""
        return self.seen.find(self.status.predecessor_id) if self.status.predecessor_id else None

    @property
    def manifest(self) -> str | None:
        """The manifest text, as far as it was read in this pass."""
        source = self.spec.manifest
        if source.from_build:
            return self.built_from[1] if self.built_from else None
        return source.inline if source.config_map_key_ref is None else dict(self.texts).get(source.config_map_key_ref)

    @property
    def environments(self) -> str | None:
        """The environments text, as far as it was read in this pass."""
        source = self.spec.environments
        return source.inline if source.config_map_key_ref is None else dict(self.texts).get(source.config_map_key_ref)

    @property
    def build_id(self) -> str | None:
        """The remote build to deploy, if it is known and ready."""
        return ready_build_id(self.build) if self.spec.build_ref else self.spec.build_id

    @property
    def digest(self) -> str | None:
        """sha256 (hex) of everything that makes the deployment; None while a part of it is not known."""
        environments, manifest = self.environments, self.manifest_identity
        if environments is None or manifest is None or (self.spec.image is None and self.build_id is None):
            return None
        preview = self.spec.preview
        wish = (preview.label, preview.ttl, preview.expires_at) if preview else None
        parts = (self.build_id, repr(self.spec.image), manifest, environments, self.spec.environment, wish)
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()

    @property
    def manifest_identity(self) -> str | None:
        """The manifest text; or, from a build, the context it is part of: that need not be fetched to be compared."""
        if not self.spec.manifest.from_build:
            return self.manifest
        return f"context {self.build.status.context_digest}" if self.build else None

    def alive(self, record: DeploymentRecord) -> bool:
        """A failed one still owns a release (agentex-api.md §2.2)."""
        return record.state not in DEAD

    def of_another(self, record: DeploymentRecord) -> bool:
        """By its token; without one, the deployment on record is known by its build."""
        if record.token is not None:
            return deployment_owner(record.token) != self.owner
        recorded = record.id == self.status.deployment_id and self.status.build_id is not None
        return recorded and record.build_id not in (None, self.status.build_id)

    def wanted(self, record: DeploymentRecord) -> bool:
        """The pending attempt's; or, when our memory was lost (a restored backup), a living one of ours."""
        pending = self.status.pending_create
        if record.token is None:
            return pending is not None and self._looks_like_ours(record, pending.started_at)
        if pending is not None:
            return record.token == pending.token
        forgotten = self.status.attempt == 0 and deployment_owner(record.token) == self.owner
        return self.alive(record) and (forgotten or self._took_effect_late(record))

    def _took_effect_late(self, record: DeploymentRecord) -> bool:
        """The create of this attempt that was still open when its repetition got a definite no."""
        return self.status.unanswered_create_at is not None and record.token == self._token

    @property
    def _token(self) -> str:
        """The ownership token of the attempt on record."""
        digest = self.status.configuration_digest or ""
        return deployment_token(self.cluster, self.meta.uid, digest, self.status.attempt)

    def _looks_like_ours(self, record: DeploymentRecord, started_at: datetime) -> bool:
        """Server-side echo of our comment is documented, not proven: then configuration, label and time must fit."""
        label = sanitised_label(self.spec.preview.label) if self.spec.preview and self.spec.preview.label else None
        window = self.policy.skew
        in_time = started_at - window <= record.created_at <= started_at + self.policy.longest_life + window
        return in_time and record.fingerprint == self.fingerprint and record.preview_label == label

    def mirrored(self, now: datetime) -> Observed:
        """With the recorded deployment's words in the status; a production successor of ours taken over."""
        current = self._with_successor()._without_dead_predecessor()
        record = current.recorded
        if record is not None:
            return replace(current, status=mirror(current.status, record))
        missing = current.status.remote_id is not None and current.seen.absent(current.status.remote_id)
        since = (current.status.missing_since or now) if missing else current.status.missing_since
        return replace(current, status=replace(current.status, missing_since=since))

    def _with_successor(self) -> Observed:
        """A late commit of our own create superseded the recorded one, or outlived it: the living one is ours."""
        id_, record = self.status.remote_id, self.recorded
        if id_ is None or not (self.seen.absent(id_) or (record and record.state is RemoteState.SUPERSEDED)):
            return self
        token = record.token if record else self._token
        heirs = [one for one in self.seen.records if one.token is not None and one.token == token
                 and self.alive(one) and one.id not in self.status.condemned]
        newest = max(heirs, key=lambda one: (one.created_at, one.id), default=None)
        return self if newest is None else replace(self, status=self.status.with_remote_id(newest.id))

    def _without_dead_predecessor(self) -> Observed:
        predecessor, record = self.status.predecessor_id, self.predecessor
        gone = predecessor and (self.seen.absent(predecessor) or (record is not None and not self.alive(record)))
        return replace(self, status=replace(self.status, predecessor_id=None)) if gone else self

    def facts(self) -> tuple[Fact, ...]:
        """BuildReady, Deployed, Available; Expired and Suspended while they are."""
        state = state_of(self)
        rested = (Fact("Expired", "True", reasons.EXPIRED, f"The preview ended at {_stamp(self.status.expires_at)}."),)
        paused = (Fact("Suspended", "True", reasons.SUSPENDED, "spec.suspend is true; nothing is changed."),)
        return (build_ready(self), deployed(self, state), available(self, state),
                *(rested if self.resting else ()), *(paused if self.spec.suspend else ()))

    @property
    def resting(self) -> bool:
        """Whether the preview's time was over when this pass began."""
        return is_expired(self, self.began)


def mirror(status: AgentDeploymentStatus, record: DeploymentRecord) -> AgentDeploymentStatus:
    """The status with what the record says."""
    healthy = record.state is RemoteState.SUCCEEDED
    events = tuple(DeployEvent(type=event.type, reason=event.reason, message=event.message, timestamp=event.timestamp)
                   for event in record.events[-10:])
    return replace(
        status,
        build_id=record.build_id or status.build_id,
        helm_release_name=record.helm_release_name or status.helm_release_name,
        namespace=record.namespace or status.namespace,
        expires_at=record.expires_at or status.expires_at,
        remote_status=record.raw_status,
        last_healthy_deployment_id=record.id if healthy else status.last_healthy_deployment_id,
        events=events or status.events,
        missing_since=None,
    )


def known_state(status: AgentDeploymentStatus) -> RemoteState:
    """Where the deployment on record was last seen; UNKNOWN before the first look."""
    return deployment_state(status.remote_status)


def ready_build_id(build: AgentBuild | None) -> str | None:
    """The remote build behind an AgentBuild whose newest wish is built; None otherwise."""
    if build is None or build.status.observed_generation != build.meta.generation:
        return None
    return build.status.build_id if conditions.is_true(build.status.conditions, "Succeeded") else None


def state_of(observed: Observed) -> RemoteState | None:
    """Where the recorded deployment is; None where there is none, or it is confirmed missing."""
    record = observed.recorded
    if record is not None:
        return record.state
    known = observed.status.remote_status is not None and observed.status.missing_since is None
    return deployment_state(observed.status.remote_status) if known and observed.status.deployment_id else None


def is_current(observed: Observed) -> bool:
    """Whether what is on record is what is wanted now; an unknown wish is given the benefit of the doubt."""
    known = observed.status.configuration_digest
    return observed.digest is None or known is None or known == observed.digest


def extension_asked(observed: Observed) -> bool:
    """Whether an extend annotation waits to be acted upon."""
    asked = observed.meta.extend_requested_at
    return asked is not None and asked != observed.status.last_handled_extend_at and observed.spec.preview is not None


def is_expired(observed: Observed, now: datetime) -> bool:
    """Whether the preview on record has ended by its own wish, and no new one is asked for."""
    ends, was_there = observed.status.expires_at, observed.status.remote_id is not None
    if observed.spec.preview is None or ends is None or not was_there:
        return False
    if extension_asked(observed) or not is_current(observed):
        return False
    swept = state_of(observed) in DEAD and now >= ends - observed.policy.expiry_grace
    return now >= ends or swept


# --- facts --------------------------------------------------------------------------------------------------------


def build_ready(observed: Observed) -> Fact:
    """The build to deploy exists and succeeded."""
    trouble = build_trouble(observed)
    if trouble is None:
        return Fact("BuildReady", "True", reasons.SUCCEEDED, "The build can be deployed.")
    return Fact("BuildReady", "False", trouble.reason, trouble.message)


def deployed(observed: Observed, state: RemoteState | None) -> Fact:
    """The wanted configuration was rolled out."""
    if state is RemoteState.SUCCEEDED and is_current(observed):
        return Fact("Deployed", "True", reasons.SUCCEEDED, "The wanted configuration is rolled out.")
    if state is RemoteState.FAILED:
        return Fact("Deployed", "False", reasons.DEPLOYMENT_FAILED, "The rollout failed.")
    if state in DEAD:
        return Fact("Deployed", "False", reasons.DELETING if observed.meta.deleting else state.value.capitalize(),
                    f"The remote deployment is {state.value}.")
    return Fact("Deployed", "Unknown", reasons.PROGRESSING, "The rollout has not ended yet.")


def available(observed: Observed, state: RemoteState | None) -> Fact:
    """Some revision serves: the one on record, or its predecessor (ecosystem.md R9)."""
    if observed.resting:
        return Fact("Available", "False", reasons.EXPIRED, "The preview has ended.")
    if state is RemoteState.SUCCEEDED:
        return Fact("Available", "True", reasons.HEALTHY, "The deployment is healthy.")
    before = observed.predecessor
    if before is not None and before.state is RemoteState.SUCCEEDED:
        return Fact("Available", "True", reasons.REPLACING, f"The deployment before it, {before.id}, serves.")
    return Fact("Available", "False", reasons.PROGRESSING, "No revision serves.")


def _stamp(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "?"


# --- rules --------------------------------------------------------------------------------------------------------


def look_for_ours(observed: Observed, now: datetime) -> Plan[Any] | Verdict | None:
    """Suspended and never started, there is nothing to look for; the same of what has expired and is gone."""
    idle = observed.spec.suspend and hold_of(observed.status).empty
    if idle or (observed.resting and observed.nothing_left):
        return None
    return protocol.wait_for_the_account(observed, now) or protocol.look_for_ours(observed, now)


def hands_off_when_suspended(observed: Observed, _now: datetime) -> Verdict | None:
    """Look but do not touch."""
    if not observed.spec.suspend:
        return None
    return protocol.suspended(observed, "spec.suspend is true: the remote side is watched, nothing is changed.")


def remove_extra_previews(observed: Observed, now: datetime) -> Plan[Any] | None:
    """P7: of a preview's deployments one stays, and one more while it is replaced. Production ones supersede
    each other remotely; deleting one would tear down the release they share."""
    if observed.spec.preview is None or protocol.creating(observed):
        return None
    kept = {observed.status.deployment_id, observed.status.predecessor_id}
    extras = [record for record in observed.seen.records if observed.alive(record) and record.id not in kept]
    return protocol.remove_one_of(observed, extras, "Duplicate", now)


def read_the_configuration(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """The ConfigMaps it names, every pass. One that went with the branch does not keep its preview from ending."""
    if observed.unread:
        return None
    unread = [ref for ref in _named(observed) if ref not in dict(observed.texts)]
    return Plan(plan.ReadText(unread[0])) if unread else None


def _named(observed: Observed) -> list[KeyRef]:
    """The ConfigMap keys that the spec names."""
    named = (observed.spec.manifest.config_map_key_ref, observed.spec.environments.config_map_key_ref)
    return [ref for ref in named if ref is not None]


def wait_for_the_build(observed: Observed, _now: datetime) -> Verdict | None:
    """A deployment follows its build; while a new one is made, the old one goes on serving."""
    trouble = build_trouble(observed)
    if trouble is None or observed.resting:
        return None
    verdict = protocol.failed(observed, trouble)
    broken = observed.build is None or conditions.is_true(observed.build.status.conditions, conditions.STALLED)
    return verdict if broken else replace(verdict, ready="Unknown")


def build_trouble(observed: Observed) -> Failure | None:
    """Why the build that buildRef names cannot be deployed yet."""
    ref = observed.spec.build_ref
    if ref is None or observed.build_id is not None:
        return None
    if observed.build is None:
        return Failure(Means.WAITING, reasons.BUILD_NOT_FOUND,
                       f"There is no AgentBuild {ref.name!r} in this namespace. Create it, or correct spec.buildRef.")
    stalled = conditions.find(observed.build.status.conditions, conditions.STALLED)
    why = f" It is stalled: {stalled.message}" if stalled else " This follows it."
    return Failure(Means.WAITING, reasons.BUILD_NOT_READY, f"AgentBuild {ref.name!r} has no image yet.{why}")


def rest_when_expired(observed: Observed, now: datetime) -> Plan[Any] | Verdict | None:
    """Before create, for an expired preview is not drift: the remote, or we, remove it, and it stays away."""
    ends, preview = observed.status.expires_at, observed.spec.preview
    if preview is None or ends is None or not is_expired(observed, now):
        return None
    for record in (observed.recorded, observed.predecessor):
        if record is not None and observed.alive(record):
            return _see_it_off(observed, record, ends, now)
    if preview.on_expiry == "Delete" and not _gitops(observed):
        return Plan(plan.DeleteSelf())
    return _expired(observed, f"The preview expired at {_stamp(ends)} and its deployment is gone.{_kept(observed)}")


def _see_it_off(observed: Observed, record: DeploymentRecord, ends: datetime, now: datetime) -> Plan[Any] | Verdict:
    """The remote's own clean-up goes first; after the grace it is ours to do."""
    grace_ends = ends + observed.policy.expiry_grace
    step = protocol.remove(observed, record, "Expired", now) if now >= grace_ends else None
    waiting = _expired(observed, f"The preview expired at {_stamp(ends)}; its deployment is being removed.")
    again = creation.until(grace_ends, now) if now < grace_ends else observed.policy.settle
    return step or replace(waiting, look_again=again)


def _expired(observed: Observed, message: str) -> Verdict:
    kept = Notice("Warning", reasons.EXPIRY_RETAINED, message)
    over = observed.nothing_left
    return Verdict(ready="True", reason=reasons.EXPIRED, message=message, phase="Expired",
                   follow=None if over else observed.follow,
                   notices=(kept,) if _kept(observed) and over else ())


def _gitops(observed: Observed) -> bool:
    return expiry.managed_by_gitops(observed.meta.labels, observed.meta.annotations)


def _kept(observed: Observed) -> str:
    kept = observed.spec.preview is not None and observed.spec.preview.on_expiry == "Delete" and _gitops(observed)
    return " It is kept although onExpiry is Delete: Argo CD, Flux or Helm would recreate it." if kept else ""


def remove_the_predecessor(observed: Observed, now: datetime) -> Plan[Any] | None:
    """The old preview goes when the new one is healthy. An old production one is gone by itself (superseded)."""
    before = observed.predecessor
    if before is None or observed.spec.preview is None or state_of(observed) is not RemoteState.SUCCEEDED:
        return None
    return protocol.remove(observed, before, "Replaced", now)


def follow_the_rollout(observed: Observed, now: datetime) -> Verdict | None:
    """In flight: say how far; beyond `progressDeadline` say that too, and go on looking."""
    record = observed.recorded
    if record is None or record.state not in ROLLING_OUT or not is_current(observed):
        return None
    deadline = (observed.status.progressing_since or now) + duration(observed.spec.progress_deadline)
    if now >= deadline:
        return _too_slow(observed, record)
    known = record.raw_status.lower() in DEPLOYMENT_STATES
    return Verdict(ready="Unknown", reason=reasons.DEPLOYING if known else reasons.UNRECOGNIZED_STATUS,
                   phase="Deploying", progress=Progress.RECONCILING, follow=observed.follow,
                   message=f"The remote deployment {record.id} is {record.raw_status}.",
                   look_again=min(creation.until(deadline, now), observed.policy.reference_resync))


def _too_slow(observed: Observed, record: DeploymentRecord) -> Verdict:
    message = (f"The remote deployment {record.id} is still {record.raw_status} after "
               f"{observed.spec.progress_deadline}. It is followed further; change the spec to start over.")
    return Verdict(ready="False", reason=reasons.DEADLINE_EXCEEDED, message=message, phase="Failed",
                   progress=Progress.STALLED, follow=observed.follow, look_again=observed.policy.reference_resync)


def report_healthy(observed: Observed, now: datetime) -> Verdict | None:
    """The wanted configuration serves."""
    if state_of(observed) is not RemoteState.SUCCEEDED or not is_current(observed) or extension_asked(observed):
        return None
    return _misplaced(observed) or _healthy(observed, now)


def _misplaced(observed: Observed) -> Verdict | None:
    """Which environment the server picks is not documented (agentex-api.md §4): compare where it landed."""
    wanted, got = _expected_namespace(observed), observed.status.namespace
    if wanted is None or got is None or wanted.lower() == got.lower():
        return None
    message = (f"Environment {observed.spec.environment!r} names the namespace {wanted!r}, but Agentex deployed to "
               f"{got!r}. Correct environments.yaml, or ask the account's administrator.")
    return Verdict(ready="False", reason=reasons.ENVIRONMENT_MISMATCH, message=message, phase="Failed",
                   progress=Progress.STALLED, follow=observed.follow)


def _expected_namespace(observed: Observed) -> str | None:
    if observed.spec.environment is None or observed.environments is None:
        return None
    try:
        return expected_namespace(observed.environments, observed.spec.environment)
    except InvalidInput:
        return None


def _healthy(observed: Observed, now: datetime) -> Verdict:
    ends, preview = observed.status.expires_at, observed.spec.preview
    verdict = Verdict(ready="True", reason=reasons.HEALTHY, phase="Ready", follow=observed.follow,
                      message=f"Deployment {observed.status.deployment_id} is healthy.",
                      look_again=observed.policy.reference_resync)
    if preview is None or ends is None:
        return verdict
    soon = expiry.soon_at(preview, ends)
    if now < soon:
        until_soon = min(creation.until(soon, now), observed.policy.reference_resync)
        return replace(verdict, message=f"{verdict.message} It expires at {_stamp(ends)}.", look_again=until_soon)
    message = f"{verdict.message} It expires soon, at {_stamp(ends)}: annotate {EXTEND} to keep it."
    return replace(verdict, message=message, look_again=creation.until(ends, now),
                   notices=(Notice("Normal", reasons.EXPIRING_SOON, message),))


EXTEND = "agentex.scale.com/extend-requested-at"


def report_the_end(observed: Observed, now: datetime) -> Verdict | None:
    """Failed, superseded or deleted by somebody else: said, and left alone unless the spec says Correct."""
    if not is_current(observed) or extension_asked(observed) or observed.status.deployment_id is None:
        return None
    state = RemoteState.DELETED if protocol.is_lost(observed, now) else state_of(observed)
    if state is RemoteState.FAILED:
        return _stalled(observed, reasons.DEPLOYMENT_FAILED, f"{_last_word(observed)} Correct the manifest, the "
                        "environments or the build; the next change is deployed.")
    if state not in DEAD or usurped_by_our_own(observed):
        return None
    correct = observed.spec.on_external_change == "Correct"
    return _wait_to_correct(observed, now) if correct else _external(observed, state)


def usurped_by_our_own(observed: Observed) -> bool:
    """An earlier create of ours, long given up, took effect late and took the release: nobody else is to blame."""
    if state_of(observed) is not RemoteState.SUPERSEDED:
        return False
    return any(observed.alive(one) and one.token is not None and deployment_owner(one.token) == observed.owner
               for one in observed.seen.records)


def _wait_to_correct(observed: Observed, now: datetime) -> Verdict | None:
    """Correct at a damped rate, so that two writers do not fight at full speed."""
    since = observed.status.progressing_since
    if since is None or now >= since + observed.policy.reference_resync:
        return None
    return Verdict(ready="False", reason=reasons.PROGRESSING_WITH_RETRY, phase="Retrying", follow=observed.follow,
                   message="Somebody else replaced or deleted the deployment; it is deployed again shortly.",
                   progress=Progress.RECONCILING,
                   look_again=creation.until(since + observed.policy.reference_resync, now))


def _external(observed: Observed, state: RemoteState) -> Verdict:
    superseded = state is RemoteState.SUPERSEDED
    what = "superseded it with another deployment of the agent" if superseded else "deleted it"
    reason = reasons.SUPERSEDED_EXTERNALLY if superseded else reasons.DELETED_EXTERNALLY
    return _stalled(observed, reason, f"Deployment {observed.status.deployment_id} is {state.value}: somebody else "
                    f"{what}. Set spec.onExternalChange to Correct, or change the spec, to deploy again.")


def _stalled(observed: Observed, reason: str, message: str) -> Verdict:
    return Verdict(ready="False", reason=reason, message=message, phase="Failed", progress=Progress.STALLED,
                   follow=observed.follow, look_again=observed.policy.reference_resync)


def _last_word(observed: Observed) -> str:
    events = observed.status.events
    return f"The rollout failed: {events[-1].message}" if events else "The rollout failed."


def check_the_expiry(observed: Observed, now: datetime) -> Verdict | None:
    """A preview that would have ended before it began is not created."""
    preview = observed.spec.preview
    if preview is None or preview.expires_at is None or preview.expires_at > now:
        return None
    return _stalled(observed, reasons.INVALID_EXPIRY, f"spec.preview.expiresAt, {_stamp(preview.expires_at)}, has "
                    "passed. Set a later one.")


def see_how_things_are_now(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """A ConfigMap read a moment ago, or a build as its watch told it, may be older than our own record, where another
    replica wrote that: nothing is sent for them.
    """
    build = observed.spec.build_ref
    calls: list[plan.ReadText | plan.ReadAgentBuild] = [plan.ReadText(ref, live=True) for ref in _named(observed)]
    calls += [plan.ReadAgentBuild(build.name)] if build else []
    unmade = [call for call in calls if call not in observed.read_live]
    return Plan(unmade[0]) if unmade else None


def check_the_named_build(observed: Observed, _now: datetime) -> Plan[Any] | Verdict | None:
    """buildID is looked at once, right before it is deployed."""
    if observed.spec.build_id is None:
        return None
    if observed.named_build is None:
        return Plan(plan.ConfirmBuild(observed.spec.build_id))
    (record,) = observed.named_build
    if record is not None and record.state is RemoteState.SUCCEEDED:
        return None
    return protocol.failed(observed, _not_deployable(observed.spec.build_id, record))


def _not_deployable(build_id: str, record: BuildRecord | None) -> Failure:
    if record is None:
        return Failure(Means.WAITING, reasons.BUILD_NOT_FOUND,
                       f"The account has no build {build_id!r}. Correct spec.buildID.")
    return Failure(Means.WAITING, reasons.BUILD_NOT_READY,
                   f"Build {build_id!r} is {record.raw_status}, and only a successful one can be deployed.")


def fetch_the_manifest(observed: Observed, _now: datetime) -> Plan[Any] | Verdict | None:
    """fromBuild: the context is fetched again, and must still be the one that was built."""
    build = observed.build
    if not observed.spec.manifest.from_build or build is None:
        return None
    if observed.built_from is None:
        return Plan(plan.ReadBuildManifest(build.spec.source, build.spec.context))
    if observed.built_from[0] == build.status.context_digest:
        return None
    return protocol.failed(observed, Failure(
        Means.WAITING, reasons.SOURCE_MOVED,
        f"The source of AgentBuild {build.meta.name!r} moved on since it was built; waiting for its next build."))


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is sent: the manifest without its token, and the environments reduced to the one selected."""

    manifest: str
    environments: str
    agent_name: str


def rendered(observed: Observed) -> Rendered:
    """Check manifest and environments by the vendor's rules before they are sent. Raises InvalidInput."""
    text = observed.manifest or ""
    manifest = Manifest.parse(text, expected_agent(observed))
    return Rendered(text, render_environments(observed.environments or "", observed.spec.environment),
                    manifest.agent_name)


def expected_agent(observed: Observed) -> str | None:
    """The agent that was built, as far as it is known; the server compares it with the manifest's."""
    if observed.build is not None:
        return observed.build.spec.agent_name
    record = observed.named_build[0] if observed.named_build else None
    return record.agent_name if record else None


def check_the_configuration(observed: Observed, _now: datetime) -> Verdict | None:
    """A clear InvalidManifest here instead of a remote 400."""
    try:
        rendered(observed)
    except InvalidInput as error:
        return protocol.failed(observed, classify(error))
    return None


def write_down_the_intent(observed: Observed, now: datetime) -> Plan[Any] | None:
    """P3: a conditional write right before every POST."""
    attempt = next_attempt(observed)
    purpose = f"create {attempt}"
    if observed.fenced == purpose:
        return None
    return Plan(plan.WriteIntent(intended(observed, attempt, now), purpose))


def next_attempt(observed: Observed) -> int:
    """The pending attempt is sent again under its own token, unless it is to end later than was asked of it, or its
    time is over; anything else is a new one. Never counted back.
    """
    pending, ends = observed.status.pending_create, observed.status.expires_at
    same = pending is not None and pending.token == token_text(observed, pending.attempt)
    over = observed.spec.preview is not None and ends is not None and observed.began >= ends
    if pending is not None and same and not over and not extension_asked(observed):
        return pending.attempt
    return observed.status.attempt + 1


def token_text(observed: Observed, attempt: int) -> str:
    """The ownership token of one attempt."""
    return deployment_token(observed.cluster, observed.meta.uid, observed.digest or "", attempt)


def intended(observed: Observed, attempt: int, now: datetime) -> AgentDeploymentStatus:
    """The status with the intent of one POST; what served before it is kept as its predecessor."""
    status, configuration, preview = observed.status, rendered(observed), observed.spec.preview
    again = attempt == status.attempt
    hold = creation.intend(_without_unfinished(observed), token_text(observed, attempt), attempt, now)
    fingerprint = configuration_fingerprint(configuration.manifest, configuration.environments)
    hold = replace(hold, pending=replace(hold.pending, fingerprint=fingerprint)) if hold.pending else hold
    ends = status.expires_at if again else expiry.expires_at(preview, now) if preview else None
    account = account_binding.bound_account(observed.account, status.account)
    written = replace(status, account=account, attempt=attempt, configuration_digest=observed.digest,
                      agent_name=configuration.agent_name, expires_at=ends, remote_status=None, missing_since=None,
                      build_id=observed.build_id, predecessor_id=_serving(observed), progressing_since=now,
                      removal=None, events=(), last_handled_extend_at=observed.meta.extend_requested_at)
    return _announced(observed, holding(written, hold), now)


def _announced(observed: Observed, written: AgentDeploymentStatus, now: datetime) -> AgentDeploymentStatus:
    """A slow retry of the same refused configuration says nothing new until it succeeds (ecosystem.md R8)."""
    if observed.status.refused_at is not None and observed.status.configuration_digest == observed.digest:
        return written
    return protocol.said(replace(observed, status=replace(written, refused_at=None)), CREATING, now)


CREATING = Verdict(ready="Unknown", reason=reasons.DEPLOYING, message="Creating the remote deployment.",
                   phase="Deploying", progress=Progress.RECONCILING)


def _serving(observed: Observed) -> str | None:
    """The deployment that serves until the new one does."""
    healthy = state_of(observed) is RemoteState.SUCCEEDED
    return observed.status.deployment_id if healthy else observed.status.predecessor_id


def _without_unfinished(observed: Observed) -> creation.Hold:
    """A preview that never became healthy is not a predecessor: it goes at once."""
    hold, record = hold_of(observed.status), observed.recorded
    unfinished = record is not None and observed.alive(record) and record.state is not RemoteState.SUCCEEDED
    doomed = unfinished and observed.spec.preview is not None and record is not None
    return creation.condemn(hold, (record.id,)) if doomed and record else hold


def create(observed: Observed, _now: datetime) -> Plan[Any] | None:
    """P5: one POST."""
    return Plan(plan.CreateDeployment(request(observed)))


def request(observed: Observed) -> DeploymentRequest:
    """What is sent: the token rides in the first line of the manifest."""
    configuration, preview, image = rendered(observed), observed.spec.preview, observed.spec.image
    label = sanitised_label(preview.label) if preview and preview.label else None
    return DeploymentRequest(
        manifest_file=with_token(configuration.manifest, token_text(observed, observed.status.attempt)),
        environment_config=configuration.environments,
        build_id=observed.build_id,
        image_name=image.name if image else None,
        image_tag=image.tag if image else None,
        preview=preview is not None,
        preview_label=label,
        expires_at=observed.status.expires_at if preview else None,
    )


# The order is the design: see the test of each by name. rest_when_expired stands before create, or an expired
# preview would be taken for drift and recreated for ever.
RULES = (
    protocol.stop_at_failure,
    protocol.let_go_when_deleted,
    protocol.take_hold,
    look_for_ours,
    protocol.confirm_what_is_missing,
    hands_off_when_suspended,
    remove_extra_previews,
    read_the_configuration,
    wait_for_the_build,
    rest_when_expired,
    protocol.wait_for_the_missing,
    remove_the_predecessor,
    follow_the_rollout,
    report_healthy,
    report_the_end,
    protocol.wait_for_the_open_create,
    protocol.rest_when_refused,
    check_the_expiry,
    see_how_things_are_now,
    check_the_named_build,
    fetch_the_manifest,
    check_the_configuration,
    write_down_the_intent,
    create,
)


def decide(observed: Observed, now: datetime) -> Plan[Any]:
    """The next call for this AgentDeployment, or how the pass ends."""
    return protocol.decide(observed, RULES, now)


# --- settling -----------------------------------------------------------------------------------------------------


def settle(observed: Observed, call: object, outcome: object, now: datetime) -> Observed:
    """Fold the outcome of a call back into what is observed. Pure; `outcome` is a value or an ExternalError."""
    if isinstance(call, plan.CreateDeployment):
        return settle_create(observed, outcome, now)
    if isinstance(call, plan.ReadText) and isinstance(outcome, NotReady) and observed.resting:
        return replace(observed, unread=True)
    if isinstance(outcome, ExternalError) or not isinstance(call, READS):
        return protocol.settle(observed, call, outcome, now)
    return settle_read(observed, call, outcome)


READS = (plan.ReadText, plan.ReadAgentBuild, plan.ConfirmBuild, plan.ReadBuildManifest)


def settle_read(observed: Observed, call: object, outcome: Any) -> Observed:
    """What was read is known for the rest of this pass."""
    match call:
        case plan.ReadText():
            read_live = observed.read_live | {call} if call.live else observed.read_live
            return replace(observed, texts=(*observed.texts, (call.ref, str(outcome))), read_live=read_live)
        case plan.ReadAgentBuild():
            return replace(observed, build=outcome, read_live=observed.read_live | {call})
        case plan.ConfirmBuild():
            return replace(observed, named_build=(outcome,))
        case _:
            return replace(observed, built_from=outcome)


def settle_create(observed: Observed, outcome: object, now: datetime) -> Observed:
    """Answered: on record. Refused: nothing is open. Anything else: open, to be looked for (P5)."""
    if isinstance(outcome, DeploymentRecord):
        status = holding(observed.status, creation.answered(hold_of(observed.status), outcome.id))
        status = mirror(replace(status, refused_at=None), outcome)
        return replace(observed, status=status, seen=observed.seen.confirm(outcome.id, outcome), fenced=None)
    if isinstance(outcome, ExternalError):
        return protocol.settle_refusal(observed, outcome, now)
    raise AssertionError(f"an unexpected outcome {outcome!r}")
