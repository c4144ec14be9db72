"""Which objects a build, a deployment and an account refer to; and that nothing in an object makes the reading fail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.test_source_registration import ToySourceKind

from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.core.account_binding import AccountRequest
from agentex_operator.reconcile.dependents import ANY_NAME
from agentex_operator.reconcile.references import (
    account_references,
    build_references,
    deployment_references,
    joined,
    source_references,
)
from agentex_operator.reconcile.views import Key, View
from agentex_operator.sources.registry import BUILT_IN

OWN_DEFAULT: Key = ("AgentexAccount", "team", "default")
ANY_SHARED: Key = ("ClusterAgentexAccount", None, ANY_NAME)
BOUND = {"accountID": "acct-1", "endpoint": "https://api.example.com"}
of_account = account_references("operators")
of_build = joined(build_references, source_references(BUILT_IN))


def a_view(kind: str = "AgentBuild", namespace: str | None = "team", **members: Any) -> View:
    metadata = {"uid": "u1", "name": "a", "namespace": namespace}
    return View(kind, "u1", namespace, "a", "1", {"metadata": metadata, **members})


@pytest.mark.parametrize(("source", "expected"), [
    ({"configMapKeyRef": {"name": "context", "key": "k"}}, ("ConfigMap", "team", "context")),
    ({"secretKeyRef": {"name": "context", "key": "k"}}, ("Secret", "team", "context")),
    ({"http": {"url": "https://x", "secretRef": {"name": "login"}}}, ("Secret", "team", "login")),
])
def test_a_build_refers_to_the_object_that_its_source_names(source: dict[str, Any], expected: Key) -> None:
    view = a_view(spec={"source": source, "accountRef": {"name": "ours"}})

    assert of_build(view) == {expected, ("AgentexAccount", "team", "ours")}


@pytest.mark.parametrize("source", [{"image": {"url": "x:v1"}}, {"http": {"url": "https://x"}}])
def test_a_source_without_a_reference_adds_none(source: dict[str, Any]) -> None:
    assert of_build(a_view(spec={"source": source})) == {OWN_DEFAULT, ANY_SHARED}


def test_a_build_refers_to_the_object_that_a_registered_source_names() -> None:
    of_toys = joined(build_references, source_references((*BUILT_IN, ToySourceKind())))
    view = a_view(spec={"source": {"toy": {"main": "x", "key": {"name": "login"}}}, "accountRef": {"name": "ours"}})

    assert of_toys(view) == {("Secret", "team", "login"), ("AgentexAccount", "team", "ours")}


def test_a_deployment_refers_to_its_build_and_to_the_config_maps_of_its_configuration() -> None:
    view = a_view("AgentDeployment", spec={
        "accountRef": {"name": "ours"},
        "buildRef": {"name": "quote-bot"},
        "manifest": {"configMapKeyRef": {"name": "manifests", "key": "m"}},
        "environments": {"configMapKeyRef": {"name": "environments", "key": "e"}},
    })

    assert deployment_references(view) == {
        ("AgentexAccount", "team", "ours"), ("AgentBuild", "team", "quote-bot"), ("ConfigMap", "team", "manifests"),
        ("ConfigMap", "team", "environments")}


@pytest.mark.parametrize("references", [of_build, deployment_references])
@pytest.mark.parametrize(("spec", "status", "expected"), [
    ({}, {}, {OWN_DEFAULT, ANY_SHARED}),
    ({"accountRef": {"name": "ours"}}, {}, {("AgentexAccount", "team", "ours")}),
    ({"accountRef": {"kind": "ClusterAgentexAccount", "name": "all"}}, {}, {("ClusterAgentexAccount", None, "all")}),
    ({}, {"account": {"kind": "AgentexAccount", "name": "default", **BOUND}}, {OWN_DEFAULT}),
    ({}, {"account": {"kind": "ClusterAgentexAccount", "name": "all"}}, {("ClusterAgentexAccount", None, "all")}),
    ({"accountRef": {"name": "new"}}, {"account": {"kind": "AgentexAccount", "name": "old"}},
     {("AgentexAccount", "team", "new"), ("AgentexAccount", "team", "old")}),
])
def test_a_resource_refers_to_the_accounts_it_is_bound_to_or_names_or_else_to_every_possible_default(
        references: Any, spec: dict[str, Any], status: dict[str, Any], expected: set[Key]) -> None:
    assert references(a_view(spec=spec, status=status)) == expected


def test_an_account_refers_to_the_secret_of_its_own_namespace() -> None:
    view = a_view("AgentexAccount", spec={"apiKeySecretRef": {"name": "key", "key": "k"}})

    assert of_account(view) == {("Secret", "team", "key")}


def test_a_cluster_account_refers_to_a_secret_of_the_namespace_of_the_operator() -> None:
    view = a_view("ClusterAgentexAccount", namespace=None, spec={"apiKeySecretRef": {"name": "key", "key": "k"}})

    assert of_account(view) == {("Secret", "operators", "key")}


# --- whatever an object looks like ----------------------------------------------------------------------------------

MEMBERS = ["spec", "status", "source", "configMapKeyRef", "secretKeyRef", "http", "secretRef", "accountRef", "account",
           "buildRef", "manifest", "environments", "apiKeySecretRef", "kind", "name"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("AgentexAccount"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6),
    max_leaves=25,
)
PLACES = st.dictionaries(st.sampled_from(MEMBERS), ANYTHING, max_size=8)


@given(spec=ANYTHING | PLACES, status=ANYTHING | PLACES)
def test_a_malformed_object_has_references_of_the_right_shape_and_raises_nothing(spec: Any, status: Any) -> None:
    view = a_view(spec=spec, status=status)

    for references in (of_build, deployment_references, of_account):
        for kind, namespace, name in references(view):
            assert isinstance(kind, str)
            assert namespace in ("team", None, "operators")
            assert isinstance(name, str)
            assert name


# --- no fewer than the accounts that the decisions may choose -------------------------------------------------------

NAMES = st.sampled_from(["default", "ours", "all"])
ACCOUNT_KINDS = st.sampled_from(["AgentexAccount", "ClusterAgentexAccount"])
REFS = st.none() | st.fixed_dictionaries({"name": NAMES}, optional={"kind": ACCOUNT_KINDS})
BOUNDS = st.none() | st.fixed_dictionaries({"name": NAMES, "kind": ACCOUNT_KINDS}).map(lambda one: {**one, **BOUND})
ACCOUNTS: list[Key] = [("AgentexAccount", "team", name) for name in ("default", "ours", "all")]
ACCOUNTS += [("ClusterAgentexAccount", None, name) for name in ("default", "ours", "all")]
SPECS: dict[Any, dict[str, Any]] = {
    AgentBuild: {"agentName": "a", "source": {"image": {"url": "x:v1"}}, "image": {"name": "x"}},
    AgentDeployment: {"buildID": "b", "manifest": {"inline": "x"}, "environments": {"inline": "x"}},
}


@pytest.mark.parametrize("model", [AgentBuild, AgentDeployment])
@given(ref=REFS, bound=BOUNDS)
def test_every_account_that_the_decisions_may_choose_is_among_the_references(model: Any, ref: Any, bound: Any) -> None:
    metadata = {"uid": "u1", "name": "a", "namespace": "team", "creationTimestamp": "2026-11-23T00:00:00Z"}
    obj = {"metadata": metadata, "spec": {**SPECS[model], "accountRef": ref}, "status": {"account": bound}}
    request = AccountRequest.of(model.parse(obj))
    references = of_build if model is AgentBuild else deployment_references
    found = references(View(model.names.kind, "u1", "team", "a", "1", obj))

    for account in ACCOUNTS:
        may_be_chosen = account == request.key or (request.names_none and account[0] == "ClusterAgentexAccount")
        if may_be_chosen:
            assert account in found or (account[0], account[1], ANY_NAME) in found
