"""Account secrets: metadata only, values never kept (agentex-api.md section 8)."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentex_simulator.errors import RejectedError, invalid, missing, not_found
from agentex_simulator.facts import secret_facts
from agentex_simulator.ledger import Cause
from agentex_simulator.records import Identity, Secret, secret_wire
from agentex_simulator.shelf import Shelf, Shelves
from agentex_simulator.stage import Stage

KEY = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
MAX_KEY = 90


class SecretStore:
    """The secrets of every account."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.shelves: Shelves[Secret] = Shelves(secret_wire)

    def shelf(self, account: str) -> Shelf[Secret]:
        """The account's secrets."""
        return self.shelves.of(account)

    def get(self, account: str, secret_id: str) -> Secret:
        """The account's secret; RejectedError 404."""
        secret = self.shelf(account).get(secret_id)
        if secret is None:
            raise not_found("secret", secret_id)
        return secret

    def has_key(self, account: str, key: str) -> bool:
        """Whether a manifest may refer to it."""
        return any(secret.key == key for secret in self.shelf(account))

    def create(self, account: str, body: Mapping[str, Any], cause: Cause) -> Secret:
        """Store {key, value, description?}; RejectedError 409 for a duplicate key, 422 for a malformed one."""
        key = checked_key(body)
        value = _text(body, "value")
        if value is None:
            raise missing("value")
        if self.has_key(account, key):
            raise RejectedError(409, f"a secret with the key {key} already exists")
        secret = Secret(
            id=self._stage.new_id(),
            account_id=account,
            key=key,
            created_at=self._stage.clock.now(),
            created_by=Identity(f"sa-{account}"),
            value_sha256=_digest(value),
            description=_text(body, "description"),
        )
        return self._put(secret, "create", cause)

    def update(self, account: str, secret_id: str, body: Mapping[str, Any], cause: Cause) -> Secret:
        """Store {value?, description?}; RejectedError 404."""
        secret = self.get(account, secret_id)
        value, description = _text(body, "value"), _text(body, "description")
        changed = replace(
            secret,
            value_sha256=secret.value_sha256 if value is None else _digest(value),
            description=secret.description if description is None else description,
            updated_at=self._stage.clock.now(),
            updated_by=f"sa-{account}",
        )
        return self._put(changed, "update", cause)

    def delete(self, account: str, secret_id: str, cause: Cause) -> None:
        """Remove it for good; RejectedError 404."""
        secret = self.get(account, secret_id)
        self.shelf(account).drop(secret_id)
        self._stage.ledger.write(cause, "delete", secret_facts(secret))

    def _put(self, secret: Secret, verb: str, cause: Cause) -> Secret:
        self._stage.ledger.write(cause, verb, secret_facts(secret))
        return self.shelf(secret.account_id).put(secret)


def checked_key(body: Mapping[str, Any]) -> str:
    """The key, 1 to 90 lower-case alphanumerics and hyphens; RejectedError 422."""
    key = _text(body, "key")
    if key is None:
        raise missing("key")
    if len(key) > MAX_KEY or not KEY.fullmatch(key):
        raise invalid("body", "key", f"1 to {MAX_KEY} lower-case alphanumerics and hyphens", "string_pattern_mismatch")
    return key


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid("body", name, "Input should be a valid string", "string_type")
    return value


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
