"""Access to the API server: by the kubeconfig that the settings name, or by the service account of the pod."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration

from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import NotReady

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """The server and the credentials, for another HTTP client that must be the same user. Paths are of PEM files."""

    server: str
    ca_path: str | None
    certificate_path: str | None
    key_path: str | None
    authorization: str | None  # scheme and credentials, as in the header
    proxy: str | None

    def __repr__(self) -> str:
        return f"Access(server={self.server!r})"


async def load(kubeconfig: Path | None, context: str | None) -> Configuration:
    """Read the kubeconfig, or for None the service account.

    Raises NotReady if unusable, without credentials over TLS, or if TLS is not verified.
    """
    loaded = Configuration()
    with guard.raising(lambda error: _unusable(f"{_source(kubeconfig)} cannot be used: {_problem(error)}")):
        await _read_into(loaded, kubeconfig, context)
    if not loaded.verify_ssl:
        raise _unusable(f"{_source(kubeconfig)} turns TLS verification off: name a certificate-authority instead")
    _drop_line_breaks(loaded)
    if loaded.host.startswith("https://") and not loaded.api_key and not loaded.cert_file:
        raise _unusable(f"{_source(kubeconfig)} has no credentials for the API server: name a token or a certificate "
                        "for its user, or correct the command under exec, whose errors are above")
    loaded.retries = None
    loaded.client_session_kwargs = {"trust_env": False}  # a proxy of the environment is not meant for the API server
    return loaded


def _unusable(message: str) -> NotReady:
    return NotReady(reasons.ACCESS_DENIED, message)


def _drop_line_breaks(loaded: Configuration) -> None:
    """Drop the line break at the end of a token, which is usual in a tokenFile, and which no header can carry."""
    loaded.api_key = {name: key.strip() for name, key in loaded.api_key.items()}


async def access_of(loaded: Configuration) -> Access:
    """The access in this configuration, with the newest token."""
    return Access(
        server=loaded.host,
        ca_path=loaded.ssl_ca_cert,
        certificate_path=loaded.cert_file,
        key_path=loaded.key_file,
        authorization=await loaded.get_api_key_with_prefix("BearerToken"),
        proxy=loaded.proxy,
    )


async def _read_into(loaded: Configuration, kubeconfig: Path | None, context: str | None) -> None:
    if kubeconfig is None:
        config.load_incluster_config(loaded)  # type: ignore[no-untyped-call]  # half typed
    else:
        path = str(kubeconfig)
        read = config.load_kube_config(path, context, loaded, False)  # type: ignore[no-untyped-call]  # half typed
        await read


def _problem(error: Exception) -> str:
    """The problem in the library's words; other exceptions may quote a part of the file, which is secret."""
    return str(error) if isinstance(error, config.ConfigException | OSError) else type(error).__name__


def _source(kubeconfig: Path | None) -> str:
    return (
        f"kubeconfig {kubeconfig}" if kubeconfig else "the pod's service account (outside a cluster use --kubeconfig)"
    )
