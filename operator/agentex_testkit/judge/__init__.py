"""Judge what the operator did, by the simulator's ledger and by every version of every resource."""
