"""What the judge goes by is whole, however far its watch is behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from agentex_testkit.api_server import Object
from agentex_testkit.builders import a_build
from agentex_testkit.installation import Installation
from agentex_testkit.version_recorder import VersionRecorder

KIND = "AgentBuild"
HELD = {"finalizers": ["example.com/held"]}


class Late(VersionRecorder):
    """One on a machine that is busy."""

    def _write(self, happened: str, obj: Object) -> None:
        time.sleep(0.4)
        super()._write(happened, obj)


@pytest.fixture
def late(installation: Installation, namespace: str) -> Iterator[Late]:
    """It, with what there is written down."""
    recorder = Late(installation.api, KIND, namespace)
    recorder.catch_up([installation.api.apply(a_build("first"), namespace)["metadata"]["uid"]])
    yield recorder
    recorder.close()


def test_a_removal_is_written_down_when_the_judge_looks(installation: Installation, namespace: str, late: Late) -> None:
    api = installation.api
    api.patch(KIND, "first", {"metadata": HELD}, namespace)
    api.delete(KIND, "first", namespace)
    last = api.patch(KIND, "first", {"metadata": {"finalizers": None}}, namespace)
    late.catch_up()
    assert "deletionTimestamp" in late.of(last["metadata"]["uid"])[-1]["metadata"]


def test_of_what_came_and_went_everything_is_written_down(
    installation: Installation, namespace: str, late: Late
) -> None:
    uid = installation.api.apply(a_build("second"), namespace)["metadata"]["uid"]
    installation.api.delete(KIND, "second", namespace)
    late.catch_up([uid])
    assert [one["metadata"]["name"] for one in late.of(uid)] == ["second", "second"]


def test_it_ends_cleanly_in_the_middle_of_a_version(
    installation: Installation, namespace: str, late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was read of it is no JSON; a thread that dies of that is an error of the test."""
    at_once = httpx.Response.iter_raw

    def slowly(answer: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
        for piece in at_once(answer, chunk_size):
            time.sleep(0.1)
            yield piece

    monkeypatch.setattr(httpx.Response, "iter_raw", slowly)
    begun = Late(installation.api, KIND, namespace)  # its watch is read slowly
    begun.catch_up()
    large = a_build("large")
    large["metadata"]["annotations"] = {"example.com/large": "x" * 200_000}
    installation.api.apply(large, namespace)

    time.sleep(0.5)
    begun.close()

    assert not begun._thread.is_alive()
    assert [one["metadata"]["name"] for one in begun.versions] == ["first"]
