"""What the chart renders, by the real Helm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.chart.conftest import CHART, Object, Render, Rendered, Run
from tests.house import documents

from agentex_operator.api.crds import crds
from agentex_operator.cli.run import run as run_command

KEEP = "helm.sh/resource-policy"
RULES = yaml.safe_load((CHART / "files" / "cluster-role-rules.yaml").read_text(encoding="utf-8"))


def test_helm_finds_nothing_to_complain_about(run_helm: Run) -> None:
    linted = run_helm("lint", "--strict", str(CHART))

    assert linted.returncode == 0, linted.stdout
    assert "0 chart(s) failed" in linted.stdout


def test_the_charts_crds_are_the_generated_ones() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (CHART / "files" / "crds").iterdir()}

    assert files == crds(), "run `make crds` and commit the result"


def test_rendering_adds_to_the_crds_nothing_but_labels_and_keep(render: Render) -> None:
    rendered = {}
    for crd in render().all("CustomResourceDefinition"):
        del crd["metadata"]["labels"]
        assert crd["metadata"]["annotations"].pop(KEEP) == "keep"
        rendered[crd["metadata"]["name"]] = crd

    assert rendered == {crd["metadata"]["name"]: crd for crd in map(yaml.safe_load, crds().values())}


def test_crds_are_upgraded_with_the_release_so_they_are_templates() -> None:
    assert not (CHART / "crds").exists()


def test_crds_can_be_left_to_somebody_else(render: Render) -> None:
    assert render("crds.enabled=false").all("CustomResourceDefinition") == []


def test_crds_can_go_with_the_release(render: Render) -> None:
    assert KEEP not in render("crds.keep=false").text


def test_the_operators_rights_are_those_of_the_one_file(render: Render) -> None:
    roles = {role["metadata"]["name"]: role["rules"] for role in render().all("ClusterRole")}

    assert roles["agentex-operator"] == RULES


def test_the_right_to_watch_config_maps_can_be_left_out(render: Render) -> None:
    [operators] = [role["rules"] for role in render("rbac.watchConfigMaps=false").all("ClusterRole")
                   if role["metadata"]["name"] == "agentex-operator"]

    assert [rule for rule in RULES if rule not in operators] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
    assert len(operators) == len(RULES) - 1


def test_nothing_is_allowed_wholesale(render: Render) -> None:
    rules = [rule for role in render().all("ClusterRole") for rule in role["rules"]]

    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)


def test_secrets_are_read_one_at_a_time(render: Render) -> None:
    about_secrets = [rule["verbs"] for rule in RULES if "secrets" in rule["resources"]]

    assert about_secrets == [["get"]]


def test_users_roles_may_not_write_a_status(render: Render) -> None:
    roles = [role for role in render().all("ClusterRole") if role["metadata"]["name"] != "agentex-operator"]

    assert len(roles) == 2
    assert not any("/" in resource for role in roles for rule in role["rules"] for resource in rule["resources"])


@pytest.mark.parametrize(("value", "kinds"), [
    ("rbac.create=false", {"ClusterRoleBinding"}),
    ("serviceAccount.create=false,serviceAccount.name=mine", {"ServiceAccount"}),
])
def test_what_somebody_else_makes_is_left_out(render: Render, value: str, kinds: set[str]) -> None:
    assert kinds.isdisjoint(one["kind"] for one in render(value).objects)


def test_without_aggregation_the_operators_role_is_the_only_one(render: Render) -> None:
    assert render("rbac.aggregate=false").only("ClusterRole")["metadata"]["name"] == "agentex-operator"


def test_a_service_account_made_elsewhere_must_be_named(run_helm: Run) -> None:
    refused = run_helm("template", "x", str(CHART), "--set", "serviceAccount.create=false")

    assert "serviceAccount.name must name one that exists" in refused.stderr


def test_the_binding_names_the_account_the_pod_runs_as(render: Render) -> None:
    rendered = render("serviceAccount.name=mine", release="other", namespace="elsewhere")
    [subject] = rendered.only("ClusterRoleBinding")["subjects"]

    assert subject == {"kind": "ServiceAccount", "name": "mine", "namespace": "elsewhere"}
    assert rendered.pod["spec"]["serviceAccountName"] == "mine"


EVERY_FLAG = (
    "operator.watchNamespaces={team-a,team-b}", "operator.allowedSourceHosts={10.0.0.7:8080}",
    "operator.allowedEndpoints={*.example.com,10.0.0.7:8443}", "operator.requireSecretConsent=true",
    "operator.allowHttpEndpoints=true", "operator.logFormat=text", "operator.logLevel=debug", "operator.resync=90s",
)


@pytest.mark.parametrize("values", [(), EVERY_FLAG], ids=["defaults", "every flag"])
def test_the_real_command_line_takes_the_pods_arguments(render: Render, values: tuple[str, ...]) -> None:
    command, *flags = render(*values).container["args"]

    assert command == "run"
    assert run_command.make_context("run", flags).params


def test_values_arrive_at_the_operator(render: Render) -> None:
    _, *flags = render(*EVERY_FLAG).container["args"]
    given = run_command.make_context("run", flags).params

    assert given["watch_namespaces"] == ("team-a", "team-b")
    assert given["allowed_source_hosts"] == ("10.0.0.7:8080",)
    assert given["resync"].total_seconds() == 90
    assert given["allowed_endpoints"] == ("*.example.com", "10.0.0.7:8443")
    assert given["allow_http_endpoints"]
    assert given["require_secret_consent"]


def test_keys_go_to_scale_only_and_no_consent_is_asked_for_unless_told(render: Render) -> None:
    _, *flags = render().container["args"]
    given = run_command.make_context("run", flags).params

    assert (given["allowed_endpoints"], given["require_secret_consent"]) == (("*.scale.com",), False)


@pytest.mark.parametrize(("value", "allowed"), [("{}", ()), ("null", ("*.scale.com",))], ids=["empty", "not set"])
def test_an_empty_list_allows_no_endpoint_and_an_older_release_gets_the_default(
    render: Render, value: str, allowed: tuple[str, ...]
) -> None:
    _, *flags = render(f"operator.allowedEndpoints={value}").container["args"]

    assert run_command.make_context("run", flags).params["allowed_endpoints"] == allowed


def test_plain_http_is_off_unless_asked_for(render: Render) -> None:
    assert "--allow-http-endpoints" not in render().container["args"]


def test_the_operator_knows_its_own_namespace(render: Render) -> None:
    named = {one["name"]: one for one in render().container["env"]}

    assert named["AGENTEX_OPERATOR_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_probes_ask_where_the_operator_listens(render: Render) -> None:
    container = render("operator.healthPort=9999").container
    probes = [container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]

    assert [(probe["path"], probe["port"]) for probe in probes] == [("/livez", "health"), ("/readyz", "health")]
    assert container["ports"] == [{"name": "health", "containerPort": 9999}]


def test_never_two_operators_at_a_time(render: Render) -> None:
    spec = render().only("Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_every_directory_it_writes_to_is_bounded(render: Render) -> None:
    volumes = render().pod["spec"]["volumes"]

    assert all(volume["emptyDir"]["sizeLimit"] for volume in volumes)
    assert {volume["name"] for volume in volumes} == {"work", "tmp"}


@pytest.mark.parametrize(("values", "image"), [
    ((), "agentex-operator:0.1.0"),
    (("image.registry=images.example/acme", "image.tag=v9"), "images.example/acme/agentex-operator:v9"),
    (("image.tag=v9", f"image.digest=sha256:{'0' * 64}"), f"agentex-operator@sha256:{'0' * 64}"),
])
def test_a_digest_wins_over_a_tag_and_a_tag_over_the_charts(
    render: Render, values: tuple[str, ...], image: str
) -> None:
    assert render(*values).container["image"] == image


def test_a_long_release_name_still_makes_valid_names(render: Render) -> None:
    names = [one["metadata"]["name"] for one in render("crds.enabled=false", release="r" * 53).objects]

    assert all(len(name) <= 63 + len("-view") for name in names)


def test_rendering_twice_gives_the_same(render: Render) -> None:
    assert render().text == render().text


@pytest.mark.parametrize(("kind", "volume"), [
    ("configMap", {"configMap": {"name": "our-ca"}}), ("secret", {"secret": {"secretName": "our-ca"}})])
def test_a_private_ca_is_mounted_whole_so_that_changes_arrive(
    render: Render, kind: str, volume: dict[str, object]
) -> None:
    rendered = render(f"caBundle.{kind}=our-ca", "caBundle.key=bundle.pem")
    [mounted] = [one for one in rendered.pod["spec"]["volumes"] if one["name"] == "ca"]
    [mount] = [one for one in rendered.container["volumeMounts"] if one["name"] == "ca"]

    assert mounted == {"name": "ca", **volume}
    assert "subPath" not in mount
    assert f"--ca-bundle={mount['mountPath']}/bundle.pem" in rendered.container["args"]


def test_a_private_ca_from_two_places_is_refused(run_helm: Run) -> None:
    refused = run_helm("template", "x", str(CHART), "--set", "caBundle.configMap=a,caBundle.secret=b")

    assert "caBundle: set configMap or secret, not both" in refused.stderr


def test_security_contexts_can_be_changed_as_openshift_needs(render: Render) -> None:
    ids = [f"podSecurityContext.{name}=null" for name in ("runAsUser", "runAsGroup", "fsGroup")]
    rendered = render(*ids, "securityContext.runAsNonRoot=true")

    assert rendered.pod["spec"]["securityContext"] == {
        "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert rendered.container["securityContext"]["runAsNonRoot"]


@pytest.mark.parametrize("enabled", [True, False])
def test_an_umbrella_chart_switches_the_chart_and_shares_its_values(
    run_helm: Run, tmp_path: Path, *, enabled: bool
) -> None:
    umbrella = tmp_path / "umbrella"
    (umbrella / "charts").mkdir(parents=True)
    (umbrella / "charts" / CHART.name).symlink_to(CHART)
    dependency = {"name": CHART.name, "version": "0.1.0", "condition": f"{CHART.name}.enabled"}
    chart = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [dependency]}
    values = {CHART.name: {"enabled": enabled}, "global": {"imageRegistry": "images.example.com"}}
    (umbrella / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (umbrella / "values.yaml").write_text(yaml.safe_dump(values))

    rendered = run_helm("template", "x", str(umbrella))

    assert rendered.returncode == 0, rendered.stderr
    assert ("kind: Deployment" in rendered.stdout) is enabled


def places(values: Object, before: str = "") -> list[str]:
    """The path of every value, blocks included."""
    return [place for name, value in values.items() for place in (
        f"{before}{name}", *(places(value, f"{before}{name}.") if isinstance(value, dict) else ()))]


def holes(value: object) -> list[object]:
    """What is null in a rendered object, and flags without a value."""
    if isinstance(value, dict):
        return [one for item in value.values() for one in holes(item)]
    if isinstance(value, list):
        return [one for item in value for one in holes(item)]
    is_empty_flag = isinstance(value, str) and value.startswith("--") and value.endswith("=")
    return [value] if value is None or is_empty_flag else []


@pytest.fixture(scope="module")
def usual(render: Render) -> Rendered:
    """The chart without values."""
    return render()


@pytest.mark.parametrize("place", places(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))))
def test_a_value_that_an_older_release_did_not_have_is_the_default(
    render: Render, usual: Rendered, place: str
) -> None:
    """So it is after `helm upgrade --reuse-values`, and where somebody sets a value to null."""
    rendered = render(f"{place}=null")

    command, *flags = rendered.container["args"]
    assert (command, run_command.make_context("run", flags).params) == (
        "run", run_command.make_context("run", usual.container["args"][1:]).params)
    assert holes(rendered.only("Deployment")) == []
    assert [(one["kind"], one["metadata"]["name"]) for one in rendered.objects] == [
        (one["kind"], one["metadata"]["name"]) for one in usual.objects]
    assert [one["metadata"]["annotations"].get("helm.sh/resource-policy") for one in rendered.all(
        "CustomResourceDefinition")] == ["keep"] * 4


def test_labels_and_annotations_of_the_values_do_not_replace_those_that_select_the_pod(render: Render) -> None:
    mine = (r"commonLabels.app\.kubernetes\.io/instance=mine", r"podLabels.app\.kubernetes\.io/name=mine",
            r"podLabels.team=agents", r"podAnnotations.kubectl\.kubernetes\.io/default-container=proxy")
    rendered = render(*mine)

    labels = rendered.pod["metadata"]["labels"]
    selector = rendered.only("Deployment")["spec"]["selector"]["matchLabels"]
    assert (selector.items() <= labels.items(), labels["team"]) == (True, "agents")
    assert "mine" not in rendered.text
    assert rendered.pod["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": "proxy"}


def test_names_that_look_like_numbers_stay_texts(render: Render) -> None:
    values = ("fullnameOverride=1e3", "caBundle.configMap=x", "serviceAccount.name=a")
    rendered = render(*values, release="1234", namespace="5e6")

    texts = [rendered.only("Deployment")["metadata"][name] for name in ("name", "namespace")]
    assert (texts, rendered.pod["metadata"]["labels"]["app.kubernetes.io/instance"]) == (["1e3", "5e6"], "1234")
    assert rendered.only("ClusterRoleBinding")["subjects"][0]["namespace"] == "5e6"


REFUSED = {
    "a typo": "bogus=1",
    "a typo in the operator's values": "operator.resink=5m",
    "a resync in words": "operator.resync=often",
    "an unknown level": "operator.logLevel=loud",
    "a privileged port": "operator.healthPort=80",
    "no time to finish": "terminationGracePeriodSeconds=5",
    "a name that the API server refuses": "fullnameOverride=Foo_Bar",
    "a label that the API server refuses": "nameOverride=a/b",
    "an environment variable that is a number": "operator.extraEnv[0].name=X,operator.extraEnv[0].value=1",
    "half a digest": "image.digest=sha256:0",
    "an endpoint that is a URL": "operator.allowedEndpoints={https://api.example.com}",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_a_value_that_cannot_work_is_refused(run_helm: Run, value: str) -> None:
    refused = run_helm("template", "x", str(CHART), "--set", value)

    assert refused.returncode != 0
    assert "don't meet the specifications of the schema" in refused.stderr


def test_every_value_is_explained() -> None:
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    mute = [line for above, line in zip(["", *lines], lines, strict=False)
            if re.match(r"\s*\w+:", line) and not above.strip().startswith("#") and "cpu" not in line
            and "memory" not in line]

    assert mute == []


def test_the_environment_variables_it_suggests_are_settings_that_it_does_not_set_itself(render: Render) -> None:
    suggested = re.findall(r"#.*\bname: ([A-Z_]+)", (CHART / "values.yaml").read_text(encoding="utf-8"))
    told = {arg.partition("=")[0] for arg in render().container["args"]}

    assert suggested
    assert set(suggested) <= {one.envvar for one in run_command.params if one.opts[0] not in told}


def test_its_notes_have_the_commands_that_the_documents_tests_know(run_helm: Run) -> None:
    said = run_helm("install", "agentex-operator", str(CHART), "--namespace", "agentex-system", "--dry-run=client")
    known = [f"\n$ {command.text}\n" for command in documents.commands(documents.NOTES)]

    assert known
    assert [one for one in known if one not in f"{said.stdout}\n"] == []
    assert said.stdout.count("\n$ ") == len(known)


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))

    assert differences(values, schema) == []


def differences(values: Object, schema: Object, path: str = "") -> list[str]:
    """Paths that are in one of the two only; `global` is Helm's own."""
    known = schema.get("properties")
    if known is None:
        return []
    alone = [f"{path}.{name}" for name in (values.keys() ^ known.keys()) - {"global"}]
    inside = [name for name in values.keys() & known.keys() if isinstance(values[name], dict)]
    return alone + [one for name in inside for one in differences(values[name], known[name], f"{path}.{name}")
                    if name != "resources"]


def test_the_charts_files_are_all_there_is(tmp_path: Path, run_helm: Run) -> None:
    packed = run_helm("package", str(CHART), "--destination", str(tmp_path))

    assert packed.returncode == 0, packed.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["agentex-operator-0.1.0.tgz"]
