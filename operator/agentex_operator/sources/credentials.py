"""The credentials of a download, from a Secret with Flux's keys: the Authorization header, certificates to trust."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentex_operator.core import guard, reasons, secret_use
from agentex_operator.core.errors import NotReady
from agentex_operator.network.trust import CA_KEY, certificates
from agentex_operator.sources.cluster_objects import data_of, keys_of, secret_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.sources.cluster_objects import ObjectReader


_CREDENTIAL_KEYS: Final = ("bearerToken", "username", "password")
BEARER_TOKEN, USERNAME, PASSWORD = _CREDENTIAL_KEYS
_MEMBER: Final = "spec.source.http.secretRef"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a Secret has for a download. `authorization`: None for a Secret with `ca.crt` only. `ca`: PEM, or ""."""

    authorization: str | None = field(default=None, repr=False)
    ca: str = ""


async def credentials(cluster: ObjectReader, namespace: str, name: str,
                      keep_secret: Callable[[str], None]) -> Credentials:
    """The credentials in a Secret with `bearerToken`, or `username` and `password`; with `ca.crt` beside them or alone.

    `keep_secret` is called with each credential before it is used. Raises NotReady: SecretNotFound, or SecretInvalid
    for other keys or values that cannot be sent. A message names keys and never contains a value.
    """
    secret = await secret_named(cluster, namespace, name, _MEMBER)
    secret_use.require_bearer(secret)
    values = data_of(secret)
    ca = _certificates(values[CA_KEY], name) if CA_KEY in values else ""
    present = [key for key in _CREDENTIAL_KEYS if key in values]
    if not present and not ca:
        raise _invalid_secret(name, f"has neither {BEARER_TOKEN}, nor {USERNAME} and {PASSWORD}, nor certificates "
                                    f"under {CA_KEY} (it has: {keys_of(values)})", "Add the keys that the server needs")
    _require_one_credential(present, name)
    return Credentials(_authorization(values, name, keep_secret) if present else None, ca)


def _require_one_credential(present: list[str], name: str) -> None:
    """Raise NotReady(SecretInvalid) for keys of two credentials, and for half of one."""
    if BEARER_TOKEN in present and len(present) > 1:
        others = " and ".join(present[1:])
        raise _invalid_secret(name, f"has {BEARER_TOKEN} beside {others}, and a request carries one credential only",
                              f"Remove {BEARER_TOKEN}, or remove {others}")
    if present in ([USERNAME], [PASSWORD]):
        missing = PASSWORD if present == [USERNAME] else USERNAME
        raise _invalid_secret(name, f"has {present[0]} without {missing}", f"Add {missing}")


def _authorization(values: Mapping[str, Any], name: str, keep_secret: Callable[[str], None]) -> str:
    """The header's value, from keys that make one credential."""
    if BEARER_TOKEN in values:
        token = _credential(values[BEARER_TOKEN], BEARER_TOKEN, name)
        keep_secret(token)
        return f"Bearer {token}"
    username, password = (_credential(values[key], key, name) for key in (USERNAME, PASSWORD))
    if ":" in username:
        raise _invalid_secret(name, f"has a colon under {USERNAME}, where HTTP allows none")
    both = base64.b64encode(f"{username}:{password}".encode()).decode()
    keep_secret(password)
    keep_secret(both)
    return f"Basic {both}"


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


def _invalid_secret(name: str, what: str, step: str = "Correct it") -> NotReady:
    return NotReady(reasons.SECRET_INVALID, f"Secret {name!r} {what}. {step}, or name another Secret in {_MEMBER}.")
