"""Condition reasons: the words for machines. Never renamed; each has its line in docs/reasons.md (a test compares).

Where Flux has a word (fluxcd/pkg apis/meta), it is used.
"""

from __future__ import annotations

from typing import Final, NewType

Reason = NewType("Reason", str)  # made here only, so that mypy finds a reason that is no constant of this module


def stored(reason: str) -> Reason:
    """The reason of a condition in a stored status: an operator wrote it, of this version or of another one."""
    return Reason(reason)


# going well
SUCCEEDED: Final = Reason("Succeeded")
HEALTHY: Final = Reason("Healthy")
PROGRESSING: Final = Reason("Progressing")
QUEUED: Final = Reason("Queued")
BUILDING: Final = Reason("Building")
DEPLOYING: Final = Reason("Deploying")
REPLACING: Final = Reason("Replacing")
CANCELLING: Final = Reason("Cancelling")
DELETING: Final = Reason("Deleting")
SUSPENDED: Final = Reason("Suspended")
EXPIRED: Final = Reason("Expired")

# waiting for something else
ACCOUNT_NOT_FOUND: Final = Reason("AccountNotFound")
ACCOUNT_NOT_READY: Final = Reason("AccountNotReady")
ACCOUNT_DELETING: Final = Reason("AccountDeleting")
ACCOUNT_NOT_ALLOWED: Final = Reason("AccountNotAllowed")
ACCOUNT_CHANGED: Final = Reason("AccountChanged")
AGENT_BUSY: Final = Reason("AgentBeingCreated")
BUILD_NOT_FOUND: Final = Reason("BuildNotFound")
BUILD_NOT_READY: Final = Reason("BuildNotReady")
CONFIG_MAP_NOT_FOUND: Final = Reason("ConfigMapNotFound")
SECRET_NOT_FOUND: Final = Reason("SecretNotFound")
KEY_NOT_FOUND: Final = Reason("KeyNotFound")
SECRET_INVALID: Final = Reason("SecretInvalid")
SOURCE_NOT_FOUND: Final = Reason("SourceNotFound")
SOURCE_UNAUTHORIZED: Final = Reason("SourceUnauthorized")
SOURCE_MOVED: Final = Reason("SourceMoved")
ADOPTION_TARGET_HELD: Final = Reason("AdoptionTargetHeld")
ACCESS_DENIED: Final = Reason("AccessDenied")
CLUSTER_NOT_IDENTIFIED: Final = Reason("ClusterNotIdentified")
CRD_MISSING: Final = Reason("CRDMissing")
CRD_OUTDATED: Final = Reason("CRDOutdated")

# trying again
PROGRESSING_WITH_RETRY: Final = Reason("ProgressingWithRetry")
CONFIRMING_CREATE: Final = Reason("ConfirmingCreate")
REMOTE_MISSING: Final = Reason("RemoteMissing")
REMOTE_UNAVAILABLE: Final = Reason("RemoteUnavailable")
THROTTLED: Final = Reason("Throttled")
CONFLICT: Final = Reason("Conflict")
WRITE_UNDONE: Final = Reason("WriteUndone")
ADOPTION_PENDING: Final = Reason("AdoptionPending")
UNRECOGNIZED_STATUS: Final = Reason("UnrecognizedExternalStatus")
INTERNAL_ERROR: Final = Reason("InternalError")

# only other input helps
INVALID_SPEC: Final = Reason("InvalidSpec")
INVALID_CONTEXT: Final = Reason("InvalidContext")
CONTEXT_TOO_LARGE: Final = Reason("ContextTooLarge")
CORRUPT_CONTEXT: Final = Reason("CorruptContext")
UNSAFE_SYMLINK: Final = Reason("UnsafeSymlink")
DIGEST_MISMATCH: Final = Reason("DigestMismatch")
INVALID_URL: Final = Reason("InvalidURL")
SOURCE_REJECTED: Final = Reason("SourceRejected")
MANIFEST_NOT_FOUND: Final = Reason("ManifestNotFound")
DOCKERFILE_NOT_FOUND: Final = Reason("DockerfileNotFound")
INVALID_MANIFEST: Final = Reason("InvalidManifest")
INVALID_ENVIRONMENTS: Final = Reason("InvalidEnvironments")
INVALID_EXPIRY: Final = Reason("InvalidExpiry")
INVALID_ENDPOINT: Final = Reason("InvalidEndpoint")
ENDPOINT_NOT_FOUND: Final = Reason("EndpointNotFound")
ENDPOINT_NOT_ALLOWED: Final = Reason("EndpointNotAllowed")
AGENT_NAME_TAKEN: Final = Reason("AgentNameTaken")
REJECTED: Final = Reason("RejectedByRemote")
BUILD_FAILED: Final = Reason("BuildFailed")
BUILD_TIMED_OUT: Final = Reason("BuildTimedOut")
CANCELLED: Final = Reason("Cancelled")
CANCELLED_EXTERNALLY: Final = Reason("CancelledExternally")
DEPLOYMENT_FAILED: Final = Reason("DeploymentFailed")
DEADLINE_EXCEEDED: Final = Reason("ProgressDeadlineExceeded")
ENVIRONMENT_MISMATCH: Final = Reason("EnvironmentMismatch")
SUPERSEDED_EXTERNALLY: Final = Reason("SupersededExternally")
DELETED_EXTERNALLY: Final = Reason("DeletedExternally")
ADOPTION_TARGET_NOT_FOUND: Final = Reason("AdoptionTargetNotFound")
ADOPTION_TARGET_ENDED: Final = Reason("AdoptionTargetEnded")
ADOPTION_TARGET_MISMATCH: Final = Reason("AdoptionTargetMismatch")

# of the condition Deployed, once the remote deployment is no more
DELETED: Final = Reason("Deleted")
SUPERSEDED: Final = Reason("Superseded")

# events without a condition
EXPIRING_SOON: Final = Reason("ExpiringSoon")
EXPIRY_RETAINED: Final = Reason("ExpiryRetained")
