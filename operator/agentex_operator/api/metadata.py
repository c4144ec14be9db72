"""An object's metadata, the annotations and the finalizer of this API group, and the base class of every resource."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field
from pydantic.dataclasses import dataclass

from agentex_operator.api.scalars import Timestamp
from agentex_operator.api.schema import GROUP, Names, adapter, model

FINALIZER: Final = f"{GROUP}/remote"
RECONCILE_REQUESTED_AT: Final = f"{GROUP}/reconcile-requested-at"
FLUX_RECONCILE: Final = "reconcile.fluxcd.io/requestedAt"
REBUILD_REQUESTED_AT: Final = f"{GROUP}/rebuild-requested-at"
EXTEND_REQUESTED_AT: Final = f"{GROUP}/extend-requested-at"
LONGEST_TOKEN: Final = 256  # characters of an annotation's value that are read


@dataclass(frozen=True, kw_only=True, config=model())
class Meta:
    """The fields of an object's metadata that the operator reads."""

    name: str
    namespace: str | None = None
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: Timestamp
    deletion_timestamp: Timestamp | None = None
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """The metadata of an object. Raises pydantic's ValidationError."""
        return adapter(cls).validate_python(obj.get("metadata"))

    @property
    def deleting(self) -> bool:
        """Whether the deletion of the object was requested."""
        return self.deletion_timestamp is not None

    @property
    def reconcile_requested_at(self) -> str | None:
        """The value of our annotation that requests a reconcile; else None."""
        return self._token(RECONCILE_REQUESTED_AT)

    @property
    def flux_requested_at(self) -> str | None:
        """The value of Flux's annotation that requests a reconcile; else None."""
        return self._token(FLUX_RECONCILE)

    @property
    def rebuild_requested_at(self) -> str | None:
        """The value of the annotation that requests another build of the same inputs; else None."""
        return self._token(REBUILD_REQUESTED_AT)

    @property
    def extend_requested_at(self) -> str | None:
        """The value of the annotation that extends a preview by another ttl; else None."""
        return self._token(EXTEND_REQUESTED_AT)

    def _token(self, annotation: str) -> str | None:
        return self.annotations.get(annotation, "")[:LONGEST_TOKEN] or None


@dataclass(frozen=True, kw_only=True, config=model())
class Resource:
    """A custom resource: its metadata, and in each kind a spec and a status."""

    names: ClassVar[Names]
    meta: Annotated[Meta, Field(alias="metadata")]

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """The resource in an object of the API server. Raises pydantic's ValidationError."""
        return adapter(cls).validate_python(obj)
