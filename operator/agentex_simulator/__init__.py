"""Pretend Agentex: the remote API as documented, in memory, with a ledger and scripted faults."""
