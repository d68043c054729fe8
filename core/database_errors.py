"""The driver's errors turned into ours. None leaves as it is: PostgreSQL's DETAIL prints values."""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import Conflict, Invalid, Unavailable


class translated:  # noqa: N801 - reads as a statement: `with translated():`
    """Turn the driver's errors into ours. A broken constraint becomes a Conflict coded by its name."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        """Raise ours in place of the driver's; let everything else pass."""
        if error is not None and (constraint := _broken(error)):
            raise Conflict(code=constraint.replace("_", "-")) from None
        if error is not None and _deadlock(error):
            raise Conflict(
                "two changes met; try again", code="contention", retryable=True
            ) from None
        if error is not None and _unfit(error):
            raise Invalid("a value cannot be stored as it is", code="value-not-storable") from None
        if error is not None and lost(error):
            raise Unavailable("the database does not answer", code="database-unavailable") from None
        if isinstance(error, DBAPIError | asyncpg.PostgresError):
            raise DatabaseError(type(getattr(error, "orig", error)).__name__) from None


class DatabaseError(Exception):
    """A statement the server refused: our bug. Only the kind is told, never the text."""


_LOST = (
    PoolTimeout,
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection cut in mid-answer trips asyncpg's own state machine
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


def _broken(error: BaseException) -> str | None:
    """Return the name of the constraint that an error is about."""
    cause = _cause(error)
    if not isinstance(cause, asyncpg.IntegrityConstraintViolationError):
        return None
    return str(cause.constraint_name or "constraint")


def _deadlock(error: BaseException) -> bool:
    return isinstance(_cause(error), asyncpg.DeadlockDetectedError)


def _unfit(error: BaseException) -> bool:
    """Tell whether a value does not fit (a NUL in a text, a number beyond its column).

    The server says so, or the driver, which looks first, with a ValueError.
    """
    cause = _cause(error)
    early = isinstance(cause, asyncpg.InterfaceError) and isinstance(cause, ValueError)
    return early or isinstance(cause, asyncpg.DataError)


def lost(error: BaseException) -> bool:
    """Tell whether an error says that the server is away, or silent."""
    return isinstance(_cause(error), _LOST)


def _cause(error: BaseException) -> BaseException:
    """Return the driver's error behind SQLAlchemy's; what is not SQLAlchemy's speaks for itself.

    A TimeoutError does: what caused it is the cancellation by which it came about.
    """
    wrapped = getattr(error, "orig", None)
    return (wrapped.__cause__ or wrapped) if wrapped else error
