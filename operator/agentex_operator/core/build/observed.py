"""Observed of one AgentBuild, and what follows from it without looking at anything else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from agentex_operator.api.build import AgentBuildSpec, AgentBuildStatus
from agentex_operator.api.metadata import REBUILD_REQUESTED_AT
from agentex_operator.core import memory, reasons, sentences, source_facts
from agentex_operator.core.build import inputs, records
from agentex_operator.core.ownership import BuildToken, build_token, owner_of
from agentex_operator.core.plan import UsableAccount
from agentex_operator.core.protocol import observed as protocol
from agentex_operator.core.remote import BuildRecord, RemoteState, build_state

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.core.calls import Agent, Revision
    from agentex_operator.core.failures import Failure
    from agentex_operator.core.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class Observed(protocol.Observed[AgentBuildStatus, BuildRecord]):
    """What one pass knows of one AgentBuild."""

    noun: ClassVar[str] = "build"
    spec: AgentBuildSpec
    revision: Revision | None = None         # of the source, resolved in this pass; once staged, of the staged one
    source_failure: Failure | None = None    # why there is no revision, or why it cannot be staged
    staged: str | None = None                # working tree hash of the context whose archive the shell keeps
    agent: str | Agent | None = None         # its id, or the answer of FindAgent
    name_refused: str | None = None          # the remote's message when it refused a create by agent name
    log_withheld: bool = False               # the log could not be read in this pass

    @property
    def owner(self) -> str:
        """Eight hex digits made of the cluster's uid and the resource's."""
        return owner_of(self.cluster, self.meta.uid)

    @property
    def orphan(self) -> bool:
        """Whether deletionPolicy is Orphan: a running build goes on."""
        return self.spec.deletion_policy == "Orphan"

    @property
    def nothing_left(self) -> bool:
        """Whether nothing was sent, or the build on record has ended and no create is open."""
        remembered = memory.from_status(self.status)
        quiet = remembered.pending is None and remembered.unanswered_at is None and not remembered.condemned
        return quiet and (self.ended if remembered.id else not self.may_have_taken_its_own_name)

    @property
    def may_have_taken_its_own_name(self) -> bool:
        """Whether the first build of an agent was refused, and no build of ours by that name was found yet."""
        refused = self.status.operator.refused_at is not None
        return refused and self.status.agent_id is None and self.spec.agent_name is not None

    @property
    def follow(self) -> timedelta:
        """The account's poll interval while a build may be in flight, else the slow resync."""
        no_more_comes = self.nothing_can_come and not self.meta.deleting
        idle = self.nothing_left or self.may_have_taken_its_own_name or no_more_comes
        return self.policy.resync if idle or not isinstance(self.account, UsableAccount) else self.account.poll

    @property
    def ended(self) -> bool:
        """Whether the recorded build is known to have ended; it never counts as running again (I10)."""
        return self.status.completion_time is not None

    @property
    def digest(self) -> str | None:
        """The inputs digest that is wanted now; None while the context digest is not known."""
        context = self.context_digest
        if context is None:
            return None
        return self.digests.of(("image", context), *inputs.of_image(self.spec, context))

    @property
    def context_digest(self) -> str | None:
        """The working tree hash of the source's present revision, if it was staged before."""
        if not source_facts.facts_of(self.spec.source).has_context:
            return inputs.IMAGE_HAS_NO_CONTEXT
        if self.staged is not None:
            return self.staged
        fresh = self.revision is not None and self.status.operator.source_fingerprint == self.fingerprint_of_source
        return self.status.context_digest if fresh else None

    @property
    def fingerprint_of_source(self) -> str:
        """Digest of what the staged context depends on."""
        revision = self.revision.revision if self.revision else None
        return self.digests.of(("context", revision), *inputs.of_context(self.spec, revision))

    @property
    def named_to_adopt(self) -> str | None:
        """The build that `spec.adopt` names; None while the resource is suspended."""
        return self.spec.adopt.build_id if self.spec.adopt and not self.spec.suspend else None

    @property
    def pending_owner(self) -> str | None:
        """The owner in the token of the open create."""
        pending = self.status.operator.pending_create
        token = build_token(pending.token, None) if pending else None
        return token.owner if token else None

    def owner_named(self, record: BuildRecord) -> str | None:
        """The owner that the build's tag or source_ref names."""
        token = build_token(record.image_tag, record.source_ref)
        return token.owner if token else None

    def mismatch(self, record: BuildRecord) -> str | None:
        """Why it is no build of this resource's agent."""
        if self.spec.agent_name not in (None, record.agent_name):
            return f"is of the agent {record.agent_name!r}, not {self.spec.agent_name!r}"
        if self.spec.agent_id not in (None, record.agent_id):
            return f"is of the agent with the id {record.agent_id!r}, not {self.spec.agent_id!r}"
        return None

    def has_ended_remotely(self, record: BuildRecord) -> bool:
        """Whether it gives no image: it failed, was cancelled or deleted, or is about to be."""
        return record.state in records.UNSUCCESSFUL | {RemoteState.LEAVING, RemoteState.DELETED}

    def forgetting_the_digest(self, now: datetime) -> Self:
        """The same, such that the present inputs count as those of the recorded build; its timeout counts from now."""
        return replace(self, status=replace(self.status, inputs_digest=None, start_time=self.status.start_time or now))

    def with_present_digest(self) -> Self:
        """The same with the present inputs on record, if the build was taken over and they are known."""
        status = self.status
        if not self._inputs_are_not_on_record or self.digest is None:
            return self
        known = replace(status, inputs_digest=self.digest, context_digest=self.context_digest or None)
        return replace(self, status=known)

    @property
    def _inputs_are_not_on_record(self) -> bool:
        """Whether the recorded build was taken over, and its inputs are not on record yet."""
        adoption, status = self.status.operator.adoption, self.status
        taken = adoption is not None and any(one.id == status.build_id for one in adoption.objects)
        return taken and status.inputs_digest is None and not self.restored

    def alive(self, record: BuildRecord) -> bool:
        """A build that ended needs no removal: the API has none (agentex-api.md §1.4)."""
        return record.state in records.ALIVE

    def of_another(self, record: BuildRecord) -> bool:
        """Whether its token names another owner; without a token, whether its tag is not the recorded one."""
        token, image = build_token(record.image_tag, record.source_ref), self.status.image
        if token is not None:
            is_ours = token.owner == self.owner or self.took_over(record.id, token.owner) or self._is_pending(token)
            return not is_ours
        if image is None or record.id != self.status.build_id:
            return False
        return record.image_tag not in ("", image.tag)

    def wanted(self, record: BuildRecord) -> bool:
        """Whether it is the pending attempt's; or, if the status was lost (a restored backup), any of ours."""
        token = build_token(record.image_tag, record.source_ref)
        if token is None or not (token.owner == self.owner or self._is_pending(token)):
            return False
        pending = self.status.operator.pending_create
        if pending is not None:
            return token.attempt == pending.attempt and token.owner == self.pending_owner
        return self.status.attempt == 0 or self._took_effect_late(record, token)

    def _is_pending(self, token: BuildToken) -> bool:
        """Whether it is the token of the open create, which names another owner if the status came from a backup."""
        pending = self.status.operator.pending_create
        return pending is not None and token.owner == self.pending_owner and token.attempt == pending.attempt

    def _took_effect_late(self, record: BuildRecord, token: BuildToken) -> bool:
        """Whether it is the build of a create of this attempt that was still open when its repetition was refused.

        The open create may be the cause of the refusal: it took the name, and a list that lags does not show it yet.
        """
        unsure = self.status.operator.unanswered_create_at is not None or self.may_have_taken_its_own_name
        return unsure and token.attempt == self.status.attempt and (
            record.state not in records.UNSUCCESSFUL | {RemoteState.LEAVING})

    def mirrored(self, now: datetime) -> Self:
        """The same with the recorded build's state, image and times in the status."""
        record = self.recorded
        if record is not None:
            return replace(self, status=records.mirror(self.status, record, now))
        missing = self.status.remote_id is not None and self.seen.absent(self.status.remote_id)
        kept = self.status.operator
        since = (kept.missing_since or now) if missing else kept.missing_since
        return replace(self, status=replace(self.status, operator=replace(kept, missing_since=since)))

    @property
    def state(self) -> RemoteState | None:
        """The state of the recorded build: by its record, or, if it ended and is not listed, by the status."""
        record = self.recorded
        known = build_state(self.status.remote_status) if self.ended else None
        if record is None or (known is not None and record.state in records.ALIVE - {RemoteState.LEAVING}):
            return known
        return record.state

    @property
    def is_current(self) -> bool:
        """Whether the attempt on record is for the inputs wanted now; True while those are not known."""
        digest, status = self.digest, self.status
        if digest is None or self._inputs_are_not_on_record:
            return True
        if status.inputs_digest is not None:
            return status.inputs_digest == digest
        record = self.recorded
        token = None if record is None else build_token(record.image_tag, record.source_ref)
        return token is not None and token.digest in (None, digest[:12])

    @property
    def why_removed(self) -> str | None:
        """The reason for which the operator cancelled the recorded build; None if it did not."""
        kept = self.status.operator
        if kept.cancelled_for is not None:
            return kept.cancelled_for
        asked = kept.removal
        return asked.reason if asked and asked.id == self.status.build_id else None

    @property
    def unsuccessful(self) -> tuple[Reason, str]:
        """Reason and message of a build that ended without an image."""
        request = f"set the annotation {REBUILD_REQUESTED_AT} to a new value to try again."
        again = f"Change the inputs, or {request}"
        if self.state is RemoteState.TIMED_OUT or self.why_removed == "TimedOut":
            return reasons.BUILD_TIMED_OUT, f"The build took longer than allowed. Raise spec.timeout and {request}"
        if self.state is RemoteState.CANCELLED:
            ours = self.why_removed is not None
            return ((reasons.CANCELLED, f"The build was cancelled. {again}") if ours else
                    (reasons.CANCELLED_EXTERNALLY, f"Somebody else cancelled the build. {again}"))
        why = self.status.failure_message or f"The remote build ended as {self.status.remote_status}."
        return reasons.BUILD_FAILED, f"{sentences.sentence(why)} {again}"
