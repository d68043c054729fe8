"""What can go wrong, as nouns. `api.errors` gives each family its HTTP status."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule: a JSON Pointer (RFC 6901) into the body, a code, a sentence; never the value."""

    pointer: str
    code: str
    message: str


class DomainError(Exception):
    """A refusal with a stable `code`. `detail` and `members` reach the client: ids and codes only, never PHI."""

    code = "error"

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        **members: object,
    ) -> None:
        super().__init__(detail or code or self.code)
        self.code = code or self.code
        self.detail = detail
        self.errors = tuple(errors)
        self.members = members


class BadRequest(DomainError):
    """The request cannot be parsed."""

    code = "bad-request"


class Unauthenticated(DomainError):
    """Nobody is logged in, or the token is no good."""

    code = "invalid-token"


class StepUp(Unauthenticated):
    """The login is too old or too weak for this (RFC 9470): log in anew, with a second factor."""

    code = "step-up"


class Forbidden(DomainError):
    """The caller may see the thing but not do this to it."""

    code = "forbidden"


class NotFound(DomainError):
    """It does not exist, or the caller may not know that it does: both answer alike."""

    code = "not-found"


class Conflict(DomainError):
    """The state of the thing does not allow it."""

    code = "conflict"


class Locked(DomainError):
    """The thing was closed to every change."""

    code = "locked"


class PreconditionFailed(DomainError):
    """If-Match names another version."""

    code = "precondition-failed"


class PreconditionRequired(DomainError):
    """If-Match is missing."""

    code = "precondition-required"


class Invalid(DomainError):
    """A field or a rule is broken."""

    code = "invalid"


class Throttled(DomainError):
    """Too many tries."""

    code = "too-many-requests"


class Unavailable(DomainError):
    """Something we depend on (database, key, policy) is away; nothing was lost."""

    code = "unavailable"
