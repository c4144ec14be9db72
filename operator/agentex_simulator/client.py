"""The control plane from outside, for tests: standard library only, blocking."""

import json
import urllib.error
import urllib.request
from typing import Any

PATIENCE = 30


class SimulatorError(Exception):
    """The control plane refused: HTTP status and its sentence."""


class SimulatorClient:
    """Speaks to /_sim/ of the simulator at `address`, http://127.0.0.1:PORT without any prefix."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        """Committed mutations with a greater seq."""
        return list(self._ask("GET", f"/_sim/ledger?since={since}")["entries"])

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Calls with a greater seq."""
        return list(self._ask("GET", f"/_sim/calls?since={since}")["entries"])

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """Everything as it truly is: agents, builds, deployments, secrets."""
        return dict(self._ask("GET", "/_sim/state"))

    def fault(self, kind: str, /, **script: Any) -> str:
        """Script a fault, for example fault("throttle", match={"method": "GET"}, count=3, retry_after="2"); its id."""
        return str(self._ask("POST", "/_sim/faults", {"kind": kind, **script})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The scripted faults with how often each was seen and fired."""
        return list(self._ask("GET", "/_sim/faults")["faults"])

    def clear_faults(self, fault_id: str | None = None) -> None:
        """Forget one, or all."""
        self._ask("DELETE", f"/_sim/faults/{fault_id}" if fault_id else "/_sim/faults")

    def actor(self, name: str, /, **body: Any) -> dict[str, Any]:
        """Let somebody else act, for example actor("supersede", id=...); the facts of what was touched."""
        return dict(self._ask("POST", f"/_sim/actors/{name}", body))

    def set_keys(self, account: str, *keys: str) -> None:
        """From now on exactly these keys open the account."""
        self._ask("POST", "/_sim/accounts", {"account": account, "keys": list(keys)})

    def reset(self) -> None:
        """An empty world, the keys of the start, no faults."""
        self._ask("POST", "/_sim/reset")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, payload, method=method)  # noqa: S310 - loopback http
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - loopback http
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise SimulatorError(f"{error.code}: {error.read().decode()}") from error
