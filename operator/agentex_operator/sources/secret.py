"""Source kind `secretKeyRef`: a tar.gz under a key of a Secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.core import source_facts
from agentex_operator.sources.cluster_objects import ObjectContent, data_of, decoded, secret_named
from agentex_operator.sources.object_key import ObjectKeySource
from agentex_operator.sources.source_kind import ObjectReference

if TYPE_CHECKING:
    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.source_facts import SourceFacts
    from agentex_operator.sources.source_kind import SourceAccess


_MEMBER: Final = "spec.source.secretKeyRef"


class SecretSourceKind(ObjectKeySource):
    """The archive is `data[key]`."""

    member: Final = "secretKeyRef"
    references: Final = (ObjectReference("Secret"),)

    def facts_of(self, _spec: KeyRef) -> SourceFacts:
        """The facts of a Secret."""
        return source_facts.SECRET

    async def content(self, ref: KeyRef, access: SourceAccess) -> ObjectContent:
        """`data[key]` of the Secret.

        Raises NotReady (SecretNotFound, SecretInvalid, KeyNotFound), and InvalidInput(InvalidContext) without base64.
        """
        found = await secret_named(access.cluster, access.namespace, ref.name, _MEMBER, access.since)
        return decoded(data_of(found), ref, f"Secret {ref.name!r}", _MEMBER)
