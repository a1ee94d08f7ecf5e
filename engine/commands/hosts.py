"""One job in several processes, on one host or many: how they find one another, and end as one.

Only the first prints and writes. JAX learns of all devices before anything else of it is used.
"""

import os
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from engine import meeting
from engine.errors import InputError

AUTO = "auto"


@dataclass
class Hosts:
    """Settings, the same in all processes but for ``process``."""

    coordinator: str | None = MISSING
    processes: int | None = MISSING
    process: int | None = MISSING
    wait: float = MISSING


def check_hosts(given: Hosts) -> None:
    """Raises InputError where the settings do not say how many processes there are and which this is."""
    numbers = (given.processes, given.process)
    if given.coordinator is None or given.coordinator == AUTO:
        if numbers != (None, None):
            raise InputError(
                f"hosts.processes={_shown(given.processes)}, hosts.process={_shown(given.process)}: they go with the "
                "host and a free port of process 0, such as hosts=node1:7000"
            )
    else:
        name, _, port = given.coordinator.rpartition(":")
        if not name or not port.isdigit() or not 0 < int(port) < 65536:
            raise InputError(
                f"hosts.coordinator={given.coordinator}: wanted the host and a free port of process 0, such as "
                "node1:7000, or auto under SLURM, Open MPI and on TPU pods"
            )
        if given.processes is None or given.process is None or not 0 <= given.process < given.processes:
            raise InputError(
                f"hosts.processes={_shown(given.processes)}, hosts.process={_shown(given.process)}: wanted the number "
                "of processes, and which this is, from 0"
            )
    if not given.wait > 0:
        raise InputError(f"hosts.wait={given.wait:g}: wanted a number of seconds above 0")


def together(given: Hosts, work: Callable[[], Path]) -> Path:
    """Does the work in all processes, or ends all of them with the same status."""
    met = _auto(given.wait) if given.coordinator == AUTO else _named(given)
    if met is None:  # a single one
        return work()
    import jax

    if jax.process_index() != 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  to the end of the process
    try:
        found = work()
    except InputError as error:
        met.end(meeting.Report(meeting.FAILED, 0, f"corticalign: error: {error}"))
        raise
    except KeyboardInterrupt:
        met.end(meeting.Report(130, 0, "corticalign: stopped; what was finished is kept and not computed again"))
        raise
    except BaseException as error:  # whatever it was, the other processes wait for word of it
        traceback.print_exc()
        words = (str(error).splitlines() or [""])[0][:500]
        where = f"process {jax.process_index()} on {socket.gethostname()}"
        met.end(meeting.Report(meeting.FAILED, 2, f"corticalign: error in {where}: {type(error).__name__}: {words}"))
        raise
    met.end(meeting.Report(0, 0, ""))
    jax.distributed.shutdown()
    return found


def _named(given: Hosts) -> meeting.Meeting | None:
    """Meets the others where the settings say, and then tells JAX of them."""
    assert given.coordinator is not None
    assert given.processes is not None
    assert given.process is not None
    if given.processes == 1:
        return None
    name, _, digits = given.coordinator.rpartition(":")
    local = name in ("localhost", "127.0.0.1")
    if given.process == 0:
        met = meeting.host(int(digits), given.processes, given.wait, local=local)
    else:
        met = meeting.join([(name, int(digits))], given.process, given.processes, given.wait)
    own = {"coordinator_bind_address": met.address} if local and given.process == 0 else {}
    # All devices that the process sees are its own; SLURM, if it is there, is not asked.
    _initialise(
        coordinator_address=met.address,
        num_processes=given.processes,
        process_id=given.process,
        cluster_detection_method="deactivate",
        **own,
    )
    return met


def _auto(seconds: float) -> meeting.Meeting | None:
    """JAX finds the others by itself; then they meet."""
    try:
        _initialise(initialization_timeout=int(seconds) + 1)
    except (ValueError, RuntimeError) as error:
        words = (str(error).splitlines() or [""])[0][:200]
        raise InputError(
            f"hosts=auto: no SLURM step, no Open MPI and no TPU pod is found here ({words}); give hosts=HOST:PORT "
            "hosts.processes=N hosts.process=K"
        ) from error
    import jax

    from engine import hosts

    if not hosts.several():
        return None
    if jax.process_index() == 0:
        server = socket.create_server(("", 0))
        port = int(server.getsockname()[1])
        hosts.from_first([[name, port] for name in (socket.gethostname(), _outward_address())])
        return meeting.host(port, jax.process_count(), seconds, local=False, listening=server)
    places = [(str(name), int(port)) for name, port in hosts.from_first(None)]
    return meeting.join(places, jax.process_index(), jax.process_count(), seconds)


def _initialise(**given: Any) -> None:
    import jax

    from engine import hosts

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if "jax_enable_preemption_service" in jax.config.values:
        # It would take the signal by which a scheduler ends a job, and go on.
        jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(**given)
    if hosts.several():
        sys.stdout.flush()
        kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)  # Gloo prints a line at the first exchange
        try:
            hosts.everywhere(True)
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            os.close(nothing)


def _outward_address() -> str:
    """This host's address on the way to others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # set apart for documentation (RFC 5737)
        except OSError:
            return "localhost"
        return str(probe.getsockname()[0])


def _shown(number: int | None) -> str:
    return "null" if number is None else str(number)
