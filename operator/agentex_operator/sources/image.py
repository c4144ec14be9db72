"""Source kind `image`: an existing image to register. It has no build context, so nothing can be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.api.sources import ImageSource
from agentex_operator.core import source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.sources.validation import no_context, validated

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.core.source_facts import SourceFacts
    from agentex_operator.sources.source_kind import ObjectReference, SourceAccess


class ImageSourceKind:
    """Its revision is the image's URL, from the spec."""

    member: Final = "image"
    references: Final[tuple[ObjectReference, ...]] = ()

    def validate(self, value: object) -> ImageSource:
        """The member's value as an ImageSource. Raises InvalidInput(InvalidSpec)."""
        return validated(ImageSource, value, self.member)

    def facts_of(self, _spec: ImageSource) -> SourceFacts:
        """The facts of an existing image."""
        return source_facts.IMAGE

    async def resolve(self, spec: ImageSource, _access: SourceAccess) -> Revision:
        """The image's URL as the revision; no I/O."""
        return Revision(spec.url)

    async def fetch(self, _spec: ImageSource, _access: SourceAccess, _out: Path) -> str:
        """Raises InvalidInput(InvalidSpec), always: an image has no build context."""
        raise no_context()
