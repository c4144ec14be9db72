"""The objects that specs under test refer to: build contexts, keys, accounts, builds to deploy.

Every build context has a mark in its Dockerfile, so that the remote record shows which context arrived.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.specs.schema_values import filled
from tests.faults.transitions.edited_properties import OTHER_ENVIRONMENTS

from agentex_dev import demo_access
from agentex_testkit.api_server import Object
from agentex_testkit.builders import ENVIRONMENTS, a_build, a_manifest, a_secret, an_account, an_archive

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

MARK = "# content: "
CLUSTER = "ClusterAgentexAccount"
AGENTS = {"agent": "quote", "agent-too": "quote-too"}
ANOTHER = a_manifest("quote").replace("dockerfile: Dockerfile", "dockerfile: Dockerfile.another")
TEXTS = {
    "environments.yaml": ENVIRONMENTS, "prod.yaml": OTHER_ENVIRONMENTS,
    "manifest.yaml": a_manifest("{name}", "from a map"), "second.yaml": a_manifest("{name}", "second of a map"),
}
SECOND_TEXTS = {
    "environments.yaml": OTHER_ENVIRONMENTS, "prod.yaml": ENVIRONMENTS,
    "manifest.yaml": a_manifest("{name}", "from another map"), "second.yaml": a_manifest("{name}", "and its second"),
}


def a_dockerfile(mark: str, more: str = "") -> str:
    return f"{MARK}{mark}\nFROM scratch\nCOPY project /app\n{more}"


def a_context(mark: str, more: str = "", agent: str = "quote") -> bytes:
    """A context with one agent at its top, one nested, and another manifest."""
    files = {"Dockerfile": a_dockerfile(mark, more), "manifest.yaml": a_manifest(agent), "project/acp.py": "print()\n"}
    nested = {"Dockerfile": a_dockerfile("nested"), "manifest.yaml": a_manifest(agent), "project/acp.py": "nested()\n"}
    other = {"another.yaml": ANOTHER, "Dockerfile.another": a_dockerfile("another")}
    return an_archive({**files, **other, **{f"agents/nested/{name}": text for name, text in nested.items()}})


FIRST, SECOND, THIRD = (a_context(mark) for mark in ("first", "second", "third"))
CONTEXTS = {
    "context.tar.gz": FIRST, "second.tar.gz": SECOND, "broken.tar.gz": b"\x1f\x8b\x08",
    "erring.tar.gz": a_context("erring", "# simulate: status=error\n"),
    "stuck.tar.gz": a_context("stuck", "# simulate: stuck\n"),
}
HOLDERS = {"contexts": CONTEXTS, "contexts-too": {"context.tar.gz": THIRD}, "copies": {"context.tar.gz": FIRST}}


def holding(kind: str, name: str, contents: Mapping[str, bytes]) -> Object:
    """A ConfigMap or Secret with these bytes."""
    packed = {key: base64.b64encode(content).decode() for key, content in contents.items()}
    where = "binaryData" if kind == "ConfigMap" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, where: packed}


def downloads(name: str, token: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"bearerToken": token}}


def api_keys(right: str) -> Iterator[Object]:
    """Secrets with the right key twice, and with a wrong one."""
    for name, key in (("agentex", right), ("agentex-too", right), ("agentex-wrong", "wrong")):
        yield {**a_secret(name, key), "stringData": {"api-key": key, "same-key": key}}


@dataclass
class Fixtures:
    """The objects that the resources under test refer to; `words` fill the braces in specs."""

    runner: Runner
    words: dict[str, str] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def set_up(self, kind: str) -> None:
        """Apply what all resources of this kind share."""
        sources = self.runner.sources
        sources.files |= {"/first.tar.gz": FIRST, "/again/first.tar.gz": FIRST, "/second.tar.gz": SECOND}
        digests = {word: f"sha256:{hashlib.sha256(content).hexdigest()}"
                   for word, content in (("digest", FIRST), ("digest-2", SECOND))}
        self.words = {"sources": f"http://{sources.host}", "endpoint": self.runner.world.endpoint, **digests}
        self.runner.simulator.set_keys("acct-2", "key-2")
        second = {"name": "second", "key": "api-key"}
        account = an_account(self.runner.world.endpoint, "second", accountID="acct-2", apiKeySecretRef=second)
        keys = tuple(api_keys(self.runner.planted.api_key.text))
        self.runner.world.apply(*keys, a_secret("second", "key-2"), account)
        self.runner.world.wait("AgentexAccount", "second")
        if kind == "AgentBuild":
            self._set_up_builds()
        for secret in keys if kind == CLUSTER else ():
            self.runner.world.api.apply(secret, demo_access.NAMESPACE)

    def _set_up_builds(self) -> None:
        world = self.runner.world
        world.apply(*(holding(kind, name, contents) for kind in ("ConfigMap", "Secret")
                      for name, contents in HOLDERS.items() if kind == "ConfigMap" or len(contents) == 1))
        token = self.runner.planted.source_token.text
        world.apply(holding("Secret", "contexts", CONTEXTS), downloads("download", token),
                    downloads("download-too", token))
        for word, agent in AGENTS.items():
            world.apply(registered(word, agent, "v0"))
        for word in AGENTS:
            self.words[word] = world.wait("AgentBuild", word)["status"]["agentID"]

    # --- of one resource ------------------------------------------------------------------------------------------

    def needs(self, name: str, specs: list[dict[str, Any]]) -> list[Object]:
        """What an AgentDeployment of this name refers to: builds and ConfigMaps."""
        said = json.dumps(specs)
        words, ref = {"name": name}, {"accountRef": specs[0].get("accountRef")}
        second = any(word in said for word in ('"{name}-second"', "{build-second}", '"v2"'))
        objects = [registered(name, name, "v1", **ref)]
        objects += [registered(f"{name}-second", name, "v2")] if second else []
        third = registered(f"{name}-third", name, "v1", image={"name": f"{name}/second", "tag": "v1"})
        objects += [third] if '"{name}/second"' in said else []
        objects += self._built(name) if '"{name}-built"' in said else []
        if "configMapKeyRef" in said:
            objects += [_texts(name, filled(TEXTS, words)), _texts(f"{name}-second", filled(SECOND_TEXTS, words))]
        return objects

    def _built(self, name: str) -> list[Object]:
        context = holding("ConfigMap", f"{name}-built", {"context.tar.gz": a_context("first", agent=name)})
        source = {"configMapKeyRef": {"name": f"{name}-built", "key": "context.tar.gz"}}
        return [context, a_build(f"{name}-built", agentName=name, source=source, image={"name": name})]

    def words_for(self, kind: str, name: str) -> dict[str, str]:
        """The words for the spec of this resource."""
        if kind != "AgentDeployment":
            return {**self.words, "name": name}
        ids = {"build": self.build_id(name) or "", "build-second": self.build_id(f"{name}-second") or ""}
        return {**self.words, "name": name, **ids}

    def build_id(self, name: str) -> str | None:
        """The remote build of an AgentBuild."""
        if name not in self._ids and (found := self.runner.world.status("AgentBuild", name).get("buildID")):
            self._ids[name] = found
        return self._ids.get(name)


def registered(name: str, agent: str, tag: str, **more: Any) -> Object:
    """An AgentBuild that registers an image; Ready at once."""
    source = {"image": {"url": f"elsewhere.invalid/{name}:{tag}"}}
    return a_build(name, **{"agentName": agent, "source": source, "image": {"name": agent, "tag": tag}, **more})


def _texts(name: str, texts: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": texts}
