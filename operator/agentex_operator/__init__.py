"""Kubernetes operator for Agentex builds and deployments."""
