"""Which Secrets may be used, and what as: the rules that keep a tenant from sending a Secret to a server of theirs.

The operator may read every Secret of its namespaces; a user who may create a resource may not. So Secrets that are
credentials for the cluster itself are never used, whatever names them, and with `--require-secret-consent` the owner of
a Secret must agree by a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agentex_operator.core import reasons
from agentex_operator.core.errors import NotReady

CONSENT_LABEL: Final = "agentex.scale.com/use"
_FOR_THE_CLUSTER: Final = frozenset({
    "kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"})
_FOR_REGISTRIES: Final = frozenset({"kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"})


def require_usable(secret: Mapping[str, object], *, consent_required: bool) -> None:
    """Raise NotReady(SecretInvalid), with the next step, unless the operator may use this Secret at all."""
    if _type_of(secret) in _FOR_THE_CLUSTER:
        raise NotReady(reasons.SECRET_INVALID, f"Secret {_name(secret)} is of type {_type_of(secret)}, which is never "
                       "read for a resource. Put the value into a Secret of type Opaque, and name that Secret.")
    if consent_required and _labels(secret).get(CONSENT_LABEL) != "true":
        raise NotReady(reasons.SECRET_INVALID, f"Secret {_name(secret)} does not have the label "
                       f'{CONSENT_LABEL}: "true", which this operator requires (--require-secret-consent). '
                       f"Run `kubectl label secret {_command_arguments(secret)} --overwrite {CONSENT_LABEL}=true`.")


def require_bearer(secret: Mapping[str, object]) -> None:
    """Raise NotReady(SecretInvalid) for the credentials of image registries, which no other server is sent."""
    if _type_of(secret) in _FOR_REGISTRIES:
        raise NotReady(reasons.SECRET_INVALID, f"Secret {_name(secret)} is of type {_type_of(secret)}: credentials of "
                       "an image registry, which are sent to no other server. Put the credential for this server into "
                       "a Secret of type Opaque, and name that Secret.")


def _type_of(secret: Mapping[str, object]) -> str:
    return str(secret.get("type") or "Opaque")


def _labels(secret: Mapping[str, object]) -> Mapping[str, object]:
    return _mapping(_metadata(secret).get("labels"))


def _name(secret: Mapping[str, object]) -> str:
    return repr(str(_metadata(secret).get("name", "")))


def _command_arguments(secret: Mapping[str, object]) -> str:
    name, namespace = _metadata(secret).get("name", ""), _metadata(secret).get("namespace")
    return f"{name} --namespace {namespace}" if namespace else str(name)


def _metadata(secret: Mapping[str, object]) -> Mapping[str, object]:
    return _mapping(secret.get("metadata"))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
