"""A private RabbitMQ: the installed one or one fetched without root, run on loopback in its home's folder."""

import os
import re
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from core.embedded import debian
from core.embedded.home import await_vacant, port, secret, write
from core.embedded.processes import Child, Command, Family, ProcessError

DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
USER = "confide"
SECONDS_TO_START = 120
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = b"\x01"


@dataclass(frozen=True, slots=True)
class Installation:
    """Where RabbitMQ's server script and Erlang's port mapper are, and the environment they need."""

    server: Path
    epmd: Path
    environment: dict[str, str]


def obtain(home: Path) -> Installation | None:
    """Find RabbitMQ, or fetch it into `<home>/rabbitmq`; None where neither can be done."""
    found = installed()
    if found is None:
        try:
            found = _within(debian.fetch(["rabbitmq-server"], home / "rabbitmq"))
        except ProcessError:
            return None
    return found


def installed() -> Installation | None:
    """Find the machine's own. Debian's wrapper in /usr/sbin insists on another user: call what it wraps."""
    server = DEBIAN if DEBIAN.exists() else shutil.which("rabbitmq-server")
    mappers = [shutil.which("epmd"), *map(str, Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))]
    epmd = next(filter(None, mappers), None)
    if not (server and epmd and shutil.which("erl")):
        return None
    return Installation(Path(server), Path(epmd), {"PATH": os.environ.get("PATH", os.defpath)})


def start(home: Path, family: Family, installation: Installation) -> Child:
    """Start epmd and the broker, again if need be, and return the latter, not yet ready (`await_ready`)."""
    family.end("broker", "epmd")
    folder = home / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    await_vacant(folder, {"beam.smp", "epmd"})
    environment = _configure(home, folder, installation)
    # Erlang would start epmd by itself as a daemon that outlives everyone; this one is our child.
    mapper: list[str | Path] = [
        installation.epmd,
        "-port",
        str(port(home, "epmd")),
        "-address",
        "127.0.0.1",
    ]
    family.spawn("epmd", Command(mapper, env=environment, cwd=folder))
    # Erlang loses a SIGTERM that comes in its first moments, and would then outlive us.
    command = Command([installation.server], env=environment, cwd=folder, death=signal.SIGKILL)
    return family.spawn("broker", command)


def await_ready(home: Path, broker: Child) -> None:
    """Return once the broker speaks AMQP; an open port alone is not enough."""
    number = _listening_on(home)
    broker.await_ready(lambda: _speaks_amqp(number), SECONDS_TO_START)


def url(home: Path) -> str:
    """Return the URL of this home's broker, which need not run yet."""
    (home / "broker").mkdir(parents=True, exist_ok=True)
    return f"amqp://{USER}:{secret(home / 'broker' / 'password')}@127.0.0.1:{_listening_on(home)}//"


def _within(root: Path) -> Installation:
    """Name what was fetched into `root`; Erlang's start script has its own place written into it."""
    erlang = root / "usr/lib/erlang"
    script = erlang / "bin/erl"
    if script.exists():
        text = script.read_text()
        moved = re.sub(r"ROOTDIR=\S*/lib/erlang$", f"ROOTDIR={erlang}", text, flags=re.MULTILINE)
        if moved != text:
            script.write_text(moved)
    server = next(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"), None)
    epmd = next(erlang.glob("erts-*/bin/epmd"), None) or shutil.which("epmd")
    if server is None or epmd is None:
        raise ProcessError(f"{root} holds no whole RabbitMQ: remove it to have it fetched again")
    return Installation(server, Path(epmd), debian.environment(root))


def _configure(home: Path, folder: Path, installation: Installation) -> dict[str, str]:
    """Write the broker's configuration and return its environment: everything it touches is in `folder`."""
    for part in ("mnesia", "home", "schema"):
        (folder / part).mkdir(exist_ok=True)
    write(folder / "enabled_plugins", "[].\n")
    settings = {
        "listeners.tcp.1": f"127.0.0.1:{_listening_on(home)}",
        "default_user": USER,
        "default_pass": secret(folder / "password"),
        "log.file": "false",
        "log.console": "true",
        "log.console.level": "warning",
    }
    write(
        folder / "rabbitmq.conf", "".join(f"{key} = {value}\n" for key, value in settings.items())
    )
    return {
        **installation.environment,
        "HOME": str(folder / "home"),  # Erlang's cookie is kept there
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(port(home, "epmd")),
        "RABBITMQ_NODENAME": "confide@localhost",
        "RABBITMQ_NODE_PORT": str(_listening_on(home)),
        "RABBITMQ_DIST_PORT": str(port(home, "erlang")),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "schema"),
        "RABBITMQ_PID_FILE": str(folder / "broker.pid"),
        # The script then becomes Erlang instead of watching it, and a kill can leave no half behind.
        "RUNNING_UNDER_SYSTEMD": "true",
        # Idle schedulers must sleep: spinning ones take a small machine's cores from everyone else.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
        ),
    }


def _listening_on(home: Path) -> int:
    return port(home, "amqp")


def _speaks_amqp(number: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", number), 1) as connection:
            connection.sendall(AMQP_HEADER)
            return connection.recv(1) == CONNECTION_START
    except OSError:
        return False
