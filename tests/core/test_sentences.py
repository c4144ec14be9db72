"""Messages are whole sentences, whatever words come from outside: log lines, events, details of refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.core_fixture import CoreFixture, a_build, a_deployment, script
from tests.core.test_build_decisions import built

from agentex_operator.core import calls, sentences
from agentex_operator.core.errors import Rejected
from agentex_operator.core.remote import DeployEvent, RemoteState
from agentex_testkit import samples

WORDS = st.text(st.characters(codec="utf-8"), max_size=80)


@given(text=WORDS)
def test_a_sentence_keeps_its_words_and_ends_once(text: str) -> None:
    whole = sentences.sentence(text)

    assert whole == sentences.sentence(whole)
    assert not whole or sentences.is_sentence(whole)
    assert text.rstrip().rstrip(",;:") in whole or sentences.is_sentence(text.rstrip())


@pytest.mark.parametrize(("text", "expected"), [
    ("non-zero code: 3", "non-zero code: 3."), ("It failed.", "It failed."), ("Why?", "Why?"), ("Wait…", "Wait…"),
    ("read this:", "read this."), ("  \n", ""), ("(see the log)", "(see the log)."),
])
def test_a_full_stop_is_added_where_none_is(text: str, expected: str) -> None:
    assert sentences.sentence(text) == expected


def ready(world: CoreFixture) -> str:
    return str(world.status["conditions"][0]["message"])


@settings(deadline=timedelta(seconds=2), max_examples=samples.examples(40))
@given(line=WORDS)
def test_the_line_of_the_log_and_the_next_step_are_two_sentences(line: str) -> None:
    world = a_build()
    world.run()
    world.becomes(next(iter(world.records)), "failed", RemoteState.FAILED)
    script(world, calls.ReadLogTail, lambda _call, _perform: (line,))
    world.run()

    before, step, _ = ready(world).partition(" Change the inputs, or set the annotation ")
    assert step
    assert sentences.is_sentence(before)
    assert world.keeps_the_contract()


@settings(deadline=timedelta(seconds=2), max_examples=samples.examples(40))
@given(word=WORDS)
def test_the_last_event_of_a_rollout_and_the_next_step_are_two_sentences(word: str) -> None:
    world = a_deployment()
    world.run()
    event = DeployEvent("Warning", "Failed", word, world.now)
    world.becomes("remote-2", "failed", RemoteState.FAILED)
    world.records["remote-2"] = replace(world.records["remote-2"], events=(event,))
    world.run()

    before, step, _ = ready(world).partition(" Correct the manifest, ")
    assert step
    assert sentences.is_sentence(before)
    assert world.keeps_the_contract()


@settings(deadline=timedelta(seconds=2), max_examples=samples.examples(40))
@given(detail=WORDS.filter(str.strip))
def test_the_detail_of_a_refusal_and_the_next_step_are_two_sentences(detail: str) -> None:
    world = built()
    world.edit(image={"name": "other"})
    script(world, calls.CreateBuild, lambda _call, _perform: Rejected(sentences.sentence(detail), status=413))
    world.run()

    before, step, _ = ready(world).partition(" Correct the spec, ")
    assert step
    assert sentences.is_sentence(before)
    assert world.keeps_the_contract()
