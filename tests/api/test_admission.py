"""What the real API server lets through, and what it says to the rest; what kubectl shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api.conftest import CRDS, User
from tests.api.objects import SPECS, Object, an_object

HTTP = {"url": "https://files.example.com/a.tar.gz", "digest": "sha256:" + "0" * 64}
KEY = {"name": "quote-bot", "key": "k"}
LONG = "a" * 253
CREDENTIALS = "https://user:password@api.example.com"


def a_build(**spec: Any) -> Object:
    return an_object("AgentBuild", **spec)


def a_deployment(**spec: Any) -> Object:
    return an_object("AgentDeployment", **spec)


def an_account(**spec: Any) -> Object:
    return an_object("AgentexAccount", **spec)


def source(**source: Any) -> Object:
    return a_build(source=source)


WELCOME: dict[str, Object] = {
    **{f"the least a {kind} needs": an_object(kind) for kind in SPECS},
    "an agent by id": a_build(agentName=None, agentID="agent-7"),
    "a source of http": source(http=HTTP),
    "a source of http with credentials": source(http={**HTTP, "secretRef": {"name": "files"}}),
    "a source of http that is looked at again": source(http={"url": HTTP["url"], "interval": "30s"}),
    "a source of an image": source(image={"url": "registry.example.com:5000/team/quote-bot:v1"}),
    "a source of an image by digest": source(image={"url": f"localhost:5000/quote-bot@{HTTP['digest']}"}),
    "a source of an image by tag and digest": source(image={"url": f"team/quote-bot:v1@{HTTP['digest']}"}),
    "a source of a Secret": source(secretKeyRef={"name": "quote-bot", "key": "context.tar.gz"}),
    "an image in a folder": a_build(image={"name": "team/quote_bot", "tag": "v1.2-rc.3"}),
    "an agent in a folder": a_build(context={"path": "agents/quote..bot", "manifest": "deploy/manifest.yaml"}),
    "a name of 63 characters": an_object("AgentBuild", "b" * 63),
    "a name of 253 characters": an_object("AgentBuild", ".".join(["b" * 62] * 4) + ".b"),
    "an agent name of 63 characters": a_build(agentName="b" * 63),
    "a build that is left alone at its deletion": a_build(deletionPolicy="Orphan"),
    "a build that is cancelled at its deletion": a_build(deletionPolicy="Delete"),
    "100 build arguments": a_build(buildArgs=[{"name": f"A{n}", "value": "x" * 4096} for n in range(100)]),
    "a preview with a ttl": a_deployment(preview={"ttl": "45s", "label": "pr-482"}),
    "a preview with an end": a_deployment(preview={"expiresAt": "2027-01-31T18:00:00Z"}),
    "a preview with the last end that UTC has": a_deployment(preview={"expiresAt": "9999-12-31T23:59:59Z"}),
    "a preview of the default length": a_deployment(preview={}),
    "a label of 30 characters": a_deployment(preview={"label": "Feature/ÄÖÜ " + "x" * 18}),
    "a deployment of a build id": a_deployment(buildRef=None, buildID="b-1", manifest={"inline": "agent: {}"}),
    "a deployment of an image": a_deployment(buildRef=None, image={"name": "q", "tag": "v1"}, manifest={"inline": "a"}),
    "a long manifest": a_deployment(manifest={"inline": "#" * 262_144}),
    "an account behind a path": an_account(endpoint="https://proxy.example.com:8443/agentex"),
    "an account of a local simulator": an_account(endpoint="http://127.0.0.1:8900"),
    "polling every 5 minutes": an_account(pollInterval="5m"),
    "an account for some namespaces": an_object("ClusterAgentexAccount", default=True, namespaceSelector={
        "matchLabels": {"team": "support"},
        "matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["prod"]}]}),
}


@pytest.mark.parametrize("obj", WELCOME.values(), ids=WELCOME)
def test_a_valid_object_is_accepted(somebody: User, obj: Object) -> None:
    assert "serverside-applied" in somebody.would_apply(obj)


NO_PLACE = "platform and buildArgs have no place beside it"
REFUSED: dict[str, tuple[Object, str]] = {
    "no agent": (a_build(agentName=None), "set exactly one of agentName or agentID"),
    "an agent by name and by id": (a_build(agentID="agent-7"), "set exactly one of agentName or agentID"),
    "an agent name in capitals": (a_build(agentName="QuoteBot"), "spec.agentName"),
    "an agent name of 64 characters": (a_build(agentName="b" * 64), "spec.agentName: Too long"),
    "no source": (source(), "set exactly one of configMapKeyRef, secretKeyRef, http or image"),
    "two sources": (source(http=HTTP, image={"url": "x"}),
                    "set exactly one of configMapKeyRef, secretKeyRef, http or image"),
    "two keys as source": (source(configMapKeyRef=KEY, secretKeyRef=KEY), "spec.source.secretKeyRef: Forbidden"),
    "a key and an address as source": (source(secretKeyRef=KEY, http=HTTP), "spec.source.http: Forbidden"),
    "an image without a tag": (source(image={"url": "registry.example.com:5000/quote-bot"}), "an image with a tag"),
    "an image with a short digest": (source(image={"url": "quote-bot@sha256:00"}), "a sha256 digest or both"),
    "an image with its scheme": (source(image={"url": "https://example.com/quote-bot:v1"}), "without https://"),
    "an image with two tags": (source(image={"url": "quote-bot:v1:v2"}), "an image with a tag"),
    "an image that no registry can hold": (a_build(image={"name": "team//quote"}), "must be a repository name"),
    "a tag that begins with a dot": (a_build(image={"name": "quote", "tag": ".v1"}), "must be a tag"),
    "an image for a platform": (a_build(source={"image": {"url": "x:1"}}, platform="linux/arm64"), NO_PLACE),
    "an image with build arguments": (a_build(source={"image": {"url": "x:1"}}, buildArgs=[{"name": "A", "value": ""}]),
                                      NO_PLACE),
    "http without a digest": (source(http={"url": HTTP["url"]}), "without digest the content may change: set interval"),
    "http with a digest and an interval": (source(http={**HTTP, "interval": "5m"}), "leave out interval"),
    "http that is looked at all the time": (source(http={"url": HTTP["url"], "interval": "29s"}),
                                            "must be a duration between 30s and 24h"),
    "http that is looked at hardly ever": (source(http={"url": HTTP["url"], "interval": "25h"}),
                                           "must be a duration between 30s and 24h"),
    "an image that is looked at again": (source(image={"url": "quote:v1", "interval": "5m"}),
                                         'unknown field "spec.source.image.interval"'),
    "a short digest": (source(http={**HTTP, "digest": "sha256:00"}), "spec.source.http.digest"),
    "ftp": (source(http={**HTTP, "url": "ftp://x.example.com/a"}), "spec.source.http.url"),
    "an absolute path": (a_build(context={"path": "/etc"}), "must be a relative path without '..'"),
    "a path that climbs": (a_build(context={"path": "a/../../b"}), "must be a relative path without '..'"),
    "a manifest that climbs": (a_build(context={"manifest": "../x"}), "must be a relative path without '..'"),
    "a mount path that climbs": (a_build(context={"mountPath": "a/.."}), "must be a relative path without '..'"),
    "101 build arguments": (a_build(buildArgs=[{"name": f"A{n}", "value": ""} for n in range(101)]), "Too many"),
    "a build argument twice": (a_build(buildArgs=[{"name": "A", "value": "1"}] * 2), "Duplicate value"),
    "a build argument with a dash": (a_build(buildArgs=[{"name": "A-B", "value": ""}]), "spec.buildArgs[0].name"),
    "an unknown platform": (a_build(platform="windows/amd64"), "Unsupported value"),
    "a timeout in words": (a_build(timeout="soon"), "spec.timeout"),
    "a timeout of two days": (a_build(timeout="48h"), "must be a duration between 1s and 24h"),
    "a timeout beyond all numbers": (a_build(timeout="9" * 30 + "h"), "spec.timeout"),
    "eleven retries": (a_build(retries=11), "spec.retries"),
    "an unknown policy": (a_build(deletionPolicy="Cancel"), "Unsupported value"),
    "a typo": (a_build(tiemout="5m"), 'unknown field "spec.tiemout"'),
    "nothing to deploy": (a_deployment(buildRef=None, manifest={"inline": "x"}), "set exactly one of buildRef"),
    "two things to deploy": (a_deployment(buildID="b-1"), "set exactly one of buildRef, buildID or image"),
    "an image and a build to deploy": (a_deployment(image={"name": "q", "tag": "v1"}), "spec.image: Forbidden"),
    "an image to deploy that no registry can hold": (a_deployment(
        buildRef=None, image={"name": "team//quote", "tag": ".v1"}), "must be a repository name"),
    "a deadline of two days": (a_deployment(progressDeadline="48h"), "must be a duration between 1s and 24h"),
    "a manifest from no build": (a_deployment(buildRef=None, buildID="b-1"), "manifest.fromBuild needs buildRef"),
    "a manifest not from the build": (a_deployment(manifest={"fromBuild": False}),
                                      "spec.manifest.fromBuild: Invalid value: false: true is the only value"),
    "no manifest": (a_deployment(manifest={}), "set exactly one of inline, configMapKeyRef or fromBuild"),
    "two manifests": (a_deployment(manifest={"inline": "x", "fromBuild": True}), "set exactly one of inline"),
    "two manifests, one of a ConfigMap": (a_deployment(manifest={"inline": "x", "configMapKeyRef": KEY}),
                                          "spec.manifest.configMapKeyRef: Forbidden"),
    "two environments": (a_deployment(environments={"inline": "x", "configMapKeyRef": KEY}),
                         "spec.environments.configMapKeyRef: Forbidden"),
    "no environments": (a_deployment(environments={}), "set exactly one of inline or configMapKeyRef"),
    "a manifest too long": (a_deployment(manifest={"inline": "#" * 262_145}), "Too long"),
    "ttl and an end": (a_deployment(preview={"ttl": "1h", "expiresAt": "2027-01-31T18:00:00Z"}),
                       "set at most one of ttl or expiresAt"),
    "a label of 31 characters": (a_deployment(preview={"label": "x" * 31}), "spec.preview.label: Too long"),
    "an end after the last that UTC has": (a_deployment(preview={"expiresAt": "9999-12-31T23:59:59-05:00"}),
                                           "must be a time between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z"),
    "an end before the first that UTC has": (a_deployment(preview={"expiresAt": "0001-01-01T00:00:00+14:00"}),
                                             "must be a time between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z"),
    "an end that is no time": (a_deployment(preview={"expiresAt": "tomorrow"}), "spec.preview.expiresAt"),
    "a ttl of nothing": (a_deployment(preview={"ttl": "0s"}), "must be a duration between 1s and 8760h"),
    "an endpoint with a password": (an_account(endpoint=CREDENTIALS), "spec.endpoint"),
    "an endpoint with a query": (an_account(endpoint="https://api.example.com/?a=b"), "spec.endpoint"),
    "an endpoint of another kind": (an_account(endpoint="file:///etc/passwd"), "spec.endpoint"),
    "polling all the time": (an_account(pollInterval="10ms"), "must be a duration between 1s and 5m"),
    "polling hardly ever": (an_account(pollInterval="301s"), "must be a duration between 1s and 5m"),
    "no calls at all": (an_account(limits={"requestsPerSecond": 0}), "spec.limits.requestsPerSecond"),
    "a default of one namespace": (an_account(default=True), 'unknown field "spec.default"'),
    "a Secret of another namespace": (an_account(apiKeySecretRef={"name": "a", "key": "b", "namespace": "c"}),
                                      'unknown field "spec.apiKeySecretRef.namespace"'),
}


@pytest.mark.parametrize(("obj", "why"), REFUSED.values(), ids=REFUSED)
def test_an_invalid_object_is_refused_with_a_message_that_says_why(somebody: User, obj: Object, why: str) -> None:
    assert why in somebody.would_create(obj)


UNCHANGEABLE: dict[str, tuple[Object, Object, str]] = {
    "the agent": (a_build(), a_build(agentName="other"), "agentName cannot be changed"),
    "the agent's name into its id": (a_build(), a_build(agentName=None, agentID="a-7"), "agentName cannot be changed"),
    "a build's account": (a_build(accountRef={"name": "a"}), a_build(accountRef={"name": "b"}), "accountRef cannot be"),
    "a build's account, added": (a_build(), a_build(accountRef={"name": "b"}), "accountRef cannot be changed, added"),
    "a build's account, removed": (a_build(accountRef={"name": "a"}), a_build(), "accountRef cannot be changed, added"),
    "a deployment's account": (a_deployment(), a_deployment(accountRef={"name": "b"}), "create another Agent"),
    "production into a preview": (a_deployment(), a_deployment(preview={}), "preview cannot be added or removed"),
    "a preview into production": (a_deployment(preview={}), a_deployment(), "preview cannot be added or removed"),
    "the endpoint": (an_account(), an_account(endpoint="https://b.example.com"), "endpoint cannot be changed"),
    "the remote account": (an_account(), an_account(accountID="acct-2"), "accountID cannot be changed"),
}


@pytest.mark.parametrize(("before", "after", "why"), UNCHANGEABLE.values(), ids=UNCHANGEABLE)
def test_an_immutable_member_cannot_be_changed(user: User, before: Object, after: Object, why: str) -> None:
    user.apply(before)

    assert why in user.apply(after)


def set_status(user: User, kind: str, status: Object) -> None:
    user.kubectl("patch", kind, "quote-bot", "--subresource=status", "--type=merge", "-p", json.dumps(
        {"status": status}))


@pytest.mark.parametrize("kind", ["AgentBuild", "AgentDeployment"])
@pytest.mark.parametrize("of", ["AgentexAccount", "ClusterAgentexAccount"])
def test_only_the_account_that_a_resource_is_bound_to_can_be_named_later(user: User, kind: str, of: str) -> None:
    other = {"AgentexAccount": "ClusterAgentexAccount", "ClusterAgentexAccount": "AgentexAccount"}[of]
    user.apply(an_object(kind))
    bound = {"kind": of, "name": "default", "accountID": "acct-1", "endpoint": "https://api.example.com"}
    set_status(user, kind, {"observedGeneration": 1, "account": bound})

    for ref in ({"kind": of, "name": "another"}, {"kind": other, "name": "default"}):
        assert "accountRef cannot be changed, added" in user.would_apply(an_object(kind, accountRef=ref))
    assert "serverside-applied" in user.apply(an_object(kind, accountRef={"kind": of, "name": "default"}))
    assert "accountRef cannot be changed, added or removed" in user.apply(an_object(kind))


def test_a_mutable_member_can_be_changed(user: User) -> None:
    user.apply(a_deployment(preview={"ttl": "1h"}))
    user.apply(a_deployment(preview={"ttl": "2h", "onExpiry": "Delete"}, buildRef={"name": "other"}))

    assert user.get("ad")["spec"]["preview"] == {"ttl": "2h", "onExpiry": "Delete"}


def test_an_omitted_member_gets_its_default(user: User) -> None:
    user.apply(a_build())
    stored = user.get("ab")

    assert stored["spec"]["context"] == {"path": ".", "manifest": "manifest.yaml"}
    assert (stored["spec"]["retries"], stored["spec"]["timeout"]) == (2, "30m")
    assert stored["status"] == {"observedGeneration": -1}


def test_every_kind_answers_to_its_short_name_and_its_category(user: User) -> None:
    for obj in (a_build(), a_deployment(), an_account()):
        user.apply(obj)

    assert "quote-bot" in user.kubectl("get", "ab,ad,aga")
    assert user.kubectl("get", "agentex", "-o", "name").count("quote-bot") == 3


def test_builds_are_found_by_the_field_of_their_agent(user: User) -> None:
    user.apply(an_object("AgentBuild", "one", agentName="a"))
    user.apply(an_object("AgentBuild", "two", agentName="b"))

    assert user.kubectl("get", "ab", "--field-selector", "spec.agentName=b", "-o", "name").split() == [
        "agentbuild.agentex.scale.com/two"]


COLUMNS = {
    "AgentBuild": ("READY REASON IMAGE TAG AGE", "BUILD-ID ACCOUNT MESSAGE"),
    "AgentDeployment": ("READY REASON BUILD ENVIRONMENT EXPIRES AGE", "DEPLOYMENT-ID NAMESPACE MESSAGE"),
    "AgentexAccount": ("READY REASON ACCOUNT ENDPOINT AGE", "THROTTLED MESSAGE"),
    "ClusterAgentexAccount": ("READY REASON ACCOUNT ENDPOINT DEFAULT AGE", "THROTTLED MESSAGE"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_table_says_what_matters_first_and_the_wide_one_the_rest(user: User, kind: str) -> None:
    user.apply(an_object(kind))
    usual, wide = (user.kubectl("get", kind, "quote-bot", *more).splitlines()[0] for more in ((), ("-o", "wide")))
    user.kubectl("delete", kind, "quote-bot")

    assert usual.split() == ["NAME", *COLUMNS[kind][0].split()]
    assert wide.split() == ["NAME", *" ".join(COLUMNS[kind]).split()]
    assert len(usual) <= 80


def test_the_table_shows_the_end_of_a_preview_to_the_second(user: User) -> None:
    user.apply(a_deployment(preview={"ttl": "1h"}, environment="dev"))
    set_status(user, "ad", {"observedGeneration": 1, "expiresAt": "2093-01-31T18:00:07Z"})

    assert user.kubectl("get", "ad", "quote-bot").splitlines()[1].split()[1:-1] == [
        "quote-bot", "dev", "2093-01-31T18:00:07Z"]


@pytest.mark.parametrize(("path", "word"), [
    ("agentbuild.spec.source", "exactly one of configMapKeyRef, secretKeyRef, http and image"),
    ("ab.spec.source.http.digest", "64 hex digits"),
    ("ad.spec.preview.ttl", "Without ttl and expiresAt: 8h"),
    ("aga.spec.pollInterval", "between 1s and 5m"),
    ("agentexaccount.spec.apiKeySecretRef.name", "Name of the Secret with the API key, for example `agentex`."),
    ("ab.status.phase", "Unstable"),
    ("caga", "kind: ClusterAgentexAccount"),
])
def test_kubectl_explain_is_a_manual(somebody: User, path: str, word: str) -> None:
    explained = " ".join(somebody.kubectl("explain", path).split())

    assert word in explained


def test_kubectl_complains_about_nothing_when_the_crds_are_applied_twice(somebody: User) -> None:
    again = somebody.kubectl("apply", "--server-side", "-f", str(CRDS))

    assert again.count("serverside-applied") == 4
