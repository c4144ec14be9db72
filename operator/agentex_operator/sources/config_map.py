"""Source kind `configMapKeyRef`: a tar.gz under a key of a ConfigMap's binaryData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.core import reasons, source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.core.errors import InvalidInput, NotReady
from agentex_operator.sources.cluster_objects import ObjectContent, decoded
from agentex_operator.sources.object_key import ObjectKeySource
from agentex_operator.sources.source_kind import ObjectReference

if TYPE_CHECKING:
    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.source_facts import SourceFacts
    from agentex_operator.sources.source_kind import SourceAccess


class ConfigMapSourceKind(ObjectKeySource):
    """The archive is `binaryData[key]`."""

    member: Final = "configMapKeyRef"
    references: Final = (ObjectReference("ConfigMap"),)

    def facts_of(self, _spec: KeyRef) -> SourceFacts:
        """The facts of a ConfigMap."""
        return source_facts.CONFIG_MAP

    async def resolve(self, spec: KeyRef, access: SourceAccess) -> Revision:
        """As ObjectKeySource; without a read, if no change was told since the last one and any age is accepted."""
        known = None if access.since else access.cluster.config_map_digests(access.namespace, spec.name)
        if known is not None and (digest := known.get(spec.key)):
            return Revision(digest, digest)
        found = await super().resolve(spec, access)
        if known is not None:
            known[spec.key] = found.revision
        return found

    async def content(self, ref: KeyRef, access: SourceAccess) -> ObjectContent:
        """`binaryData[key]` of the ConfigMap.

        Raises NotReady (ConfigMapNotFound, KeyNotFound), and InvalidInput(InvalidContext) for text.
        """
        found = await access.cluster.config_map(access.namespace, ref.name, access.since)
        if found is None:
            raise NotReady(reasons.CONFIG_MAP_NOT_FOUND, f"There is no ConfigMap {ref.name!r} in this namespace. "
                                                         "Create it, or correct spec.source.configMapKeyRef.name.")
        if ref.key in (found.get("data") or {}):
            raise InvalidInput(reasons.INVALID_CONTEXT, f"Key {ref.key!r} of ConfigMap {ref.name!r} is text, and no "
                               "tar.gz. Put the archive under binaryData, as `kubectl create configmap --from-file` "
                               "does.")
        return decoded(found.get("binaryData") or {}, ref, f"ConfigMap {ref.name!r}", "spec.source.configMapKeyRef")
