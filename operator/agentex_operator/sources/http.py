"""Source kind `http`: a tar.gz at an address, pinned by its digest or looked at again in an interval."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentex_operator.api.sources import HttpSource
from agentex_operator.core import source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.sources.credentials import Credentials, credentials
from agentex_operator.sources.download import DownloadRequest
from agentex_operator.sources.shared_looks import LookRequest
from agentex_operator.sources.source_kind import ObjectReference
from agentex_operator.sources.validation import validated

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.core.source_facts import SourceFacts
    from agentex_operator.sources.source_kind import SourceAccess


class HttpSourceKind:
    """Its revision is the digest of the bytes: that in the spec, which others are refused for, or of the last look."""

    member: Final = "http"
    references: Final = (ObjectReference("Secret", ("secretRef",)),)

    def validate(self, value: object) -> HttpSource:
        """The member's value as an HttpSource. Raises InvalidInput(InvalidSpec)."""
        return validated(HttpSource, value, self.member)

    def facts_of(self, spec: HttpSource) -> SourceFacts:
        """The facts of an address with a digest or an interval."""
        return source_facts.of_http(spec)

    async def resolve(self, spec: HttpSource, access: SourceAccess) -> Revision:
        """The digest in the spec as the revision, without I/O; else that of the last look, or of a look that is due.

        Raises as credentials.py and download.py say.
        """
        if spec.digest is not None:
            return Revision(spec.digest, spec.digest)
        content = await access.looks.content(await self._look_at(spec, access), access.waiting)
        return Revision(content.digest, content.digest, timedelta(seconds=content.due))

    async def fetch(self, spec: HttpSource, access: SourceAccess, out: Path) -> str:
        """Download the archive to `out`, or take what the last look downloaded; its digest.

        Raises as `resolve` does.
        """
        if spec.digest is None:
            return await access.looks.copy(await self._look_at(spec, access), out)
        await access.downloader.download(await self._download_of(spec, access), out)
        return spec.digest

    async def _look_at(self, spec: HttpSource, access: SourceAccess) -> LookRequest:
        every = spec.every or timedelta()
        return LookRequest(await self._download_of(spec, access), every.total_seconds(), access.since)

    async def _download_of(self, spec: HttpSource, access: SourceAccess) -> DownloadRequest:
        found = Credentials()
        if spec.secret_ref is not None:
            found = await credentials(access.cluster, access.namespace, spec.secret_ref.name, access.keep_secret)
        return DownloadRequest(spec.url, spec.digest, access.largest, found.authorization, found.ca,
                               spec.secret_ref.name if spec.secret_ref else None)
