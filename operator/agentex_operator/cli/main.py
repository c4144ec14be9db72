"""The group of commands, and how its errors look."""

from __future__ import annotations

import click

from agentex_operator.cli.crds import crds
from agentex_operator.cli.run import run
from agentex_operator.settings import version as installed_version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="agentex-operator", prog_name="agentex-operator")
def main() -> None:
    """Keep Agentex builds and deployments as their Kubernetes resources say."""


@main.command()
def version() -> None:
    """Print the version and stop."""
    click.echo(installed_version())


main.add_command(run)
main.add_command(crds)
