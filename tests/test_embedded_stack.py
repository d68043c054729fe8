import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from api.commands import dev
from api.commands.stack import Stack
from core.embedded import rabbitmq
from core.embedded.home import port
from tests.embedded_homes import processes_of
from tests.servers import CHECKOUT


def test_a_port_that_is_taken_is_a_clear_message(home: Path, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert dev.run(home, taken) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"port {taken} of 127.0.0.1 is taken" in said
    assert f"CONFIDE_PORT={taken + 1}" in said


def test_a_stop_asked_for_while_everything_starts_leaves_nothing(home: Path):
    port_of_api = str(port(home, "api"))
    environment = {
        **os.environ,
        "CONFIDE_HOME": str(home),
        "CONFIDE_PORT": port_of_api,
        "CONFIDE_BROKER_URL": "amqp://127.0.0.1:1//",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "dev"],
        env=environment,
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not processes_of(home):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert processes_of(home) == []
    assert not (home / "stack.json").exists()


def test_of_two_signals_the_second_does_not_cut_the_stop_short():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        dev._on_signals(dev._interrupt)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_without_rabbitmq_and_apt_messages_go_through_files_and_a_warning_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.delenv("CONFIDE_BROKER_URL", raising=False)
    monkeypatch.setattr(rabbitmq, "DEBIAN", home / "nowhere")
    assert Stack(home, 8000, Console())._choose_broker() == "filesystem://"
    assert "No RabbitMQ here" in capsys.readouterr().out
