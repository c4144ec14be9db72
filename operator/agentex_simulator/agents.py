"""Agent names: taken once, for ever (agentex-api.md section 3)."""

import re
from dataclasses import replace

from agentex_simulator.errors import RejectedError, broken_rule, invalid
from agentex_simulator.facts import agent_facts
from agentex_simulator.ledger import Cause
from agentex_simulator.records import Agent
from agentex_simulator.stage import Stage

NAME = re.compile(r"[a-z0-9-]+")


class Agents:
    """The agents of every account. Names are unique per account: unknown in the docs, chosen because lists are."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._by_name: dict[tuple[str, str], Agent] = {}
        self._by_id: dict[tuple[str, str], Agent] = {}

    def create(self, account: str, name: str, cause: Cause, *, deleted: bool = False) -> Agent:
        """Take an unused name; RejectedError for a used one (also a deleted agent's), 422 for a malformed one."""
        self._must_be_free(account, name)
        agent = self._put(Agent(self._stage.new_id(), account, name, deleted))
        self._stage.ledger.write(cause, "create", agent_facts(agent))
        return agent

    def existing(self, account: str, agent_id: str) -> Agent:
        """The agent of that id; RejectedError 404 when the account has none, or it was deleted."""
        agent = self._by_id.get((account, agent_id))
        if agent is None or agent.deleted:
            raise RejectedError(404, f"agent {agent_id} not found")
        return agent

    def named(self, account: str, name: str) -> Agent | None:
        """The agent of that name, deleted or not."""
        return self._by_name.get((account, name))

    def delete(self, account: str, name: str, cause: Cause) -> Agent:
        """Delete softly: the name stays taken. RejectedError 400 when there is no such agent."""
        agent = self.named(account, name)
        if agent is None:
            raise broken_rule(f"no agent named {name}")
        gone = self._put(replace(agent, deleted=True))
        self._stage.ledger.write(cause, "delete", agent_facts(gone))
        return gone

    def all(self) -> list[Agent]:
        """Every agent of every account."""
        return list(self._by_id.values())

    def _must_be_free(self, account: str, name: str) -> None:
        if not NAME.fullmatch(name):
            raise invalid("body", "agent_name", "String should match pattern '^[a-z0-9-]+$'", "string_pattern_mismatch")
        if self.named(account, name) is not None:
            status = self._stage.settings.name_taken_status
            raise RejectedError(status, f"agent name {name} is already in use; use agent_id to target it")

    def _put(self, agent: Agent) -> Agent:
        self._by_name[agent.account_id, agent.name] = agent
        self._by_id[agent.account_id, agent.id] = agent
        return agent
