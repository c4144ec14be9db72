"""What the API says when it refuses (agentex-api.md section 1.1)."""

from typing import Any


class RejectedError(Exception):
    """A refusal before anything was committed: HTTP status and the `detail` of the body."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


def not_found(kind: str, wanted: str) -> RejectedError:
    """404, also for what belongs to another account."""
    return RejectedError(404, f"{kind} {wanted} not found")


def broken_rule(sentence: str) -> RejectedError:
    """400 for a rule between fields or records; 400 or 422 is unknown in the docs: chosen because FastAPI keeps
    422 for the shape of a single field.
    """
    return RejectedError(400, sentence)


def invalid(where: str, name: str, message: str, kind: str = "value_error") -> RejectedError:
    """422 in the documented shape, HTTPValidationError; `where` is body or query."""
    return RejectedError(422, [{"loc": [where, name], "msg": message, "type": kind}])


def missing(name: str) -> RejectedError:
    """422 for a required field of the body that was not sent."""
    return invalid("body", name, "Field required", "missing")
