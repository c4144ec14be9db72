"""A kind that the operator does not know: a Toy is an image registered under the name of an agent.

It shows what "add a kind" asks for: a resource, decisions, a remote kind, a pass, and their registration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Self, assert_never

from pydantic.dataclasses import dataclass as model_dataclass

from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.remote_kind import RemoteKind
from agentex_operator.agentex.wire import Page
from agentex_operator.api.metadata import Resource
from agentex_operator.api.references import AccountRef
from agentex_operator.api.schema import Names, model
from agentex_operator.api.status import RemoteStatus
from agentex_operator.core import account_binding, calls, memory, reasons
from agentex_operator.core.calls import Answer, CommonCall, Create
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.ownership import owner_of
from agentex_operator.core.plan import Plan, Progress, UsableAccount, Verdict
from agentex_operator.core.protocol import conversation, create, observed, settle, teardown
from agentex_operator.core.remote import BuildRecord, BuildRequest, RemoteState
from agentex_operator.kube.kinds import GROUP, VERSION, Kind
from agentex_operator.reconcile.registration import Registration
from agentex_operator.reconcile.remote import RemotePass
from agentex_operator.reconcile.views import Key, View

TOY = Kind(GROUP, VERSION, "toys", "Toy", namespaced=True)
SCHEMA: Mapping[str, object] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

# --- the resource -----------------------------------------------------------------------------------------------------


@model_dataclass(frozen=True, kw_only=True, config=model())
class ToySpec:
    """The agent, and the image to register for it."""

    agent: str
    image: str
    account_ref: AccountRef | None = None


@model_dataclass(frozen=True, kw_only=True, config=model())
class ToyStatus(RemoteStatus):
    """The remote memory, with the id of the registration."""

    attempt: int = 0
    toy_id: str | None = None

    @property
    def remote_id(self) -> str | None:
        """The recorded id."""
        return self.toy_id

    def with_remote_id(self, remote_id: str | None) -> Self:
        """The status with this id on record."""
        return replace(self, toy_id=remote_id)


@model_dataclass(frozen=True, kw_only=True, config=model())
class Toy(Resource):
    """A registered image."""

    names: ClassVar[Names] = Names(kind="Toy", plural="toys", singular="toy", short="ty")
    spec: ToySpec
    status: ToyStatus = ToyStatus()


# --- the remote kind --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToyRecord:
    """A remote registration; `owner` is of the tag `toy-<owner>`, None for the builds of others."""

    id: str
    state: RemoteState
    raw_status: str
    created_at: datetime
    owner: str | None

    @staticmethod
    def of(build: BuildRecord) -> ToyRecord:
        """The record of a build."""
        toy, _, owner = build.image_tag.partition("-")
        return ToyRecord(build.id, build.state, build.raw_status, build.created_at, owner if toy == "toy" else None)


def toy_records(client: AgentexClient) -> RecordKind[ToyRecord]:
    """The registrations of the client's account."""

    async def fetch(limit: int, after: str | None, ordered: bool) -> Page[ToyRecord]:
        page = await client.list_builds(limit, after, ordered=ordered)
        records = tuple(ToyRecord.of(one) for one in page.records)
        return Page(records, page.has_more, page.last_id, page.length)

    return RecordKind(fetch, lambda record: record.owner)


async def get_toy(client: AgentexClient, id_: str) -> ToyRecord | None:
    """The registration of this id; None for a 404."""
    found = await client.get_build(id_)
    return None if found is None else ToyRecord.of(found)


TOYS = RemoteKind("toy", toy_records, get_toy, AgentexClient.cancel_build)

# --- the decisions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateToy(Create[ToyRecord]):
    """Register the image."""

    request: BuildRequest


ToyCall = CommonCall[ToyStatus, ToyRecord] | CreateToy


@dataclass(frozen=True, kw_only=True)
class Observed(observed.Observed[ToyStatus, ToyRecord]):
    """What one pass knows of one Toy."""

    noun: ClassVar[str] = "toy"
    spec: ToySpec

    @property
    def owner(self) -> str:
        """The owner in the tag."""
        return owner_of(self.cluster, self.meta.uid)

    @property
    def orphan(self) -> bool:
        """A registration needs no removal."""
        return False

    @property
    def nothing_left(self) -> bool:
        """Whether no create is open."""
        return memory.open_since(memory.from_status(self.status)) is None

    @property
    def follow(self) -> timedelta:
        """The poll interval of the account."""
        return self.account.poll if isinstance(self.account, UsableAccount) else self.policy.resync

    def alive(self, record: ToyRecord) -> bool:
        """Whether it is in flight."""
        return record.state in (RemoteState.WAITING, RemoteState.RUNNING)

    def of_another(self, record: ToyRecord) -> bool:
        """Whether its tag names another owner."""
        return record.owner != self.owner

    def wanted(self, record: ToyRecord) -> bool:
        """Whether its tag names this resource."""
        return record.owner == self.owner

    def mirrored(self, now: datetime) -> Self:
        """The same with the record's state in the status."""
        record = self.recorded
        return self if record is None else replace(self, status=replace(self.status, remote_status=record.raw_status))


def look_for_ours(one: Observed, now: datetime) -> Plan[calls.LookForOurs[ToyRecord]] | Verdict | None:
    """List our records; that needs an account."""
    return create.wait_for_the_account(one, now) or create.look_for_ours(one, now)


def report_the_record(one: Observed, _now: datetime) -> Verdict | None:
    """Ready as soon as the registration succeeded."""
    record = one.recorded
    if record is None:
        return None
    if record.state is RemoteState.SUCCEEDED:
        return Verdict(ready="True", reason=reasons.SUCCEEDED, message="Registered.", phase="Ready")
    return Verdict(ready="Unknown", reason=reasons.PROGRESSING, message="Registering.", phase="Building",
                   progress=Progress.RECONCILING, follow=one.follow)


def write_the_intent(one: Observed, now: datetime) -> Plan[calls.WriteIntent[ToyStatus]] | None:
    """The conditional write right before the POST."""
    if create.creating(one):
        return None
    attempt = one.status.attempt + 1
    remembered = memory.intend(memory.from_status(one.status), one.owner, attempt, now)
    account = account_binding.bound_account(one.account, one.status.account)
    status = replace(memory.into_status(one.status, remembered), attempt=attempt, account=account)
    return Plan(calls.WriteIntent(status, f"create {attempt}"))


def send(one: Observed, _now: datetime) -> Plan[CreateToy]:
    """The one POST."""
    return Plan(CreateToy(BuildRequest(image_name="toy", image_tag=f"toy-{one.owner}", agent_name=one.spec.agent,
                                       image_url=one.spec.image)))


class Decisions:
    """decide and settle of the kind."""

    rules: tuple[conversation.Rule[Observed, ToyCall], ...] = (
        conversation.stop_at_failure, teardown.release_when_deleted, create.add_finalizer, look_for_ours,
        create.confirm_missing, report_the_record, create.wait_for_the_open_create, write_the_intent, send,
    )

    def decide(self, one: Observed, now: datetime, /) -> Plan[ToyCall]:
        """The next call, or how the pass ends."""
        answer = conversation.first_answer(one, self.rules, now)
        return answer if isinstance(answer, Plan) else conversation.report(one, answer, (), now)

    def settle(self, one: Observed, call: ToyCall, outcome: object, now: datetime, /) -> Observed:
        """Fold the outcome in."""
        if not isinstance(call, CreateToy):
            return settle.settle(one, call, outcome, now)
        if isinstance(outcome, ExternalError):
            return settle.settle_refusal(one, outcome, now)
        record = call.read(outcome)
        answered = memory.answered(memory.from_status(one.status), record.id)
        return replace(one, status=memory.into_status(one.status, answered), last_write_purpose=None,
                       seen=one.seen.confirm(record.id, record))


# --- the shell --------------------------------------------------------------------------------------------------------


class ToyPass(RemotePass[Toy, Observed, ToyCall, ToyRecord]):
    """The calls of one pass."""

    core = Decisions()
    kind = TOY
    remote = TOYS

    def observe(self, resource: Toy) -> Observed:
        """The observed state before any call."""
        return Observed(meta=resource.meta, spec=resource.spec, stored=resource.status, status=resource.status,
                        cluster=self.cluster_uid, account=self.account, policy=self.runtime.policy,
                        started_at=self.runtime.clock.now(), seen=ObservedRecords())

    @staticmethod
    def owner_in(cluster_uid: str, uid: str) -> str:
        """The owner in the tag."""
        return owner_of(cluster_uid, uid)

    async def perform(self, call: ToyCall) -> Answer:
        """Make one call."""
        match call:
            case CreateToy():
                made = await self.session.client.create_build(call.request, None, until=self.until)
                return call.answer(ToyRecord.of(made))
            case (calls.AddFinalizer() | calls.RemoveFinalizer() | calls.SaveStatus() | calls.WriteIntent() |
                  calls.DeleteSelf() | calls.LookForOurs() | calls.Confirm() | calls.Remove() |
                  calls.ReadCandidate() | calls.FindHolders()):
                return await self.perform_common(call)
            case _:
                assert_never(call)


def refers_to(view: View) -> frozenset[Key]:
    """The account that a Toy uses if it names none."""
    return frozenset({("AgentexAccount", view.namespace, "default")})


REGISTRATION = Registration(Toy.parse, ToyPass, refers_to)
