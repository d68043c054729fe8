"""Traces of real requests, from the API to the ledger, as a collector gets them; and that nobody's words are in them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import tracing
from core.broker import TRAIL
from core.database import Database
from tests.apis import Api, serve
from tests.clinics import DETAILS
from tests.collectors import Collector, attributes, collecting
from tests.leaks import written_forms
from tests.pipelines import Pipeline
from tests.running import answers, free_port

WORDS = [
    "Quillfeather", "Philippa", "1971-03-09", "555 010 7788", "Larkspur", "Nettlebed", "MRN-4711-QX",
    "megrims", "behind the left eye", "Cobalt words of a new note", "unlucky query",
]  # fmt: skip
PARENT = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
KNOWN = {
    "http.route", "http.request.method", "http.response.status_code", "error.type",
    "confide.request_id", "confide.request_ids",
    "db.system.name", "db.operation.name", "db.collection.name",
    "messaging.system", "messaging.operation.type", "messaging.destination.name", "messaging.message.id",
}  # fmt: skip


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def use(api: Api, base: str) -> list[httpx.Response]:
    """Read, search, list, write, and be refused in every way."""
    people, adams = api.people, await api.bearer(api.people.adams)
    desk, baker = await api.bearer(people.reception), await api.bearer(people.baker)
    traced = adams | {"traceparent": f"00-{PARENT}-{SPAN}-01", "tracestate": "who=Quillfeather"}
    record, written = (
        f"/v1/records/{people.record.id}",
        f"/v1/appointments/{people.appointment_id}/records",
    )
    note = {"kind": "note", "title": "Cobalt words of a new note", "content": {"text": "Megrims"}}
    wanted = {"family": DETAILS.name["family"], "birth_date": "1971-03-09"}
    async with httpx.AsyncClient(base_url=base) as http:
        return [
            await http.get(record, headers=traced),
            await http.get(f"{record}?unlucky query", headers=adams),
            await http.post(written, headers=adams, json=note),
            await http.post("/v1/patients/search", headers=desk, json=wanted),
            await http.get(f"/v1/patients/{people.patient_id}", headers=desk),
            await http.get(record, headers=baker),
            await http.get("/v1/Quillfeather", headers=adams),
            await http.request("REPORT", record, headers=adams),
            await http.post(written, headers=adams, json={"kind": "Philippa"}),
        ]


def requests(sent: Any) -> set[str]:
    return {v.string_value for v in attributes(sent)["confide.request_ids"].values}


def children_of(spans: list[tuple[str, Any]], parent: Any) -> list[tuple[str, str]]:
    return [(who, s.name) for who, s in spans if s.parent_span_id == parent.span_id]


@pytest.fixture
def collector() -> Any:
    with collecting() as collector:
        yield collector


async def test_traces_lead_from_the_api_to_the_ledger_and_have_nobodys_words_in_them(
    api: Api,
    database_url: str,
    broker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    collector: Collector,
):
    port = free_port()
    monkeypatch.setenv("CONFIDE_OTLP_ENDPOINT", collector.address)
    monkeypatch.setenv("CONFIDE_PORT", str(port))
    monkeypatch.setenv("CONFIDE_ISSUER", "http://127.0.0.1:8000")  # the one that the tokens name
    line = Pipeline(database_url, broker, tmp_path)
    line.start("serve", "worker", "relay")
    try:
        await answers(f"http://127.0.0.1:{port}/healthz")
        told = await use(api, f"http://127.0.0.1:{port}")
        await line.drained()
    finally:
        line.family.stop("serve", "relay", "worker")
    assert [each.status_code for each in told] == [200, 200, 201, 200, 200, 404, 404, 405, 422]

    spans = collector.spans()
    for _, span in spans:
        assert attributes(span).keys() <= KNOWN
        assert not span.events
        assert not span.status.message

    reads = [s for _, s in spans if s.name == "GET /v1/records/{record_id}"]
    ours = next(s for s in reads if s.trace_id.hex() == PARENT)
    assert ours.parent_span_id.hex() == SPAN
    assert ours.trace_state == ""
    assert attributes(ours)["confide.request_id"] == told[0].headers["X-Request-Id"]
    assert ("confide-api", "SELECT record_version") in children_of(spans, ours)
    write = next(s for _, s in spans if attributes(s).get("http.response.status_code") == 201)
    assert write.name == "POST /v1/appointments/{appointment_id}/records"
    assert any(name == "INSERT record_version" for _, name in children_of(spans, write)), (
        children_of(spans, write)
    )

    # A batch has events of many requests: its trace is its own, and names them.
    sent = next(
        s
        for _, s in spans
        if s.name == f"send {TRAIL}" and told[0].headers["X-Request-Id"] in requests(s)
    )
    processed = [s for _, s in spans if s.parent_span_id == sent.span_id]
    assert [s.name for s in processed] == ["process audit.store"]
    assert processed[0].trace_id == sent.trace_id
    inserts = [name for who, name in children_of(spans, processed[0]) if who == "confide-worker"]
    assert any("audit." in name for name in inserts), inserts

    everything = b"".join(collector.bodies)
    found = {w for w in WORDS for form in written_forms(w) if form.lower() in everything.lower()}
    assert found == set()


async def test_without_a_collector_no_statement_is_watched_and_no_library_loaded(
    database_url: str,
):
    assert tracing.trace_id() is None
    assert tracing.headers() == {}
    assert tracing.span("anything", "CLIENT") is tracing.span("else", "SERVER")
    database = Database(database_url)
    async with database.bare() as connection:
        assert not connection._query_loggers
    await database.close()
