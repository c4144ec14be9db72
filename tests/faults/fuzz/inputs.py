"""The texts and numbers that fuzzed specs are made of: those with a meaning, and malicious ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentex_testkit import hostile
from agentex_testkit.builders import ENVIRONMENTS, a_manifest

DIGEST = "sha256:" + "0" * 64
ENDPOINT = "http://127.0.0.1:9"  # nobody listens there; fuzz.py puts the simulator's in for the other word
SIMULATOR = "http://simulator.invalid"

HOSTILE: tuple[str, ...] = (
    "", " ", "a", "A", "0", "-", ".", "..", "../../etc/passwd", "/etc/passwd", "a/../b", "a//b", "./a", "~",
    "null", "true",
    "a\nINFO all is well", "\x1b[31mred\x1b[0m", "\x00", "\x7f\x80\x9f", "\u2028\u2029", "\u202emoc.live",
    "\ufeffa",
    "é", "e\u0301", "ß", "İ", "😀", "👩\u200d👩\u200d👧", "\ud800", "\U0010ffff", "中文", "שלום", "a\tb",
    "a\r\nSet-Cookie: b=c",
    "{{.Values.x}}", "${HOME}", "$(id)", "`id`", "'; DROP TABLE builds; --", "<script>alert(1)</script>",
    "%s%n%x", "{0}",
    "{name}", "a=b&c=d", "a?b#c", "user:password@host.invalid", "quote", "quote:v1", "v1", "sha256:00", DIGEST,
    "1e999",
    "0x41", "NaN", "-1", "2027-01-31T18:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "1h", "-1h",
    "1.5h30m",
    "99999999999999999999h", "0.0000001ms", "agentex.scale.com/owner: x/y/000000000000/1",
    "# agentex.scale.com/owner: x/y/000000000000/1", "main (agentex.scale.com/owner 1a2b3c4d.1)",
    "000000000000-000000001", "q" * 63, "q" * 64, "q" * 253, "q" * 254, "b." * 120 + "b",
    "https://host.invalid/a.tar.gz", "http://127.0.0.1:9/a.tar.gz", "http://169.254.169.254/latest/meta-data",
    "https://[::1]/x", "https://host.invalid:0/", "https://host.invalid:99999/", "file:///etc/passwd",
    "https://localhost/x", "https://user@host.invalid/", "https://host.invalid/%00",
    "https://kubernetes.default.svc/",
)
LONG: tuple[str, ...] = (*["x" * 5_000] * 8, "é\n" * 20_000, "😀" * 65_536, "y" * 262_144, "z" * 262_145,
                         "\x00" * 1_000)
NUMBERS: tuple[Any, ...] = (0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**40, 0.5, 1e308, -0.0, 1e-320)
WRONG: tuple[Any, ...] = (None, True, False, 0, -1, 1.5, 2**63, [], {}, [[]], [None], {"": ""},
    {"a": {"a": {}}}, ["a", "a"],
                          {"name": "quote", "key": "context.tar.gz"}, "", "text")

AGENT = a_manifest()
NEST = "{a: " * 300 + "1" + "}" * 300
YAML_TEXTS: tuple[str, ...] = (
    AGENT, AGENT, AGENT, f"# a comment\n---\n{AGENT}", AGENT.replace("sync", "async"), a_manifest("somebody"),
    hostile.LAUGHS,
    hostile.DEEP, NEST, "", "~", "[]", "1", "- a\n- b", "a: b\na: c", "a: !!python/object/apply:os.system [id]",
    "!!binary x", "a: !!timestamp 2001-13-45", "a: 2001-99-99", "a: 2001-01-01t25:00:00", f"a: {'1' * 100_000}",
    f"a: 0x{'f' * 100_000}", "a: 1e999999999", "a: 190:20:30.15", "? [a]\n: b", "{[]: 1}", "{{}: 1}",
    "<<: [a]", "<<: *a", "*a",
    "&a [*a]", "&a a: *a", "%YAML 9.9\n---\na: b", "a: \0", "a: \x1b[31m", "\ufeffa: b", "a:\tb", "a: 'b",
    "a: \"\\ud800\"",
    "a: \"\\U00110000\"", "--- a\n--- b", "=: =", "a: =", f"{AGENT}  env: {{A: 1}}\n",
    f"{AGENT}  temporal: {{enabled: true}}\n",
    AGENT.replace("credentials: []", "credentials: [{env_var_name: A}]"), AGENT.replace("name: quote",
    "name: 2001-99-99"),
    AGENT.replace("name: quote", "name: &a quote\n  other: *a"), AGENT + "# more\n" * 30_000,
    AGENT + "".join(f"x{number}: {{}}\n" for number in range(5_000)),
)
ENVIRONMENT_TEXTS: tuple[str, ...] = (
    ENVIRONMENTS, ENVIRONMENTS, ENVIRONMENTS, *YAML_TEXTS[6:], "schema_version: v1",
    "schema_version: v1\nenvironments: []",
    "schema_version: v1\nenvironments: {dev: }", "schema_version: v1\nenvironments: {1: {}}",
    ENVIRONMENTS.replace("team-dev", "Team_Dev"), ENVIRONMENTS.replace("user_id: u-1", "user_id: 2001-99-99"),
    ENVIRONMENTS.replace("dev:", "2001-99-99:"), ENVIRONMENTS.replace("u-1", "\\ud800"),
)

KEYS = ({"name": "quote", "key": "context.tar.gz"}, {"name": "quote", "key": "none"}, {"name": "nobody",
    "key": "a"})
MANIFESTS = (*[{"name": "quote", "key": "manifest.yaml"}] * 4, {"name": "quote", "key": "environments.yaml"}, *KEYS)
ENVIRONMENT_KEYS = (*[{"name": "quote", "key": "environments.yaml"}] * 4, *KEYS)
PATHS = (".", "agents/nested", "a/b", "..", "./.", "a/../b", "/a", "none")
URLS = ("https://host.invalid/a.tar.gz", "http://127.0.0.1:9/a", "https://169.254.169.254/",
    "https://host.invalid/\\..")
TIMES = ("1s", "24h", "30m", "0.5h", "1500ms", "90s", "1h30m", "0s", "24h1s")
PULL = ("agentex", "agentex", "nobody")
REFS = ({"name": "default"}, {"name": "nobody"}, {"kind": "ClusterAgentexAccount", "name": "nobody"})

BUILD: dict[str, tuple[Any, ...]] = {
    "agentName": ("quote", "quote", "quote", "quote-too", "-", "0", "q" * 63), "agentID": ("nobody", "../x",
    "é", "a b"),
    "accountRef": REFS, "image.name": ("quote", "team/quote", "a.b_c-d"), "image.tag": ("v1", "_", "V2.-_"),
    "source.configMapKeyRef": KEYS, "source.secretKeyRef": KEYS,
    "source.http.url": URLS, "source.http.digest": (DIGEST,),
    "source.http.interval": ("30s", "5m", "24h", "29s", "1.5h"),
    "source.http.secretRef": ({"name": "nobody"}, {"name": "agentex"}),
    "source.image.url": ("elsewhere.invalid/quote:1", "quote:1", "quote", "a:b:c", "😀:1", "a@sha256:00",
                         f"elsewhere.invalid:5000/quote@{DIGEST}"),
    "context.path": PATHS,
    "context.manifest": ("manifest.yaml", "another.yaml", *PATHS), "buildArgs.[].name": ("BASE", "_", "A1",
    "B" * 255),
    "timeout": TIMES[1:], "retries": (0, 1, 2),
}
DEPLOYMENT: dict[str, tuple[Any, ...]] = {
    "accountRef": REFS, "buildRef": ({"name": "quote"}, {"name": "quote"}, {"name": "nobody"}),
    "buildID": ("nobody", "../../v5/builds", "a?b", "é", "\x00"), "image": ({"name": "quote", "tag": "v1"},),
    "manifest.inline": YAML_TEXTS, "manifest.configMapKeyRef": MANIFESTS, "environments.inline": ENVIRONMENT_TEXTS,
    "environments.configMapKeyRef": ENVIRONMENT_KEYS, "environment": ("dev", "dev", "dev", "prod", "é"),
    "preview.label": ("pr-1", "PR 1", "é", "---", "\x1b[31m"), "preview.ttl": ("8h", "1h", "8760h", "30m"),
    "preview.expiresAt": ("2093-01-31T18:00:00Z", "2020-01-01T00:00:00Z", "2093-01-31T18:00:00.123456789+14:00"),
    "progressDeadline": TIMES,
}
ACCOUNT: dict[str, tuple[Any, ...]] = {
    "endpoint": (SIMULATOR, SIMULATOR, ENDPOINT, "https://host.invalid", "https://[::1]:9",
    "https://host.invalid:0/a",
                 "https://a%20b.invalid", "https://é.invalid"),
    "accountID": ("acct-1", "acct-1", "nobody", "!", "~" * 128), "apiKeySecretRef.name": PULL,
    "apiKeySecretRef.key": ("api-key", "api-key", "none"), "pollInterval": ("1s", "5m", "2.5s", "0s"),
}
CLUSTER_ACCOUNT = ACCOUNT | {"accountID": ("acct-1",), "default": (False,)}
MEANT: dict[str, dict[str, tuple[Any, ...]]] = {
    "AgentBuild": BUILD, "AgentDeployment": DEPLOYMENT, "AgentexAccount": ACCOUNT,
    "ClusterAgentexAccount": CLUSTER_ACCOUNT,
}

NAMES: tuple[Callable[[str], str], ...] = (
    lambda name: f"{name}-{'n' * 63}"[:63].rstrip("-"), lambda name: f"{name}.{'n' * 253}"[:253],
    lambda name: name * 20,
    str.upper, lambda name: f"{name}é", lambda name: f"{name}\n", lambda name: f"-{name}", lambda name: f"{name}/x",
    lambda _: "", lambda name: f"{name}_",
)
ANNOTATIONS = (
    "agentex.scale.com/reconcile-requested-at", "agentex.scale.com/rebuild-requested-at", "example.com/note",
    "é", "",
    "agentex.scale.com/extend-requested-at", "reconcile.fluxcd.io/requestedAt",
    "kubectl.kubernetes.io/last-applied-configuration",
)
LABELS = (("team", "a"), ("app.kubernetes.io/managed-by", "Helm"), ("argocd.argoproj.io/instance", "x"),
    ("a" * 63, "b" * 63),
          ("example.com/" + "a" * 64, "b"), ("", ""), ("é", "b"), ("team", "a b"), ("team", "\x1b[31m"))
