"""The registry of source kinds: which kinds there are, and which one a source is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentex_operator.sources.config_map import ConfigMapSourceKind
from agentex_operator.sources.http import HttpSourceKind
from agentex_operator.sources.image import ImageSourceKind
from agentex_operator.sources.secret import SecretSourceKind
from agentex_operator.sources.source_kind import SourceKind
from agentex_operator.sources.validation import no_context

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agentex_operator.api.sources import BuildSource
    from agentex_operator.core.calls import Revision
    from agentex_operator.core.source_facts import SourceFacts
    from agentex_operator.sources.source_kind import SourceAccess

Kinds = tuple[SourceKind[Any], ...]
BUILT_IN: Final[Kinds] = (HttpSourceKind(), ImageSourceKind(), ConfigMapSourceKind(), SecretSourceKind())


@dataclass(frozen=True, slots=True)
class RegisteredSource:
    """A source with its kind: the kind's verbs, applied to the spec of this source."""

    kind: SourceKind[Any]
    spec: Any

    @property
    def facts(self) -> SourceFacts:
        """What the decisions know of it."""
        return self.kind.facts_of(self.spec)

    async def resolve(self, access: SourceAccess) -> Revision:
        """Its present revision. Raises as its kind does."""
        return await self.kind.resolve(self.spec, access)

    async def fetch(self, access: SourceAccess, out: Path) -> str:
        """Write its archive to the new file `out`; the revision of the archive. Raises as its kind does."""
        return await self.kind.fetch(self.spec, access, out)


class Registry:
    """Finds the kind of a source by the member that is set. Raises ValueError if two kinds are for one member."""

    def __init__(self, kinds: Iterable[SourceKind[Any]] = BUILT_IN) -> None:
        self._kinds = tuple(kinds)
        members = [kind.member for kind in self._kinds]
        if len(set(members)) < len(members):
            raise ValueError(f"Two source kinds are for the same member of spec.source: {', '.join(members)}.")

    def find(self, source: BuildSource) -> RegisteredSource:
        """The source with its kind. Raises InvalidInput(InvalidSpec) for an unknown member, or an unusable value."""
        members = source.members
        for kind in self._kinds:
            if kind.member in members:
                return RegisteredSource(kind, kind.validate(members[kind.member]))
        raise no_context()
