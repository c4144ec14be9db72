"""SIGTERM during the start of the operator's process: it ends with exit status 0, and does not wait."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from agentex_testkit.operator_process import Operator


def test_an_operator_stops_at_sigterm_while_the_api_server_is_silent(tmp_path: Path) -> None:
    """The first process of a container has no other handler of SIGTERM than its own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(a_kubeconfig(silent.getsockname()[1])))
        operator = Operator(kubeconfig, ("team",), tmp_path)
        operator.start_unready()
        silent.settimeout(30)
        connection, _ = silent.accept()

        assert operator.stop() == 0
        assert "Traceback" not in operator.log
        connection.close()
        operator.end()


def a_kubeconfig(port: int) -> dict[str, object]:
    """Of an API server on this port of this machine."""
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "it", "user": {"token": "none"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
