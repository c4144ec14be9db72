"""The API server, as the few verbs that the operator needs. The only package that uses the `kubernetes` library."""
