"""The settings of the operator as one frozen value, and durations as text. cli/run.py reads flags and environment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib import metadata
from pathlib import Path

from agentex_operator.core import endpoints

LEVELS = ("debug", "info", "warning", "error")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings. Raises ValueError, with the name of the flag and what it requires, for an invalid value."""

    namespace: str = "agentex-system"
    watch_namespaces: tuple[str, ...] = ()
    workers: int = 32
    resync: timedelta = timedelta(minutes=5)
    reference_resync: timedelta = timedelta(seconds=60)
    settle: timedelta = timedelta(seconds=30)
    create_longest_life: timedelta = timedelta(seconds=660)
    expiry_grace: timedelta = timedelta(seconds=30)
    missing_grace: timedelta = timedelta(seconds=60)
    reference_grace: timedelta = timedelta(minutes=2)
    drain_timeout: timedelta = timedelta(seconds=25)
    work_dir: Path = field(default_factory=lambda: Path("/tmp/agentex-operator"))  # noqa: S108 - an emptyDir in the pod
    allowed_endpoints: tuple[str, ...] = ("*.scale.com",)
    allow_http_endpoints: bool = False
    require_secret_consent: bool = False
    allowed_source_hosts: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    health_host: str = ""
    health_port: int = 8080
    log_format: str = "json"
    log_level: str = "info"
    kubeconfig: Path | None = None
    context: str | None = None

    def __post_init__(self) -> None:
        _require(self.workers >= 1, "--workers", "at least 1")
        _require(0 <= self.health_port <= 65535, "--health-port", "a port, or 0 for any free one")
        _require(self.log_format in {"json", "text"}, "--log-format", "json or text")
        _require(self.log_level in LEVELS, "--log-level", "debug, info, warning or error")
        _require(self.context is None or self.kubeconfig is not None, "--context", "a --kubeconfig to choose from")
        for name in ("resync", "reference_resync", "create_longest_life", "drain_timeout"):
            _require(getattr(self, name) > timedelta(), _flag(name), "more than zero, for example 30s or 5m")
        for entry in self.allowed_endpoints:
            _require(_is_endpoint_pattern(entry), "--allowed-endpoints", "HOST, HOST:PORT or *.DOMAIN, without scheme "
                     f"or path, and not {entry!r}")
        for host in self.allowed_source_hosts:
            _require(
                _HOST_PORT.fullmatch(host) is not None, "--allowed-source-hosts", "HOST:PORT, without scheme or path"
            )


@cache
def version() -> str:
    """The version of the installed package, as in the User-Agent."""
    try:
        return metadata.version("agentex-operator")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `5m`, `1h30m`, `250ms`; raises ValueError for anything else."""
    parts = _PART.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        message = f"{text!r} is not a duration: write it like 30s, 5m or 1h30m"
        raise ValueError(message)
    return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())


def format_duration(span: timedelta) -> str:
    """Write a duration as `parse_duration` reads it: 5m, 90s, 0s."""
    seconds = span.total_seconds()
    return f"{seconds / 60:g}m" if seconds and seconds % 60 == 0 else f"{seconds:g}s"


def _is_endpoint_pattern(text: str) -> bool:
    try:
        endpoints.parse_pattern(text)
    except ValueError:
        return False
    return True


def _require(valid: bool, flag: str, wanted: str) -> None:
    if not valid:
        message = f"{flag} wants {wanted}"
        raise ValueError(message)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
