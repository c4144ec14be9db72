"""Reading ConfigMaps and Secrets of the resource's own namespace, and decoding the values under their keys."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import InvalidInput, NotReady

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_operator.api.references import KeyRef


class ObjectReader(Protocol):
    """The two reads of the cluster that sources need: the API objects as they are, or None if there is none.

    The answer was requested after `since` (of the monotonic clock).
    """

    def config_map_digests(self, namespace: str, name: str) -> MutableMapping[str, str] | None:
        """The digests of values of a ConfigMap, by key, to read and to add to; None while its changes are not told.

        They hold until the ConfigMap changes. Ask for them before the read whose digest is added.
        """

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        """The ConfigMap of this name."""

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        """The Secret of this name; its values are base64."""


@dataclass(frozen=True, slots=True)
class ObjectContent:
    """The bytes under a key of an object. The repr has the object's name, and neither the bytes nor their number."""

    content: bytes
    holder: str

    @property
    def digest(self) -> str:
        """The digest of the bytes, as `sha256:` and 64 hex digits."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def write_to(self, path: Path) -> None:
        """Write the bytes to a file."""
        path.write_bytes(self.content)

    def __repr__(self) -> str:
        return f"ObjectContent({self.holder})"


async def secret_named(cluster: ObjectReader, namespace: str, name: str, member: str,
                       since: float = 0.0) -> Mapping[str, Any]:
    """The Secret that this member of the spec names.

    Raises NotReady: SecretNotFound, and SecretInvalid for one that may not be used.
    """
    found = await cluster.secret(namespace, name, since)
    if found is None:
        raise NotReady(reasons.SECRET_NOT_FOUND, f"There is no Secret {name!r} in this namespace. Create it, or "
                                                 f"correct {member}.name.")
    return found


def data_of(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a Secret, as base64."""
    values = secret.get("data") or {}
    return values if isinstance(values, Mapping) else {}


def keys_of(values: Mapping[str, Any]) -> str:
    """The keys as a list for a message, at most 20 of them; `none` without any."""
    return ", ".join(sorted(map(str, values))[:20]) or "none"


def decoded(values: Mapping[str, Any], ref: KeyRef, holder: str, member: str) -> ObjectContent:
    """The content of the key that this member of the spec names; `holder` names the object in messages.

    Raises NotReady(KeyNotFound), and InvalidInput(InvalidContext) for a value that is not base64.
    """
    if ref.key not in values:
        raise NotReady(reasons.KEY_NOT_FOUND, f"{holder} has no key {ref.key!r} (it has: {keys_of(values)}). Add it, "
                                              f"or correct {member}.key.")
    not_base64 = f"Key {ref.key!r} of {holder} is not base64. Create it anew."
    with guard.raising(lambda _error: InvalidInput(reasons.INVALID_CONTEXT, not_base64)):
        return ObjectContent(base64.b64decode(values[ref.key], validate=True), holder)
