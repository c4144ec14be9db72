"""A source kind that only this test has is registered, resolved and staged: no file of the operator changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.api.objects import an_object, as_stored
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.support import CONFIG_MAP, HERE, IMAGE, MOVING, SECRET, left_behind, opened, over_http

from agentex_operator.api.build import AgentBuild
from agentex_operator.api.sources import BuildSource
from agentex_operator.core import reasons, source_facts
from agentex_operator.core.calls import Revision
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.source_facts import SourceFacts
from agentex_operator.sources.http import HttpSourceKind
from agentex_operator.sources.registry import BUILT_IN, Registry
from agentex_operator.sources.source_kind import ObjectReference, SourceAccess


@dataclass(frozen=True)
class ToySpec:
    """`spec.source.toy`: the text of the agent's main file."""

    main: str


@dataclass
class ToySourceKind:
    """Packs the agent of the tests, with the main file of the spec."""

    member: str = "toy"
    references: tuple[ObjectReference, ...] = (ObjectReference("Secret", ("key",)),)
    fetched: list[tuple[str, float]] = field(default_factory=list)

    def validate(self, value: object) -> ToySpec:
        if not isinstance(value, Mapping) or not isinstance(main := value.get("main"), str):
            raise InvalidInput(reasons.INVALID_SPEC, "spec.source.toy.main must be a text.")
        return ToySpec(main)

    def facts_of(self, _spec: ToySpec) -> SourceFacts:
        return SourceFacts()

    async def resolve(self, spec: ToySpec, _access: SourceAccess) -> Revision:
        return Revision(_digest(spec), None)

    async def fetch(self, spec: ToySpec, access: SourceAccess, out: Path) -> str:
        self.fetched.append((access.namespace, access.since))
        out.write_bytes(a_tar_gz(AGENT | {"quote/main.py": spec.main}))  # noqa: ASYNC240 - a small file of a test
        return _digest(spec)


def _digest(spec: ToySpec) -> str:
    return f"toy:{hashlib.sha256(spec.main.encode()).hexdigest()}"


def toy_source(value: Any) -> BuildSource:
    """The source of an AgentBuild, as the API server would send it."""
    return AgentBuild.parse(as_stored(an_object("AgentBuild", source={"toy": value}))).spec.source


async def test_a_registered_source_is_resolved_and_staged(tmp_path: Path) -> None:
    kind = ToySourceKind()
    source = toy_source({"main": "print('toy')\n"})

    with opened(tmp_path, kinds=(*BUILT_IN, kind)) as sources:
        revision = await sources.resolve("team", source)
        staged = await sources.stage("team", source, HERE, "quote", 7.0)
        manifest = await sources.manifest("team", source, HERE)
        staged.release()

        assert (revision.revision, staged.manifest_text) == (staged.revision, AGENT["manifest.yaml"])
        assert manifest == (staged.context_digest, AGENT["manifest.yaml"])
        assert kind.fetched == [("team", 7.0)]
        assert left_behind(tmp_path) == []


async def test_another_value_of_the_registered_source_is_another_context(tmp_path: Path) -> None:
    one, other = toy_source({"main": "one"}), toy_source({"main": "other"})

    with opened(tmp_path, kinds=(*BUILT_IN, ToySourceKind())) as sources:
        found = [await sources.manifest("team", source, HERE) for source in (one, other)]

    assert (one == other, repr(one) == repr(other), found[0] == found[1]) == (False, False, False)


async def test_a_value_that_the_kind_refuses_is_an_invalid_spec(tmp_path: Path) -> None:
    with opened(tmp_path, kinds=(*BUILT_IN, ToySourceKind())) as sources, pytest.raises(InvalidInput) as caught:
        await sources.resolve("team", toy_source({"main": 7}))

    assert (caught.value.reason, caught.value.message) == ("InvalidSpec", "spec.source.toy.main must be a text.")


async def test_a_member_without_a_registered_kind_has_no_context(tmp_path: Path) -> None:
    with opened(tmp_path) as sources, pytest.raises(InvalidInput, match="has no build context"):
        await sources.stage("team", toy_source({"main": "x"}), HERE, None)


def test_a_malformed_value_of_a_built_in_kind_names_its_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        HttpSourceKind().validate({"url": "https://x.example.com/a", "interval": "1s"})

    assert caught.value.message == (
        "spec.source.http.interval: Value error, must be a duration between 30s and 24h. Correct it.")


def test_an_address_without_digest_and_interval_is_refused_by_its_kind() -> None:
    with pytest.raises(InvalidInput, match="set digest, or set interval"):
        HttpSourceKind().validate({"url": "https://x.example.com/a"})


def test_a_member_has_one_kind() -> None:
    with pytest.raises(ValueError, match="the same member"):
        Registry((*BUILT_IN, ToySourceKind("http")))


def test_the_decisions_and_the_kinds_agree_on_the_facts() -> None:
    sources = (CONFIG_MAP, SECRET, over_http(), IMAGE, MOVING)

    assert [source_facts.facts_of(one) for one in sources] == [Registry().find(one).facts for one in sources]
    assert source_facts.facts_of(MOVING) == SourceFacts(interval=timedelta(minutes=5))
    assert set(source_facts.BY_MEMBER) == {kind.member for kind in BUILT_IN}
    assert source_facts.facts_of(toy_source({"main": "x"})) == SourceFacts(has_context=True, is_pinned=False)
