"""AgentBuild as the model sees it, and its varieties."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any, ClassVar

from tests.model.kinds import (
    AGENT,
    BROKEN,
    CANCELLED,
    CANCELLING,
    FAILED,
    LEAVING,
    NAME,
    PAUSED,
    SUCCEEDED,
    USUAL,
    WAITING,
    WISHES,
    Kind,
    Object,
    Remote,
    moved,
)
from tests.model.values import ORIGIN, TICK, age

from agentex_operator.api.build import AgentBuildSpec, AgentBuildStatus
from agentex_operator.api.schema import adapter
from agentex_operator.core import build, calls, ownership, reasons
from agentex_operator.core.build.observed import Observed
from agentex_operator.core.errors import NotReady
from agentex_operator.core.remote import BuildRecord, RemoteState

UNREADABLE = NotReady(reasons.SOURCE_NOT_FOUND, "There is no such ConfigMap.")


class Build(Kind):
    """AgentBuild: ends by itself, is cancelled in two steps, stays for ever."""

    name = "build"
    core: ClassVar[ModuleType] = build
    observed = Observed
    dead = frozenset({SUCCEEDED, FAILED, CANCELLED})
    words: ClassVar[dict[RemoteState, str]] = {SUCCEEDED: "success", FAILED: "failed", CANCELLED: "cancelled"}
    modes = (USUAL, PAUSED, CANCELLING)
    more: ClassVar[dict[str, Any]] = {"agentID": AGENT}

    def __init__(self) -> None:
        super().__init__()
        usual = {"image": {"name": NAME}, "source": {"configMapKeyRef": {"name": NAME, "key": "ctx"}}} | self.more
        make = adapter(AgentBuildSpec).validate_python
        self.specs = tuple(make(usual | {"buildArgs": [{"name": "N", "value": str(n)}], "suspend": mode == PAUSED,
                                         "cancel": mode == CANCELLING}) for mode in self.modes for n in range(WISHES))
        self.empty = AgentBuildStatus()

    def wish(self, observed: Any) -> tuple[int, int]:
        return self.spec_number(observed) % WISHES, int((observed.staged or "0")[-1])

    def wanted(self, obj: Object, source: int) -> tuple[int, int]:
        return obj.spec, source % BROKEN

    def local(self, call: Any, source: int) -> Any:
        match call:
            case calls.ResolveSource() | calls.StageContext() if source >= BROKEN:
                return UNREADABLE
            case calls.ResolveSource():
                return calls.Revision(f"revision {source}")
            case calls.StageContext():
                return calls.StagedContext(calls.Revision(f"revision {source}"), f"context {source}")
            case _:
                return ("ERROR: no such package",)

    def owner(self, record: Any) -> str | None:
        token = ownership.build_token(record.image_tag, record.source_ref)
        return token.owner if token else None

    def attempt(self, record: Any) -> int:
        token = ownership.build_token(record.image_tag, record.source_ref)
        return token.attempt if token else 0

    def made(self, number: int, call: Any) -> Any:
        asked = call.request
        return BuildRecord(f"r{number}", WAITING, "queued", ORIGIN + number * TICK, NAME, AGENT,
                           asked.image_name, asked.image_tag, source_ref=asked.source_ref)

    def finished(self, remote: tuple[Remote, ...], at: int, state: RemoteState) -> tuple[Remote, ...]:
        return (*remote[:at], moved(remote[at], state, self.words[state]), *remote[at + 1:])

    def removed(self, record: Any) -> Any:
        if record.state is not WAITING:
            return record
        return dataclasses.replace(record, state=LEAVING, raw_status="cancelling")


class Named(Build):
    """AgentBuild of an agent by name: its first build creates the agent, and a name is given only once."""

    name = "named"
    more: ClassVar[dict[str, Any]] = {"agentName": NAME}

    def refuses(self, remote: list[Remote], call: Any) -> bool:
        return bool(remote) and call.request.agent_name is not None


class Pinned(Build):
    """AgentBuild whose tag the user pins: the ownership token is in source_ref, and says nothing of the inputs."""

    name = "pinned"
    more: ClassVar[dict[str, Any]] = {"agentID": AGENT, "image": {"name": NAME, "tag": "v1"}}


class Hasty(Build):
    """AgentBuild that is cancelled when it takes more than two ticks, and tried once more."""

    name = "hasty"
    unread = ("completion_time", "progressing_since")
    tries = 2
    longest: ClassVar[int] = 2
    more: ClassVar[dict[str, Any]] = {"agentID": AGENT, "timeout": "2m", "retries": 1}

    def is_over(self, obj: Object, status: Any, one: Remote) -> bool:
        late = status.start_time is not None and age(status.start_time) >= self.longest
        return late or super().is_over(obj, status, one)

    def rests(self, held: Remote, remote: list[Remote], status: Any) -> bool:
        spent = held.record.state is CANCELLED and status.operator.retries_used == 1
        return spent or super().rests(held, remote, status)


BUILDS = (Build, Named, Pinned, Hasty)
