"""The pretend Agentex as one object: no network, no requests."""

from typing import Any

from agentex_simulator.accounts import Accounts
from agentex_simulator.agents import Agents
from agentex_simulator.builds import Builds
from agentex_simulator.clock import Clock
from agentex_simulator.deployments import Deployments
from agentex_simulator.facts import build_facts, deployment_facts, secret_facts
from agentex_simulator.ledger import Journal
from agentex_simulator.secret_store import SecretStore
from agentex_simulator.settings import Settings
from agentex_simulator.stage import new_stage


class World:
    """Everything that exists. A reset makes a new world; nothing survives it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.stage = new_stage(settings, clock)
        self.settings = settings
        self.clock = self.stage.clock
        self.timeline = self.stage.timeline
        self.ledger = self.stage.ledger
        self.journal = Journal()
        self.accounts = Accounts(settings.accounts)
        self.agents = Agents(self.stage)
        self.builds = Builds(self.stage, self.agents)
        self.secrets = SecretStore(self.stage)
        self.deployments = Deployments(self.stage, self.builds, self.secrets)

    def state(self) -> dict[str, Any]:
        """Everything as it truly is, archived and hidden records too; for oracles, never for the API."""
        return {
            "agents": [vars(agent) for agent in self.agents.all()],
            "builds": [{**build_facts(build), "archived": build.archived} for build in self.builds.shelves],
            "deployments": [deployment_facts(deployment) for deployment in self.deployments.shelves],
            "secrets": [secret_facts(secret) for secret in self.secrets.shelves],
        }
