"""The Authorization header of a download, made from a Secret."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from agentex_operator.core import reasons, secret_use
from agentex_operator.core.errors import NotReady
from agentex_operator.sources.cluster_objects import data_of, secret_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentex_operator.sources.cluster_objects import ObjectReader


async def authorization(cluster: ObjectReader, namespace: str, name: str, keep_secret: Callable[[str], None]) -> str:
    """The Authorization header from a Secret with `token`, or with `username` and `password`.

    `keep_secret` is called with each credential before it is used. Raises NotReady: SecretNotFound, or SecretInvalid
    for any other shape. No message contains a value.
    """
    secret = await secret_named(cluster, namespace, name)
    secret_use.require_bearer(secret)
    values = data_of(secret)
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


def _credential(encoded: object, key: str, name: str) -> str:
    """The value, if a header can carry it; a byte-order mark before it and a line break at its end are dropped."""
    try:
        text = base64.b64decode(str(encoded), validate=True).decode("utf-8-sig")
        value = text.rstrip("\r\n").encode("ascii").decode()
    except ValueError:
        raise _invalid_secret(name, f"must have ASCII text under {key}") from None  # the cause would hold the value
    if not value or not value.isprintable():
        raise _invalid_secret(name, f"has an empty value or a control character under {key}")
    return value


def _invalid_secret(name: str, what: str) -> NotReady:
    return NotReady(reasons.SECRET_INVALID, f"Secret {name!r} {what}.")
