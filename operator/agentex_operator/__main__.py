"""`python -m agentex_operator` is `agentex-operator`."""

from agentex_operator.cli import main

main()
