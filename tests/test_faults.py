"""The fault table: whatever is killed, filled, cut or repeated, no answer lacks its event and no event is there twice.

Each fault strikes at moments that a seed decides; the seed of every run is printed at its end, and CONFIDE_FAULT_SEED repeats it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from random import Random, SystemRandom
from time import monotonic

import pytest

from core.broker import TRAIL
from core.clock import now
from core.errors import Unavailable
from core.transparency.book import Book
from core.transparency.notes import Key, Signer
from records.audit import inspection, ledger, log_key, sealer, tree
from records.audit.batch import TASK, Sent, pack
from records.audit.log_key import open_signer
from records.audit.numbers import reconcile
from records.audit.sealer import Sealer
from records.audit.verifier.findings import Verdict
from records.audit.verifier.witness import cosign
from records.compliance.alerts import look
from tests.clinics import keyring
from tests.embedded_homes import processes_of
from tests.faults import Stand, stand
from tests.sealing import event, event_at, role, sealed
from tests.servers import open_folder

Fault = Callable[[Stand, Random], Awaitable[None]]
FAULTS: dict[str, Fault] = {}
WAITING = 2.5
"""Seconds an answer may take, whatever has just happened."""
BACK = 30
"""Seconds until everything is in the log after the fault is over."""


def fault(number: str) -> Callable[[Fault], Fault]:
    def put(work: Fault) -> Fault:
        FAULTS[number] = work
        return work

    return put


@pytest.fixture(scope="module")
async def clinic() -> AsyncIterator[Stand]:
    home = open_folder()
    async with stand(home) as made:
        yield made
    assert processes_of(home) == [], "servers were left behind"


@pytest.mark.parametrize("number", [f"F{n}" for n in range(1, 14)])
async def test_no_event_is_lost_or_doubled_whatever_happens(
    clinic: Stand, number: str, record_property: Callable[[str, object], None]
):
    seed = int(os.environ.get("CONFIDE_FAULT_SEED") or SystemRandom().randrange(10**9))
    work, began = FAULTS[number], monotonic()
    print(f"{number} {work.__doc__} seed {seed}")  # noqa: T201 - shown when the test fails
    clinic.seen = type(clinic.seen)()
    await work(clinic, Random(seed))
    back = await clinic.sealed(BACK)
    missing, doubled = await clinic.missing_and_doubled()
    report = await clinic.verified()
    seen = clinic.seen
    record_property(
        "fault",
        f"{number:4} {(work.__doc__ or '').splitlines()[0]:66} seed {seed:9}  shown {len(seen.shown):4}  503 {seen.codes[503]:3}"
        f"  slowest {seen.slowest:4.2f} s  caught up {back:4.1f} s  missing {missing}  doubled {doubled}"
        f"  verifier {report.verdict:d}  {monotonic() - began:4.1f} s",
    )
    assert (missing, doubled) == (0, 0)
    assert report.verdict is Verdict.GOOD, report.sentence()
    assert seen.leaks == 0
    assert set(seen.codes) <= {200, 503}
    assert seen.slowest < WAITING


@fault("F1")
async def worker_killed(clinic: Stand, random: Random) -> None:
    """The worker's child is killed 100 times, the worker once, in mid-batch."""
    over, killed = asyncio.Event(), 0
    reading = asyncio.create_task(clinic.read(4, over))
    while killed < 100:
        await asyncio.sleep(random.uniform(0.02, 0.08))
        for child in clinic.children("worker"):
            os.kill(child, 9)
            killed += 1
    clinic.line.kill("worker")
    await asyncio.sleep(random.uniform(0, 0.5))
    await clinic.start("worker")
    over.set()
    await reading


@fault("F2")
async def broker_killed(clinic: Stand, random: Random) -> None:
    """The broker is killed while clients read, and comes back."""
    reading = asyncio.create_task(clinic.read(4))
    await asyncio.sleep(random.uniform(0.2, 1))
    clinic.line.kill("broker")
    await asyncio.sleep(random.uniform(0.5, 1.5))
    await clinic.start_broker()
    await reading
    assert clinic.seen.codes[503] == 0, "the outbox takes events while the broker is away"
    await clinic.later()


@fault("F3")
async def broker_alarmed(clinic: Stand, random: Random) -> None:
    """The broker blocks publishers for want of memory and disk, then does not."""
    over = asyncio.Event()  # how long the broker takes to hear of it is the machine's business
    reading = asyncio.create_task(clinic.read(6, over))
    await clinic.ctl(
        "vm_memory_monitor:set_vm_memory_high_watermark(0.00001), "
        "rabbit_disk_monitor:set_disk_free_limit(100000000000000)."
    )
    try:
        await asyncio.sleep(random.uniform(1, 3))
        assert await clinic.sql("SELECT FROM audit.outbox LIMIT 1"), "the alarm stopped nothing"
    finally:
        over.set()
        await clinic.ctl(
            "vm_memory_monitor:set_vm_memory_high_watermark(0.4), "
            "rabbit_disk_monitor:set_disk_free_limit(50000000)."
        )
    await reading
    assert clinic.seen.codes[503] == 0
    await clinic.later()


@fault("F4")
async def database_crashed(clinic: Stand, random: Random) -> None:
    """PostgreSQL is stopped without a farewell in the midst of writes and seals."""
    reading = asyncio.create_task(clinic.read(4))
    await asyncio.sleep(random.uniform(0.5, 1.5))
    clinic.crash_postgres()
    await asyncio.sleep(random.uniform(0.2, 1))
    await clinic.start_postgres()
    await reading
    await clinic.later()


@fault("F5")
async def all_down(clinic: Stand, random: Random) -> None:
    """Broker and PostgreSQL are both gone: nothing is shown, and all recovers without a restart."""
    reading = asyncio.create_task(clinic.read(1))
    await asyncio.sleep(random.uniform(0.1, 0.9))
    await reading
    clinic.line.kill("broker")
    clinic.crash_postgres()
    before = len(clinic.seen.shown)
    await clinic.read(2)
    assert len(clinic.seen.shown) == before
    assert clinic.seen.codes[503] > 0
    assert await readiness(clinic) == 503
    await asyncio.gather(clinic.start_postgres(), clinic.start_broker())
    await clinic.read(1)
    assert len(clinic.seen.shown) > before
    assert await readiness(clinic) == 200
    await clinic.later()


@fault("F6")
async def disk_full(clinic: Stand, random: Random) -> None:
    """PostgreSQL's disk is full: what cannot be noted is not shown."""
    if not clinic.own_disk:
        pytest.skip("no disk of our own can be mounted here")
    clinic.line.kill("relay")  # or the outbox would have room for ever
    await clinic.sql("VACUUM FULL audit.outbox")  # nor has it any inside
    room = os.statvfs(clinic.disk)
    ballast = clinic.disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(
            file.fileno(), 0, room.f_bavail * room.f_frsize - random.randrange(1 << 16)
        )
    await clinic.read(4)
    ballast.unlink()
    full, clinic.seen.codes[503] = clinic.seen.codes[503], 0
    await clinic.read(0.5)
    assert clinic.seen.codes[503] == 0, "reads go on as soon as there is room"
    clinic.seen.codes[503] = full
    await clinic.start("relay")
    assert full > 0


@fault("F7")
async def delivered_thrice(clinic: Stand, random: Random) -> None:
    """Each batch is delivered three times more, out of order."""
    keys = keyring(clinic.line.home)
    clinic.line.kill("relay")
    await clinic.read(1)
    rows = await clinic.sql("SELECT event_id, body, seal FROM audit.outbox ORDER BY event_id")
    batches = [
        [Sent(str(event_id), *sent) for event_id, *sent in rows[i : i + 7]]
        for i in range(0, len(rows), 7)
    ]
    again = batches * 3
    random.shuffle(again)
    app = clinic.celery()
    for batch in again:
        app.send_task(TASK, args=pack(keys, batch), queue=TRAIL)
    await clinic.start("relay")
    assert rows
    assert await gaps(clinic) == []


@fault("F8")
async def delayed(clinic: Stand, random: Random) -> None:
    """A batch is held back and overtaken: a gap while it is missing, none when it arrives."""
    keys, old = keyring(clinic.line.home), now() - timedelta(seconds=70)
    batch = await sealed(clinic.url, keys, *(event(occurred_at=old) for _ in range(10)))
    held = sorted(random.sample(range(9), 3))
    app = clinic.celery()
    app.send_task(
        TASK, args=pack(keys, [s for n, s in enumerate(batch) if n not in held]), queue=TRAIL
    )
    await arrived(clinic, batch[9])
    assert [n for first, last in await gaps(clinic) for n in range(first, last + 1)] == held
    assert "R13" in await alerts(clinic)
    app.send_task(TASK, args=pack(keys, [batch[n] for n in held]), queue=TRAIL)
    await arrived(clinic, batch[held[-1]])
    assert await gaps(clinic) == []


@fault("F9")
async def queue_deleted(clinic: Stand, random: Random) -> None:
    """The queue is deleted under way, with what is in it."""
    reading = asyncio.create_task(clinic.read(4))
    await asyncio.sleep(random.uniform(0.2, 1.5))
    with clinic.celery().connection_for_write() as connection:
        await asyncio.to_thread(connection.default_channel.queue_delete, TRAIL)
    await reading
    await clinic.later()


@fault("F10")
async def poisoned(clinic: Stand, random: Random) -> None:
    """Malformed, forged and oversized batches are set apart; the true ones pass."""
    keys, app = keyring(clinic.line.home), clinic.celery()
    before = await clinic.sql("SELECT id FROM audit.quarantine")
    reading = asyncio.create_task(clinic.read(2))
    (true,) = await sealed(clinic.url, keys, event())
    rows, mac = pack(keys, [true])
    poison = [
        [[["no event"]], "00"],
        [rows, "00" * 36],
        [[[*rows[0][:1], rows[0][1].replace("read", "sign"), rows[0][2]]], mac],
        [[["", "x" * (5 << 20), ""]], "00" * 36],
    ]
    random.shuffle(poison)
    for arguments in poison:
        app.send_task(TASK, args=arguments, queue=TRAIL)
    await reading
    for _ in range(100):
        kept = await clinic.sql("SELECT reason FROM audit.quarantine")
        if len(kept) - len(before) == len(poison):
            break
        await asyncio.sleep(0.1)
    assert len(kept) - len(before) == len(poison)
    assert "R13" in await alerts(clinic)


@fault("F11")
async def sealer_killed(clinic: Stand, random: Random) -> None:
    """The sealer is killed twice, and cut off 50 times in the midst of a seal."""
    reading = asyncio.create_task(clinic.read(3))
    witness, log = Signer("elsewhere.example/witness", bytes(32)), clinic.line.home / "witness"
    for _ in range(2):
        await asyncio.sleep(random.uniform(0.3, 1))
        clinic.line.kill("sealer")
        await clinic.start("sealer")
        await witnessed(clinic, witness, Book(log))
    clinic.line.kill("sealer")
    for _ in range(50):
        await store_one(clinic)
        await cut_off(clinic, random)
    await reading
    await clinic.start("sealer")
    await clinic.sealed(BACK)
    await witnessed(clinic, witness, Book(log))


@fault("F12")
async def clock_jumped(clinic: Stand, random: Random) -> None:
    """A clock jumps an hour ahead and an hour back: the log's order stays, the skew is told."""
    jumps = [timedelta(0), timedelta(hours=1), timedelta(0), -timedelta(hours=1), timedelta(0)]
    made = [event_at(now() + jump + timedelta(seconds=random.random())) for jump in jumps]
    batch = await sealed(clinic.url, keyring(clinic.line.home), *made)
    app = clinic.celery()
    for sent in batch:
        app.send_task(TASK, args=pack(keyring(clinic.line.home), [sent]), queue=TRAIL)
        await arrived(clinic, sent)
        await clinic.sealed(BACK)
    places = await clinic.sql(
        "SELECT event_id FROM audit.leaf WHERE event_id = ANY($1) ORDER BY leaf_index",
        [s.event_id for s in batch],
    )
    assert [str(row["event_id"]) for row in places] == [s.event_id for s in batch]
    await alerts(clinic)
    found = await clinic.sql("SELECT key, events FROM audit.alert WHERE key LIKE 'clock/%'")
    assert [str(e) for row in found for e in row["events"]] == [s.event_id for s in batch[1:4]]


@fault("F13")
async def api_killed(clinic: Stand, random: Random) -> None:
    """The API is killed with requests in flight."""
    reading = asyncio.create_task(clinic.read(1.5))
    await asyncio.sleep(random.uniform(0.2, 1.4))
    clinic.line.kill("serve")
    await reading
    await clinic.start("serve")
    assert clinic.seen.cut > 0
    await clinic.sealed(BACK)
    assert await gaps(clinic) == []


async def readiness(clinic: Stand) -> int:
    import httpx

    async with httpx.AsyncClient(timeout=5) as http:
        return (await http.get(f"{clinic.address}/readyz")).status_code


async def gaps(clinic: Stand) -> list[tuple[int, int]]:
    """Return the numbers that are missing, looking anew."""
    async with role(clinic.url, "confide_app") as database:
        await reconcile(database)
    found = await clinic.sql("SELECT first, last FROM audit.gap WHERE closed_at IS NULL ORDER BY 1")
    return [(row["first"], row["last"]) for row in found]


async def alerts(clinic: Stand) -> set[str]:
    """Return the rules that find something, looking anew."""
    async with role(clinic.url, "confide_app") as database:
        await look(database)
    return {row["rule"] for row in await clinic.sql("SELECT rule FROM audit.alert")}


async def arrived(clinic: Stand, sent: Sent) -> None:
    for _ in range(300):
        if await clinic.sql("SELECT FROM audit.event WHERE id = $1", sent.event_id):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the event does not arrive")


async def store_one(clinic: Stand) -> None:
    async with role(clinic.url, ledger.ROLE) as database:
        await ledger.store(database, [event().body()])


async def cut_off(clinic: Stand, random: Random) -> None:
    """Begin a seal, and lose the database after a few milliseconds, wherever the sealer is by then."""
    home = clinic.line.home
    one = Sealer(open_signer(home, clinic.address), Book(home / sealer.BOOK))
    async with role(clinic.url, sealer.ROLE) as database:
        try:
            async with database.bare() as connection:
                await one.resume(connection)
                delay = random.uniform(0, 0.012)
                cut = asyncio.get_running_loop().call_later(delay, connection.terminate)
                await one.once(connection)
                cut.cancel()
        except Unavailable:
            return


async def witnessed(clinic: Stand, signer: Signer, book: Book) -> None:
    """Cosign the newest checkpoint; Refused, if it does not continue the last one."""
    key = Key.parse((clinic.line.home / log_key.VERIFIER_KEY).read_text())
    async with role(clinic.url, inspection.ROLE) as database:
        note, last = await tree.newest_checkpoint(database), book.last()
        proofs = {}
        if last:
            old, new = size_of(last), size_of(note)
            if 0 < old < new:
                proofs[old, new] = (await tree.consistency(database, old, new))["proof"]
    cosign(book, signer, key, note, lambda old, new: proofs[old, new], int(now().timestamp()))


def size_of(note: str) -> int:
    return int(note.split("\n")[1])
