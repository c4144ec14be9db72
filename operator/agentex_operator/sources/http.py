"""Source kind `http`: a tar.gz at an address, pinned by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.api.build import HttpSource
from agentex_operator.core import source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.sources.credentials import authorization
from agentex_operator.sources.download import DownloadRequest
from agentex_operator.sources.source_kind import ObjectReference
from agentex_operator.sources.validation import validated

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.sources.source_kind import SourceAccess


class HttpSourceKind:
    """Its revision is the digest in the spec; a download with other bytes is refused."""

    member: Final = "http"
    facts: Final = source_facts.HTTP
    references: Final = (ObjectReference("Secret", ("secretRef",)),)

    def validate(self, value: object) -> HttpSource:
        """The member's value as an HttpSource. Raises InvalidInput(InvalidSpec)."""
        return validated(HttpSource, value, self.member)

    async def resolve(self, spec: HttpSource, _access: SourceAccess) -> Revision:
        """The digest in the spec as the revision; no I/O."""
        return Revision(spec.digest, spec.digest)

    async def fetch(self, spec: HttpSource, access: SourceAccess, out: Path) -> str:
        """Download the archive to `out`; its digest. Raises as credentials.py and download.py say."""
        header = None
        if spec.secret_ref is not None:
            secret = spec.secret_ref.name
            header = await authorization(access.cluster, access.namespace, secret, access.keep_secret)
        await access.downloader.download(DownloadRequest(spec.url, spec.digest, access.largest, header), out)
        return spec.digest
