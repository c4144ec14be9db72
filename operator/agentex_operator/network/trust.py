"""Which certificates are trusted: the public authorities or SSL_CERT_FILE, `--ca-bundle`, and the `ca.crt` of a Secret.

The files are looked at before each use: a renewed bundle is used without a restart.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from agentex_operator import logs
from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import NotReady, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logs.logger(__name__)

CA_KEY: Final = "ca.crt"  # the key of a Secret whose value is trusted beside the system's certificates
_LARGEST: Final = 1024 * 1024  # characters of a ca.crt
_CONTEXTS_KEPT: Final = 256    # one for each different ca.crt in use

_Version = tuple[tuple[int, int, int], ...]  # inode, time of change and size of each file


class Trust:
    """Makes TLS contexts. `bundle`: PEM certificates that are trusted too. `environment`: SSL_CERT_FILE, SSL_CERT_DIR.

    As for other programs, SSL_CERT_FILE and SSL_CERT_DIR replace the public authorities. Raises Unavailable for files
    that cannot be used now; if they become unusable later, what was read before stays in use.
    """

    def __init__(self, bundle: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
        named = environment or {}
        self._bundle = bundle
        self._file, self._folder = named.get("SSL_CERT_FILE") or None, named.get("SSL_CERT_DIR") or None
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._version = self._present_version()
        with guard.raising(self._unusable):
            self._contexts[""] = self._made("")

    def context(self, extra: str = "") -> ssl.SSLContext:
        """The context that trusts the certificates in `extra` (PEM) too; the same one until a file changes."""
        self._reload()
        if extra not in self._contexts:
            with guard.raising(self._unusable):
                self._contexts[extra] = self._made(extra)
        self._contexts.move_to_end(extra)
        while len(self._contexts) > _CONTEXTS_KEPT:
            self._contexts.popitem(last=False)
        return self._contexts[extra]

    def _reload(self) -> None:
        version = self._present_version()
        if version == self._version:
            return
        self._version = version
        made = guard.result(self._made, "")
        if isinstance(made, Exception):
            log.error("the CA bundle cannot be read; what was read before stays in use", error=type(made).__name__)
            return
        self._contexts = OrderedDict({"": made})

    def _made(self, extra: str) -> ssl.SSLContext:
        if self._file or self._folder:
            context = ssl.create_default_context(cafile=self._file, capath=self._folder)
        else:
            context = httpx.create_ssl_context(trust_env=False)
        if self._bundle is not None:
            context.load_verify_locations(cafile=self._bundle)
        if extra:
            context.load_verify_locations(cadata=extra)
        return context

    def _present_version(self) -> _Version:
        files = [Path(one) for one in (self._bundle, self._file, self._folder) if one]
        return tuple(_version_of(path) for path in files)

    def _unusable(self, error: Exception) -> Unavailable:
        named = [f"{flag} {path}" for flag, path in (
            ("--ca-bundle", self._bundle), ("SSL_CERT_FILE", self._file), ("SSL_CERT_DIR", self._folder)) if path]
        return Unavailable(f"the certificates of {' and '.join(named) or 'the system'} cannot be used "
                           f"({type(error).__name__}): name files with PEM certificates that the operator may read")


def certificates(encoded: bytes, holder: str) -> str:
    """The PEM text of a `ca.crt`. Raises NotReady(SecretInvalid) for anything but certificates."""
    with guard.raising(lambda _error: _no_certificates(holder)):
        text = encoded.decode("ascii").strip()
        if len(text) > _LARGEST:
            raise _no_certificates(holder)
        if text:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    return text


def _no_certificates(holder: str) -> NotReady:
    return NotReady(reasons.SECRET_INVALID, f"Key {CA_KEY!r} of {holder} is not a list of PEM certificates. "
                                            "Correct it, or remove the key.")


def _version_of(path: Path) -> tuple[int, int, int]:
    found = guard.or_none(path.stat)
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found is not None else (0, 0, 0)
