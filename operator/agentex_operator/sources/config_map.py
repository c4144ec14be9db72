"""Source kind `configMap`: a tar.gz under a key of a ConfigMap's binaryData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.api.references import KeyRef
from agentex_operator.core import reasons, source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.core.errors import InvalidInput, NotReady
from agentex_operator.sources.cluster_objects import ObjectContent, decoded
from agentex_operator.sources.source_kind import ObjectReference
from agentex_operator.sources.validation import validated

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.sources.source_kind import SourceAccess


class ConfigMapSourceKind:
    """Its revision is the digest of the bytes under the key."""

    member: Final = "configMap"
    facts: Final = source_facts.CONFIG_MAP
    references: Final = (ObjectReference("ConfigMap"),)

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
    """`binaryData[key]` of the ConfigMap.

    Raises NotReady (ConfigMapNotFound, KeyNotFound), and InvalidInput(InvalidContext) for text.
    """
    found = await access.cluster.config_map(access.namespace, ref.name, access.since)
    if found is None:
        raise NotReady(reasons.CONFIG_MAP_NOT_FOUND, f"There is no ConfigMap {ref.name!r} in this namespace. Create "
                                                     "it, or correct spec.source.configMap.name.")
    if ref.key in (found.get("data") or {}):
        raise InvalidInput(reasons.INVALID_CONTEXT, f"Key {ref.key!r} of ConfigMap {ref.name!r} is text; a tar.gz is "
                           "under binaryData, as `kubectl create configmap --from-file` puts it.")
    return decoded(found.get("binaryData") or {}, ref, f"ConfigMap {ref.name!r}")
