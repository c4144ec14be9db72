"""`agentex-operator run`: flags and environment become Settings, and the operator runs until it is told to stop."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentex_operator.core.errors import ExternalError
from agentex_operator.settings import LEVELS, Settings, format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULTS = Settings()


class Duration(click.ParamType[timedelta]):
    """A span of time: 30s, 5m, 1h30m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The span, or a usage error that shows how to write one."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CommaSeparated(click.ParamType[tuple[str, ...]]):
    """Words with commas between them."""

    name = "a,b,c"

    def convert(self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None) -> tuple[str, ...]:
        """The words, without the empty ones."""
        if isinstance(value, tuple):
            return value
        return tuple(word.strip() for word in str(value).split(",") if word.strip())


def _setting(flag: str, **how: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A flag that fills the setting of its name, can come from AGENTEX_OPERATOR_<NAME>, and shows its default."""
    name = flag.removeprefix("--").replace("-", "_")
    default = _as_typed(getattr(_DEFAULTS, name))
    how |= {"default": default, "show_default": default not in ("", None), "show_envvar": True}
    return click.option(flag, name, envvar=f"AGENTEX_OPERATOR_{name.upper()}", **how)


def _as_typed(default: Any) -> Any:
    """A default as a person would type it."""
    if isinstance(default, timedelta):
        return format_duration(default)
    return ",".join(default) if isinstance(default, tuple) else default


@click.command(context_settings={"max_content_width": 110})
@_setting("--namespace", help="The namespace the operator itself lives in.")
@_setting("--watch-namespaces", type=CommaSeparated(), help="Serve only these namespaces; empty serves all.")
@_setting("--workers", type=click.IntRange(min=1), help="How many resources are worked on at the same time.")
@_setting("--resync", type=Duration(), help="How often a resource at rest is looked at again.")
@_setting("--reference-resync", type=Duration(),
          help="How often Secrets, sources and ConfigMaps that are not watched are looked at again.")
@_setting("--settle", type=Duration(), help="Wait after a create whose answer was lost before the next one.")
@_setting("--create-longest-life", type=Duration(), help="How long after it was sent a create may still take effect.")
@_setting("--expiry-grace", type=Duration(), help="How long after a preview's expiry the remote may still show it.")
@_setting("--missing-grace", type=Duration(), help="How long the remote's lists may lack what was just created.")
@_setting("--reference-grace", type=Duration(), help="How long an object that a resource names may be missing.")
@_setting("--drain-timeout", type=Duration(), help="How long work in flight may take after SIGTERM.")
@_setting("--work-dir", type=click.Path(file_okay=False, path_type=Path), help="Where build contexts are staged.")
@_setting("--allowed-endpoints", type=CommaSeparated(), help="HOST, HOST:PORT or *.DOMAIN keys may be sent to.")
@_setting("--allow-http-endpoints", is_flag=True, help="Accept accounts with http:// endpoints: tests and demos only.")
@_setting("--require-secret-consent", is_flag=True, help="Read only Secrets labelled agentex.scale.com/use: true.")
@_setting("--allowed-source-hosts", type=CommaSeparated(), help="HOST:PORTs allowed as sources though private or http.")
@_setting("--ca-bundle", type=click.Path(dir_okay=False, path_type=Path), help="A PEM file that is trusted too.")
@_setting("--health-host", help="The address /livez and /readyz listen on; empty is every address.")
@_setting("--health-port", type=click.IntRange(0, 65535), help="The port of /livez and /readyz; 0 takes any free one.")
@_setting("--log-format", type=click.Choice(["json", "text"]), help="One JSON object per line, or text for a person.")
@_setting("--log-level", type=click.Choice(LEVELS), help="The least that is said.")
@_setting("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Outside a cluster: how to reach it.")
@_setting("--context", help="Which context of the kubeconfig.")
def run(**flags: Any) -> None:
    """Run the operator until SIGTERM or Ctrl-C."""
    settings = _settings(flags)
    from agentex_operator import bootstrap  # noqa: PLC0415 - --help does without the libraries it loads

    try:
        sys.exit(bootstrap.run(settings))
    except ExternalError as error:
        raise click.ClickException(error.message) from error


def _settings(flags: dict[str, Any]) -> Settings:
    try:
        return Settings(**flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
