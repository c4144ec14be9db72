"""Accounts and their keys (agentex-api.md section 1.0)."""

from collections.abc import Iterable

from agentex_simulator.errors import RejectedError


class Accounts:
    """Which key opens which account. Keys can be replaced while the simulator runs."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._owner = {key: account for account, key in pairs}
        self._known = {account for account, _ in pairs}

    def owner(self, key: str | None) -> str | None:
        """The account of a key, None for any other key."""
        return self._owner.get(key or "")

    def admit(self, key: str | None, selected: str | None) -> str:
        """The account a call acts in: the key's own. RejectedError 401 for a bad key, 403 for an account that is
        not the key's; the account header may be left out (section 1.0: optional in the OpenAPI document).
        """
        account = self.owner(key)
        if account is None:
            raise RejectedError(401, "Invalid API key")
        if selected and selected != account:
            raise RejectedError(403, f"The API key has no access to account {selected}")
        return account

    def set_keys(self, account: str, keys: Iterable[str]) -> None:
        """From now on exactly these keys open the account; an empty list locks it."""
        self._known.add(account)
        self._owner = {key: owner for key, owner in self._owner.items() if owner != account}
        self._owner.update(dict.fromkeys(keys, account))

    def listing(self) -> dict[str, list[str]]:
        """Account to keys."""
        return {account: [key for key, owner in self._owner.items() if owner == account] for account in self._known}
