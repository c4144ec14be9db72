"""The remote Agentex API: one client per account, its limits, and the inventories that read status by list."""
