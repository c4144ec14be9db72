"""Compare the remote record of a resource with its spec, field by field (field_map.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from tests.faults.specs.fixtures import HOLDERS, MARK, SECOND_TEXTS, TEXTS, Fixtures
from tests.faults.specs.schema_values import filled
from tests.faults.transitions.field_map import FIELD_MAP

from agentex_simulator.records import Build, Deployment
from agentex_testkit.builders import a_manifest

Record = dict[str, Any]
DERIVED = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}\d+")
UNITS = {"h": 3600, "m": 60, "s": 1}
TOLERANCE = timedelta(seconds=20)
LONGEST_LABEL = 30


# --- what is there --------------------------------------------------------------------------------------------------


def record_of(fixtures: Fixtures, kind: str, status: Mapping[str, Any]) -> Record | None:
    """The remote record on record, as the simulator has it; None where there is none."""
    world = fixtures.runner.simulator.simulator.simulation.world
    if kind == "AgentBuild":
        build = world.builds.shelves.anywhere(status.get("buildID", ""))
        return _build(build) if build else None
    found = world.deployments.shelves.anywhere(status.get("deploymentID", "")) if kind == "AgentDeployment" else None
    return _deployment(found) if found else None


def _build(build: Build) -> Record:
    archive, provenance = build.archive, build.provenance
    mark = (archive.dockerfile or "").partition("\n")[0].removeprefix(MARK) if archive else None
    return {
        "agent": build.agent_name, "agent_id": build.agent_id, "account": build.account_id, "status": build.status,
        "image_name": build.image_name, "image_tag": build.image_tag, "source_ref": provenance.source_ref,
        "build_args": json.loads(build.build_args) if build.build_args else {}, "platform": build.platform,
        "context_archive": mark, "archive_sha256": archive and archive.sha256, "copied_from": build.copied_from,
        "working_tree_hash": provenance.working_tree_hash,
    }


def _deployment(one: Deployment) -> Record:
    return {
        "agent": one.agent_name, "account": one.account_id, "status": one.status, "build_id": one.build_id,
        "manifest_file": one.manifest_file.partition("\n")[2], "environment_config": one.environment_config,
        "namespace": one.namespace, "preview": one.preview, "preview_label": one.preview_label,
        "expires_at": one.expires_at, "created_at": one.created_at,
    }


# --- what should be there -------------------------------------------------------------------------------------------


def faults_of(fixtures: Fixtures, kind: str, name: str, spec: Mapping[str, Any], record: Record) -> list[str]:
    """Every field of the record that differs from the spec, and every field that is not compared."""
    wanted = {"AgentBuild": _wanted_build, "AgentDeployment": _wanted_deployment}[kind](fixtures, name, spec)
    reached = {target.field for leaf, target in FIELD_MAP[kind].items() if target.field and _is_set(spec, leaf)}
    forgotten = [f"the remote {field} is not compared with the spec" for field in sorted(reached - wanted.keys())]
    wrong = [f"the remote {field} is {record[field]!r}, the spec wants {wish!r}" for field, wish in wanted.items()
             if not (wish(record) if callable(wish) else record[field] == wish)]
    return forgotten + wrong


def _is_set(spec: Mapping[str, Any], leaf: str) -> bool:
    """Whether the spec has this leaf; of a list, whether the list is there."""
    value: Any = spec
    for part in leaf.partition("[]")[0].split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


Wanted = dict[str, Any]


def _wanted_build(fixtures: Fixtures, _name: str, spec: Mapping[str, Any]) -> Wanted:
    image, source, ref = spec["image"], spec["source"], spec.get("accountRef", {}).get("name")
    tag = image.get("tag") or (lambda record: DERIVED.fullmatch(record["image_tag"]))
    who = {"agent": spec["agentName"]} if "agentName" in spec else {"agent_id": spec["agentID"]}
    return {
        **who, "image_name": image["name"], "image_tag": tag, "platform": spec.get("platform"),
        "build_args": {one["name"]: one["value"] for one in spec.get("buildArgs", ())},
        "context_archive": _mark(source, spec.get("context", {})), "copied_from": source.get("image", {}).get("url"),
        "account": "acct-2" if ref == "second" else "acct-1",
    }


def _mark(source: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """The mark of the content that this source and context mean."""
    if "image" in source:
        return None
    if "agents" in context.get("path", ""):
        return "nested"
    if context.get("manifest") == "another.yaml":
        return "another"
    if "http" in source:
        return str(source["http"]["url"].rpartition("/")[2].partition(".")[0])
    ref = source.get("configMapKeyRef") or source["secretKeyRef"]
    key = ref["key"].partition(".")[0]
    return {"context": "third" if HOLDERS[ref["name"]] is HOLDERS["contexts-too"] else "first"}.get(key, key)


def _wanted_deployment(fixtures: Fixtures, name: str, spec: Mapping[str, Any]) -> Wanted:
    ref, environment = spec.get("accountRef", {}).get("name"), spec.get("environment")
    environments = _text(name, spec["environments"], "environments.yaml")
    config = environments if environment is None else (lambda it: _reduced(it, environments, environment))
    return {
        "agent": name, "build_id": _build_id(fixtures, name, spec), "preview": "preview" in spec,
        "manifest_file": _text(name, spec["manifest"], "manifest.yaml"), "environment_config": config,
        "account": "acct-2" if ref == "second" else "acct-1", **_wanted_preview(spec.get("preview")),
    }


def _build_id(fixtures: Fixtures, name: str, spec: Mapping[str, Any]) -> str | None:
    if "buildID" in spec:
        return str(spec["buildID"])
    if "buildRef" in spec:
        return fixtures.build_id(spec["buildRef"]["name"])
    image = spec["image"]
    if image["name"] != name:
        return fixtures.build_id(f"{name}-third")
    return fixtures.build_id(name if image["tag"] == "v1" else f"{name}-second")


def _text(name: str, source: Mapping[str, Any], beside: str) -> str:
    """The text that a manifest or environments source means."""
    if "inline" in source:
        return str(source["inline"])
    if "fromBuild" in source:
        return a_manifest(name)
    ref = source["configMapKeyRef"]
    texts = TEXTS if ref["name"] == name else SECOND_TEXTS
    return str(filled(texts[ref["key"]], {"name": name}))


def _reduced(record: Record, whole: str, environment: str) -> bool:
    sent, given = yaml.safe_load(record["environment_config"]), yaml.safe_load(whole)
    return bool(sent == {**given, "environments": {environment: given["environments"][environment]}})


def _wanted_preview(preview: Mapping[str, Any] | None) -> Wanted:
    if preview is None:
        return {"preview_label": None, "expires_at": None}
    label = re.sub(r"[^a-z0-9]+", "-", preview.get("label", "").lower()).strip("-")[:LONGEST_LABEL].strip("-")
    return {"preview_label": label or None, "expires_at": _ends_as(preview)}


def _ends_as(preview: Mapping[str, Any]) -> Callable[[Record], bool]:
    if "expiresAt" in preview:
        return lambda it: it["expires_at"] == datetime.fromisoformat(preview["expiresAt"])
    ttl = preview.get("ttl", "8h")
    span = timedelta(seconds=sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+)([hms])", ttl)))
    return lambda it: abs(it["expires_at"] - it["created_at"].astimezone(UTC) - span) < TOLERANCE
