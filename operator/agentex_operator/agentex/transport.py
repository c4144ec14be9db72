"""One HTTP call to Agentex: admitted by the gate, limited in time and size, sent once, and its result classified."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from agentex_operator import settings
from agentex_operator.agentex.answers import HttpAnswer, refusal
from agentex_operator.core import endpoints, errors, guard, reasons
from agentex_operator.core.errors import ExternalError, InvalidInput, Unauthorized, Unavailable
from agentex_operator.network.connections import CheckedTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from agentex_operator.agentex.gate import Gate, Permit
    from agentex_operator.agentex.keys import ApiKey
    from agentex_operator.network.connections import Routes

MEBIBYTE = 1024 * 1024
ERROR_BODY = 64 * 1024      # bytes of an error's body that are read; the status matters more
ERROR_BODY_SECONDS = 5.0
CONNECT_SECONDS = 10.0
SHORTEST_UNIQUE_KEY = 16    # characters of an API key that no other text holds by chance
IDLE_SECONDS = 2.0          # below the keep-alive of servers: a POST must not use a connection that is being closed


class AnswerTooLarge(Unavailable):
    """The answer is larger than this call may read; a smaller page may be readable."""


class Sink(Protocol):
    """A receiver of the bytes of an answer."""

    def feed(self, chunk: bytes) -> bool:
        """Receive the next bytes; False if no more are wanted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request. `path` is percent-encoded. `deadline`: seconds from connecting to the last byte.

    `creates`: a 409 is ambiguous. `files`: multipart parts in the form of httpx. `until`: on the event loop's clock,
    when the call must be over in any case; a later call is not sent. `largest`: bytes of the answer.
    """

    method: str
    path: str
    deadline: float
    params: Mapping[str, str | int] | None = None
    json: Mapping[str, object] | None = None
    files: list[tuple[str, Any]] | None = None
    creates: bool = False
    until: float | None = None
    largest: int = 4 * MEBIBYTE
    accept: str = "application/json"
    sink: Sink | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def seconds_left(self) -> float:
        """The seconds that the call may take from now; zero or less if it is too late."""
        left = self.deadline if self.until is None else self.until - asyncio.get_running_loop().time()
        return min(self.deadline, left)


def http_client(routes: Routes, trust: Callable[[], ssl.SSLContext], *, may_be_private: bool) -> httpx.AsyncClient:
    """The HTTP client of one account, which connects to checked addresses, follows no redirects and keeps no cookies.

    `trust` answers the present TLS context. `may_be_private`: an administrator named the endpoint.
    """
    limits = httpx.Limits(max_connections=64, keepalive_expiry=IDLE_SECONDS)
    return httpx.AsyncClient(
        transport=CheckedTransport(routes, trust, limits, may_be_private=may_be_private, refused=_refused_address),
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # each call has a deadline of its own
    )


def _refused_address(problem: str) -> InvalidInput:
    return InvalidInput(reasons.ENDPOINT_NOT_ALLOWED, f"The endpoint cannot be used: {problem}. Ask the administrator "
                        "to add its HOST:PORT to --allowed-endpoints (chart: operator.allowedEndpoints) or to create a "
                        "ClusterAgentexAccount.")


class Transport:
    """Sends calls with the key of one account through its gate."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str, account_id: str, api_key: ApiKey, gate: Gate) -> None:
        """Raises InvalidInput for an endpoint or an account id that cannot be used."""
        self._http = http
        self._endpoint = endpoints.parse(endpoint).url
        self._account_id = usable_account_id(account_id)
        self.api_key = api_key
        self._gate = gate

    async def send(self, call: ApiRequest) -> HttpAnswer:
        """The answer to one request, with a status of 2xx. Raises an error of core/errors for any other result."""
        with errors.of_account():
            return await self._send(call)

    async def _send(self, call: ApiRequest) -> HttpAnswer:
        permit = await self._gate.admit(reads=call.method == "GET")
        answer, error = await self._outcome(call)
        if answer and answer.status in (429, 503) and answer.retry_after:
            self._gate.pause(answer.retry_after)
        await self._record_result(permit, error)
        if error is not None:
            raise error
        return self._without_key(answer)  # type: ignore[arg-type]  # there is an answer if there is no error

    async def _outcome(self, call: ApiRequest) -> tuple[HttpAnswer | None, ExternalError | None]:
        try:
            answer = await self._exchange(call)
            return answer, self._refusal(answer, call)
        except ExternalError as error:
            return None, error

    def _refusal(self, answer: HttpAnswer, call: ApiRequest) -> ExternalError | None:
        with guard.raising(lambda error: _unreadable(call, error)):
            return refusal(self._redacted(answer), f"{call}", creates=call.creates)

    async def _record_result(self, permit: Permit, error: ExternalError | None) -> None:
        """Tell the gate the result. A 403 may concern one agent only: it counts if a probe is refused too."""
        about_one = isinstance(error, Unauthorized) and error.status == 403 and not permit.probe
        if not about_one or await self._probe_is_refused():
            self._gate.record_result(permit, error)

    async def _probe_is_refused(self) -> bool:
        try:
            permit = await self._gate.admit(reads=True)
        except ExternalError:
            return False
        _, error = await self._outcome(PROBE)
        self._gate.record_result(permit, error)
        return isinstance(error, Unauthorized)

    async def _exchange(self, call: ApiRequest) -> HttpAnswer:
        if self._http.is_closed:
            raise Unavailable(f"{call} was not sent: the account is not in use any more.")
        if (seconds := call.seconds_left()) <= 0:
            raise Unavailable(f"{call} was not sent: too much time went by since it was written down.")
        with guard.raising(lambda error: self._unanswered(call, seconds, error)):
            async with asyncio.timeout(seconds), self._stream(call) as response:
                return HttpAnswer(response.status_code, _headers(response), await _body(response, call))

    def _unanswered(self, call: ApiRequest, seconds: float, error: Exception) -> Unavailable:
        match error:
            case TimeoutError():
                return Unavailable(f"{call} was not answered within {seconds:.0f} s.")
            case httpx.ProxyError():
                said = self.api_key.redact(f"{call} did not get through the proxy of the operator: {error}.")
                return Unavailable(f"{said} Ask the administrator to check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.")
            case httpx.HTTPError():
                return Unavailable(self.api_key.redact(f"{call} got no usable answer: {_described(error)}."))
            case OSError():
                return Unavailable(f"{call} could not read what it was to send: {error.strerror}.")
            case _:
                return _unreadable(call, error)

    def _stream(self, call: ApiRequest) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream(
            call.method,
            self._endpoint + call.path,
            params=call.params,
            json=call.json,
            files=call.files,
            headers=self._headers(call),
            follow_redirects=False,
        )

    def _headers(self, call: ApiRequest) -> dict[str, str]:
        return {
            "x-api-key": self.api_key.reveal(),
            "x-selected-account-id": self._account_id,
            "User-Agent": f"agentex-operator/{settings.version()}",
            "Accept": call.accept,
            "Accept-Encoding": "gzip",
        }

    def _redacted(self, answer: HttpAnswer) -> HttpAnswer:
        """The answer, without the key if it is an error: servers quote parts of the request."""
        if answer.ok:
            return answer
        clean = self.api_key.redact
        text = clean(answer.body.decode("utf-8", "replace"))
        return HttpAnswer(answer.status, {name: clean(value) for name, value in answer.headers.items()}, text.encode())

    def _without_key(self, answer: HttpAnswer) -> HttpAnswer:
        """A good answer without the key, which an event of a rollout may quote. A short key could be part of an id."""
        key = bytes(map(ord, self.api_key.reveal()))  # printable ASCII
        if len(key) < SHORTEST_UNIQUE_KEY or key not in answer.body:
            return answer
        return replace(answer, body=answer.body.replace(key, b"[redacted]"))


PROBE = ApiRequest(method="GET", path="/v5/builds", params={"limit": 1}, deadline=30.0)


def usable_account_id(account_id: str) -> str:
    """The account id, if a header can carry it; else raises InvalidInput."""
    if not account_id or not account_id.isascii() or not account_id.isprintable() or account_id != account_id.strip():
        raise InvalidInput(reasons.INVALID_SPEC, "The account id is empty or has characters that no header carries.")
    return account_id


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


async def _body(response: httpx.Response, call: ApiRequest) -> bytes:
    if not response.is_success:
        return await _error_body(response)
    if call.sink is not None:
        await _feed(response, call.sink)
        return b""
    body = _WholeBody(call.largest, str(call))
    await _feed(response, body)
    return b"".join(body.chunks)


async def _error_body(response: httpx.Response) -> bytes:
    """The bytes of an error's body that arrive in time: the status counts even if the body breaks off."""
    body = _Beginning(ERROR_BODY)
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_SECONDS):
            await _feed(response, body)
    return b"".join(body.chunks)


async def _feed(response: httpx.Response, sink: Sink) -> None:
    async for chunk in response.aiter_bytes():
        if not sink.feed(chunk):
            return


class _WholeBody:
    """Keeps the whole body. Raises AnswerTooLarge if it is too large."""

    def __init__(self, most: int, subject: str) -> None:
        self.chunks: list[bytes] = []
        self._left = most
        self._too_large = f"{subject} was answered with more than {most} bytes."

    def feed(self, chunk: bytes) -> bool:
        self._left -= len(chunk)
        if self._left < 0:
            raise AnswerTooLarge(self._too_large)
        self.chunks.append(chunk)
        return True


class _Beginning:
    """Keeps the first bytes of a body."""

    def __init__(self, most: int) -> None:
        self.chunks: list[bytes] = []
        self._left = most

    def feed(self, chunk: bytes) -> bool:
        self.chunks.append(chunk[: self._left])
        self._left -= len(self.chunks[-1])
        return self._left > 0


def _unreadable(call: ApiRequest, error: Exception) -> Unavailable:
    return Unavailable(f"{call} got an answer that cannot be read ({type(error).__name__}).")


def _described(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
