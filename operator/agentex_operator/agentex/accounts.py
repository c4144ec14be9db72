"""The session of one account: its client, its gate, its two inventories, and its agent names."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.agentex.agent_names import AgentNames
from agentex_operator.agentex.build_records import builds_of
from agentex_operator.agentex.calls import http_client, trusted
from agentex_operator.agentex.client import AgentexClient, Deadlines
from agentex_operator.agentex.deployment_records import deployments_of
from agentex_operator.agentex.inventory import Inventory
from agentex_operator.agentex.limits import Gate, Rate
from agentex_operator.core.fingerprint import configuration_fingerprint

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from agentex_operator.agentex.keys import ApiKey
    from agentex_operator.agentex.poller import PollClock


@dataclass(frozen=True, slots=True)
class Address:
    """The endpoint of an Agentex installation, and an account id in it."""

    endpoint: str
    account_id: str


class AccountSession:
    """What the resources of one account share. Call `start` on the event loop, and `stop` when the account goes.

    `wake` is called with the uid of a followed resource whose remote object changed. `jitter` answers a number in
    [0, 1). `trust` (from calls.trusted) may be shared between sessions. Raises InvalidInput for an unusable address.
    """

    def __init__(  # noqa: PLR0913 - what differs between accounts, and what all share
        self,
        address: Address,
        api_key: ApiKey,
        *,
        clock: PollClock,
        jitter: Callable[[], float],
        wake: Callable[[str], None],
        rate: Rate | None = None,
        deadlines: Deadlines | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._http = http_client(trust or trusted())
        self.gate = Gate(clock, rate or Rate())
        self.client = AgentexClient(self._http, address.endpoint, address.account_id, api_key, self.gate, deadlines)
        self.builds = Inventory(builds_of(self.client), clock, jitter, wake)
        self.deployments = Inventory(deployments_of(self.client, configuration_fingerprint), clock, jitter, wake)
        self.names = AgentNames()
        self._tasks: list[asyncio.Task[None]] = []

    def rekey(self, api_key: ApiKey) -> bool:
        """Use this key from now on, and keep what is cached. True if it differs from the key before."""
        changed = self.client.rekey(api_key)
        if changed:
            self.builds.retry_now()
            self.deployments.retry_now()
        return changed

    async def start(self) -> None:
        """Begin to poll for what is followed; does nothing if it has begun."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(inventory.run(), name=f"polling {noun}") for noun, inventory in
                           (("builds", self.builds), ("deployments", self.deployments))]

    async def stop(self) -> None:
        """End all traffic of this account; calls under way are cut off."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.builds.close()
        await self.deployments.close()
        await self._http.aclose()
