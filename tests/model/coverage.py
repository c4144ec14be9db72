"""Which rules answered in the searches: a rule that never does is outside of the net, and `make model` fails.

So a new rule needs a configuration in which it acts, or a reason in `OUT_OF_REACH`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from agentex_operator.core import build, deployment
from agentex_operator.core.build.observed import Observed as BuildObserved
from agentex_operator.core.deployment.observed import Observed as DeploymentObserved
from agentex_operator.core.protocol import teardown

Rule = Callable[[Any, Any], Any]
KINDS = (build, deployment)

OUT_OF_REACH = {
    "deployment RULES: check_the_expiry": "a wish that ended before it began is refused input: tests/core",
    "deployment RULES: check_the_configuration": "a manifest that cannot be used is refused input: tests/core",
}


@contextmanager
def noting_who_answers() -> Iterator[set[str]]:
    """While this lasts, the names of the rules that answer are collected."""
    answered: set[str] = set()
    before: list[tuple[ModuleType, str, tuple[Rule, ...]]] = [
        (build, "RULES", build.RULES), (deployment, "RULES", deployment.RULES),
        (teardown, "TEARDOWN", teardown.TEARDOWN)]
    for owner, name, rules in before:
        setattr(owner, name, tuple(_noting(rule, name, answered) for rule in rules))
    try:
        yield answered
    finally:
        for owner, name, rules in before:
            setattr(owner, name, rules)


def _noting(rule: Rule, where: str, answered: set[str]) -> Rule:
    @functools.wraps(rule)
    def noting(observed: Any, now: Any) -> Any:
        answer = rule(observed, now)
        if answer is not None:
            answered.add(_name(observed.noun, where, rule))
        return answer

    return noting


def _name(noun: str, where: str, rule: Rule) -> str:
    return f"{noun} {where}: {rule.__name__}"


def all_rules() -> list[str]:
    """Every rule of both kinds, in their order."""
    kinds = ((build, BuildObserved), (deployment, DeploymentObserved))
    return [_name(observed.noun, where, rule) for core, observed in kinds
            for where, rules in (("RULES", core.RULES), ("TEARDOWN", teardown.TEARDOWN)) for rule in rules]


def silent(answered: set[str]) -> list[str]:
    """The rules that no search reaches, though nobody said why."""
    return [rule for rule in all_rules() if rule not in answered and rule not in OUT_OF_REACH]


def outdated(answered: set[str]) -> list[str]:
    """What `OUT_OF_REACH` names though it answers, or is no rule any more."""
    return [rule for rule in OUT_OF_REACH if rule in answered or rule not in all_rules()]
