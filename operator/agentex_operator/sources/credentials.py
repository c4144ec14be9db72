"""The credentials of a download, made from a Secret: the Authorization header, and certificates to trust."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentex_operator.core import guard, reasons, secret_use
from agentex_operator.core.errors import NotReady
from agentex_operator.network.trust import CA_KEY, certificates
from agentex_operator.sources.cluster_objects import data_of, secret_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.sources.cluster_objects import ObjectReader


_MEMBER: Final = "spec.source.http.secretRef"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a Secret has for a download. `authorization`: None for a Secret with `ca.crt` only. `ca`: PEM, or ""."""

    authorization: str | None = field(default=None, repr=False)
    ca: str = ""


async def credentials(cluster: ObjectReader, namespace: str, name: str,
                      keep_secret: Callable[[str], None]) -> Credentials:
    """The credentials in a Secret with `token`, or with `username` and `password`; with `ca.crt` beside them or alone.

    `keep_secret` is called with each credential before it is used. Raises NotReady: SecretNotFound, or SecretInvalid
    for any other shape. No message contains a value.
    """
    secret = await secret_named(cluster, namespace, name, _MEMBER)
    secret_use.require_bearer(secret)
    values = data_of(secret)
    ca = _certificates(values[CA_KEY], name) if CA_KEY in values else ""
    if ca and not values.keys() & {"token", "username", "password"}:
        return Credentials(None, ca)
    return Credentials(_authorization(values, name, keep_secret), ca)


def _authorization(values: Mapping[str, Any], name: str, keep_secret: Callable[[str], None]) -> str:
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


def _certificates(encoded: object, name: str) -> str:
    with guard.raising(lambda _error: _invalid_secret(name, f"must have PEM certificates under {CA_KEY}")):
        content = base64.b64decode(str(encoded), validate=True)
    return certificates(content, f"Secret {name!r}")


def _credential(encoded: object, key: str, name: str) -> str:
    """The value, if a header can carry it; a byte-order mark before it and a line break at its end are dropped."""
    with guard.raising(lambda _error: _invalid_secret(name, f"must have ASCII text under {key}")):
        text = base64.b64decode(str(encoded), validate=True).decode("utf-8-sig")
        value = text.rstrip("\r\n").encode("ascii").decode()
    if not value or not value.isprintable():
        raise _invalid_secret(name, f"has an empty value or a control character under {key}")
    return value


def _invalid_secret(name: str, what: str) -> NotReady:
    return NotReady(reasons.SECRET_INVALID, f"Secret {name!r} {what}. Correct it, or name another Secret in {_MEMBER}.")
