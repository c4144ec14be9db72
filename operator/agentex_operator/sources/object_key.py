"""What the source kinds `configMapKeyRef` and `secretKeyRef` share: the archive is under one key of an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from agentex_operator.api.references import KeyRef
from agentex_operator.core.calls import Revision
from agentex_operator.sources.validation import validated

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.sources.cluster_objects import ObjectContent
    from agentex_operator.sources.source_kind import SourceAccess


class ObjectKeySource(ABC):
    """A source kind (see source_kind.py) whose revision is the digest of the bytes under a key."""

    @property
    @abstractmethod
    def member(self) -> str:
        """The name of the member in `spec.source`."""

    @abstractmethod
    async def content(self, ref: KeyRef, access: SourceAccess) -> ObjectContent:
        """The bytes under the key. Raises NotReady if the object or the key is missing, InvalidInput for other data."""

    def validate(self, value: object) -> KeyRef:
        """The member's value as a KeyRef. Raises InvalidInput(InvalidSpec)."""
        return validated(KeyRef, value, self.member)

    async def resolve(self, spec: KeyRef, access: SourceAccess) -> Revision:
        """The digest of the bytes as the revision. Raises NotReady and InvalidInput as `content` says."""
        digest = (await self.content(spec, access)).digest
        return Revision(digest, digest)

    async def fetch(self, spec: KeyRef, access: SourceAccess, out: Path) -> str:
        """Write the bytes to `out`; their digest. Raises NotReady and InvalidInput as `content` says."""
        content = await self.content(spec, access)
        content.write_to(out)
        return content.digest
