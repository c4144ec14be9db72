"""Bytes and credentials out of ConfigMaps and Secrets of the resource's own namespace."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput, NotReady

if TYPE_CHECKING:
    from agentex_operator.api.references import KeyRef


class References(Protocol):
    """The two reads that sources need of the cluster: the raw API objects, None where there is none.

    What comes was asked for after `since` (of the monotonic clock).
    """

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        """One ConfigMap."""

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        """One Secret; its values are base64."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A content, and what to call it in messages; its repr shows neither a byte nor a length."""

    content: bytes
    name: str

    def __repr__(self) -> str:
        return f"Bytes({self.name})"


async def config_map_bytes(cluster: References, namespace: str, ref: KeyRef, since: float) -> Bytes:
    """`binaryData[key]` of a ConfigMap.

    Raises NotReady (ConfigMapNotFound, KeyNotFound), and InvalidInput(InvalidContext) for text.
    """
    found = await cluster.config_map(namespace, ref.name, since)
    if found is None:
        raise NotReady(reasons.CONFIG_MAP_NOT_FOUND, f"There is no ConfigMap {ref.name!r} in this namespace. Create "
                                                     "it, or correct spec.source.configMap.name.")
    if ref.key in (found.get("data") or {}):
        raise InvalidInput(reasons.INVALID_CONTEXT, f"Key {ref.key!r} of ConfigMap {ref.name!r} is text; a tar.gz is "
                           "under binaryData, as `kubectl create configmap --from-file` puts it.")
    return _decoded(found.get("binaryData") or {}, ref, f"ConfigMap {ref.name!r}")


async def secret_bytes(cluster: References, namespace: str, ref: KeyRef, since: float) -> Bytes:
    """`data[key]` of a Secret. Raises NotReady (SecretNotFound, KeyNotFound)."""
    return _decoded(await _secret(cluster, namespace, ref.name, since), ref, f"Secret {ref.name!r}")


async def authorization(cluster: References, namespace: str, name: str, keep_secret: Callable[[str], None]) -> str:
    """The Authorization header from a Secret with `token`, or `username` and `password`.

    What it is made of is told to `keep_secret` before it is used. Raises NotReady: SecretNotFound, or SecretInvalid for
    any other shape. No message holds a value.
    """
    values = await _secret(cluster, namespace, name)
    match {key: _credential(values[key], key, name) for key in ("token", "username", "password") if key in values}:
        case {"token": token, **others} if not others:
            keep_secret(token)
            return f"Bearer {token}"
        case {"username": username, "password": password, **others} if not others and ":" not in username:
            both = base64.b64encode(f"{username}:{password}".encode()).decode()
            keep_secret(password)
            keep_secret(both)
            return f"Basic {both}"
        case _:
            raise _invalid_secret(name, "must have either the key token, or the keys username and password")


async def _secret(cluster: References, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any]:
    found = await cluster.secret(namespace, name, since)
    if found is None:
        raise NotReady(reasons.SECRET_NOT_FOUND, f"There is no Secret {name!r} in this namespace. Create it, or "
                                                 "correct the reference.")
    values = found.get("data") or {}
    return values if isinstance(values, Mapping) else {}


def _decoded(values: Mapping[str, Any], ref: KeyRef, holder: str) -> Bytes:
    if ref.key not in values:
        there = ", ".join(sorted(map(str, values))[:20]) or "none"
        raise NotReady(reasons.KEY_NOT_FOUND, f"{holder} has no key {ref.key!r} (it has: {there}). Add it, or correct "
                                              "the reference.")
    try:
        return Bytes(base64.b64decode(values[ref.key], validate=True), holder)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidInput(reasons.INVALID_CONTEXT,
                           f"Key {ref.key!r} of {holder} is not base64. Create it anew.") from error


def _credential(encoded: object, key: str, name: str) -> str:
    """A value that can stand in a header; a line break at its end, as `echo` leaves one, does not count."""
    try:
        value = base64.b64decode(str(encoded), validate=True).decode("ascii").rstrip("\r\n")
    except ValueError:
        raise _invalid_secret(name, f"must have ASCII text under {key}") from None  # the cause would hold the value
    if not value or not value.isprintable():
        raise _invalid_secret(name, f"has an empty value or a control character under {key}")
    return value


def _invalid_secret(name: str, what: str) -> NotReady:
    return NotReady(reasons.SECRET_INVALID, f"Secret {name!r} {what}.")
