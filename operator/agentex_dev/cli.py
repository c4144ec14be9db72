"""The `agentex-dev` command: build the real parts, run a control plane, run Helm, run the demo."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from agentex_dev import gobuild
from agentex_dev.controlplane import ControlPlane
from agentex_dev.errors import DevError
from agentex_dev.programs import find_programs
from agentex_dev.progress import Progress

if TYPE_CHECKING:
    from types import FrameType


class _Commands(click.Group):
    """Turns what a developer has to know into one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DevError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Real parts for developing the operator: nothing here is in its image."""


@main.command()
@click.argument("what", type=click.Choice([*gobuild.TOOLS_BY_NAME, "all"]), default="all")
def build(what: str) -> None:
    """Build a real part into the cache, or find it there, and print its path."""
    names = list(gobuild.TOOLS_BY_NAME) if what == "all" else [what]
    for name in names:
        click.echo(gobuild.built(gobuild.TOOLS_BY_NAME[name]))


@main.command()
def controlplane() -> None:
    """Run a control plane until Ctrl-C."""
    _end_on(signal.SIGTERM, signal.SIGHUP)
    programs = find_programs()
    plane = ControlPlane(programs)
    with Progress("starting the control plane"):
        plane.start()
    try:
        _explain(plane, programs.lacking)
        signal.pause()
    except KeyboardInterrupt:
        click.echo("\nstopping")
    finally:
        plane.stop()


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def helm(args: tuple[str, ...]) -> NoReturn:
    """Run the real Helm with these arguments."""
    binary = str(gobuild.built(gobuild.HELM))
    os.execv(binary, [binary, *args])  # noqa: S606 - becoming Helm is the point


@main.command()
@click.option("--once", is_flag=True, help="End by itself; exit 0 only if every sample became Ready.")
def demo(once: bool) -> None:
    """Show the operator at work: control plane, simulator, operator and samples."""
    # Late, so that the other commands do not need what the demo imports.
    sys.exit(importlib.import_module("agentex_dev.demo").main(once))


def _explain(plane: ControlPlane, lacking: str) -> None:
    click.echo(f"control plane at {plane.url}; administrator:\n")
    click.echo(f"    export KUBECONFIG={plane.admin_kubeconfig}\n")
    click.echo("Logs are beside it. Ctrl-C stops it and removes everything.")
    if lacking:
        click.echo(f"Beware: {lacking}.")


def _end_on(*signals: signal.Signals) -> None:
    for signum in signals:
        signal.signal(signum, _as_ctrl_c)


def _as_ctrl_c(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
