"""How processes find one another and end together; no JAX."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import meeting
from engine.errors import InputError


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each returns, or the error it raises."""
    found: list[object] = [None] * len(works)

    def run(number: int) -> None:
        try:
            found[number] = works[number]()
        except InputError as error:
            found[number] = str(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_coordinator_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"hosts.coordinator=localhost:\d+: process 0 cannot be reached within 0.3 s"):
        meeting.join([("localhost", free_port())], 1, 2, 0.3)
    with pytest.raises(InputError, match=r"no-such-host.invalid:7000: process 0 cannot be reached"):
        meeting.join([("no-such-host.invalid", 7000)], 1, 2, 0.3)


def test_whatever_else_listens_there_is_told_apart() -> None:
    with socket.create_server(("localhost", 0)) as server:

        def other() -> None:
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        port = int(server.getsockname()[1])
        _, error = at_once(other, lambda: meeting.join([("localhost", port)], 1, 2, 5.0))
    assert "whatever listens there is not process 0 of this job" in str(error)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("localhost", 0)) as server:
        port = int(server.getsockname()[1])
        with pytest.raises(InputError, match=f"port {port} cannot be used here"):
            meeting.host(port, 2, 1.0, local=True)


def test_processes_that_do_not_come_are_named_to_all() -> None:
    port = free_port()
    found = at_once(
        lambda: meeting.host(port, 4, 1.0, local=True),
        lambda: meeting.join([("localhost", port)], 2, 4, 5.0),
    )
    for error in found:
        assert "process 1, 3 did not come within 1 s" in str(error)


@pytest.mark.parametrize(
    ("numbers", "processes", "message"),
    [((1, 1), 3, "two processes have hosts.process=1"), ((1,), 2, "hosts.processes=3 here and 2 in process 1")],
)
def test_numbers_that_do_not_fit_are_refused_in_all(numbers: tuple[int, ...], processes: int, message: str) -> None:
    port = free_port()
    others = [
        lambda number=number: meeting.join([("localhost", port)], number, processes, 5.0)  # type: ignore[misc]  # a default binds it
        for number in numbers
    ]
    found = at_once(lambda: meeting.host(port, 3, 5.0, local=True), *others)
    assert all(message in str(error) for error in found), found


PART = """
import os, signal, sys, time
from engine.meeting import Report, host, join
port, number, does = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
met = host(port, 3, 20, local=True) if number == 0 else join([("localhost", port)], number, 3, 20)
if does == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if does == "waits":
    time.sleep(60)  # as in an exchange that never comes
met.end({"ends": Report(0, 0, ""), "refuses": Report(2, 0, "the reason"), "breaks": Report(2, 2, "a consequence"),
         "stops": Report(130, 0, "stopped")}[does])
print("ended")
"""


@pytest.mark.parametrize(
    ("does", "statuses", "told"),
    [
        (("ends", "ends", "ends"), (0, 0, 0), ""),
        (("waits", "refuses", "waits"), (2, 2, 2), "the reason\n"),
        (("stops", "waits", "ends"), (130, 130, 130), "stopped\n"),
        (("breaks", "dies", "breaks"), (2, -9, 2), "corticalign: error: process 1 on {host} ended in the middle"),
        (("waits", "breaks", "refuses"), (2, 2, 2), "the reason\n"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_all_end_with_one_status_and_the_first_says_why(
    does: tuple[str, ...], statuses: tuple[int, ...], told: str
) -> None:
    port = free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PART, str(port), str(number), each],
            cwd=Path(__file__).parents[2],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number, each in enumerate(does)
    ]
    printed = [process.communicate(timeout=60) for process in processes]
    assert tuple(process.returncode for process in processes) == statuses, printed
    assert printed[0][1].startswith(told.format(host=socket.gethostname()))
    assert (printed[0][1] == "") == (told == "")
    assert printed[1][1] == printed[2][1] == ""
    assert [out for out, _ in printed] == ["ended\n" if status == 0 else "" for status in statuses]


def test_others_end_when_the_first_is_killed() -> None:
    port = free_port()
    first, *others = [
        subprocess.Popen(
            [sys.executable, "-c", PART, str(port), str(number), each],
            cwd=Path(__file__).parents[2],
            text=True,
            stderr=subprocess.PIPE,
        )
        for number, each in enumerate(("dies", "waits", "ends"))
    ]
    first.communicate(timeout=60)
    for process in others:
        assert "the first process has ended in the middle" in process.communicate(timeout=60)[1]
        assert process.returncode == 2
