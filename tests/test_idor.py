"""Whatever id is put into whatever path: own, foreign, absent and destroyed, by everybody, with every method.

The operations are read off the OpenAPI document, so a new one is in by itself. `idor.csv` says for each who is let through to
what is of the one patient and of the other (`+`), who hears that it is not for them (`-`), and to whom it is hidden (`.`).
Hidden, absent and destroyed are one answer, in status, headers and body. No request changes anything: each is rolled
back when it is done.
"""

import csv
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from core.database import Session
from tests.apis import Api, serve
from tests.idors import NOWHERE, NUMBERED, SIDES, Ids, Matrix, absent, bodies, fill, sample
from tests.servers import cloned

TABLE = Path(__file__).parent / "idor.csv"
VOLATILE = {"x-request-id", "date", "ratelimit"}
METHODS = ("get", "post", "put", "patch", "delete")
WHOLES = ("patient_id", "appointment_id", "record_id")
OPEN = ("/v1/doctors/", "/v1/policies/versions/")
"""Everybody may know of doctors; and of versions of the rules there is a first one."""
LET, TOLD, HIDDEN = "+", "-", "."
Operation = tuple[str, str]


async def undone(session: Session) -> None:
    """Do all of the work of a transaction, and then none of it."""
    await session.flush()
    await session.rollback()


def operations(api: Api) -> Iterator[Operation]:
    """Yield every operation with an id in its path."""
    for path, item in api.app.openapi()["paths"].items():
        if "{" in path and path.startswith("/v1/"):
            yield from ((method.upper(), path) for method in METHODS if method in item)


def filled(path: str, ids: Ids) -> str:
    nothing = absent()
    return re.sub(r"{(\w+)}", lambda m: NUMBERED.get(m[1]) or ids.get(m[1]) or nothing[m[1]], path)


def told(answer: httpx.Response) -> tuple[Any, ...]:
    """What an answer says, but for what names the request itself."""
    names = sorted((n, v) for n, v in answer.headers.items() if n not in VOLATILE)
    try:
        body = answer.json()
    except ValueError:
        body = {"text": answer.text}
    said = {k: v for k, v in body.items() if k not in ("instance", "request_id")}
    return answer.status_code, names, said


def mark(answer: httpx.Response) -> str:
    assert answer.status_code != 401, "somebody's login has ended"
    return {403: TOLD, 404: HIDDEN}.get(answer.status_code, LET)


@dataclass
class Answers:
    """What everybody was answered: by operation, principal and side."""

    matrix: Matrix
    of: dict[Operation, dict[str, dict[str, httpx.Response]]]

    def each(self) -> Iterator[tuple[Operation, str, dict[str, httpx.Response]]]:
        for operation, by in self.of.items():
            yield from ((operation, who, answers) for who, answers in by.items())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asked(postgres: str, template_url: str, tmp_path_factory: Any) -> AsyncIterator[Answers]:
    home = tmp_path_factory.mktemp("idor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONFIDE_AUDIT_DEADLINE", "60")  # a busy machine is no refusal
        async with cloned(postgres, template_url) as url, serve(url, home) as api:
            matrix = await fill(api, url)
            matrix.things["absent"] = absent()
            patch.setattr(Session, "commit", undone)
            yield Answers(matrix, {o: await _ask_all(matrix, o) for o in operations(api)})


async def _ask_all(matrix: Matrix, operation: Operation) -> dict[str, dict[str, httpx.Response]]:
    sides = [*SIDES, "destroyed", "absent"]
    return {
        who: {side: await ask(matrix, who, operation, matrix.things[side]) for side in sides}
        for who in matrix.principals
    }


async def ask(matrix: Matrix, who: str, operation: Operation, ids: Ids) -> httpx.Response:
    method, path = operation
    other = matrix.things["theirs" if ids is matrix.things["mine"] else "mine"]["patient_id"]
    order = bodies({"other_id": other, "account_id": matrix.things["mine"]["account_id"]})
    body = order.get(path.rpartition("/")[2]) if method == "POST" else None
    return await matrix.ask(who, method, filled(path, ids), body or least(matrix.api, operation))


def least(api: Api, operation: Operation) -> Any:
    """Return the least body that an operation takes."""
    method, path = operation
    document = api.app.openapi()
    content = document["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
    schemas = [media["schema"] for media in content.values()]
    return sample(schemas[0], document["components"]["schemas"]) if schemas else None


def knows(asked: Answers, who: str, path: str, side: str) -> bool:
    """Tell whether somebody is let through to what a path hangs on: then a part of it need not be hidden."""
    wholes = [operation for operation in asked.of if f"{path}/".startswith(f"{operation[1]}/")]
    return any(mark(asked.of[whole][who][side]) == LET for whole in wholes)


async def test_the_table_says_who_is_let_through_to_what(asked: Answers):
    with TABLE.open() as file:
        written = {line.pop("operation"): line for line in csv.DictReader(file)}
    found = {
        " ".join(operation): {
            who: "".join(mark(answers[side]) for side in SIDES) for who, answers in by.items()
        }
        for operation, by in asked.of.items()
    }
    wrong = [",".join([o, *line.values()]) for o, line in found.items() if written.get(o) != line]
    assert wrong == [], "in the table this should stand:\n" + "\n".join(wrong)
    assert set(written) == set(found)


async def test_hidden_absent_and_destroyed_are_one_answer(asked: Answers):
    for operation, who, answers in asked.each():
        nothing = told(answers["absent"])
        for side in (*SIDES, "destroyed"):
            answer = answers[side]
            if mark(answer) != LET and not knows(asked, who, operation[1], side):
                assert told(answer) == nothing, (operation, who, side)


async def test_nothing_absent_is_let_through_and_nothing_breaks(asked: Answers):
    for operation, who, answers in asked.each():
        for side, answer in answers.items():
            assert answer.status_code < 500, (operation, who, side, answer.text)
        if not operation[1].startswith(OPEN):
            assert mark(answers["absent"]) != LET, (operation, who, answers["absent"].text)


async def test_a_foreign_part_under_ones_own_whole_is_like_none(asked: Answers):
    """`/patients/{mine}/coverages/{theirs}`: the second id is looked for in the first alone."""
    matrix, things = asked.matrix, asked.matrix.things
    for operation in asked.of:
        whole, *parts = re.findall(r"{(\w+)}", operation[1])
        own = {whole: things["mine"][whole]} if parts and whole in WHOLES else {}
        for who in matrix.principals if own else ():
            foreign = await ask(matrix, who, operation, things["theirs"] | own)
            none = await ask(matrix, who, operation, own)
            assert told(foreign) == told(none), (operation, who)


async def test_without_a_token_nothing_is_told(asked: Answers):
    matrix = asked.matrix
    for operation in asked.of:
        there = await ask(matrix, "anonymous", operation, matrix.things["mine"])
        none = await ask(matrix, "anonymous", operation, matrix.things["absent"])
        assert there.status_code == 401, operation
        assert told(there) == told(none), operation


async def test_every_name_in_a_path_has_something_behind_it(asked: Answers):
    names = {n for _, path in asked.of for n in re.findall(r"{(\w+)}", path)} - set(NUMBERED)
    for side in (*SIDES, "destroyed"):
        assert names - set(asked.matrix.things[side]) <= NOWHERE
