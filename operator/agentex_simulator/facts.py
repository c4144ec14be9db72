"""What the ledger says of each record: all that is true of it, with digests in the place of secrets."""

from agentex_simulator.clock import stamp
from agentex_simulator.records import Agent, Build, Deployment, JsonObject, Secret


def build_facts(build: Build) -> JsonObject:
    """What the ledger says of a build."""
    archive = build.archive
    return {
        "kind": "build",
        "id": build.id,
        "account": build.account_id,
        "agent": build.agent_name,
        "agent_id": build.agent_id,
        "status": build.status,
        "image_name": build.image_name,
        "image_tag": build.image_tag,
        "image_url": build.image_url,
        **vars(build.provenance),
        "build_args": build.build_args,
        "platform": build.platform,
        "copied_from": build.copied_from,
        "archive_sha256": archive and archive.sha256,
        "archive_bytes": archive and archive.size,
    }


def deployment_facts(deployment: Deployment) -> JsonObject:
    """What the ledger says of a deployment; the first lines of both texts are where a client may put a token."""
    return {
        "kind": "deployment",
        "id": deployment.id,
        "account": deployment.account_id,
        "agent": deployment.agent_name,
        "status": deployment.status,
        "build_id": deployment.build_id,
        "namespace": deployment.namespace,
        "release": deployment.release,
        "preview": deployment.preview,
        "preview_label": deployment.preview_label,
        "expires_at": stamp(deployment.expires_at),
        "manifest_first_line": _first_line(deployment.manifest_file),
        "environment_first_line": _first_line(deployment.environment_config),
    }


def secret_facts(secret: Secret) -> JsonObject:
    """What the ledger says of a secret: the digest of its value, never the value."""
    return {
        "kind": "secret",
        "id": secret.id,
        "account": secret.account_id,
        "agent": None,
        "status": None,
        "key": secret.key,
        "description": secret.description,
        "value_sha256": secret.value_sha256,
    }


def agent_facts(agent: Agent) -> JsonObject:
    """What the ledger says of an agent."""
    status = "deleted" if agent.deleted else "active"
    return {"kind": "agent", "id": agent.id, "account": agent.account_id, "agent": agent.name, "status": status}


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0][:200]
