"""Condition reasons: the words for machines. Never renamed; each has its line in docs/reasons.md (a test compares).

Where Flux has a word (fluxcd/pkg apis/meta), it is used.
"""

from __future__ import annotations

# going well
SUCCEEDED = "Succeeded"
HEALTHY = "Healthy"
PROGRESSING = "Progressing"
QUEUED = "Queued"
BUILDING = "Building"
DEPLOYING = "Deploying"
REPLACING = "Replacing"
CANCELLING = "Cancelling"
DELETING = "Deleting"
SUSPENDED = "Suspended"
EXPIRED = "Expired"

# waiting for something else
ACCOUNT_NOT_FOUND = "AccountNotFound"
ACCOUNT_NOT_READY = "AccountNotReady"
ACCOUNT_DELETING = "AccountDeleting"
ACCOUNT_NOT_ALLOWED = "AccountNotAllowed"
ACCOUNT_CHANGED = "AccountChanged"
AGENT_BUSY = "AgentBeingCreated"
BUILD_NOT_FOUND = "BuildNotFound"
BUILD_NOT_READY = "BuildNotReady"
CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - the word of a reason
KEY_NOT_FOUND = "KeyNotFound"
SECRET_INVALID = "SecretInvalid"  # noqa: S105 - the word of a reason
SOURCE_NOT_FOUND = "SourceNotFound"
SOURCE_UNAUTHORIZED = "SourceUnauthorized"
SOURCE_MOVED = "SourceMoved"
ADOPTION_TARGET_HELD = "AdoptionTargetHeld"
ACCESS_DENIED = "AccessDenied"
CLUSTER_NOT_IDENTIFIED = "ClusterNotIdentified"
CRD_MISSING = "CRDMissing"
CRD_OUTDATED = "CRDOutdated"

# trying again
PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
CONFIRMING_CREATE = "ConfirmingCreate"
REMOTE_MISSING = "RemoteMissing"
REMOTE_UNAVAILABLE = "RemoteUnavailable"
THROTTLED = "Throttled"
CONFLICT = "Conflict"
WRITE_UNDONE = "WriteUndone"
ADOPTION_PENDING = "AdoptionPending"
UNRECOGNIZED_STATUS = "UnrecognizedExternalStatus"
INTERNAL_ERROR = "InternalError"

# only other input helps
INVALID_SPEC = "InvalidSpec"
INVALID_CONTEXT = "InvalidContext"
CONTEXT_TOO_LARGE = "ContextTooLarge"
CORRUPT_CONTEXT = "CorruptContext"
UNSAFE_SYMLINK = "UnsafeSymlink"
DIGEST_MISMATCH = "DigestMismatch"
INVALID_URL = "InvalidURL"
SOURCE_REJECTED = "SourceRejected"
MANIFEST_NOT_FOUND = "ManifestNotFound"
DOCKERFILE_NOT_FOUND = "DockerfileNotFound"
INVALID_MANIFEST = "InvalidManifest"
INVALID_ENVIRONMENTS = "InvalidEnvironments"
INVALID_EXPIRY = "InvalidExpiry"
INVALID_ENDPOINT = "InvalidEndpoint"
ENDPOINT_NOT_FOUND = "EndpointNotFound"
ENDPOINT_NOT_ALLOWED = "EndpointNotAllowed"
AGENT_NAME_TAKEN = "AgentNameTaken"
REJECTED = "RejectedByRemote"
BUILD_FAILED = "BuildFailed"
BUILD_TIMED_OUT = "BuildTimedOut"
CANCELLED = "Cancelled"
CANCELLED_EXTERNALLY = "CancelledExternally"
DEPLOYMENT_FAILED = "DeploymentFailed"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
ENVIRONMENT_MISMATCH = "EnvironmentMismatch"
SUPERSEDED_EXTERNALLY = "SupersededExternally"
DELETED_EXTERNALLY = "DeletedExternally"
ADOPTION_TARGET_NOT_FOUND = "AdoptionTargetNotFound"
ADOPTION_TARGET_ENDED = "AdoptionTargetEnded"
ADOPTION_TARGET_MISMATCH = "AdoptionTargetMismatch"

# events without a condition
EXPIRING_SOON = "ExpiringSoon"
EXPIRY_RETAINED = "ExpiryRetained"
