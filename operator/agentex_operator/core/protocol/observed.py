"""Observed: everything that is looked at before deciding, as one frozen value; each kind extends it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar

from agentex_operator.api.status import RemoteStatus
from agentex_operator.core import memory
from agentex_operator.core.digests import Digests
from agentex_operator.core.remote import Record_co, RemoteRecord

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from agentex_operator.api.metadata import Meta
    from agentex_operator.core.failures import Failure
    from agentex_operator.core.holders import Holder
    from agentex_operator.core.observed_records import ObservedRecords
    from agentex_operator.core.plan import AccountProblem, Policy, UsableAccount

StatusT = TypeVar("StatusT", bound=RemoteStatus)
StatusT_co = TypeVar("StatusT_co", bound=RemoteStatus, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Observed(ABC, Generic[StatusT_co, Record_co]):
    """What one pass knows of its resource so far."""

    noun: ClassVar[str]                  # of the remote object, for messages
    removed_at_once: ClassVar[bool] = False  # whether a removal that was answered has happened already
    meta: Meta
    stored: StatusT_co                   # the status that the API server has
    status: StatusT_co                   # the status as this pass has it so far
    cluster: str                         # uid of the kube-system namespace
    account: UsableAccount | AccountProblem
    policy: Policy
    started_at: datetime                 # when this pass started
    seen: ObservedRecords[Record_co]
    listed_since: datetime | None = None  # the requested freshness of the listing in hand
    needs_confirmation: str | None = None  # an id of which an answer contradicted the listing: a GET decides
    last_write_purpose: str | None = None  # the purpose of the intent that was just written
    removal_requested: frozenset[str] = frozenset()  # the ids whose removal this pass has requested
    candidate: tuple[Record_co | None] | None = None  # what is to be taken over; (None,) for a 404
    holders: tuple[Holder, ...] | None = None  # the other resources that hold or claim it, once they were looked for
    holders_read_live: bool = False      # whether they were read from the API server, after our own claim
    foreign_record_seen: bool = False    # the recorded id has the token of another owner
    failure: Failure | None = None       # why this pass goes no further
    references_watched: bool = False     # a change of a ConfigMap or Secret that the resource names wakes it
    object_gone: bool = False            # the object is deleted, or is not the version that was decided on
    digests: Digests = field(default_factory=Digests, compare=False, repr=False)

    @property
    @abstractmethod
    def owner(self) -> str:
        """The owner that our remote records name."""

    @property
    @abstractmethod
    def orphan(self) -> bool:
        """Whether the user wants the remote objects to stay when the resource is deleted."""

    @property
    @abstractmethod
    def nothing_left(self) -> bool:
        """Whether the status alone shows that nothing remote is alive and that no create is open."""

    @property
    def references_poll(self) -> timedelta:
        """How soon the ConfigMaps and Secrets that the resource names must be read again if no event comes first."""
        return self.policy.resync if self.references_watched else self.policy.reference_resync

    @property
    @abstractmethod
    def follow(self) -> timedelta:
        """How often the inventory shall list for this resource."""

    @property
    def restored(self) -> bool:
        """Whether the status was written for another resource: it came from a backup, or with a move."""
        written_for = self.status.operator.written_for
        return self.foreign_record_seen or written_for not in (None, self.meta.uid)

    @property
    def named_to_adopt(self) -> str | None:
        """The id that `spec.adopt` names."""
        return None

    @property
    def rank(self) -> tuple[datetime, str]:
        """The order of this resource among those who claim one remote object."""
        return self.meta.creation_timestamp, self.meta.uid

    @property
    def oldest(self) -> datetime:
        """No remote object of this resource was created before: its own creation, or that of what it took over."""
        adoption = self.status.operator.adoption
        created_at = adoption.created_at if adoption else None
        return min(created_at, self.meta.creation_timestamp) if created_at else self.meta.creation_timestamp

    @property
    def pending_owner(self) -> str | None:
        """The owner in the token of the open create; another one than ours if the status came from a backup."""
        return None

    def owner_named(self, _record: Record_co) -> str | None:  # type: ignore[misc]  # see above `alive`
        """The owner that the record's token names; None without a token."""
        return None

    def took_over(self, id_: str, owner: str) -> bool:
        """Whether the object of this id and owner was taken over by this resource."""
        adoption = self.status.operator.adoption
        if adoption is None or self.restored:
            return False
        return any(one.id == id_ and one.owner in (None, owner) for one in adoption.objects)

    def mismatch(self, _record: Record_co) -> str | None:  # type: ignore[misc]  # see above `alive`
        """Why the record cannot be what the spec describes, as the end of a sentence; None if it can."""
        return None

    def has_ended_remotely(self, record: Record_co) -> bool:  # type: ignore[misc]  # see above `alive`
        """Whether the record cannot be taken over, because it failed, was cancelled, deleted or superseded."""
        return not self.alive(record)

    def forgetting_the_digest(self, _now: datetime) -> Self:
        """The same, such that what is wanted now counts as what the recorded object was made from."""
        return self

    @property
    def ids(self) -> frozenset[str]:
        """Every remote id on record."""
        return memory.from_status(self.status).ids

    @property
    def nothing_can_come(self) -> bool:
        """Whether nothing is on record but a create that could take effect no more when this pass started."""
        free_at = memory.nothing_can_come_at(memory.from_status(self.status), self.policy)
        return not self.ids and free_at is not None and self.started_at >= free_at

    @property
    def strays(self) -> list[Record_co]:
        """Our records that were seen, are on no record, and have to end: a create whose answer was lost made them."""
        return [one for one in self.seen.records if self.alive(one) and one.id not in self.ids]

    @property
    def fingerprint(self) -> str | None:
        """Digest that marks our record if the server drops the token; None where that cannot happen."""
        return None

    @property
    def recorded(self) -> Record_co | None:
        """The record of the recorded id, if it was seen."""
        return self.seen.find(self.status.remote_id)

    # Each of these three is only given records of the observed kind, so a covariant parameter is safe.

    @abstractmethod
    def alive(self, record: Record_co) -> bool:  # type: ignore[misc]  # see above
        """Whether the record is, or may still become, something that must be removed on deletion."""

    @abstractmethod
    def of_another(self, record: Record_co) -> bool:  # type: ignore[misc]  # see above
        """Whether a record whose id is on record belongs to another owner by now."""

    @abstractmethod
    def wanted(self, record: Record_co) -> bool:  # type: ignore[misc]  # see above
        """Whether this is the record of the create that the status wrote down."""

    @abstractmethod
    def mirrored(self, now: datetime) -> Self:
        """The same with the news of the recorded record in the status."""


AnyObserved = Observed[RemoteStatus, RemoteRecord]
ObservedT = TypeVar("ObservedT", bound=AnyObserved)
