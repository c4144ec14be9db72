"""The operator within the test's own process: real clients on the real API server, and no watch.

It knows what was there when it began, and what `engine.observe` shows it afterwards; so a test decides what it does not
know. What the test itself asks of the cluster meanwhile belongs into a thread: `asyncio.to_thread(world.wait, ...)`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from agentex_operator.bootstrap import operating
from agentex_operator.clock import Clock
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.logs import Redactor
from agentex_operator.reconcile.engine import Engine
from agentex_operator.settings import Settings


@asynccontextmanager
async def operator_without_watch(kubeconfig: Path, namespace: str, folder: Path, memory: Clock | None = None,
                                 **settings: Any) -> AsyncIterator[Engine]:
    """Its engine, at work. `memory`: the clock by which it believes what it has read of the cluster."""
    told = Settings(kubeconfig=kubeconfig, watch_namespaces=(namespace,), work_dir=folder, allow_http_endpoints=True,
                    allowed_endpoints=("127.0.0.1:*",), health_host="127.0.0.1", health_port=0, **settings)
    cluster = await KubeCluster.connect(told, memory or Clock())
    async with aclosing(cluster), operating(told, Redactor(), cluster, Clock()) as running:
        yield running.engine
