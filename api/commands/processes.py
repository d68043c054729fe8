"""What runs until it is stopped: the stack, and each of its processes. Each imports what it needs when it runs."""

import asyncio
import os

import typer

from core.settings import settings

app = typer.Typer()

_WORKER = (
    "worker", "--loglevel", "WARNING",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip


@app.command()
def dev() -> None:
    """Run the whole stack here: PostgreSQL, broker, API, worker, relay, sealer. Ctrl-C stops it all."""
    from api.commands.dev import run

    chosen = settings()
    raise typer.Exit(run(chosen.home, chosen.port))


@app.command()
def serve(host: str = "127.0.0.1", workers: int = 1) -> None:
    """Serve the API on CONFIDE_PORT."""
    import uvicorn

    os.environ.setdefault("CONFIDE_API_PROCESSES", str(workers))
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
        timeout_graceful_shutdown=10,
    )


@app.command()
def worker(concurrency: int = 1) -> None:
    """Run a Celery worker: batches of audit events go into the ledger."""
    from core import logging
    from core.broker import TRAIL
    from records.worker import app as celery

    logging.configure()
    celery.worker_main([*_WORKER, "--queues", TRAIL, "--concurrency", str(concurrency)])


@app.command()
def chores() -> None:
    """Run what is due from time to time: one process, a Celery worker with its beat."""
    from core import logging
    from core.broker import CHORES
    from records.worker import app as celery

    logging.configure()
    schedule = str(settings().home / "chores.schedule")
    own = ["--queues", CHORES, "--concurrency", "1", "--hostname", "chores@%h"]
    celery.worker_main([*_WORKER, *own, "--beat", "--schedule", schedule])


@app.command()
def relay() -> None:
    """Run the relay: audit events go from the outbox to the broker."""
    from core import logging
    from records.audit.relay import serve_relay

    logging.configure()
    asyncio.run(serve_relay(settings()))


@app.command()
def sealer() -> None:
    """Run the sealer: events of the ledger get their place in the log, and the log is signed."""
    from core import logging
    from records.audit.sealer import serve_sealer

    logging.configure()
    asyncio.run(serve_sealer(settings()))
