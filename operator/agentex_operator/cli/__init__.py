"""The command line: run, crds, version."""

from agentex_operator.cli.main import main

__all__ = ["main"]
