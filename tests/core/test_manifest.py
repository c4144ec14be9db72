"""manifest.yaml and environments.yaml by the vendor's rules (agentex-api.md §4): refused here, not by the remote."""

from __future__ import annotations

import pytest
import yaml

from agentex_operator.core.environments import expected_namespace, render_environments
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.fingerprint import configuration_fingerprint
from agentex_operator.core.manifest import Manifest
from agentex_operator.core.preview_labels import sanitised_label

MONOREPO = """\
build:
  context:
    root: ../../
    include_paths: [agents/quote, shared_lib]
    dockerfile: agents/quote/Dockerfile
    dockerignore: agents/quote/.dockerignore
agent:
  name: quote-bot
  acp_type: sync
  description: Answers price questions
  temporal: {enabled: false}
deployment:
  image: {repository: "", tag: "latest"}
  global: {replicaCount: 1}
unknown: {keys: are ignored}
"""
TEMPORAL = """\
build: {context: {root: ../, include_paths: [ledger], dockerfile: ledger/Dockerfile}}
agent:
  name: ledger-worker
  acp_type: async
  description: Posts ledger entries
  temporal: {enabled: true, workflows: [{name: ledger-worker, queue_name: ledger_q}]}
  credentials:
    - {env_var_name: REDIS_URL, secret_name: redis-url-secret, secret_key: url}
    - {env_var_name: TOKEN, secret_name: redis-url-secret, secret_key: token}
    - {something: older}
deployment: {image: {repository: "", tag: "latest"}, imagePullSecrets: [{name: pull-1}]}
"""


def a_manifest(agent: str = "", build: str = "", more: str = "", context: str = "root: ., dockerfile: D") -> str:
    return (f"build: {build or f'{{context: {{{context}}}}}'}\n"
            f"agent: {{name: quote, acp_type: sync, description: d{', ' + agent if agent else ''}}}\n{more}\n")


def refusal(text: str, agent: str | None = None) -> str:
    with pytest.raises(InvalidInput) as caught:
        Manifest.parse(text, agent)
    assert caught.value.reason == "InvalidManifest"
    return caught.value.message


# --- manifest.yaml --------------------------------------------------------------------------------------------------


def test_the_vendors_examples_are_valid() -> None:
    assert Manifest.parse(MONOREPO, "quote-bot") == Manifest(
        "quote-bot", "../../", ("agents/quote", "shared_lib"), "agents/quote/Dockerfile", "agents/quote/.dockerignore",
        "sync", "Answers price questions", ())
    assert Manifest.parse(TEMPORAL, None).secret_names == ("redis-url-secret",)


@pytest.mark.parametrize("text", [
    a_manifest("agent_input_type: json"), a_manifest("env: {A: b, C: '1'}"), a_manifest("env: null"),
    a_manifest("temporal: {enabled: true, workflow: {name: w, queue_name: q}}"),
    a_manifest(more="local_development: {agent: {port: 8000}, paths: {acp: a.py}}"),
    a_manifest(more="deployment: {image: {repository: r}, global: {replicaCount: 2, resources: {limits: {cpu: '1'}}}}"),
    a_manifest(context="root: ., dockerfile: D, include_paths: []"),
    a_manifest().replace("sync", "agentic"),
])
def test_what_the_vendor_takes_is_taken(text: str) -> None:
    assert Manifest.parse(text, "quote").agent_name == "quote"


@pytest.mark.parametrize(("text", "said"), [
    ("", "must be a YAML map; it is empty"), ("- a", "it is a list"), ("hello", "it is a single value"),
    ("a: [", "is not valid YAML (line 2)"),
    ("agent: {name: quote, acp_type: sync, description: d}", "build: it is required; add it"),
    ("build: {context: {root: ., dockerfile: D}}", "agent: it is required; add it"),
    (a_manifest(context="dockerfile: D"), "build.context.root: it is required"),
    (a_manifest(context="root: ."), "build.context.dockerfile: it is required"),
    (a_manifest(context="root: ., dockerfile: D, include_paths: src"), "build.context.include_paths"),
    (a_manifest(build="[]"), "build"), (a_manifest().replace("quote", "Quote_Bot"), "agent.name: only lower-case"),
    (a_manifest().replace("name: quote,", ""), "agent.name: it is required"),
    (a_manifest().replace("name: quote,", "name: 12,"), "agent.name: it must be a text; put it in quotes"),
    (a_manifest().replace("name: quote,", 'name: "quote\\n",'), "agent.name"),
    (a_manifest().replace("sync", "grpc"), "agent.acp_type: input should be 'sync', 'async' or 'agentic'"),
    (a_manifest().replace(", description: d", ""), "agent.description: it is required"),
    (a_manifest("env: {A: 1}"), "agent.env.A: it must be a text; put it in quotes"),
    (a_manifest("env: [A]"), "agent.env"), (a_manifest("agent_input_type: xml"), "agent.agent_input_type"),
    (a_manifest(more="deployment: {image: {repository: r, tag: 1.10}}"),
     "deployment.image.tag: it must be a text; put it in quotes"),
    (a_manifest(more="deployment: {}"), "deployment.image: it is required"),
    (a_manifest(more="deployment: {image: {repository: r}, imagePullSecrets: [x]}"), "deployment.imagePullSecrets.0"),
    (a_manifest(more="local_development: {agent: {port: 70000}}"), "local_development.agent.port"),
    (a_manifest("temporal: {enabled: true}"), "temporal is enabled without a workflow"),
    (a_manifest("temporal: {enabled: true, workflows: []}"), "agent.temporal.workflows"),
    (a_manifest("temporal: {enabled: true, workflows: [{name: w}]}"), "agent.temporal.workflows.0.queue_name"),
    (a_manifest("credentials: [{env_var_name: A, secret_name: s}]"), "agent.credentials[0].secret_key must be a text"),
    (a_manifest("credentials: [{env_var_name: A, secret_name: s, secret_key: 1}]"), "agent.credentials[0].secret_key"),
    (a_manifest("credentials: [x]"), "agent.credentials.0"),
    (a_manifest("credentials: [{env_var_name: A, secret_name: s, secret_key: k}, "
                "{env_var_name: A, secret_name: t, secret_key: k}]"), "sets 'A' more than once"),
])
def test_what_the_vendor_refuses_is_refused_with_the_place_and_the_next_step(text: str, said: str) -> None:
    message = refusal(text)

    assert (said in message, message.startswith("manifest.yaml"), message.endswith(".")) == (True, True, True)


def test_another_agents_manifest_is_refused_with_both_names() -> None:
    message = refusal(a_manifest(), "sales-bot")

    assert ("'quote'" in message, "'sales-bot'" in message) == (True, True)


def test_no_value_of_the_manifest_is_repeated_and_no_key_of_it_can_break_a_line() -> None:
    message = refusal(a_manifest('env: {"A\\nB\\e[31m": [canary]}'))

    assert ("canary" in message, message.isprintable()) == (False, True)


def test_many_problems_are_one_sentence() -> None:
    assert "(and 2 more)" in refusal("build: {context: {}}\nagent: {name: q, acp_type: sync}")


# --- environments.yaml ----------------------------------------------------------------------------------------------

DEV = "{auth: {principal: {service_account_id: sa-1}}, kubernetes: {namespace: Team-Dev}, helm_overrides: {a: '1.10'}}"
PROD = ("{environment: production, auth: {principal: {user_id: u-1, service_account_id: null}}, "
        "kubernetes: {namespace: team}}")


def environments(**entries: str) -> str:
    return "schema_version: v1\nenvironments:\n" + "".join(f"  {key}: {entry}\n" for key, entry in entries.items())


def with_user(more: str) -> str:
    return environments(dev=f"{{auth: {{principal: {{user_id: a}}}}, {more}}}")


def refused_environments(text: str, environment: str | None = None) -> str:
    with pytest.raises(InvalidInput) as caught:
        render_environments(text, environment)
    assert caught.value.reason == "InvalidEnvironments"
    return caught.value.message


def test_without_a_choice_the_text_is_sent_as_it_is() -> None:
    text = "# a comment\n" + environments(dev=DEV, prod=PROD)

    assert render_environments(text, None) == text


@pytest.mark.parametrize("choice", ["prod", "production"])
def test_the_chosen_entry_is_sent_alone_with_its_key_and_its_word(choice: str) -> None:
    sent = yaml.safe_load(render_environments(environments(dev=DEV, prod=PROD), choice))

    assert sent == {"schema_version": "v1", "environments": {"prod": yaml.safe_load(PROD)}}


def test_an_absent_schema_version_is_v1_as_in_the_vendors_model() -> None:
    text = environments(dev=DEV).removeprefix("schema_version: v1\n")

    assert (render_environments(text, None), render_environments(text, "dev")) == (text, text)


def test_texts_that_look_like_numbers_stay_texts() -> None:
    sent = yaml.safe_load(render_environments(environments(dev=DEV), "dev"))

    assert sent["environments"]["dev"]["helm_overrides"] == {"a": "1.10"}


def test_the_chosen_entry_does_not_depend_on_anchors_of_others() -> None:
    sent = render_environments(environments(base="&b " + DEV, dev="*b", prod="{<<: *b, environment: p}"), "prod")

    assert ("*" in sent, "&" in sent, yaml.safe_load(sent)["environments"]["prod"]["kubernetes"]) == (
        False, False, {"namespace": "Team-Dev"})


def test_an_entry_that_is_not_sent_may_be_unfinished() -> None:
    template = "{auth: {principal: {user_id: null}}}"

    assert "dev" in render_environments(environments(dev=DEV, later=template), "dev")
    assert "later" in refused_environments(environments(dev=DEV, later=template))


def test_an_unknown_environment_names_those_there_are() -> None:
    message = refused_environments(environments(dev=DEV, prod=PROD), "staging")

    assert ("'staging'" in message, "'dev', 'prod'" in message) == (True, True)


def test_a_word_that_two_entries_carry_is_no_choice() -> None:
    assert "more than once" in refused_environments(environments(a=PROD, b=PROD), "production")


@pytest.mark.parametrize(("text", "said"), [
    ("", "must be a YAML map"), ("schema_version:\nenvironments: {dev: {}}", "schema_version"),
    ("schema_version: v2\nenvironments: {dev: {}}", "schema_version"),
    ("schema_version: v1", "at least one environment"),
    ("schema_version: v1\nenvironments: {}", "at least one environment"),
    ("schema_version: v1\nenvironments: [dev]", "at least one environment"),
    ("schema_version: v1\nenvironments: {1: {}}", "put it in quotes"),
    (environments(dev="x"), "environments.dev must be a map"),
    (environments(dev="{}"), "environments.dev: auth: it is required"),
    (environments(dev="{auth: {}}"), "auth.principal: it is required"),
    (environments(dev="{auth: {principal: {}}}"), "exactly one of user_id and service_account_id"),
    (environments(dev="{auth: {principal: {user_id: a, service_account_id: b}}}"), "exactly one of"),
    (environments(dev="{auth: {principal: {user_id: ''}}}"), "exactly one of"),
    (with_user("kubernetes: {}"), "kubernetes.namespace: it is required"),
    (with_user("kubernetes: {namespace: ''}"), "kubernetes.namespace must be"),
    (with_user("kubernetes: {namespace: -a}"), "kubernetes.namespace must be"),
    (with_user("kubernetes: {namespace: a-}"), "kubernetes.namespace must be"),
    (with_user("kubernetes: {namespace: a/b}"), "kubernetes.namespace must be"),
    (with_user("kubernetes: {namespace: " + "a" * 64 + "}"), "1 to 63"),
    (with_user("oci_registry: {provider: x, url: u}"), "oci_registry.provider"),
])
def test_bad_environments_are_refused_with_the_place(text: str, said: str) -> None:
    message = refused_environments(text)

    assert (said in message, message.startswith("environments.yaml"), message.endswith(".")) == (True, True, True)


@pytest.mark.parametrize(("text", "environment", "namespace"), [
    (environments(dev=DEV, prod=PROD), "dev", "team-dev"), (environments(dev=DEV, prod=PROD), "production", "team"),
    (environments(dev=DEV), None, "team-dev"), (environments(dev=DEV, prod=PROD), None, None),
    (environments(dev="{auth: {principal: {user_id: a}}}"), "dev", None),
])
def test_the_namespace_is_told_where_the_file_says_it(text: str, environment: str | None,
                                                      namespace: str | None) -> None:
    assert expected_namespace(text, environment) == namespace


# --- labels and fingerprints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "spelt"), [
    ("pr-482", "pr-482"), ("PR #482: Über", "pr-482-ber"), ("--a--", "a"), ("", None), ("***", None), ("é", None),
    ("a" * 30, "a" * 30), ("a" * 31, "a" * 30), ("a" * 29 + "-b", "a" * 29), ("feature/X_y.z", "feature-x-y-z"),
])
def test_labels_are_spelt_as_the_server_will(label: str, spelt: str | None) -> None:
    assert sanitised_label(label) == spelt


def test_a_fingerprint_is_of_the_meaning_not_of_the_text() -> None:
    text = "a: 1\nb: [x, 'y']  # why\n"
    same = "# agentex.scale.com/owner: token\nb:\n  - x\n  - y\na: 1\n"

    assert configuration_fingerprint(text, text) == configuration_fingerprint(same, text)


@pytest.mark.parametrize("other", ["a: 1\nb: [y, x]", "a: '1'\nb: [x, y]", "a: 1", "a: 1\nb: [x, y]\nc: null",
                                   "1: 1", "[", "a: 1\nb: [x, y", "2024-01-01: 1"])
def test_another_meaning_has_another_fingerprint_and_none_raises(other: str) -> None:
    text = "a: 1\nb: [x, y]"

    found = {configuration_fingerprint(*pair) for pair in ((text, text), (other, text), (text, other), (other, other))}

    assert len(found) == 4


def test_a_number_and_its_text_are_different_keys() -> None:
    assert configuration_fingerprint("1: a", "") != configuration_fingerprint("'1': a", "")
