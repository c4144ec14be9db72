"""A kind of custom resource with a remote counterpart, as one value to register, and the reconciler of such a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from agentex_operator.core import invalid
from agentex_operator.core.invalid import InvalidObject
from agentex_operator.reconcile import failed_passes, parsing
from agentex_operator.reconcile.remote import RemotePass, ResourceT

if TYPE_CHECKING:
    from agentex_operator.core.internal_error import InternalFailure
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.dependents import References
    from agentex_operator.reconcile.runtime import Runtime
    from agentex_operator.reconcile.views import View
    from agentex_operator.reconcile.work_queue import Outcome

Excerpt = Callable[["View"], object]


@dataclass(frozen=True, slots=True)
class Registration(Generic[ResourceT]):
    """All that bootstrap needs to know of a kind; CONTRIBUTING.md has the recipe.

    `parse` makes a resource of a raw object and raises pydantic's ValidationError. `run` is the pass of the kind; it
    names the custom resource (`kind`), the remote kind (`remote`) and the decisions (`core`). `refers_to` lists the
    objects that an object refers to. `follows`: for each kind that objects of this kind follow, the excerpt of its
    views that they read; when the excerpt changes, those that refer to the object are woken. `least_spec`: the required
    members of the spec, with values that mean nothing, for the deletion of an object whose own values cannot be read.
    """

    parse: Callable[[Mapping[str, Any]], ResourceT]
    run: type[RemotePass[ResourceT, Any, Any, Any]]  # of any decisions and records
    refers_to: References
    follows: Mapping[str, Excerpt] = field(default_factory=dict)
    least_spec: Mapping[str, object] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The custom resource."""
        return self.run.kind


class RemoteReconciler(Generic[ResourceT]):
    """One pass over a resource of a registered kind; woken by the objects that the kind follows."""

    def __init__(self, runtime: Runtime, registration: Registration[ResourceT]) -> None:
        self._runtime = runtime
        self._registration: Registration[ResourceT] = registration
        for kind, excerpt in registration.follows.items():
            runtime.engine.subscribe(kind, _Follower(runtime, registration.kind.kind, excerpt).wake_dependents)

    async def reconcile(self, view: View) -> Outcome:
        """Observe, decide, act, settle, save. Raises nothing that an adapter raises."""
        resource = self._parsed(view)
        if isinstance(resource, InvalidObject):
            return await parsing.report_invalid(self._runtime, self._registration.kind, view, resource)
        return await self._registration.run.over(self._runtime, view, resource)

    def _parsed(self, view: View) -> ResourceT | InvalidObject:
        """The resource; if it is being deleted, without the members that cannot be read and that a deletion ignores."""
        parse = self._registration.parse
        if "deletionTimestamp" not in view.obj["metadata"]:
            return parsing.parsed(parse, view.obj)
        return invalid.readable_part(view.obj, lambda obj: parsing.parsed(parse, obj), self._registration.least_spec)

    async def report(self, view: View, failure: InternalFailure) -> None:
        """Report a pass that raised in the status of its object."""
        await failed_passes.report(self._runtime, self._registration.kind, view, failure)

    def gone(self, view: View) -> None:
        """Stop following the remote objects of an object that is gone."""
        self._runtime.accounts.forget(view)


@dataclass(frozen=True, slots=True)
class _Follower:
    """Wakes the objects of one kind when the object that they refer to changes."""

    runtime: Runtime
    kind: str
    excerpt: Excerpt

    def wake_dependents(self, before: View | None, after: View | None) -> None:
        """Wake all that refer to the changed object, unless nothing that they read of it changed."""
        changed = after or before
        if changed is None or (before and after and self.excerpt(before) == self.excerpt(after)):
            return
        for view in self.runtime.engine.dependents(*changed.key):
            if view.kind == self.kind:
                self.runtime.engine.wake(view.uid)
