"""Valid requests; a test shows only its difference."""

import io
import tarfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from scale_gp_beta import SGPClient

from agentex_simulator import SimulatorThread

DOCKERFILE = "FROM scratch\nCOPY . /app\nRUN make\n"
STUCK = DOCKERFILE + "# simulate: stuck\n"
FAILING = "FROM scratch\nRUN exit 3\nRUN never\n"
ENVIRONMENT = "schema_version: v1\nenvironments:\n  dev:\n    kubernetes: {namespace: Team-Dev}\n"
PATIENCE = 5


def archive(dockerfile: str | None = DOCKERFILE, **files: str) -> bytes:
    """A tar.gz with a Dockerfile at its root, unless None."""
    contents = {**({} if dockerfile is None else {"Dockerfile": dockerfile}), **files}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def manifest(agent: str = "bot", description: str = "answers", token: str = "", credentials: str = "[]") -> str:
    return (
        f"# attempt: {token}\n"
        "build: {context: {root: ., dockerfile: Dockerfile}}\n"
        f"agent:\n  name: {agent}\n  acp_type: sync\n  description: '{description}'\n  credentials: {credentials}\n"
    )


def build(client: SGPClient, **wish: Any) -> Any:
    """A build of the new agent `bot` that will succeed, unless wished otherwise."""
    source = {} if "image_url" in wish else {"context_archive": archive()}
    agent = {} if "agent_id" in wish else {"agent_name": "bot"}
    return client.build.create(**{"image_name": "bot", "image_tag": "t1", **source, **agent, **wish})


def image(client: SGPClient, **wish: Any) -> Any:
    """A successful build, at once."""
    return build(client, **{"image_url": "elsewhere.invalid/bot:1", **wish})


def deploy(client: SGPClient, build_id: str, **wish: Any) -> Any:
    """A production deployment that will be healthy, unless wished otherwise."""
    fields = {"build_id": build_id, "manifest_file": manifest(), "environment_config": ENVIRONMENT, **wish}
    return client.deploy.create(**fields)


def healthy(client: SGPClient, simulator: SimulatorThread, build_id: str, **wish: Any) -> Any:
    """A deployment that is healthy already."""
    created = deploy(client, build_id, **wish)
    simulator.actor("finish-deployment", id=created.id)
    return client.deploy.retrieve(created.id)


def until(look: Callable[[], Any], wanted: Any) -> Any:
    """Look until it is as wanted, at most a few seconds."""
    end = time.monotonic() + PATIENCE
    while (seen := look()) != wanted:
        assert time.monotonic() < end, f"still {seen!r}, not {wanted!r}"
        time.sleep(0.01)
    return seen


def build_status(client: SGPClient, build_id: str) -> Callable[[], str]:
    return lambda: client.build.retrieve(build_id).build_status


def deployment_status(client: SGPClient, deployment_id: str) -> Callable[[], str]:
    return lambda: client.deploy.retrieve(deployment_id).status


def ids(records: Any) -> list[str]:
    return [record.id for record in records]


def mutations(simulator: SimulatorThread, **wanted: Any) -> list[Mapping[str, Any]]:
    """Ledger entries that have these values."""
    return [entry for entry in simulator.ledger() if wanted.items() <= entry.items()]
