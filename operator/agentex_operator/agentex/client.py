"""The Agentex API of one account, as far as the operator uses it: nine calls on values (agentex-api.md §1)."""

from __future__ import annotations

import json
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import quote

from agentex_operator.agentex.answers import HttpAnswer, content_type, speaks_agentex
from agentex_operator.agentex.logstream import LogTail
from agentex_operator.agentex.scan import Scan
from agentex_operator.agentex.transport import MEBIBYTE, PROBE, ApiRequest, Transport
from agentex_operator.agentex.wire import (
    Page,
    build_page,
    build_record,
    deployment_page,
    deployment_record,
    deployment_with_agent,
    parsed,
    usable_id,
)
from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput, Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    import httpx

    from agentex_operator.agentex.gate import Gate
    from agentex_operator.agentex.keys import ApiKey
    from agentex_operator.core.remote import (
        BuildRecord,
        BuildRequest,
        DeploymentRecord,
        DeploymentRequest,
        Record,
    )

BUILDS = "/v5/builds"
DEPLOYMENTS = "/v5/agentex/deployments"
LARGEST_PAGE = 64 * MEBIBYTE
NEWEST_FIRST = {"sort_by": "created_at", "sort_order": "desc"}

Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The longest duration of a call in seconds, without its wait at the gate."""

    read: float = 30.0
    create: float = 60.0
    archive: float = 600.0
    log: float = 20.0


class AgentexClient:
    """The API of one account. Each method sends at most one HTTP request for each page, and never repeats a request.

    Each method raises Unauthorized, Throttled and Unavailable as core/errors says; its docstring names further errors.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        endpoint: str,
        account_id: str,
        api_key: ApiKey,
        gate: Gate,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._transport = Transport(http, endpoint, account_id, api_key, gate)
        self._gate = gate
        self._deadlines = deadlines or Deadlines()

    def rekey(self, api_key: ApiKey) -> bool:
        """Use this key from now on. True if it differs from the key before; then the breaker closes."""
        if api_key == self._transport.api_key:
            return False
        self._transport.api_key = api_key
        self._gate.change_key()
        return True

    # --- builds ---------------------------------------------------------------------------------------------------

    async def create_build(
        self, request: BuildRequest, archive: Path | None, *, until: float | None = None
    ) -> BuildRecord:
        """POST /v5/builds, once; the archive is streamed from disk. Raises Rejected for a definite refusal (§1.2).

        `until` (on the event loop's clock) may end the call before its deadline. Unavailable is ambiguous, even if the
        connection was lost before the first byte: the build may exist, and must be looked for by its token.
        """
        with ExitStack() as open_files:
            parts = _parts(request, archive, open_files)
            call = ApiRequest(method="POST", path=BUILDS, creates=True, files=parts, until=until,
                        deadline=self._deadlines.archive if archive else self._deadlines.create)
            return await self._created(call, build_record)

    async def get_build(self, build_id: str) -> BuildRecord | None:
        """GET /v5/builds/{id}; None for a 404: the build is not in this account (§1.3)."""
        return _with_id(await self._found(_item(BUILDS, build_id), build_record), build_id)

    async def cancel_build(self, build_id: str) -> None:
        """POST /v5/builds/{id}/cancel, which only requests it (§1.4). Raises Rejected; a GET tells the reason."""
        await self._request("POST", f"{_item(BUILDS, build_id)}/cancel")

    async def build_log_tail(self, build_id: str, max_bytes: int = 4096) -> tuple[str, ...]:
        """The last lines of a build's log, together at most `max_bytes`, in at most `Deadlines.log` seconds (§1.6).

        If the stream breaks off or does not end, the lines until then. () for a 404.
        """
        tail = LogTail(max_bytes, self._transport.api_key.redact)
        call = ApiRequest(method="GET", path=f"{_item(BUILDS, build_id)}/logs", accept="text/event-stream", sink=tail,
                    deadline=self._deadlines.log)
        try:
            await self._transport.send(call)
        except Rejected:
            return ()
        except Unavailable:
            if not tail.lines():
                raise
        return tail.lines()

    async def list_builds(
        self, limit: int, starting_after: str | None, agent_name: str | None = None, *, ordered: bool = True
    ) -> Page[BuildRecord]:
        """One page of GET /v5/builds (§1.3), newest first if `ordered`. Raises Rejected, also for a lost cursor."""
        return await self._page(BUILDS, _paging(limit, starting_after, agent_name, ordered=ordered), build_page)

    async def find_agent(self, name: str) -> str | None:
        """The id of the agent of this name, from its builds (§3); None does not prove that the name is free."""
        scan = Scan(lambda limit, after, ordered: self.list_builds(limit, after, name, ordered=ordered), limit=100)
        async with aclosing(scan.pages()) as pages:
            return await _first_agent(pages, name)

    async def probe(self) -> None:
        """Make one cheap authenticated call. Raises Unauthorized if the key may not read this account."""
        await self._page(BUILDS, PROBE.params or {}, build_page)

    # --- deployments ----------------------------------------------------------------------------------------------

    async def create_deployment(self, request: DeploymentRequest, *, until: float | None = None) -> DeploymentRecord:
        """POST /v5/agentex/deployments, once. `until` and errors are those of `create_build` (§1.5)."""
        call = ApiRequest(method="POST", path=DEPLOYMENTS, json=_body(request), creates=True, until=until,
                    deadline=self._deadlines.create)
        return await self._created(call, deployment_record)

    async def get_deployment(self, deployment_id: str) -> DeploymentRecord | None:
        """GET the deployment; None for a 404: it is not in this account."""
        return _with_id(await self._found(_item(DEPLOYMENTS, deployment_id), deployment_with_agent), deployment_id)

    async def delete_deployment(self, deployment_id: str) -> None:
        """DELETE the deployment (§1.5). Raises Rejected if it has ended or is gone; a GET tells which."""
        await self._request("DELETE", _item(DEPLOYMENTS, deployment_id))

    async def list_deployments(
        self, limit: int, starting_after: str | None, agent_name: str | None = None, *, ordered: bool = True
    ) -> Page[DeploymentRecord]:
        """One page of GET /v5/agentex/deployments, newest first if `ordered`. Raises Rejected."""
        params = _paging(limit, starting_after, agent_name, ordered=ordered)
        return await self._page(DEPLOYMENTS, params, deployment_page)

    # --- how ------------------------------------------------------------------------------------------------------

    async def _created(self, call: ApiRequest, read: Callable[[object], Record | None]) -> Record:
        answer = await self._transport.send(call)
        return _readable(read(parsed(answer.body)), call, answer)

    async def _found(self, path: str, read: Callable[[object], Record | None]) -> Record | None:
        call = ApiRequest(method="GET", path=path, deadline=self._deadlines.read)
        try:
            answer = await self._transport.send(call)
        except Rejected as error:
            if error.status == 404:
                return None
            raise
        return _readable(read(parsed(answer.body)), call, answer)

    async def _request(self, method: str, path: str) -> None:
        call = ApiRequest(method=method, path=path, deadline=self._deadlines.create)
        answer = await self._transport.send(call)
        if not speaks_agentex(answer):
            raise _unreadable(call, answer)

    async def _page(
        self, path: str, params: Mapping[str, str | int], read: Callable[[bytes], Page[Record] | None]
    ) -> Page[Record]:
        call = ApiRequest(method="GET", path=path, params=params, largest=LARGEST_PAGE, deadline=self._deadlines.read)
        answer = await self._transport.send(call)
        return _readable(read(answer.body), call, answer)


def _readable(value: Answered | None, call: ApiRequest, answer: HttpAnswer) -> Answered:
    """The value. Raises Unavailable without one: an unreadable 2xx may come from a proxy (reliability.md §2d)."""
    if value is None:
        raise _unreadable(call, answer)
    return value


def _with_id(record: Record | None, id_: str) -> Record | None:
    """The record. Raises Unavailable if it has another id: then a proxy mixes up its answers."""
    if record is not None and record.id != id_:
        raise Unavailable(f"The record {id_} was asked for, and {record.id} was answered.")
    return record


def _unreadable(call: ApiRequest, answer: HttpAnswer) -> Unavailable:
    said = (f"{call} was answered with {answer.status} and {len(answer.body)} bytes ({content_type(answer)}) that are "
            "no Agentex answer.")
    return Unavailable(said, status=answer.status)


async def _first_agent(pages: AsyncIterator[Page[BuildRecord]], name: str) -> str | None:
    async for page in pages:
        ids = (record.agent_id for record in page.records if record.agent_name == name and record.agent_id)
        if found := next(ids, None):
            return found
    return None


def _item(collection: str, id_: str) -> str:
    """The path of one object. Raises InvalidInput for an id that could become another path."""
    if usable_id(id_) is None:
        raise InvalidInput(reasons.INVALID_SPEC, f"{id_[:64]!r} cannot be the id of a remote object. Correct it.")
    return f"{collection}/{quote(id_, safe='')}"


def _paging(limit: int, after: str | None, agent_name: str | None, *, ordered: bool) -> dict[str, str | int]:
    optional = {"starting_after": after, "agent_name": agent_name, **(NEWEST_FIRST if ordered else {})}
    return {"limit": limit, **{name: value for name, value in optional.items() if value}}


def _parts(request: BuildRequest, archive: Path | None, open_files: ExitStack) -> list[tuple[str, Any]]:
    """The multipart parts, as the vendor's SDK sends them: multipart even without a file (§1.2)."""
    texts = {
        "image_name": request.image_name,
        "image_tag": request.image_tag,
        "image_url": request.image_url,
        "agent_name": request.agent_name,
        "agent_id": request.agent_id,
        "build_args": json.dumps(dict(request.build_args)) if request.build_args else None,
        "platform": request.platform,
        "source_ref": request.source_ref,
        "source_commit": request.source_commit,
        "working_tree_hash": request.working_tree_hash,
    }
    parts: list[tuple[str, Any]] = [(name, (None, text)) for name, text in texts.items() if text is not None]
    if archive is not None:
        parts.append(("context_archive", ("upload", _opened(archive, open_files), "application/octet-stream")))
    return parts


def _opened(archive: Path, open_files: ExitStack) -> BinaryIO:
    try:
        return open_files.enter_context(archive.open("rb"))
    except OSError as error:
        raise Unavailable(f"The build context could not be read before it was sent: {error.strerror}.") from error


def _body(request: DeploymentRequest) -> dict[str, object]:
    """The JSON of a create, without unset fields: preview fields of a production deployment are refused (§1.5)."""
    optional = {
        "build_id": request.build_id,
        "image_name": request.image_name,
        "image_tag": request.image_tag,
        "preview_label": request.preview_label,
        "expires_at": request.expires_at.astimezone(UTC).isoformat() if request.expires_at else None,
        "preview": True if request.preview else None,
    }
    texts = {"manifest_file": request.manifest_file, "environment_config": request.environment_config}
    return {**texts, **{name: value for name, value in optional.items() if value is not None}}
