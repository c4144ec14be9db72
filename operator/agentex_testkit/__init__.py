"""For tests and benchmarks only, never in the image: starts the operator and what it talks to, and judges the outcome.

- `clusters`            opens the cluster that tests run on: embedded, existing or kind
- `installation`        installs the CRDs and the operator's ServiceAccount with the chart's rights
- `api_server`          the API server as administrator: apply, get, list, delete, `eventually`, and predicates
- `builders`            valid objects to apply: a_build, a_deployment, a_preview, an_account, a_context, a_secret
- `operator_process`    `agentex-operator run` as a real process that can be killed, stopped and started again
- `embedded_operator`   the operator in the test's own process, without a watch
- `proxy`               an HTTP proxy that holds a chosen call before or after the call takes effect
- `fault_proxy`         names every call of the operator, and injects faults into named calls
- `prefork`             starts operator processes in a tenth of a second, by fork
- `hostile`             malicious archives and manifests, and an HTTP server that sends wrong answers
- `version_recorder`    records every version of the objects of one kind
- `ledger`              reads the simulator's ledger: who owns a remote object, and whether the object is alive
- `world`               one namespace, one simulator and one operator: apply, wait, status, judge
- `judge`               the invariants that every test on a cluster and every fault plan is judged by
- `fake_cluster`        the API server in memory, behind the operator's own adapter
- `harness`             the whole operator in the test's process: fake cluster, real simulator, hand clock
- `clocks`              a clock that a test moves by hand
"""
