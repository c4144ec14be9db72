"""A proxy in front of the API server and the remote API that names every call and injects faults into named calls."""
