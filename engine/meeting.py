"""A line from the first process of a job to each of the others, open as long as the job: all end as one.

JAX's own coordination ends a process by an abort where another cannot be reached, and notices a death after minutes. So
processes meet here before JAX is told of them, with one clear error where one is missing; and whichever fails or dies,
all end at once with the same status, and the first one says why. Plain sockets, lines of JSON.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from engine.errors import InputError

FAILED = 2
GRACE = 2.0  # seconds in which a failure that may follow from another's waits for that one
LEAVING = 5.0  # seconds that the others have to end, before the first takes JAX's service away


class Report(NamedTuple):
    """How a process ended.

    Attributes:
        status: of the process, 0 where it did its part.
        rank: of several failures the lowest is told: 0 what the user gave, 1 a death, 2 anything else.
        error: the line to print.
    """

    status: int
    rank: int
    error: str


class Meeting:
    """One process's end of the lines: to every other for the first (number 0), to the first for any other.

    Attributes:
        address: host and port for JAX, which the first process has chosen.
    """

    def __init__(self, process: int, lines: dict[int, "Line"], address: str) -> None:
        self.address = address
        self._process, self._lines = process, lines
        self._reports: dict[int, Report] = {}
        self._done = threading.Event()
        threading.Thread(target=self._lead if process == 0 else self._follow, daemon=True).start()

    def end(self, report: Report) -> None:
        """Returns when all processes have done their part; ends this process with the others' status where one has
        not."""
        if self._process == 0:
            self._reports[0] = report
        else:
            self._lines[0].send(report._asdict())
        self._done.wait()

    def _lead(self) -> None:
        selector = selectors.DefaultSelector()
        for number, line in self._lines.items():
            selector.register(line.socket, selectors.EVENT_READ, number)
        first_failure = None
        while len(self._reports) <= len(self._lines) or first_failure is not None:
            for key, _ in selector.select(0.2):
                found = self._lines[key.data].receive()
                if found is None:
                    selector.unregister(key.fileobj)
                    gone = f"process {key.data} on {self._lines[key.data].host} ended in the middle (killed?)"
                    self._reports.setdefault(key.data, Report(FAILED, 1, f"corticalign: error: {gone}"))
                else:
                    self._reports[key.data] = Report(**found)
            failures = [report for report in self._reports.values() if report.status]
            if failures:
                first_failure = first_failure or time.monotonic()
                worst = min(failures, key=lambda each: each.rank)
                if worst.rank == 0 or time.monotonic() - first_failure > GRACE:
                    self._fail(worst)
        self._tell(0)
        self._done.set()

    def _tell(self, status: int) -> None:
        for line in self._lines.values():
            line.send({"status": status})

    def _fail(self, report: Report) -> NoReturn:
        _say(report.error)
        self._tell(report.status)
        deadline = time.monotonic() + LEAVING
        for line in self._lines.values():  # JAX aborts those that it leaves behind
            line.socket.settimeout(max(0.01, deadline - time.monotonic()))
            while line.receive() is not None:
                pass
        _leave(report.status)

    def _follow(self) -> None:
        found = self._lines[0].receive()
        if found is None:
            _say("corticalign: error: the first process has ended in the middle (killed?)")
        if found is None or found["status"]:
            _leave(FAILED if found is None else int(found["status"]))
        self._done.set()


class Line:
    """A socket that carries one JSON value a line."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self.socket, self.host = connection, host
        self._read = b""

    def send(self, value: Any) -> None:
        with contextlib.suppress(OSError):  # it has gone, which reading tells
            self.socket.sendall(json.dumps(value).encode() + b"\n")

    def receive(self) -> Any:
        """The next value; None where the other end has gone, does not answer in time or does not speak this."""
        try:
            while b"\n" not in self._read:
                piece = self.socket.recv(4096)
                if not piece or len(self._read) > 1 << 16:
                    return None
                self._read += piece
            text, _, self._read = self._read.partition(b"\n")
            return json.loads(text)
        except (OSError, ValueError):
            return None


def host(port: int, processes: int, seconds: float, *, local: bool, listening: socket.socket | None = None) -> Meeting:
    """The first process: waits for all others.

    Args:
        port: where it is waited; ``listening`` is a socket that already does.
        local: only processes on this machine are let in.

    Raises:
        InputError: the port is taken, or some have not come in time; those that have are told.
    """
    where = "localhost" if local else ""
    try:
        server = listening or socket.create_server((where, port))
    except OSError as error:
        raise InputError(
            f"hosts.coordinator: port {port} cannot be used here: {error.strerror}; give another"
        ) from error
    lines: dict[int, Line] = {}
    deadline = time.monotonic() + seconds
    with server:
        while len(lines) < processes - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, address = server.accept()
            except TimeoutError:
                missing = ", ".join(str(number) for number in range(1, processes) if number not in lines)
                raise _refused(
                    lines,
                    f"hosts.processes={processes}: process {missing} did not come within {seconds:g} s; start all with "
                    "the same hosts.coordinator, or give hosts.wait more seconds",
                ) from None
            connection.settimeout(GRACE)
            line = Line(connection, address[0])
            said = line.receive()
            if not isinstance(said, dict) or not isinstance(said.get("process"), int):
                connection.close()  # a stranger
                continue
            number, line.host = said["process"], str(said.get("host"))
            if said.get("processes") != processes:
                lines[-1] = line
                raise _refused(
                    lines,
                    f"hosts.processes={processes} here and {said.get('processes')} in process {number}: give the same",
                )
            if number in lines or not 0 < number < processes:
                lines[-1] = line
                raise _refused(
                    lines,
                    f"two processes have hosts.process={number}; number them 0 to {processes - 1}",
                )
            lines[number] = line
    free = _free_port(where)
    for line in lines.values():
        line.socket.settimeout(None)
        line.send({"port": free})
    return Meeting(0, lines, f"localhost:{free}")


def join(places: Sequence[tuple[str, int]], process: int, processes: int, seconds: float) -> Meeting:
    """Any other process: comes to the first one.

    Args:
        places: host and port of the first process; several are ways to the same one.

    Raises:
        InputError: nobody answers there in time; or the first process refuses, with its reason.
    """
    deadline = time.monotonic() + seconds
    told = " or ".join(f"{name}:{port}" for name, port in places)
    reason = "no answer"
    while time.monotonic() < deadline:
        for place in places:
            try:
                connection = socket.create_connection(place, timeout=max(0.01, deadline - time.monotonic()))
            except OSError as error:
                reason = error.strerror or "no answer"
                continue
            line = Line(connection, place[0])
            line.send({"process": process, "processes": processes, "host": socket.gethostname()})
            connection.settimeout(seconds + GRACE)  # the first one's own limit began before
            said = line.receive()
            if isinstance(said, dict) and isinstance(said.get("port"), int):
                connection.settimeout(None)
                return Meeting(process, {0: line}, f"{place[0]}:{said['port']}")
            connection.close()
            if isinstance(said, dict) and "refused" in said:
                raise InputError(str(said["refused"]))
            raise InputError(
                f"hosts.coordinator={told}: whatever listens there is not process 0 of this job, or it waits for "
                "others in vain; give the host and a free port of process 0"
            )
        time.sleep(0.2)
    raise InputError(
        f"hosts.coordinator={told}: process 0 cannot be reached within {seconds:g} s ({reason}); start it there with "
        "hosts.process=0, check the name and the port, or give hosts.wait more seconds"
    )


def _refused(lines: dict[int, Line], reason: str) -> InputError:
    for line in lines.values():
        line.send({"refused": reason})
        line.socket.close()
    return InputError(reason)


def _free_port(where: str) -> int:
    with socket.create_server((where, 0)) as server:
        return int(server.getsockname()[1])


def _say(error: str) -> None:
    if sys.__stderr__ is not None and error:
        print(error, file=sys.__stderr__, flush=True)


def _leave(status: int) -> NoReturn:
    """Ends the process whatever its other threads are waiting for."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
