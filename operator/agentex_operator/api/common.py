"""What the models of every kind share: names, metadata, durations, references, conditions, and how to write a rule.

A model is a frozen pydantic dataclass: the API server's JSON on one side (camelCase), typed values on the other
(`dataclasses.replace` is checked by mypy). Its fields' descriptions are what `kubectl explain` shows; its bounds and
`x-kubernetes-validations` are what the API server enforces (see crds.py).
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

GROUP: Final = "agentex.scale.com"
VERSION: Final = "v1alpha1"
CATEGORY: Final = "agentex"
FINALIZER: Final = f"{GROUP}/remote"
RECONCILE_REQUESTED_AT: Final = f"{GROUP}/reconcile-requested-at"
FLUX_RECONCILE: Final = "reconcile.fluxcd.io/requestedAt"
REBUILD_REQUESTED_AT: Final = f"{GROUP}/rebuild-requested-at"
EXTEND_REQUESTED_AT: Final = f"{GROUP}/extend-requested-at"
LONGEST_TOKEN: Final = 256  # of what a user writes into one of these annotations
_HALF: Final = (LONGEST_TOKEN - 1) // 2  # of each, where two stand in one field

ModelT = TypeVar("ModelT")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """What one kind is called, and where it lives."""

    kind: str
    plural: str
    singular: str
    short: str
    namespaced: bool = True


# --- how a model is written ----------------------------------------------------------------------------------------


def yaml_name(field: str) -> str:
    """The name of a field in YAML: camelCase, with ID in capitals (`account_id` is `accountID`)."""
    return re.sub(r"(?<=[a-z])Id$", "ID", to_camel(field))


def model(*rules: Mapping[str, str]) -> ConfigDict:
    """The configuration of a model, with the CEL rules that the API server checks on the whole of it."""
    extra: dict[str, Any] = {"x-kubernetes-validations": [dict(one) for one in rules]} if rules else {}
    return ConfigDict(alias_generator=yaml_name, populate_by_name=True, extra="ignore", json_schema_extra=extra)


def rule(expression: str, message: str, field: str | None = None) -> dict[str, str]:
    """A CEL rule; its message is what the user reads when the API server refuses the object."""
    return {"rule": expression, "message": message} | ({"fieldPath": f".{field}"} if field else {})


def exactly_one(*fields: str) -> dict[str, str]:
    """Exactly one of these members is set."""
    present = ", ".join(f"has(self.{field})" for field in fields)
    return rule(f"[{present}].exists_one(set, set)", f"set exactly one of {_or(fields)}")


def at_most_one(*fields: str) -> dict[str, str]:
    """No two of these members are set."""
    present = ", ".join(f"has(self.{field})" for field in fields)
    return rule(f"[{present}].filter(set, set).size() <= 1", f"set at most one of {_or(fields)}")


def immutable(field: str, instead: str) -> dict[str, str]:
    """The member cannot be changed, added or removed; the message says what to do instead."""
    unchanged = (f"has(self.{field}) == has(oldSelf.{field})"
                 f" && (!has(self.{field}) || self.{field} == oldSelf.{field})")
    return rule(unchanged, f"{field} cannot be changed, added or removed: {instead}", field) | {
        "reason": "FieldValueForbidden"}


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def adapter(kind: type[ModelT]) -> TypeAdapter[ModelT]:
    """Reads and writes values of a model; made once."""
    return _adapter(kind)


_adapter: Final[Callable[[Any], TypeAdapter[Any]]] = cache(TypeAdapter)


# --- time ----------------------------------------------------------------------------------------------------------

DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}


def duration(text: str) -> timedelta:
    """The span that a text like `1h30m`, `90s` or `1.5h` names. Raises ValueError for anything else."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration like 30m, 90s or 1h30m")
    try:
        return sum((timedelta(**{_UNITS[unit]: float(count)}) for count, unit in _PART.findall(text)), timedelta())
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long a duration") from error


@dataclasses.dataclass(frozen=True)
class Between:
    """A text that names a span between two others; the API server checks the same."""

    shortest: str
    longest: str

    def check(self, text: str) -> str:
        """The text itself. Raises ValueError outside of the bounds."""
        if not duration(self.shortest) <= duration(text) <= duration(self.longest):
            raise ValueError(self.message)
        return text

    @property
    def message(self) -> str:
        """What the user reads."""
        return f"must be a duration between {self.shortest} and {self.longest}"

    @property
    def rules(self) -> list[dict[str, str]]:
        """The same check as CEL."""
        bounds = f"duration(self) >= duration('{self.shortest}') && duration(self) <= duration('{self.longest}')"
        return [rule(bounds, self.message)]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        return {"type": "function-after", "function": {"type": "no-info", "function": self.check},
                "schema": handler(source)}

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> Any:
        return {**handler(schema), "x-kubernetes-validations": self.rules}


Duration = Annotated[str, Field(pattern=DURATION_PATTERN, min_length=2, max_length=32)]


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def timestamp(moment: datetime) -> str:
    """The moment in RFC 3339, UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Timestamp = Annotated[AwareDatetime, AfterValidator(_as_utc), PlainSerializer(timestamp, return_type=str)]


# --- text ----------------------------------------------------------------------------------------------------------


def _first(length: int) -> BeforeValidator:
    return BeforeValidator(lambda text: _encodable(text[:length]) if isinstance(text, str) else text)


def _last(length: int) -> BeforeValidator:
    return BeforeValidator(lambda text: _encodable(text[-length:]) if isinstance(text, str) else text)


def _encodable(text: str) -> str:
    """Half a surrogate pair, which JSON can spell and UTF-8 cannot, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


# What the remote said goes into the status cut to size: a status is never refused for what somebody else wrote.
Word = Annotated[str, _first(256), Field(max_length=256)]
Sentence = Annotated[str, _first(512), Field(max_length=512)]
Line = Annotated[str, _first(1024), Field(max_length=1024)]
Url = Annotated[str, _first(2048), Field(max_length=2048)]
Message = Annotated[str, _first(4096), Field(max_length=4096)]
Tail = Annotated[str, _last(4096), Field(max_length=4096)]
RemoteID = Annotated[str, Field(min_length=1, max_length=256)]
Digest = Annotated[str, Field(max_length=128)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253,
                                  pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
NAME_PATTERN: Final = r"^[a-z0-9]+([._/-]+[a-z0-9]+)*$"
TAG_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]
Generation = Annotated[int, Field(ge=-1, json_schema_extra={"format": "int64"})]
AccountKind = Literal["AgentexAccount", "ClusterAgentexAccount"]


# --- metadata ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, config=model())
class Meta:
    """An object's metadata, as far as the operator looks at it."""

    name: str
    namespace: str | None = None
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: Timestamp
    deletion_timestamp: Timestamp | None = None
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """The metadata of an object. Raises pydantic's ValidationError."""
        return adapter(cls).validate_python(obj.get("metadata"))

    @property
    def deleting(self) -> bool:
        """Whether somebody asked for the object's deletion."""
        return self.deletion_timestamp is not None

    @property
    def reconcile_requested_at(self) -> str | None:
        """The request to look again: ours, or Flux's, or both in one, so that either may change; None without any."""
        ours, flux = self._token(RECONCILE_REQUESTED_AT), self._token(FLUX_RECONCILE)
        return f"{ours[:_HALF]} {flux[:_HALF]}" if ours and flux else ours or flux

    @property
    def rebuild_requested_at(self) -> str | None:
        """The request for another build of the same inputs; None where there is none."""
        return self._token(REBUILD_REQUESTED_AT)

    @property
    def extend_requested_at(self) -> str | None:
        """The request to let a preview live for another ttl; None where there is none."""
        return self._token(EXTEND_REQUESTED_AT)

    def _token(self, annotation: str) -> str | None:
        return self.annotations.get(annotation, "")[:LONGEST_TOKEN] or None


# --- references ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, config=model())
class AccountRef:
    """The account to use."""

    kind: Annotated[AccountKind, Field(
        description="Kind of the account: AgentexAccount (the default) in this namespace, or ClusterAgentexAccount, "
        "which serves many namespaces.")] = "AgentexAccount"
    name: Annotated[ObjectName, Field(description="Name of the account, for example `default`.")]


@dataclass(frozen=True, kw_only=True, config=model())
class KeyRef:
    """One key of a ConfigMap or Secret."""

    name: Annotated[ObjectName, Field(description="Name of the ConfigMap or Secret, for example `quote-bot`.")]
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$",
                              description="The key in it, for example `context.tar.gz` or `api-key`.")]


@dataclass(frozen=True, kw_only=True, config=model())
class NameRef:
    """An object in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the object, in the namespace of this resource.")]


# --- what every status says ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, config=model())
class Condition:
    """One thing that is true, false or not known of the resource (metav1.Condition)."""

    type: Annotated[str, Field(min_length=1, max_length=316, description="What it speaks of, for example `Ready`.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="True, False or Unknown.")]
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                                 description="Why, in one CamelCase word that programs may rely on.")]
    message: Annotated[Message, Field(description="Why, in a sentence for people, with the next step where one helps.")]
    observed_generation: Annotated[Generation, Field(
        description="The metadata.generation this condition speaks of.")]
    last_transition_time: Annotated[Timestamp, Field(description="When `status` last changed, in RFC 3339.")]


@dataclass(frozen=True, kw_only=True, config=model())
class PendingCreate:
    """A create that was written down before it was sent, and whose answer is not on record."""

    token: Annotated[Word, Field(description="The ownership token by which the remote object is found.")]
    attempt: Annotated[Count, Field(description="Which create this is, counted from 1.")]
    started_at: Annotated[Timestamp, Field(description="When it was written down, right before it was sent.")]
    answer_lost_at: Annotated[Timestamp | None, Field(
        description="When it became clear that its answer would not come; unset while it may.")] = None
    fingerprint: Annotated[Digest | None, Field(
        description="What the remote object looks like if the server dropped the token.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class BoundAccount:
    """The account in which the remote objects of this resource live; kept for good once something was created."""

    kind: Annotated[Word, Field(description="AgentexAccount or ClusterAgentexAccount.")]
    name: Annotated[Word, Field(description="Name of the account resource.")]
    account_id: Annotated[Word, Field(description="The remote account's id.")]
    endpoint: Annotated[Url, Field(description="The remote API it was created through.")]


RemovalReason = Literal["Requested", "TimedOut", "Replaced", "Deleted", "Duplicate", "Expired"]


@dataclass(frozen=True, kw_only=True, config=model())
class Removal:
    """The last removal (the cancellation of a build, the deletion of a deployment) that the operator asked for."""

    id: Annotated[RemoteID, Field(description="Id of the remote object.")]
    reason: Annotated[RemovalReason, Field(
        description="Why: the user asked (Requested), it took too long (TimedOut), its inputs changed (Replaced), the "
        "resource was deleted (Deleted), a lost answer left it behind (Duplicate), or its time was over (Expired).")]
    requested_at: Annotated[Timestamp, Field(description="When it was asked for.")]


@dataclass(frozen=True, kw_only=True, config=model())
class Status:
    """What every resource says of itself."""

    observed_generation: Annotated[Generation, Field(
        description="The metadata.generation this status speaks of; -1 until the operator has seen the resource.")] = -1
    phase: Annotated[Word | None, Field(
        description="The state in one word, for people. Programs read the conditions.")] = None
    conditions: Annotated[tuple[Condition, ...], Field(
        max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="What is true of the resource. Ready comes first; Reconciling and Stalled are there only while "
        "they are True.")] = ()
    last_handled_reconcile_at: Annotated[Word | None, Field(
        description=f"Value of the annotation {RECONCILE_REQUESTED_AT} (or {FLUX_RECONCILE}) last acted upon; where a "
        "resource has both, the one and the other with a space between them.")] = None


@dataclass(frozen=True, kw_only=True, config=model())
class RemoteStatus(Status):
    """What a resource with a remote object remembers of it: enough to create it once, find it again and remove it."""

    account: Annotated[BoundAccount | None, Field(
        description="The account in which the remote objects live.")] = None
    attempt: Annotated[Count, Field(
        description="How many creates were written down for this resource.")] = 0
    pending_create: Annotated[PendingCreate | None, Field(
        description="The create whose answer is not on record yet.")] = None
    unanswered_create_at: Annotated[Timestamp | None, Field(
        description="When an earlier create was sent whose answer never came; it may still take effect.")] = None
    condemned: Annotated[tuple[RemoteID, ...], Field(
        max_length=50, description="Ids of remote objects that are ours, are not wanted and are being removed.")] = ()
    removal: Annotated[Removal | None, Field(
        description="The last removal the operator asked for.")] = None
    refused_at: Annotated[Timestamp | None, Field(
        description="When the remote last gave a create a definite no.")] = None
    missing_since: Annotated[Timestamp | None, Field(
        description="Since when the recorded remote object answers 404.")] = None
    remote_status: Annotated[Word | None, Field(
        description="The remote API's own word for the state, for example `running`.")] = None

    @property
    def remote_id(self) -> str | None:
        """The recorded remote id; None where nothing remote is on record."""
        return None

    def with_remote_id(self, remote_id: str | None) -> Self:
        """The status with that remote id on record."""
        return self


def status_as_dict(status: Status) -> dict[str, Any]:
    """The status as the API server stores it: without what is None or empty, and always with observedGeneration."""
    written: dict[str, Any] = adapter(type(status)).dump_python(status, mode="json", by_alias=True)
    return {**_without_empty(written), "observedGeneration": status.observed_generation}


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None and one not in ("", [], {})}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value


# --- the whole object ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, config=model())
class Resource:
    """A custom resource: its metadata, and in each kind a spec and a status."""

    names: ClassVar[Names]
    meta: Annotated[Meta, Field(alias="metadata")]

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """The resource in an object of the API server. Raises pydantic's ValidationError."""
        return adapter(cls).validate_python(obj)
