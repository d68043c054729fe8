"""What runs until it is stopped: the stack, and each of its processes. Each imports what it needs when it runs."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory
from typing import Any

import typer

from core import tracing
from core.garbage import settle
from core.settings import Settings, settings

app = typer.Typer()

_WORKER = (
    "--quiet", "worker", "--loglevel", "WARNING",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip


@app.command(epilog="Example: CONFIDE_PORT=8080 confide dev")
def dev() -> None:
    """Run the whole stack here: PostgreSQL, broker, API, worker, relay, sealer. Ctrl-C stops it all."""
    from api.commands.dev import run

    chosen = settings()
    raise typer.Exit(run(chosen.home, chosen.port))


@app.command(epilog="Example: confide serve --host 0.0.0.0 --workers 2")
def serve(host: str = "127.0.0.1", workers: int = 1) -> None:
    """Serve the API on CONFIDE_PORT, by one process or several."""
    os.environ.setdefault("CONFIDE_API_PROCESSES", str(workers))
    with ExitStack() as held:
        # Any of several may be asked for metrics: they count in files that each can read.
        if workers > 1:
            counts = held.enter_context(TemporaryDirectory(prefix="confide-counts-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = counts
        _serve(host, workers)


def _serve(host: str, workers: int) -> None:
    import uvicorn

    uvicorn.run(
        "api.app:served",
        factory=True,
        host=host,
        port=settings().port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings().proxies),
        forwarded_allow_ips=settings().proxies,
        timeout_graceful_shutdown=10,
    )


@app.command(epilog="Example: confide worker --concurrency 2")
def worker(concurrency: int = 1) -> None:
    """Run a Celery worker: batches of audit events go into the ledger."""
    from core import logging, task_ids
    from core.broker import TRAIL
    from records.worker import app as celery

    logging.configure(process="worker")
    task_ids.watch(settings().otlp_endpoint, "worker")
    settle()
    celery.worker_main([*_WORKER, "--queues", TRAIL, "--concurrency", str(concurrency)])


@app.command(epilog="Example: confide chores")
def chores() -> None:
    """Run what is due from time to time: one process, a Celery worker with its beat."""
    from core import logging, task_ids
    from core.broker import CHORES
    from records.worker import app as celery

    logging.configure(process="chores")
    task_ids.watch(settings().otlp_endpoint, "chores")
    settle()
    schedule = str(settings().home / "chores.schedule")
    own = ["--queues", CHORES, "--concurrency", "1", "--hostname", "chores@%h"]
    celery.worker_main([*_WORKER, *own, "--beat", "--schedule", schedule])


@app.command(epilog="Example: confide relay")
def relay() -> None:
    """Run the relay: audit events go from the outbox to the broker."""
    from records.audit.relay import serve_relay

    _until_stopped("relay", serve_relay)


@app.command(epilog="Example: confide sealer")
def sealer() -> None:
    """Run the sealer: events of the ledger get their place in the log, and the log is signed."""
    from records.audit.sealer import serve_sealer

    _until_stopped("sealer", serve_sealer)


def _until_stopped(name: str, serve: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run a process until SIGTERM or Ctrl-C: what it is at is undone by its transaction, and done again at its next start."""
    from core import logging

    logging.configure(process=name)
    tracing.start(settings().otlp_endpoint, name)
    settle()

    async def stoppable() -> None:
        work = asyncio.create_task(serve(settings()))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        with suppress(asyncio.CancelledError):
            await work

    asyncio.run(stoppable())
    tracing.stop()
