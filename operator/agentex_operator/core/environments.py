"""environments.yaml, checked by the vendor's rules, and reduced to one environment to be sent (agentex-api.md §4)."""

from __future__ import annotations

import re
from typing import Final

from agentex_operator.core import byte_order_mark, guard, quoting, reasons, vendor_files, yaml_cut
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.vendor_models import VendorEnvironment

ENVIRONMENTS: Final = "environments.yaml"
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9.])?|\.")


def render_environments(text: str, environment: str | None) -> str:
    """The text to send: only the chosen entry, or the whole text without `environment` (agentex-api.md §4).

    `environment` is a key, or else the `environment:` word of exactly one entry. Every entry that is sent was checked.
    What is sent is as the user wrote it, without a byte-order mark: the other entries are cut out of the text.
    Raises InvalidInput(InvalidEnvironments).
    """
    text = byte_order_mark.without_mark(text)
    document, entries = _environments(text)
    if environment is None:
        for key, entry in entries.items():
            _check_environment(key, entry)
        return text
    key = _chosen(entries, environment)
    _check_environment(key, entries[key])
    return _cut(text, key, document | {"environments": {key: entries[key]}})


def _cut(text: str, key: str, expected: dict[str, object]) -> str:
    """The text without the other entries. Raises InvalidInput(InvalidEnvironments) if it would not mean the same."""
    with guard.raising(lambda _error: _not_cut(key)):
        found = yaml_cut.with_one_entry(text, "environments", key)
    if found is None or _meaning(found) != repr(expected):  # repr: a number that is none (.nan) is not equal to itself
        raise _not_cut(key)
    return found


def _not_cut(key: str) -> InvalidInput:
    return _invalid_environments(f"environments.{quoting.plain(key)} cannot be cut out of the text; write it in block "
                                 "style, without anchors of other entries")


def _meaning(text: str) -> str | None:
    """The values of a text that the operator made; None for one beyond the limits, as replaced aliases may make it."""
    try:
        return repr(vendor_files.mapping(text, reasons.INVALID_ENVIRONMENTS, ENVIRONMENTS))
    except InvalidInput:
        return None


def expected_namespace(text: str, environment: str | None) -> str | None:
    """The namespace of the deployment, as the server spells it; None if the file does not determine it.

    Raises InvalidInput(InvalidEnvironments).
    """
    _, entries = _environments(text)
    if environment is None and len(entries) > 1:
        return None
    key = next(iter(entries)) if environment is None else _chosen(entries, environment)
    kubernetes = _check_environment(key, entries[key]).kubernetes
    return _namespace(kubernetes.namespace) if kubernetes else None


def _environments(text: str) -> tuple[dict[str, object], dict[str, object]]:
    """The whole document and its entries. Raises InvalidInput(InvalidEnvironments)."""
    document = vendor_files.mapping(text, reasons.INVALID_ENVIRONMENTS, ENVIRONMENTS)
    if document.get("schema_version", "v1") != "v1":
        raise _invalid_environments('schema_version must be "v1"; correct the line, or remove it')
    entries = document.get("environments")
    if not isinstance(entries, dict) or not entries:
        raise _invalid_environments("environments must be a map with at least one environment; add one")
    if odd := [key for key in entries if not isinstance(key, str)]:
        raise _invalid_environments("an environment has a name that YAML reads as "
                                    f"{quoting.plain(str(odd[0]))}, not as a text; put it in quotes")
    return document, entries


def _chosen(entries: dict[str, object], environment: str) -> str:
    """The key of the entry that `environment` names. Raises InvalidInput(InvalidEnvironments)."""
    if environment in entries:
        return environment
    maps = {key: entry for key, entry in entries.items() if isinstance(entry, dict)}
    meant = [key for key, entry in maps.items() if entry.get("environment") == environment]
    if len(meant) == 1:
        return meant[0]
    name = quoting.quoted(environment)
    problem = f"maps {name} more than once" if meant else f"has no environment {name}"
    raise InvalidInput(reasons.INVALID_ENVIRONMENTS,
                       f"{ENVIRONMENTS} {problem}; there is {quoting.listed(entries)}. Correct spec.environment.")


def _check_environment(key: str, entry: object) -> VendorEnvironment:
    name = f"environments.{quoting.plain(key)}"
    if not isinstance(entry, dict):
        raise _invalid_environments(f"{name} must be a map with auth and kubernetes")
    parsed = vendor_files.validated(VendorEnvironment, entry, reasons.INVALID_ENVIRONMENTS, f"{ENVIRONMENTS}: {name}")
    ids = [one for one in ("user_id", "service_account_id") if parsed.auth.principal.get(one)]
    if len(ids) != 1:
        raise _invalid_environments(f"{name}.auth.principal must have exactly one of user_id and service_account_id")
    if parsed.kubernetes is not None:
        _check_namespace(f"{name}.kubernetes.namespace", parsed.kubernetes.namespace)
    return parsed


def _check_namespace(name: str, namespace: str) -> None:
    spelt = _namespace(namespace)
    if not _NAMESPACE.fullmatch(spelt) or len(spelt) > 63:
        raise _invalid_environments(f"{name} must be 1 to 63 lower-case letters, digits, hyphens and dots, with no "
                                    "hyphen at either end")


def _namespace(namespace: str) -> str:
    return namespace.strip().lower()


def _invalid_environments(what: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_ENVIRONMENTS, f"{ENVIRONMENTS}: {what}.")
