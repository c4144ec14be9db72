"""The digests of values in ConfigMaps, so that a ConfigMap that did not change is neither read nor digested again.

What was read may be used as long as every change is told. A change, and a read of another version, forget all digests
of a ConfigMap. A reader asks for the digests before it reads, and adds to what it was given: what it adds after the
digests were forgotten is not found by others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from agentex_operator.kube.metadata import Name
    from agentex_operator.reconcile.reference_versions import Version


@dataclass(slots=True, eq=False)
class _OneVersion:
    """The digests of one ConfigMap by key. `version`: the one that was read; None before the first read."""

    version: str | None = None
    digests: dict[str, str] = field(default_factory=dict)


class ConfigMapDigests:
    """Keeps the digests of at most one version of each ConfigMap."""

    def __init__(self) -> None:
        self._known: dict[Name, _OneVersion] = {}

    def of(self, name: Name) -> MutableMapping[str, str]:
        """The digests of a ConfigMap by key, to read and to add to."""
        return self._known.setdefault(name, _OneVersion()).digests

    def take_read(self, name: Name, version: Version) -> None:
        """Take in which version was read, or that there is no such ConfigMap."""
        known = self._known.get(name)
        if known is None:
            return
        if version is None or known.version not in (None, version):
            del self._known[name]
        else:
            known.version = version

    def forget(self, name: Name) -> None:
        """Forget the digests of a ConfigMap that has changed."""
        self._known.pop(name, None)

    def forget_all(self) -> None:
        """Forget all digests, as changes may not have been told."""
        self._known.clear()
