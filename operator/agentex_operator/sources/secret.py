"""Source kind `secret`: a tar.gz under a key of a Secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.api.references import KeyRef
from agentex_operator.core import source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.sources.cluster_objects import ObjectContent, decoded, secret_data
from agentex_operator.sources.source_kind import ObjectReference
from agentex_operator.sources.validation import validated

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.sources.source_kind import SourceAccess


class SecretSourceKind:
    """Its revision is the digest of the bytes under the key."""

    member: Final = "secret"
    facts: Final = source_facts.SECRET
    references: Final = (ObjectReference("Secret"),)

    def validate(self, value: object) -> KeyRef:
        """The member's value as a KeyRef. Raises InvalidInput(InvalidSpec)."""
        return validated(KeyRef, value, self.member)

    async def resolve(self, spec: KeyRef, access: SourceAccess) -> Revision:
        """The digest of the bytes as the revision. Raises NotReady and InvalidInput as `_content` says."""
        digest = (await _content(spec, access)).digest
        return Revision(digest, digest)

    async def fetch(self, spec: KeyRef, access: SourceAccess, out: Path) -> str:
        """Write the bytes to `out`; their digest. Raises NotReady and InvalidInput as `_content` says."""
        content = await _content(spec, access)
        content.write_to(out)
        return content.digest


async def _content(ref: KeyRef, access: SourceAccess) -> ObjectContent:
    """`data[key]` of the Secret. Raises NotReady (SecretNotFound, KeyNotFound), InvalidInput if it is not base64."""
    values = await secret_data(access.cluster, access.namespace, ref.name, access.since)
    return decoded(values, ref, f"Secret {ref.name!r}")
