"""The session of one account: its client, its gate, an inventory for each kind of remote object, its agent names."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentex_operator.agentex.agent_names import AgentNames
from agentex_operator.agentex.client import AgentexClient, Deadlines
from agentex_operator.agentex.gate import Gate, Rate
from agentex_operator.agentex.inventory import Claims, Inventory, ListSizes
from agentex_operator.agentex.remote_kind import RemoteKind
from agentex_operator.agentex.transport import http_client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.agentex.keys import ApiKey
    from agentex_operator.agentex.poller import PollClock
    from agentex_operator.core.remote import Record
    from agentex_operator.network.connections import Routes


RemoteKinds = tuple[RemoteKind[Any], ...]  # a tuple of kinds of different records


@dataclass(frozen=True, slots=True)
class AccountAddress:
    """The endpoint of an Agentex installation, and an account id in it.

    `may_be_private`: whether the endpoint may be at an address that is not public.
    """

    endpoint: str
    account_id: str
    may_be_private: bool = False


class AccountSession:
    """What the resources of one account share. Call `start` on the event loop, and `stop` when the account goes.

    `wake` is called with the uid of a followed resource whose remote object changed. `jitter` answers a number in
    [0, 1). `routes` are shared between sessions. `kinds`: the kinds of remote objects that
    can be listed. Raises InvalidInput for an unusable address.
    """

    def __init__(  # noqa: PLR0913 - what differs between accounts, and what all share
        self,
        address: AccountAddress,
        api_key: ApiKey,
        *,
        kinds: RemoteKinds,
        routes: Routes,
        clock: PollClock,
        jitter: Callable[[], float],
        wake: Callable[[str], None],
        rate: Rate | None = None,
        deadlines: Deadlines | None = None,
        claims: Mapping[RemoteKind[Any], Claims] | None = None,
        sizes: ListSizes | None = None,
    ) -> None:
        claims = claims or {}
        self._ca = ""
        self._http = http_client(routes, lambda: routes.trust.context(self._ca), may_be_private=address.may_be_private)
        self.gate = Gate(clock, rate or Rate())
        self.client = AgentexClient(self._http, address.endpoint, address.account_id, api_key, self.gate, deadlines)
        self._inventories = {
            kind: Inventory(kind.records(self.client), clock, jitter, wake, claims=claims.get(kind), sizes=sizes)
            for kind in kinds
        }
        self.names = AgentNames()
        self._tasks: list[asyncio.Task[None]] = []

    def inventory(self, kind: RemoteKind[Record]) -> Inventory[Record]:
        """The inventory of this kind. Raises KeyError for a kind that the session was not made for."""
        found: Inventory[Record] = self._inventories[kind]
        return found

    def unfollow(self, uid: str) -> None:
        """Stop polling for this resource, whatever its kind."""
        for inventory in self._inventories.values():
            inventory.unfollow(uid)

    def rekey(self, api_key: ApiKey) -> bool:
        """Use this key from now on, and keep what is cached. True if it differs from the key before."""
        changed = self.client.rekey(api_key)
        if changed:
            for inventory in self._inventories.values():
                inventory.retry_now()
        return changed

    def trust(self, ca: str) -> bool:
        """Trust these certificates (PEM) too, and no others of before. True if they differ from those before."""
        changed, self._ca = self._ca != ca, ca
        return changed

    async def start(self) -> None:
        """Begin to poll for what is followed; does nothing if it has begun."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(inventory.run(), name=f"polling {kind.noun}s")
                           for kind, inventory in self._inventories.items()]

    async def stop(self) -> None:
        """End all traffic of this account; calls under way are cut off."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for inventory in self._inventories.values():
            await inventory.close()
        await self._http.aclose()
