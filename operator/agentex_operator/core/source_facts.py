"""What the decisions know of a source: facts that hold for each kind of source, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.api.sources import BuildSource


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The facts of one kind of source.

    `has_context`: a build context is staged and sent; an existing image has none. `is_pinned`: the revision is in the
    spec; the revision of another source may change while the spec does not, so it is looked at more often.
    `is_object`: the revision changes only with the ConfigMap or Secret that the source names.
    """

    has_context: bool = True
    is_pinned: bool = False
    is_object: bool = False


CONFIG_MAP: Final = SourceFacts(is_object=True)
SECRET: Final = SourceFacts(is_object=True)
HTTP: Final = SourceFacts(is_pinned=True)
IMAGE: Final = SourceFacts(has_context=False, is_pinned=True)
WITHOUT_MEMBER: Final = SourceFacts(is_pinned=True)  # an empty source has no revision that could change
NOT_DECLARED: Final = SourceFacts()                  # a member that api/sources.py does not declare

BY_MEMBER: Final[Mapping[str, SourceFacts]] = {
    "configMapKeyRef": CONFIG_MAP, "secretKeyRef": SECRET, "http": HTTP, "image": IMAGE}


def facts_of(source: BuildSource) -> SourceFacts:
    """The facts of the source, by the member that is set."""
    member = source.member
    return WITHOUT_MEMBER if member is None else BY_MEMBER.get(member, NOT_DECLARED)


def image_url(source: BuildSource) -> str | None:
    """The URL of the existing image to register; None for a source that an image is built from."""
    return source.image.url if source.image else None
