"""The sources of an AgentBuild: where its build context comes from, or the image that exists already."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from agentex_operator.api.images import ImageReference
from agentex_operator.api.references import ArchiveInConfigMap, ArchiveInSecret, CredentialsInSecret
from agentex_operator.api.scalars import Between, Duration, duration
from agentex_operator.api.schema import exactly_one, model, rule, yaml_name

Interval = Annotated[Duration, Between("30s", "24h")]


@dataclass(frozen=True, kw_only=True, config=model(
    rule("has(self.digest) || has(self.interval)",
         "without digest the content may change: set interval, for example 5m, or pin the content with digest",
         "interval", "FieldValueRequired"),
    rule("!has(self.digest) || !has(self.interval)",
         "digest pins the content, which is not looked at again: leave out interval, or leave out digest",
         "interval", "FieldValueForbidden"),
))
class HttpSource:
    """An archive at an address: pinned by its digest, or looked at again in an interval."""

    url: Annotated[str, Field(
        min_length=8, max_length=2048, pattern=r"^https?://[^\s]+$",
        description="Where the tar.gz is, for example `https://files.example.com/quote-1.4.tar.gz`; at most "
        "500,000,000 bytes.")]
    digest: Annotated[str | None, Field(
        min_length=71, max_length=71, pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of the archive's bytes, `sha256:` and 64 hex digits; anything else is refused. Change it "
        "to build a new version. Omitted: whatever is at the address is built; set interval then.")] = None
    interval: Annotated[Interval | None, Field(
        description="How often the address is looked at for new content: a duration (h, m, s and ms) between 30s and "
        "24h, for example `5m`. Required without digest, and not allowed beside digest. A changed build context is "
        "built anew.")] = None
    secret_ref: Annotated[CredentialsInSecret | None, Field(
        description="Secret of this namespace with the credentials for the address, by the keys that Flux reads: "
        "`bearerToken`, or `username` and `password`; certificates under `ca.crt` (PEM) are trusted for the address. "
        "Default: no credentials.")] = None

    @model_validator(mode="after")
    def _require_digest_or_interval(self) -> Self:
        if self.digest is None and self.interval is None:
            raise ValueError("set digest, or set interval")
        return self

    @property
    def every(self) -> timedelta | None:
        """The time between two looks at the address; None for content that is pinned."""
        return duration(self.interval) if self.interval is not None and self.digest is None else None


@dataclass(frozen=True, kw_only=True, config=model())
class ImageSource:
    """An image that exists already."""

    url: Annotated[ImageReference, Field(
        description="The image to register, with a tag, a sha256 digest or both, for example "
        "`registry.example.com/quote-bot:v1`; no build runs.")]


@dataclass(frozen=True, kw_only=True, repr=False, config=model(
    exactly_one("configMapKeyRef", "secretKeyRef", "http", "image"),
))
class BuildSource:
    """Where the build context comes from: exactly one of configMapKeyRef, secretKeyRef, http and image."""

    config_map_key_ref: Annotated[ArchiveInConfigMap | None, Field(
        description="A key in the binaryData of a ConfigMap of this namespace that holds a tar.gz; for small contexts, "
        "up to 1 MiB.")] = None
    secret_key_ref: Annotated[ArchiveInSecret | None, Field(
        description="A key of a Secret of this namespace that holds a tar.gz; for small contexts, up to 1 MiB.")] = None
    http: Annotated[HttpSource | None, Field(
        description="A tar.gz to download, pinned by its digest or looked at again in an interval.")] = None
    image: Annotated[ImageSource | None, Field(
        description="An existing image to register for the agent, instead of building one.")] = None
    undeclared: SkipJsonSchema[tuple[tuple[str, str], ...]] = ()  # other members, as (name, JSON); for registered kinds

    @model_validator(mode="before")
    @classmethod
    def _keep_undeclared(cls, value: Any) -> Any:
        """The value, with the members that are not declared here in one field: a kind may be registered for them."""
        if not isinstance(value, Mapping):
            return value
        others = {name: member for name, member in value.items() if name not in _DECLARED}
        return {**value, "undeclared": tuple((name, json.dumps(others[name], sort_keys=True)) for name in others)}

    @property
    def member(self) -> str | None:
        """The name of the member that is set, as in YAML; of several, the first declared one. None without one."""
        declared = (name for name, field in _DECLARED.items() if getattr(self, field) is not None)
        return next(declared, self.undeclared[0][0] if self.undeclared else None)

    @property
    def members(self) -> dict[str, object]:
        """The members that are set, by their names in YAML; undeclared members are plain JSON values."""
        declared = {name: getattr(self, field) for name, field in _DECLARED.items()}
        return {name: value for name, value in declared.items() if value is not None} | {
            name: json.loads(text) for name, text in self.undeclared}

    def __repr__(self) -> str:
        """As dataclasses write it; without undeclared members, which are rare: statuses hold a digest of this text."""
        fields = [f"{field}={getattr(self, field)!r}" for field in _DECLARED.values()]
        fields += [f"undeclared={self.undeclared!r}"] if self.undeclared else []
        return f"{type(self).__name__}({', '.join(fields)})"


_DECLARED: Final = {yaml_name(field.name): field.name for field in fields(BuildSource) if field.name != "undeclared"}
