"""Archives and what the builder says of them (agentex-api.md sections 1.2 and 1.6)."""

import hashlib

import httpx
import pytest
from scale_gp_beta import APIStatusError, SGPClient
from tests.simulator.conftest import Connecting, Starting
from tests.simulator.make import FAILING, archive, build, build_status, image, mutations, until

from agentex_simulator import SimulatorThread


def lines(client: SGPClient, build_id: str) -> list[str]:
    return [chunk.line for chunk in client.build.logs(build_id)]


def test_the_sdk_reads_the_stream_of_a_running_build_to_its_end(client: SGPClient) -> None:
    created = build(client)

    read = lines(client, created.id)

    assert [line for line in read if line.startswith("Step")] == [
        "Step 1/3 : FROM scratch",
        "Step 2/3 : COPY . /app",
        "Step 3/3 : RUN make",
    ]
    assert read[-1] == "Successfully built and pushed"
    assert client.build.retrieve(created.id).build_status == "success"


def test_a_second_reading_replays_the_log_from_the_start(client: SGPClient) -> None:
    created = build(client)

    assert lines(client, created.id) == lines(client, created.id)


def test_the_bytes_are_data_frames_and_blank_lines_only(client: SGPClient, simulator: SimulatorThread) -> None:
    created = image(client)
    with httpx.stream("GET", f"{simulator.url}/v5/builds/{created.id}/logs", headers={"x-api-key": "key-1"}) as answer:
        kind, sent = answer.headers["Content-Type"], answer.read()

    assert kind == "text/event-stream"
    assert sent == b'data: {"line": "Registered existing image as registry.agentex.invalid/acct-1/bot:t1"}\n\n'


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        pytest.param(archive(FAILING), "'/bin/sh -c exit 3' returned a non-zero code: 3", id="a step that exits"),
        pytest.param(archive("FROM x\nRUN false\n"), "returned a non-zero code: 1", id="a step that is false"),
        pytest.param(archive(None, other="x"), "no Dockerfile at the root", id="no Dockerfile"),
        pytest.param(
            archive(None, **{"sub/Dockerfile": "FROM x\n"}), "no Dockerfile at the root", id="not at the root"
        ),
        pytest.param(archive("# nothing\n"), "no instructions", id="an empty Dockerfile"),
        pytest.param(b"PK\x03\x04 not a tar", "failed to unpack build context", id="not a tar.gz"),
        pytest.param(archive()[:-20], "failed to unpack build context", id="cut short"),
    ],
)
def test_a_bad_context_fails_and_only_the_log_says_why(client: SGPClient, context: bytes, reason: str) -> None:
    created = build(client, context_archive=context)
    until(build_status(client, created.id), "failed")

    assert reason in lines(client, created.id)[-1]
    assert reason not in client.build.retrieve(created.id).to_json()


def test_a_dockerfile_named_with_a_leading_dot_slash_is_at_the_root(client: SGPClient) -> None:
    created = build(client, context_archive=archive(None, **{"./Dockerfile": "FROM x\n"}))

    until(build_status(client, created.id), "success")


def test_the_steps_after_a_failing_one_are_not_run(client: SGPClient) -> None:
    created = build(client, context_archive=archive(FAILING))

    assert not any("never" in line for line in lines(client, created.id))


def test_the_ledger_knows_digest_and_size_of_the_archive(client: SGPClient, simulator: SimulatorThread) -> None:
    context = archive(big="x" * 100_000)
    build(client, context_archive=context)

    facts = mutations(simulator, kind="build", verb="create")[0]

    assert (facts["archive_sha256"], facts["archive_bytes"]) == (hashlib.sha256(context).hexdigest(), len(context))


@pytest.mark.parametrize("extra", [0, 1], ids=["at the limit", "one byte above"])
def test_an_archive_above_the_limit_is_refused_with_413(start: Starting, connect: Connecting, extra: int) -> None:
    simulator = start(max_archive=len(archive()))
    client = connect(simulator)
    context = archive() + b"\0" * extra

    if extra:
        with pytest.raises(APIStatusError) as refused:
            build(client, context_archive=context)
        assert refused.value.status_code == 413
        assert simulator.ledger() == []
    else:
        assert build(client, context_archive=context).build_status == "queued"


def test_the_last_words_of_a_cancelled_build_say_so(client: SGPClient) -> None:
    created = build(client, context_archive=archive("FROM x\n# simulate: stuck\n"))
    client.build.cancel(created.id)

    assert lines(client, created.id)[-1] == "Build cancelled"
