"""Source kind `http`: a tar.gz at an address, pinned by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.api.sources import HttpSource
from agentex_operator.core import source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.sources.credentials import Credentials, credentials
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
        found = Credentials()
        if spec.secret_ref is not None:
            found = await credentials(access.cluster, access.namespace, spec.secret_ref.name, access.keep_secret)
        request = DownloadRequest(spec.url, spec.digest, access.largest, found.authorization, found.ca,
                                  spec.secret_ref.name if spec.secret_ref else None)
        await access.downloader.download(request, out)
        return spec.digest
