"""A Kubernetes API server in memory, behind the operator's own adapter.

`FakeCluster` is the operator's `KubeCluster` on a `FakeApi` instead of a connection. `tests/kube/test_conformance.py`
runs the same random operations on it and on a real kube-apiserver.

Imitated: resourceVersion, generation, finalizers, deletionTimestamp, preconditions, merge patches, the status
subresource, and of a CRD's schema: defaults, pruning, and the validation of types, enums, lengths, bounds and patterns.
Not imitated: CEL rules, list types, managedFields, admission, garbage collection, the deletion of a namespace's
content, and everything that ConfigMaps, Secrets, Namespaces and Events have beside their content.
"""
