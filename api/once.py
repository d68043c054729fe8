"""`Idempotency-Key` on what creates: the first request makes the thing, the same one again gets the same answer."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request

from api.etags import etag
from api.json import Json
from core.database import Store
from records.access.me import Me
from records.clinic import Clinic
from records.once import claim, keep

REPLAYED: Final = "Idempotent-Replayed"


class Made(Protocol):
    """What a creating route makes."""

    @property
    def id(self) -> UUID:
        """Its id."""
        ...

    @property
    def version(self) -> int:
        """Its version."""
        ...


T = TypeVar("T", bound=Made)


@dataclass(frozen=True, slots=True)
class Once:
    """The key of a request, if it has one."""

    request: Request
    key: str | None

    def store(self, clinic: Clinic) -> AbstractAsyncContextManager[Store]:
        """Return where a thing is made that takes one statement: with a key in a transaction, as key and thing belong together."""
        return clinic.database.transaction() if self.key else nullcontext(clinic.database)

    async def created(
        self,
        store: Store,
        clinic: Clinic,
        me: Me,
        make: Callable[[], Awaitable[T]],
        read: Callable[[UUID], Awaitable[T]],
        *,
        at: str,
        shown: Callable[[T], Any] = lambda made: made,
    ) -> Json:
        """Answer 201 with what `make` makes, or with what `read` shows of what it made before.

        `at` is the folder of its Location. `make` runs in `store`, as does the keeping of the key.
        """
        if self.key is None:
            return _answer(await make(), at, shown)
        claimed = await claim(store, clinic, me, self.key, await _whole(self.request))
        if claimed.made:
            return _answer(await read(claimed.made), at, shown, {REPLAYED: "true"})
        made = await make()
        await keep(store, claimed, made.id)
        return _answer(made, at, shown)


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="yours, unique a thing made: the same request again within 24 h gets the same answer",
        ),
    ] = None,
) -> Once:
    return Once(request, idempotency_key)


Idempotent = Annotated[Once, Depends(_once)]


async def _whole(request: Request) -> bytes:
    """Return what makes a request this one: path, query and body."""
    return f"{request.url.path}?{request.url.query}\n".encode() + await request.body()


def _answer(
    made: Any, at: str, shown: Callable[[Any], Any], more: dict[str, str] | None = None
) -> Json:
    headers = {"Location": f"{at}/{made.id}", "ETag": etag(made.version), **(more or {})}
    return Json(shown(made), 201, headers)
