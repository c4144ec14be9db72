"""The cluster, as the few verbs the operator needs. The only door to the `kubernetes` library."""
