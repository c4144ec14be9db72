"""One account: its client, its gate, its two inventories, and the names of agents that do not exist yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentex_operator.agentex.calls import http_client, trusted
from agentex_operator.agentex.client import AgentexClient, Deadlines
from agentex_operator.agentex.inventory import Inventory, Kind, Time
from agentex_operator.agentex.limits import Gate, Rate
from agentex_operator.core.manifest import configuration_fingerprint
from agentex_operator.core.ownership import build_token, deployment_owner

if TYPE_CHECKING:
    import ssl

    from agentex_operator.agentex.keys import ApiKey
    from agentex_operator.agentex.wire import Texts
    from agentex_operator.core.remote import BuildRecord, DeploymentRecord


Fingerprint = Callable[[str, str], str]
FINGERPRINTS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Address:
    """Which account of which Agentex."""

    endpoint: str
    account_id: str


class AgentNames:
    """First builds, one at a time per agent name: `agent_name` creates, and a second one would be refused (§3).

    In this process only; against others, the remote's own uniqueness decides.
    """

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def claim(self, agent_name: str, uid: str) -> bool:
        """Whether `uid`, and nobody else, may create by this name now; a uid that holds it may ask again."""
        return self._holders.setdefault(agent_name, uid) == uid

    def release(self, uid: str) -> None:
        """Give up every name this uid holds; harmless if it holds none."""
        self._holders = {name: holder for name, holder in self._holders.items() if holder != uid}

    def learn(self, agent_name: str, agent_id: str) -> None:
        """The agent exists: builds go to its id from now on, and nobody needs the claim."""
        self._ids[agent_name] = agent_id
        self._holders.pop(agent_name, None)

    def known(self, agent_name: str) -> str | None:
        """The agent's id, if it was learnt."""
        return self._ids.get(agent_name)


class Fingerprints:
    """The digests of deployments without a token, each computed once from its manifest and environments."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        self._fingerprint = fingerprint
        self._known: dict[str, str] = {}

    def mark(self, record: DeploymentRecord, texts: Texts) -> DeploymentRecord:
        """The record with its fingerprint."""
        if record.id not in self._known:
            self._known[record.id] = self._fingerprint(texts.manifest, texts.environments)
            _forget_the_first(self._known, FINGERPRINTS_KEPT)
        return replace(record, fingerprint=self._known[record.id])


class AccountSession:
    """Everything that is shared by the resources of one account. `start` on the event loop, `stop` when it goes.

    `wake` is told the uid of a followed resource whose remote changed. `jitter` answers a number in [0, 1). Share
    `trust` (calls.trusted) between sessions. Raises InvalidInput for an unusable address.
    """

    def __init__(  # noqa: PLR0913 - what differs between accounts, and what all share
        self,
        address: Address,
        api_key: ApiKey,
        *,
        clock: Time,
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
        """Use this key from now on; what is known stays. True if it is another one."""
        changed = self.client.rekey(api_key)
        if changed:
            self.builds.hasten()
            self.deployments.hasten()
        return changed

    async def start(self) -> None:
        """Begin polling for whatever is followed."""
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


def builds_of(client: AgentexClient) -> Kind[BuildRecord]:
    """How an inventory reads this account's builds."""
    return Kind(lambda limit, after, ordered: client.list_builds(limit, after, ordered=ordered), _owner_of_build)


def deployments_of(client: AgentexClient, fingerprint: Fingerprint) -> Kind[DeploymentRecord]:
    """How an inventory reads this account's deployments; `fingerprint` digests a manifest and its environments."""
    return Kind(lambda limit, after, ordered: client.list_deployments(limit, after, ordered=ordered),
                _owner_of_deployment, Fingerprints(fingerprint).mark)


def _owner_of_build(record: BuildRecord) -> str | None:
    token = build_token(record.image_tag, record.source_ref)
    return token.owner if token else None


def _owner_of_deployment(record: DeploymentRecord) -> str | None:
    return deployment_owner(record.token) if record.token else None


def _forget_the_first(cache: dict[str, str], most: int) -> None:
    while len(cache) > most:
        del cache[next(iter(cache))]
