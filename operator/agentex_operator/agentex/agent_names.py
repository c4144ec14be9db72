"""Names of agents that do not exist yet: one resource at a time may create an agent by its name."""


class AgentNames:
    """The claims on agent names, and the ids of agents that exist.

    A first build by `agent_name` creates the agent, and a second such build would be refused (agentex-api.md §3). The
    claims hold within this process; between processes, the remote API's own uniqueness decides.
    """

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def claim(self, agent_name: str, uid: str) -> bool:
        """Whether `uid` alone may create by this name now; a uid that holds the claim may ask again."""
        return self._holders.setdefault(agent_name, uid) == uid

    def release(self, uid: str) -> None:
        """Give up every claim of this uid; does nothing if it has none."""
        self._holders = {name: holder for name, holder in self._holders.items() if holder != uid}

    def learn(self, agent_name: str, agent_id: str) -> None:
        """Record that the agent exists: builds name its id from now on, and its claim is dropped."""
        self._ids[agent_name] = agent_id
        self._holders.pop(agent_name, None)

    def known(self, agent_name: str) -> str | None:
        """The id of the agent, if it is on record; else None."""
        return self._ids.get(agent_name)
