"""One call to the API, as endpoints and faults see it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from agentex_simulator.errors import RejectedError
from agentex_simulator.ledger import Cause, Entry
from agentex_simulator.paging import View
from agentex_simulator.replies import Reply
from agentex_simulator.world import World


@dataclass
class Call:
    """`account` is the key's own, None for a bad key until the call is admitted or refused."""

    request: web.Request
    template: str
    world: World
    entry: Entry
    account: str | None
    view: View = field(default_factory=View)

    @property
    def owner(self) -> str:
        """The account of an admitted call."""
        if self.account is None:
            raise RejectedError(401, "Invalid API key")
        return self.account

    @property
    def cause(self) -> Cause:
        """This call, as the reason for what it commits."""
        return Cause("api", self.entry["seq"])

    @property
    def wanted(self) -> str:
        """The id in the path, empty when the path has none."""
        return next(iter(self.request.match_info.values()), "")

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object; RejectedError 422 for anything else."""
        try:
            body = json.loads(await self.request.read())
        except ValueError as error:
            raise RejectedError(422, [{"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}]) from error
        if not isinstance(body, dict):
            raise RejectedError(422, [{"loc": ["body"], "msg": "Input should be an object", "type": "dict_type"}])
        return body


Commit = Callable[[], Reply]
Prepare = Callable[[Call], Awaitable[Commit]]
