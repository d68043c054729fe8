import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core.embedded.home import is_free, lock, port, secret
from core.embedded.processes import Command, Family, ProcessError, output
from core.embedded.watch import watch

SLEEP = Command(["sleep", "60"])
DEAF = Command(
    [
        sys.executable,
        "-c",
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
    ]
)


@pytest.fixture
def family(tmp_path: Path):
    family = Family(tmp_path)
    yield family
    family.stop()


def test_a_child_that_is_not_ready_in_time_is_an_error_that_names_its_log(family: Family):
    child = family.spawn("slow", SLEEP)
    with pytest.raises(
        ProcessError, match=f"slow was not ready after 0.1 s, see {re.escape(str(child.log))}"
    ):
        child.await_ready(lambda: False, 0.1)


def test_a_child_that_dies_while_starting_is_an_error_with_its_code_and_log(family: Family):
    child = family.spawn("broken", Command(["sh", "-c", "echo why; exit 3"]))
    with pytest.raises(ProcessError, match=r"broken ended with code 3, see .*/logs/broken.log"):
        child.await_ready(lambda: False, 10)
    assert child.log.read_text() == "why\n"


def test_a_step_that_fails_is_an_error_that_names_its_log(family: Family):
    with pytest.raises(ProcessError, match=r"step failed with code 1, see .*/logs/step.log"):
        family.run("step", Command(["false"]), seconds=10)


def test_a_step_that_takes_too_long_is_ended(family: Family):
    with pytest.raises(ProcessError, match=r"step took longer than 0.1 s"):
        family.run("step", SLEEP, seconds=0.1)
    assert not family.children


def test_nothing_is_started_once_everything_is_being_stopped(family: Family):
    family.stop()
    with pytest.raises(ProcessError, match=r"late was not started"):
        family.spawn("late", SLEEP)


def test_a_child_deaf_to_its_signal_is_killed_after_the_deadline(family: Family):
    child = family.spawn("deaf", DEAF)
    child.await_ready(lambda: child.log.read_text() == "deaf\n", 5)
    child.stop(seconds=0.2)
    assert child.exit_code == -signal.SIGKILL


def test_what_a_child_leaves_behind_goes_with_it(family: Family):
    child = family.spawn("parent", Command(["sh", "-c", "sleep 61 & echo $!; wait"]))
    child.await_ready(lambda: child.log.read_text().strip().isdigit(), 5)
    left = int(child.log.read_text())
    child.stop()
    assert _gone(left)


def test_children_stop_in_the_stated_order(family: Family, tmp_path: Path):
    script = f"trap 'echo $0 >> {tmp_path}/order; exit' TERM; echo up; while :; do sleep 0.05; done"
    for name in ("first", "second", "third"):
        child = family.spawn(name, Command(["sh", "-c", script, name]))
        child.await_ready(lambda log=child.log: log.read_text() == "up\n", 5)
    family.stop("third", "first")
    assert (tmp_path / "order").read_text().split() == ["third", "first", "second"]


def test_a_child_outlives_the_thread_that_asked_for_it(family: Family):
    thread = threading.Thread(target=family.spawn, args=("patient", SLEEP))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert family.children["patient"].exit_code is None


def test_a_child_is_out_of_reach_of_the_terminal(family: Family):
    child = family.spawn("own", SLEEP)
    assert os.getsid(child.process.pid) == child.process.pid != os.getsid(0)


def test_a_failing_command_tells_its_last_words():
    with pytest.raises(ProcessError, match=r"sh failed with code 7: no such thing"):
        output(["sh", "-c", "echo no such thing; exit 7"], seconds=5)


def test_a_command_that_hangs_is_ended():
    with pytest.raises(ProcessError, match=r"sleep took longer than 0.1 s"):
        output(["sleep", "60"], seconds=0.1)


def test_a_vital_child_that_falls_ends_the_watch(family: Family):
    family.spawn("api", Command(["false"]))
    with pytest.raises(ProcessError, match=r"api ended with code 1, see .*/logs/api.log"):
        watch(family, {}, report=pytest.fail)


def test_a_child_that_may_fall_is_reported_and_started_again(family: Family):
    said: list[str] = []

    def again() -> None:
        family.spawn("api", Command(["false"]))  # ends the watch
        family.spawn("worker", SLEEP)

    family.spawn("worker", Command(["sh", "-c", "exit 4"]))
    with pytest.raises(ProcessError, match=r"api ended"):
        watch(family, {"worker": again}, said.append)
    assert said == [
        f"worker ended with code 4, see {family.logs / 'worker.log'}; starting it again in 1 s"
    ]
    assert family.children["worker"].exit_code is None


def test_a_home_belongs_to_one_process_at_a_time(tmp_path: Path):
    attempt = "import sys; from pathlib import Path; from core.embedded.home import lock; lock(Path(sys.argv[1])).__enter__()"
    with lock(tmp_path):
        second = subprocess.run(
            [sys.executable, "-c", attempt, tmp_path], capture_output=True, text=True, check=False
        )
    assert "a stack already runs in" in second.stderr
    assert "CONFIDE_HOME" in second.stderr


def test_a_port_taken_by_someone_else_is_given_up(tmp_path: Path):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        (tmp_path / "ports.json").write_text(f'{{"amqp": {taken}}}')
        assert port(tmp_path, "amqp") != taken


def test_a_port_stays_the_same_from_run_to_run(tmp_path: Path):
    first = port(tmp_path, "amqp")
    port.cache_clear()
    assert port(tmp_path, "amqp") == first
    assert is_free(first)


def test_the_ports_of_one_home_differ(tmp_path: Path):
    assert len({port(tmp_path, name) for name in ("amqp", "epmd", "erlang", "postgres")}) == 4


def test_a_password_is_kept_and_for_its_owner_only(tmp_path: Path):
    word = secret(tmp_path / "password")
    assert secret(tmp_path / "password") == word
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert word != secret(tmp_path / "other")


def _gone(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
