"""Which certificates are trusted: the public authorities or SSL_CERT_FILE, `--ca-bundle`, and the `ca.crt` of a Secret.

The files are looked at before each use: a renewed bundle is used without a restart.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache
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
_MARK: Final = b"\xef\xbb\xbf"  # the byte-order mark
_CONTEXTS_KEPT: Final = 256    # one for each different ca.crt in use

_Version = tuple[tuple[int, int, int], ...]  # inode, time of change and size of each file


@dataclass(frozen=True, slots=True)
class _Files:
    """The files whose certificates are trusted."""

    bundle: Path | None = None
    authorities: str | None = None         # SSL_CERT_FILE
    authorities_folder: str | None = None  # SSL_CERT_DIR

    def version(self) -> _Version:
        """What differs after one of the files has changed."""
        return tuple(_version_of(Path(one)) for one in (self.bundle, self.authorities, self.authorities_folder) if one)


class Trust:
    """Answers TLS contexts. `bundle`: PEM certificates that are trusted too; `environment` may name others.

    As for other programs, SSL_CERT_FILE and SSL_CERT_DIR replace the public authorities. Raises Unavailable for files
    that cannot be used now; if they become unusable later, what was read before stays in use.
    """

    def __init__(self, bundle: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
        named = environment or {}
        self._files = _Files(bundle, named.get("SSL_CERT_FILE") or None, named.get("SSL_CERT_DIR") or None)
        self._tried = self._version = self._files.version()
        with guard.raising(self._unusable):
            _context(self._files, self._version, "")

    def context(self, extra: str = "") -> ssl.SSLContext:
        """The context that trusts the certificates in `extra` (PEM) too; the same one until a file changes."""
        self._reload()
        with guard.raising(self._unusable):
            return _context(self._files, self._version, extra)

    def _reload(self) -> None:
        version = self._files.version()
        if version == self._tried:
            return
        self._tried = version
        made = guard.result(_context, self._files, version, "")
        if isinstance(made, Exception):
            log.error("the CA bundle cannot be read; what was read before stays in use", error=type(made).__name__)
            return
        self._version = version

    def _unusable(self, error: Exception) -> Unavailable:
        named = [f"{flag} {path}" for flag, path in (
            ("--ca-bundle", self._files.bundle), ("SSL_CERT_FILE", self._files.authorities),
            ("SSL_CERT_DIR", self._files.authorities_folder)) if path]
        return Unavailable(f"the certificates of {' and '.join(named) or 'the system'} cannot be used "
                           f"({type(error).__name__}): name files with PEM certificates that the operator may read")


@lru_cache(maxsize=_CONTEXTS_KEPT)
def _context(files: _Files, version: _Version, extra: str) -> ssl.SSLContext:
    """The context for these certificates, which all that trust them share: reading the public authorities takes 20 ms.

    `version` is a part of the cache's key only: after a change of a file another context is made.
    """
    if files.authorities or files.authorities_folder:
        context = ssl.create_default_context(cafile=files.authorities, capath=files.authorities_folder)
    else:
        context = httpx.create_ssl_context(trust_env=False)
    # As in Go, with any Python: an intermediate may be the anchor, and an old CA may lack what RFC 5280 asks for.
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    if files.bundle is not None:
        context.load_verify_locations(cafile=files.bundle)
    if extra:
        context.load_verify_locations(cadata=extra)
    return context


def certificates(encoded: bytes, holder: str) -> str:
    """The PEM text of a `ca.crt`, in ASCII. Raises NotReady(SecretInvalid) for other than certificates and comments."""
    with guard.raising(lambda _error: _no_certificates(holder)):
        text = encoded.decode("utf-8-sig").encode("ascii", "replace").decode().strip()  # comments may have any letters
        if len(text) > _LARGEST:
            raise _no_certificates(holder)
        if text or encoded.startswith(_MARK):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    return text


def _no_certificates(holder: str) -> NotReady:
    return NotReady(reasons.SECRET_INVALID, f"Key {CA_KEY!r} of {holder} is not a list of PEM certificates. "
                                            "Correct it, or remove the key.")


def _version_of(path: Path) -> tuple[int, int, int]:
    found = guard.or_none(path.stat)
    return (found.st_ino, found.st_mtime_ns, found.st_size) if found is not None else (0, 0, 0)
