"""Objects that the API server accepted and our models refuse (an older CRD, for example): what their status says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final, TypeVar

from agentex_operator.api.status import Status
from agentex_operator.core import conditions, reasons, transitions
from agentex_operator.core.plan import Progress, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentex_operator.api.metadata import Meta
    from agentex_operator.core.transitions import Readiness

IMMUTABLE: Final = frozenset(  # the CRDs' rules say so, and a test compares
    ("spec", member) for member in ("accountID", "accountRef", "agentID", "agentName", "endpoint"))
_CORRECT_STATUS: Final = "Correct it with kubectl edit --subresource=status"
MOST_CUTS: Final = 200  # members that are left out of one object

ResourceT = TypeVar("ResourceT")


@dataclass(frozen=True, slots=True)
class InvalidObject:
    """Why an object is no valid resource, and what to do. `path`: the member; `missing`: whether it is absent."""

    message: str
    path: tuple[str | int, ...] = ()
    missing: bool = False


def invalid_object(path: Iterable[str | int], problem: str, *, missing: bool = False) -> InvalidObject:
    """The finding about one member of the object; `problem` is what the model says of it."""
    path = tuple(path)
    member = ".".join(str(part) for part in path) or "the object"
    anew = "Create the resource anew with another value, as this one is immutable"
    step = anew if path[:2] in IMMUTABLE else _CORRECT_STATUS if path[:1] == ("status",) else "Correct it"
    message = f"{member}: {problem}. {step}, or update the CRDs to this operator's version."
    return InvalidObject(message, path, missing)


def status_of_invalid(found: InvalidObject, meta: Meta, stored: Readiness | None, now: datetime) -> Status | None:
    """The status that reports InvalidSpec; None where the stored one reports the same of this generation."""
    said = conditions.render((), _verdict(found, meta), (), meta.generation, now)
    if _same(stored, transitions.readiness_of(said)):
        return None
    return Status(observed_generation=meta.generation, phase="Failed", conditions=said)


def _verdict(found: InvalidObject, meta: Meta) -> Verdict:
    """Nothing remote is touched. A deletion waits only for what `readable_part` cannot do without."""
    message = f"{found.message} Its deletion waits for that." if meta.deleting else found.message
    return Verdict(ready="False", reason=reasons.INVALID_SPEC, message=message, phase="Failed",
                   progress=Progress.STALLED)


def readable_part(obj: Mapping[str, object], parse: Callable[[Mapping[str, object]], ResourceT | InvalidObject],
                  least_spec: Mapping[str, object]) -> ResourceT | InvalidObject:
    """The resource without the members that cannot be read, for its deletion, which goes on from the status.

    The finding if it is about a member that the deletion needs: spec.deletionPolicy, or the status but its conditions.
    """
    for _ in range(MOST_CUTS):
        found = parse(obj)
        if not isinstance(found, InvalidObject) or (reduced := _without(obj, found, least_spec)) is None:
            return found
        obj = reduced
    return parse(obj)


def _without(obj: Mapping[str, object], found: InvalidObject,
             least_spec: Mapping[str, object]) -> Mapping[str, object] | None:
    """The object without the member that cannot be read; None if the deletion needs the member."""
    match found.path:
        case ("spec", "deletionPolicy", *_):
            return None
        case ("spec", str(member)) if found.missing:
            return {**obj, "spec": {**_members(obj, "spec"), member: least_spec.get(member)}}
        case ("spec", _, *_):
            names = tuple(str(part) for part in takewhile(lambda part: isinstance(part, str), found.path[1:]))
            cut = names[:-1] if found.missing and len(names) > 1 else names
            return {**obj, "spec": _cut(_members(obj, "spec"), cut)}
        case ("status", "conditions", *_):
            return {**obj, "status": _cut(_members(obj, "status"), ("conditions",))}
        case ("spec",) | ():
            kept = {name: value for name, value in _members(obj, "spec").items() if name == "deletionPolicy"}
            return {**obj, "spec": {**least_spec, **kept}}
        case _:
            return None


def _cut(members: Mapping[str, object], path: tuple[str, ...]) -> Mapping[str, object]:
    """The members without the one at this path, or without the last one on the path that there is."""
    first, *rest = path
    inner = members.get(first)
    if rest and isinstance(inner, Mapping) and rest[0] in inner:
        return {**members, first: _cut(inner, tuple(rest))}
    return {name: value for name, value in members.items() if name != first}


def _members(obj: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = obj.get(name)
    return found if isinstance(found, Mapping) else {}


def _same(stored: Readiness | None, new: Readiness | None) -> bool:
    if stored is None or new is None:
        return False
    return (stored.reason, stored.message, stored.observed_generation) == (new.reason, new.message,
                                                                            new.observed_generation)
