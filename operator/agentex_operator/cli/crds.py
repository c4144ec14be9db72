"""`agentex-operator crds`: write the CustomResourceDefinitions."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("crds"))
def crds(folder: Path) -> None:
    """Write the CRDs, one file per kind, into FOLDER (default: crds)."""
    from agentex_operator.api.crds import write_crds  # noqa: PLC0415 - other commands do without the models

    folder.mkdir(parents=True, exist_ok=True)
    write_crds(folder)
