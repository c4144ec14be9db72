"""What the decisions know of a source: facts that hold for each kind of source, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from agentex_operator.api.sources import BuildSource, HttpSource


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The facts of one source.

    `has_context`: a build context is staged and sent; an existing image has none. `is_pinned`: the revision is in the
    spec; the revision of another source may change while the spec does not, so it is looked at more often.
    `is_object`: the revision changes only with the ConfigMap or Secret that the source names. `interval`: how often the
    spec says that the revision is to be looked at; None where the spec does not say.
    """

    has_context: bool = True
    is_pinned: bool = False
    is_object: bool = False
    interval: timedelta | None = None


CONFIG_MAP: Final = SourceFacts(is_object=True)
SECRET: Final = SourceFacts(is_object=True)
PINNED_HTTP: Final = SourceFacts(is_pinned=True)
IMAGE: Final = SourceFacts(has_context=False, is_pinned=True)
WITHOUT_MEMBER: Final = SourceFacts(is_pinned=True)  # an empty source has no revision that could change
NOT_DECLARED: Final = SourceFacts()                  # a member that api/sources.py does not declare


def of_http(spec: HttpSource) -> SourceFacts:
    """The facts of an address, which is pinned by a digest or looked at in an interval."""
    return PINNED_HTTP if spec.every is None else SourceFacts(interval=spec.every)


BY_MEMBER: Final[Mapping[str, Callable[[Any], SourceFacts]]] = {
    "configMapKeyRef": lambda _spec: CONFIG_MAP, "secretKeyRef": lambda _spec: SECRET, "http": of_http,
    "image": lambda _spec: IMAGE}


def facts_of(source: BuildSource) -> SourceFacts:
    """The facts of the source, by the member that is set."""
    member = source.member
    if member is None:
        return WITHOUT_MEMBER
    facts = BY_MEMBER.get(member)
    return NOT_DECLARED if facts is None else facts(source.members[member])


def image_url(source: BuildSource) -> str | None:
    """The URL of the existing image to register; None for a source that an image is built from."""
    return source.image.url if source.image else None
