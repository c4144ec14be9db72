"""An exception that nobody listed, out of one method of one adapter: the methods are found, not listed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any

from agentex_operator.agentex.agent_names import AgentNames
from agentex_operator.agentex.build_records import BUILDS
from agentex_operator.agentex.client import AgentexClient
from agentex_operator.agentex.deployment_records import DEPLOYMENTS
from agentex_operator.agentex.inventory import Inventory
from agentex_operator.kube.cluster import Cluster, KubeCluster
from agentex_operator.kube.events import Recorder
from agentex_operator.reconcile.accounts import Accounts
from agentex_operator.sources import Sources

CANARY = "canary-of-the-exception"
ADAPTERS: dict[type, type] = {Cluster: KubeCluster, AgentexClient: AgentexClient, Sources: Sources, Accounts: Accounts,
                              Inventory: Inventory, AgentNames: AgentNames, Recorder: Recorder}  # protocol: class


@dataclass(frozen=True)
class Method:
    """A public method of an adapter."""

    owner: type
    name: str

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


def methods() -> Iterator[Method]:
    """Every public method of every adapter."""
    for protocol, owner in ADAPTERS.items():
        for name, _function in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                yield Method(owner, name)


class Patches(ExitStack):
    """Attributes that are replaced until the end of the block, those of frozen values too."""

    def replace(self, owner: object, name: str, value: object) -> None:
        """Replace one attribute."""
        put = type.__setattr__ if isinstance(owner, type) else object.__setattr__
        self.callback(put, owner, name, getattr(owner, name))
        put(owner, name, value)


class Throwing:
    """While `armed`, the method raises: before it does anything, or (`after`) when it has done its work."""

    def __init__(self, patches: Patches, method: Method, error: type[Exception], *, after: bool) -> None:
        self.armed, self.happened, self._error, self._after = False, 0, error, after
        original = getattr(method.owner, method.name)
        wrapped = self._async(original) if inspect.iscoroutinefunction(original) else self._plain(original)
        patches.replace(method.owner, method.name, wrapped)
        for kind in (BUILDS, DEPLOYMENTS):  # a remote kind holds methods of the client as values
            for field in fields(kind):
                if getattr(kind, field.name) is original:
                    patches.replace(kind, field.name, wrapped)

    def _async(self, original: Any) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            if not self._after:
                self._throw()
            answer = await original(*arguments, **options)
            self._throw()
            return answer
        return call

    def _plain(self, original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if not self._after:
                self._throw()
            answer = original(*arguments, **options)
            self._throw()
            return answer
        return call

    def _throw(self) -> None:
        if self.armed:
            self.happened += 1
            raise self._error(CANARY)
