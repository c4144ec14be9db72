"""What a kind of source must be able to do, and what it is given to do it with: the contract of a registered source."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from agentex_operator.core.calls import Revision
    from agentex_operator.core.source_facts import SourceFacts
    from agentex_operator.sources.cluster_objects import ObjectReader
    from agentex_operator.sources.download import Downloader
    from agentex_operator.sources.shared_looks import SharedLooks

SpecT = TypeVar("SpecT")


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """A member that names a ConfigMap or a Secret in the namespace of the resource, by its `name`.

    `path`: the path of that member below the member of the source kind; () is the member of the source kind itself.
    """

    kind: Literal["ConfigMap", "Secret"]
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """What a kind of source reads with, for one resource of `namespace`.

    What may change is to be read after `since` (of the monotonic clock). `looks`: the looks at addresses that all
    resources share; while one is awaited, a context that `waiting` makes is to be entered. `largest`: bytes of an
    archive. `keep_secret` must be called with every credential before its use: it keeps the credential out of the log.
    """

    cluster: ObjectReader
    namespace: str
    downloader: Downloader
    looks: SharedLooks
    largest: int
    keep_secret: Callable[[str], None]
    since: float = 0.0
    waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


class SourceKind(Protocol[SpecT]):
    """One kind of source. `member`: the member of `spec.source` it is for.

    Errors are those of core/errors: InvalidInput if only another spec or content helps, NotReady if something else must
    be there first, Unavailable for a temporary failure.
    """

    @property
    def member(self) -> str:
        """The name of the member in `spec.source`, as users write it."""
        ...

    @property
    def references(self) -> tuple[ObjectReference, ...]:
        """The members that name the ConfigMaps and Secrets that `resolve` and `fetch` read."""
        ...

    def validate(self, value: object) -> SpecT:
        """The member's value as the spec of this kind. Raises InvalidInput(InvalidSpec)."""
        ...

    def facts_of(self, spec: SpecT) -> SourceFacts:
        """What the decisions know of this source. The revision of a pinned one is in its spec and always fresh."""
        ...

    async def resolve(self, spec: SpecT, access: SourceAccess) -> Revision:
        """The present revision of the source. It is asked for in every pass and must be cheap."""
        ...

    async def fetch(self, spec: SpecT, access: SourceAccess, out: Path) -> str:
        """Write the source's tar.gz to the new file `out`; its revision. It runs only before a build is created."""
        ...
