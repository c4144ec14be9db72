"""Every property that is edited, with the spec around it and the values that no schema can name.

The rest derives from the schema (schema_values.py). Names in braces are filled in: {name} is the resource itself; the
others are in fixtures.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.specs import schema_values
from tests.faults.specs.crd_schema import Property, one_of, properties
from tests.faults.specs.schema_values import ABSENT, Values

from agentex_testkit.builders import ENVIRONMENTS, a_manifest

EVER = "*"


@dataclass(frozen=True)
class Known:
    """What is known of one property beside its schema.

    - `valid` is added to what derives from the schema; or, with `only`, stands instead of it.
    - `refused` is added to what breaks the schema: what breaks a rule.
    - `bad` values are taken, and answered with this reason.
    - `setting`: the spec in which the property stands; None: the kind's usual one.
    - `lasts`: (from, to) of edits that by design leave what there was, and the reason that is then said.
    - `shallow`: values of which the end depends on what there was, by design: only Ready is compared.
    - `creates`: how many creates a value costs, where that is not one.
    - `ends`: the reason that is said of a value in the end, where that is not that all is well.
    - `added`: the (from, to) of an immutable property that may be added, once the resource is at rest.
    """

    valid: Values = field(default_factory=dict)
    bad: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    refused: Values = field(default_factory=dict)
    only: bool = False
    setting: Mapping[str, Any] | None = None
    lasts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    shallow: frozenset[str] = frozenset()
    creates: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, str] | None = None


@dataclass(frozen=True)
class EditedProperty:
    """A property with the spec around it, and all its values."""

    name: str
    place: Property
    setting: Mapping[str, Any]
    valid: Values
    refused: Values
    known: Known

    @property
    def kind(self) -> str:
        return self.place.kind

    def value(self, name: str) -> Any:
        """The value of that name; `!` marks a bad or refused one."""
        if not name.startswith("!"):
            return self.valid[name]
        wrong = name.removeprefix("!")
        return self.known.bad[wrong][0] if wrong in self.known.bad else self.refused[wrong]

    def spec(self, name: str) -> dict[str, Any]:
        """The whole spec with that value."""
        return schema_values.put(self.setting, self.place.path, self.value(name))

    def lasting(self, before: str, after: str) -> str | None:
        """The reason that stays after an edit that by design changes nothing."""
        lasts = self.known.lasts
        return lasts.get((before, after)) or lasts.get((before, EVER)) or lasts.get((EVER, after))

    def creates(self, name: str) -> int:
        """How many creates the value costs a new resource."""
        return self.known.creates.get(name, 1)

    def end(self, name: str) -> str:
        """The reason of a new resource with this value."""
        return self.known.ends.get(name, "Healthy" if self.kind == "AgentDeployment" else "Succeeded")


NOT_FOUND = "AdoptionTargetNotFound"


def adopted(value: Values, before: str) -> Known:
    """`spec.adopt` of nothing that exists: refused for a new resource, without effect once something is on record."""
    return Known({"absent": ABSENT, "nothing": value}, creates={"nothing": 0}, ends={"nothing": NOT_FOUND},
                 lasts={("absent", "nothing"): before})


def adopted_id(setting: Values) -> Known:
    """An id of nothing that exists, in place of another one."""
    return Known({"one": "nobody", "two": "nowhere"}, setting=setting, only=True,
                 lasts={("one", "two"): NOT_FOUND, ("two", "one"): NOT_FOUND},
                 creates={"one": 0, "two": 0}, ends={"one": NOT_FOUND, "two": NOT_FOUND})


# --- AgentBuild -----------------------------------------------------------------------------------------------------


def key_of(holder: str, key: str = "context.tar.gz") -> dict[str, str]:
    """A KeyRef."""
    return {"name": holder, "key": key}


FROM_MAP = {"configMapKeyRef": key_of("contexts")}
A_BUILD: dict[str, Any] = {"agentName": "quote", "image": {"name": "quote"}, "source": FROM_MAP}
FROM_SECRET: dict[str, Any] = {**A_BUILD, "source": {"secretKeyRef": key_of("contexts")}}
FROM_HTTP: dict[str, Any] = {**A_BUILD, "source": {"http": {"url": "{sources}/first.tar.gz", "digest": "{digest}"}}}
FROM_MOVING_HTTP: dict[str, Any] = {
    **A_BUILD, "source": {"http": {"url": "{sources}/first.tar.gz", "interval": "30s"}}}
FROM_IMAGE: dict[str, Any] = {**A_BUILD, "source": {"image": {"url": "elsewhere.invalid/quote:1"}}}
BY_ID = {"agentID": "{agent}", "image": {"name": "quote"}, "source": FROM_MAP}
ERRING = {**A_BUILD, "source": {"configMapKeyRef": key_of("contexts", "erring.tar.gz")}}
STUCK = {**A_BUILD, "source": {"configMapKeyRef": key_of("contexts", "stuck.tar.gz")}}
TIMED_OUT = "BuildTimedOut"
WITH_ARGS = {**A_BUILD, "buildArgs": [{"name": "BASE", "value": "3.13"}]}
IN_ACCOUNT = {"accountRef": {"name": "default"}}
KINDS_OF_ACCOUNT = {"of the namespace": "AgentexAccount", "of the cluster": "ClusterAgentexAccount"}
NO_ACCOUNT: dict[str, Any] = {"ends": {"of the cluster": "AccountNotFound"}, "creates": {"of the cluster": 0}}
NO_MAP, NO_SECRET, NO_KEY = "ConfigMapNotFound", "SecretNotFound", "KeyNotFound"
CORRUPT = ("broken.tar.gz", "CorruptContext")
HOLDERS = {"first": "contexts", "third": "contexts-too", "same bytes": "copies"}
CONTEXTS = {"first": "context.tar.gz", "second": "second.tar.gz"}

BUILD: dict[str, Known] = {
    "agentName": Known({"the usual": "quote", "another": "quote-too"}, setting=FROM_IMAGE),
    "agentID": Known({"known": "{agent}", "another": "{agent-too}"}, setting=BY_ID),
    "accountRef": Known({"absent": ABSENT, "named": {"name": "default"}}, added=("absent", "named")),
    "accountRef.kind": Known(KINDS_OF_ACCOUNT, only=True, **NO_ACCOUNT, setting={**A_BUILD, **IN_ACCOUNT}),
    "accountRef.name": Known({"default": "default", "second": "second"}, setting={**A_BUILD, **IN_ACCOUNT}),
    "image.name": Known({"short": "quote", "nested": "team/quote.a_b-c", "longest": "q" * 255}),
    "image.tag": Known({"absent": ABSENT, "v1": "v1", "v2": "V2_.-", "longest": "t" * 128}),
    "source": Known({
        "map": FROM_MAP, "secret": FROM_SECRET["source"], "http": FROM_HTTP["source"],
        "http in an interval": FROM_MOVING_HTTP["source"],
        "image": FROM_IMAGE["source"],
        "second http": {"http": {"url": "{sources}/second.tar.gz", "digest": "{digest-2}"}},
    }, refused={"none": {}, "two": {**FROM_MAP, **FROM_IMAGE["source"]}},
        bad={"a map that is not there": ({"configMapKeyRef": key_of("nobody")}, NO_MAP)}),
    "source.configMapKeyRef.name": Known(HOLDERS, bad={"missing": ("nobody", NO_MAP)}),
    "source.configMapKeyRef.key": Known(CONTEXTS, bad={"missing": ("none", NO_KEY), "broken": CORRUPT}),
    "source.secretKeyRef.name": Known(HOLDERS, bad={"missing": ("nobody", NO_SECRET)}, setting=FROM_SECRET),
    "source.secretKeyRef.key": Known(CONTEXTS, bad={"missing": ("none", NO_KEY), "broken": CORRUPT},
                                     setting=FROM_SECRET),
    "source.http.url": Known({"here": "{sources}/first.tar.gz", "there": "{sources}/again/first.tar.gz"},
                             setting=FROM_HTTP,
                             bad={"gone": ("{sources}/none", "SourceNotFound"),
                                  "metadata": ("http://169.254.169.254/latest", "InvalidURL")}),
    "source.http.digest": Known({"right": "{digest}"}, bad={"of others": ("{digest-2}", "DigestMismatch")},
                                refused={"absent, without an interval": ABSENT}, setting=FROM_HTTP),
    "source.http.interval": Known({"30s": "30s", "24h": "24h", "1.5h": "1.5h"}, only=True,
                                  refused={"absent, without a digest": ABSENT}, setting=FROM_MOVING_HTTP),
    "source.http.secretRef": Known({"absent": ABSENT, "named": {"name": "download"}}, setting=FROM_HTTP),
    "source.http.secretRef.name": Known(
        {"one": "download", "two": "download-too"}, bad={"missing": ("nobody", NO_SECRET)},
        setting={**FROM_HTTP, "source": {"http": {**FROM_HTTP["source"]["http"], "secretRef": {"name": "download"}}}}),
    "source.image.url": Known({"one": "elsewhere.invalid/quote:1", "two": "elsewhere.invalid/team/quote:2"},
                              refused={"untagged": "elsewhere.invalid:5000/quote", "two tags": "quote:1:2"},
                              setting=FROM_IMAGE),
    "context": Known({"absent": ABSENT, "empty": {}, "nested": {"path": "agents/nested"}}),
    "context.path": Known({"absent": ABSENT, "top": ".", "nested": "agents/nested",
                           "with detours": "./agents//nested/"},
                          bad={"missing": ("agents/none", "ManifestNotFound")}),
    "context.mountPath": Known({"absent": ABSENT, "short": "quote", "nested": "agents/quote"}),
    "context.manifest": Known({"absent": ABSENT, "usual": "manifest.yaml", "another": "another.yaml"},
                              bad={"missing": ("none.yaml", "ManifestNotFound")}),
    "buildArgs": Known({
        "absent": ABSENT, "none": [], "one": [{"name": "BASE", "value": "3.13"}],
        "two": [{"name": "BASE", "value": "3.13"}, {"name": "DEBUG", "value": ""}],
        "two, reordered": [{"name": "DEBUG", "value": ""}, {"name": "BASE", "value": "3.13"}],
        "most": [{"name": f"ARG_{number}", "value": "x"} for number in range(100)]}),
    "buildArgs[].name": Known({"base": "BASE", "longest": "_" * 255}, setting=WITH_ARGS),
    "buildArgs[].value": Known({"short": "3.13", "nothing": "", "odd": "a=\"b\"\n\u2028\x1b[31mé",
                                "longest": "v" * 4096}, setting=WITH_ARGS),
    "timeout": Known({"absent": ABSENT, "24h": "24h", "usual": "30m", "1.5h": "1.5h"}, only=True),
    "timeout, of a build that is stuck": Known(
        {"1s": "1s", "2s": "2s"}, only=True, setting=STUCK, lasts={("1s", EVER): TIMED_OUT, ("2s", EVER): TIMED_OUT},
        creates={"1s": 3, "2s": 3}, ends={"1s": TIMED_OUT, "2s": TIMED_OUT}),
    "retries": Known(),
    "retries, of a build that breaks": Known({"0": 0, "1": 1, "3": 3}, only=True, setting=ERRING,
                                             creates={"0": 1, "1": 2, "3": 4},
                                             ends=dict.fromkeys(("0", "1", "3"), "BuildFailed")),
    "cancel": Known(lasts={("false", "true"): "Succeeded", ("absent", "true"): "Succeeded"}, creates={"true": 0},
                    ends={"true": "Cancelled"}),
    "suspend": Known(shallow=frozenset({"true"}), creates={"true": 0}, ends={"true": "Suspended"}),
    "adopt": adopted({"buildID": "nobody"}, "Succeeded"),
    "adopt.buildID": adopted_id({**A_BUILD, "adopt": {"buildID": "nobody"}}),
}

# --- AgentDeployment ------------------------------------------------------------------------------------------------

OTHER_ENVIRONMENTS = ENVIRONMENTS + "  prod: {auth: {principal: {user_id: u-2}}, kubernetes: {namespace: team-prod}}\n"
INLINE = {"inline": a_manifest("{name}")}
OTHER_INLINE = {"inline": a_manifest("{name}", "answers otherwise")}
DEPLOYS = {"buildRef": {"name": "{name}"}, "manifest": INLINE, "environments": {"inline": OTHER_ENVIRONMENTS}}
BY_BUILD_ID = {"buildID": "{build}", "buildRef": ABSENT, "image": ABSENT}
BY_IMAGE = {"image": {"name": "{name}", "tag": "v1"}, "buildRef": ABSENT, "buildID": ABSENT}
BY_REF = {"buildRef": {"name": "{name}"}, "buildID": ABSENT, "image": ABSENT}
FROM_BUILD = {**DEPLOYS, "buildRef": {"name": "{name}-built"}}
MANIFEST_IN_MAP = {"configMapKeyRef": key_of("{name}", "manifest.yaml")}
ENVIRONMENTS_IN_MAP = {"configMapKeyRef": key_of("{name}", "environments.yaml")}
PREVIEW = {**DEPLOYS, "preview": {"label": "pr-1"}}
FAR, FARTHER = "2093-01-31T18:00:00Z", "2094-06-30T00:00:00+02:00"


def deploys(**more: Any) -> dict[str, Any]:
    """The usual deployment with this changed."""
    return schema_values.put(DEPLOYS, (), more)


DEPLOYMENT: dict[str, Known] = {
    "accountRef": Known({"absent": ABSENT, "named": {"name": "default"}}, added=("absent", "named")),
    "accountRef.kind": Known(KINDS_OF_ACCOUNT, only=True, **NO_ACCOUNT, setting={**DEPLOYS, **IN_ACCOUNT}),
    "accountRef.name": Known({"default": "default", "second": "second"}, setting={**DEPLOYS, **IN_ACCOUNT}),
    "what to deploy": Known({"by name": BY_REF, "by id": BY_BUILD_ID, "by image": BY_IMAGE}),
    "buildRef.name": Known({"one": "{name}", "two": "{name}-second"}, bad={"missing": ("nobody", "BuildNotFound")}),
    "buildID": Known({"one": "{build}", "two": "{build-second}"}, bad={"missing": ("b-nobody", "BuildNotFound")},
                     setting=deploys(**BY_BUILD_ID)),
    "image.name": Known({"one": "{name}", "two": "{name}/second"}, setting=deploys(**BY_IMAGE)),
    "image.tag": Known({"one": "v1", "two": "v2"}, setting=deploys(**BY_IMAGE),
                       bad={"missing": ("v0", "RejectedByRemote")}),
    "manifest": Known({"inline": INLINE, "in a map": MANIFEST_IN_MAP, "from the build": {"fromBuild": True}},
                      setting=FROM_BUILD),
    "manifest.inline": Known({"one": INLINE["inline"], "two": OTHER_INLINE["inline"]},
                             bad={"no yaml": ("{", "InvalidManifest"),
                                  "of others": (a_manifest("somebody"), "InvalidManifest")}),
    "manifest.configMapKeyRef.name": Known({"one": "{name}", "two": "{name}-second"},
                                           bad={"missing": ("nobody", NO_MAP)},
                                           setting={**DEPLOYS, "manifest": MANIFEST_IN_MAP}),
    "manifest.configMapKeyRef.key": Known({"one": "manifest.yaml", "two": "second.yaml"},
                                          bad={"missing": ("none", NO_KEY)},
                                          setting={**DEPLOYS, "manifest": MANIFEST_IN_MAP}),
    "manifest.fromBuild": Known({"true": True}, only=True, setting={**FROM_BUILD, "manifest": {"fromBuild": True}}),
    "environments": Known({"inline": DEPLOYS["environments"], "in a map": ENVIRONMENTS_IN_MAP}),
    "environments.inline": Known({"one": ENVIRONMENTS, "two": OTHER_ENVIRONMENTS},
                                 bad={"no yaml": ("{", "InvalidEnvironments")}),
    "environments.configMapKeyRef.name": Known({"one": "{name}", "two": "{name}-second"},
                                               bad={"missing": ("nobody", NO_MAP)},
                                               setting={**DEPLOYS, "environments": ENVIRONMENTS_IN_MAP}),
    "environments.configMapKeyRef.key": Known({"one": "environments.yaml", "two": "prod.yaml"},
                                              bad={"missing": ("none", NO_KEY)},
                                              setting={**DEPLOYS, "environments": ENVIRONMENTS_IN_MAP}),
    "environment": Known({"absent": ABSENT, "dev": "dev", "prod": "prod"},
                         bad={"missing": ("nowhere", "InvalidEnvironments")}),
    "preview": Known({"absent": ABSENT, "there": {"label": "pr-1"}}),
    "preview.label": Known({"absent": ABSENT, "one": "pr-1", "odd": "PR 2\n\x1b[31m/é", "longest": "l" * 30},
                           setting=PREVIEW),
    "preview.ttl": Known({"8760h": "8760h", "1h": "1h", "90m": "90m", "absent": ABSENT}, only=True, setting=PREVIEW),
    "preview.expiresAt": Known({"absent": ABSENT, "far": FAR, "farther": FARTHER}, setting=PREVIEW,
                               bad={"past": ("2020-01-01T00:00:00Z", "InvalidExpiry")}),
    "preview.onExpiry": Known(setting=PREVIEW),
    "progressDeadline": Known({"usual": "15m", "24h": "24h", "10m": "10m", "absent": ABSENT}, only=True),
    "progressDeadline, of a rollout that is stuck": Known(
        {"1s": "1s", "2s": "2s"}, only=True, ends=dict.fromkeys(("1s", "2s"), "ProgressDeadlineExceeded"),
        setting={**DEPLOYS, "manifest": {"inline": a_manifest("{name}", "simulate: stuck")}}),
    "suspend": Known(shallow=frozenset({"true"}), creates={"true": 0}, ends={"true": "Suspended"}),
    "adopt": adopted({"deploymentID": "nobody"}, "Healthy"),
    "adopt.deploymentID": adopted_id({**DEPLOYS, "adopt": {"deploymentID": "nobody"}}),
}

# --- accounts -------------------------------------------------------------------------------------------------------

AN_ACCOUNT = {"endpoint": "{endpoint}", "accountID": "acct-1", "apiKeySecretRef": key_of("agentex", "api-key"),
              "pollInterval": "1s", "limits": {"requestsPerSecond": 200}}
NAMES_KEY = {"one": "agentex", "two": "agentex-too"}
BAD_NAMES = {"missing": ("nobody", NO_SECRET), "wrong": ("agentex-wrong", "AccessDenied")}

ACCOUNT: dict[str, Known] = {
    "endpoint": Known({"here": "{endpoint}", "with a slash": "{endpoint}/"}),
    "accountID": Known({"acct-1": "acct-1", "acct-2": "acct-2"}, ends={"acct-2": "AccessDenied"}),
    "apiKeySecretRef.name": Known(NAMES_KEY, bad=BAD_NAMES),
    "apiKeySecretRef.key": Known({"one": "api-key", "two": "same-key"}, bad={"missing": ("none", NO_KEY)}),
    "limits": Known({"absent": ABSENT, "empty": {}, "usual": {"requestsPerSecond": 200}}),
}

TEAM = {"matchLabels": {"team": "a"}}
SELECTING = {**AN_ACCOUNT, "namespaceSelector": TEAM}
IN_TEAM = {"key": "team", "operator": "In", "values": ["a", "b"]}
EXPRESSED = {**AN_ACCOUNT, "namespaceSelector": {"matchExpressions": [IN_TEAM]}}

CLUSTER_ACCOUNT: dict[str, Known] = ACCOUNT | {
    "namespaceSelector": Known({"absent": ABSENT, "everything": {}, "a team": TEAM}),
    "namespaceSelector.matchLabels": Known({"absent": ABSENT, "none": {}, "one": {"team": "a"},
                                            "two": {"team": "a", "example.com/tier": ""}}, setting=SELECTING),
    "namespaceSelector.matchLabels.*": Known({"a": "a", "nothing": "", "longest": "v" * 63}, setting=SELECTING),
    "namespaceSelector.matchExpressions": Known({"absent": ABSENT, "none": [], "one": [IN_TEAM]}, setting=EXPRESSED),
    "namespaceSelector.matchExpressions[].key": Known({"team": "team", "longest": "k" * 317}, setting=EXPRESSED),
    "namespaceSelector.matchExpressions[].operator": Known(setting=EXPRESSED),
    "namespaceSelector.matchExpressions[].values": Known({"absent": ABSENT, "none": [], "two": ["a", "b"]},
                                                         setting=EXPRESSED),
    "namespaceSelector.matchExpressions[].values[]": Known({"a": "a", "nothing": ""}, setting=EXPRESSED),
}

USUAL: dict[str, Mapping[str, Any]] = {"AgentBuild": A_BUILD, "AgentDeployment": DEPLOYS, "AgentexAccount": AN_ACCOUNT,
                                       "ClusterAgentexAccount": AN_ACCOUNT}
KNOWN: dict[str, dict[str, Known]] = {"AgentBuild": BUILD, "AgentDeployment": DEPLOYMENT, "AgentexAccount": ACCOUNT,
                                      "ClusterAgentexAccount": CLUSTER_ACCOUNT}


# --- all of them ----------------------------------------------------------------------------------------------------


def edited_properties(kind: str) -> Iterator[EditedProperty]:
    """Every property that can be changed by itself, in every setting there is for it."""
    places = {one.name: one for one in properties(kind)}
    for name in [*filter(lambda it: is_changed(places[it], kind), places), *sorted(KNOWN[kind].keys() - places.keys())]:
        known = KNOWN[kind].get(name, Known())
        place = places.get(name.partition(",")[0], Property(kind, (), {"type": "object"}, required=False))
        derived = {} if known.only or not place.is_leaf else schema_values.right(place)
        usual = known.setting if known.setting is not None else USUAL[kind]
        yield EditedProperty(name, place, usual, derived | known.valid, _refused(place, name) | known.refused, known)


def _refused(place: Property, name: str) -> Values:
    """A second setting of the same property needs no second refusal."""
    return {} if not place.path or "," in name else schema_values.refused(place)


def is_changed(one: Property, kind: str) -> bool:
    """Whether it is edited by itself: a leaf, a choice between members, or something optional."""
    chosen = {(*parent.path, member) for parent in properties(kind) for member in one_of(parent.schema)}
    whole = one_of(one.schema) or (not one.required and one.path not in chosen and one.path not in ROOT_CHOICE)
    return one.is_leaf or bool(whole)


ROOT_CHOICE = {("buildRef",), ("image",)}


def edited_property(kind: str, name: str) -> EditedProperty:
    """The property of that name."""
    return next(one for one in edited_properties(kind) if one.name == name)
