"""Downloads, against a real server on this machine."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.fetch import RemoteFile, cached, default_cache, default_mirror, fetch, fetch_all, on_disk

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every address under /data, in the manner the attributes say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []  # the Range header of each request
        self.drop_after: list[int] = []  # the next requests close after so many bytes
        self.honours_ranges = True
        self.claims: int | None = None  # a false Content-Length
        self.stall: threading.Event | None = None  # waits for this half-way
        self.half_sent = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if not self.path.startswith("/data/"):
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.honours_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(self.server.claims or len(CONTENT) - start))
        self.end_headers()
        end = start + self.server.drop_after.pop(0) if self.server.drop_after else len(CONTENT)
        middle = (start + end) // 2
        try:
            self.wfile.write(CONTENT[start:middle])
            self.server.half_sent.set()
            if self.server.stall is not None:
                self.server.stall.wait(30)
            self.wfile.write(CONTENT[middle:end])
        except ConnectionError:
            pass  # the client was killed

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def remote(server: Server, name: str = "a.bin", **pins: str) -> RemoteFile:
    return RemoteFile(server.url(name), **(pins or {"sha256": SHA256}))


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    file = remote(server)
    assert not on_disk(file, cache=tmp_path, mirror=None)
    path = fetch(file, cache=tmp_path, progress=lambda _, done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "downloads" / f"127.0.0.1:{server.server_address[1]}" / "data" / "a.bin"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert fetch(file, cache=tmp_path) == path
    assert len(server.ranges) == 1
    assert left_behind(tmp_path) == ["a.bin"]
    assert on_disk(file, cache=tmp_path, mirror=None)


@pytest.mark.parametrize(
    "pin",
    [
        # of b"hello\n", as printed by sha256sum, sha1sum, md5sum and git hash-object
        {"sha256": "5891B5B522D5DF086D0FF0B110FBD9D21BB4FC7163AF34D08286A2E846F6BE03"},
        {"sha1": "f572d396fae9206628714fb2ce00f72e94f2258f"},
        {"md5": "b1946ac92492d2347c6235b4d2611184"},
        {"md5": "b1946ac9"},
        {"git_blob": "ce013625030ba8dba906f756967f9e9ca394464a"},
    ],
    ids=lambda pin: next(iter(pin)),
)
def test_checksums_are_those_of_the_usual_tools(pin: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "example.org").mkdir()
    (tmp_path / "example.org" / "hello").write_bytes(b"hello\n")
    file = RemoteFile("https://example.org/hello", **pin)
    assert fetch(file, cache=tmp_path / "unused", mirror=tmp_path).read_bytes() == b"hello\n"


def test_a_file_needs_exactly_one_checksum() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        RemoteFile("https://example.org/a")
    with pytest.raises(ValueError, match="exactly one"):
        RemoteFile("https://example.org/a", sha1="0", sha256="0")


def test_a_dropped_connection_is_taken_up_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.drop_after = [1_000_000, 500_000]
    assert fetch(remote(server), cache=tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_server_that_only_drops_is_given_up(server: Server, tmp_path: Path) -> None:
    server.honours_ranges = False  # so that the second try gets no further than the first
    server.drop_after = [1_000_000, 1_000_000, 1_000_000]
    with pytest.raises(InputError, match="closed after 1000000 of 3000000 bytes"):
        fetch(remote(server), cache=tmp_path)
    assert len(server.ranges) == 2


def script(file: RemoteFile, cache: Path, *before: str) -> list[str]:
    lines = [*before, "from pathlib import Path", "from engine.fetch import RemoteFile, fetch"]
    return [
        sys.executable,
        "-c",
        "\n".join([*lines, f"print(fetch({file!r}, cache=Path({str(cache)!r})))"]),
    ]


def test_a_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.stall = threading.Event()
    file = remote(server)
    part = cached(file, tmp_path).with_name("a.bin.part")
    with subprocess.Popen(script(file, tmp_path)) as process:
        assert server.half_sent.wait(30)
        while not part.exists() or part.stat().st_size < 1_000_000:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    server.stall.set()
    assert not cached(file, tmp_path).exists()
    size = part.stat().st_size
    assert fetch(file, cache=tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={size}-"]
    assert left_behind(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("honours_ranges", [True, False])
@pytest.mark.parametrize("size", [1_000_000, 3_000_000, 4_000_000])
def test_a_part_of_something_else_is_overcome(server: Server, tmp_path: Path, size: int, honours_ranges: bool) -> None:
    server.honours_ranges = honours_ranges
    file = remote(server)
    part = cached(file, tmp_path).with_name("a.bin.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(size))
    assert fetch(file, cache=tmp_path).read_bytes() == CONTENT
    assert left_behind(tmp_path) == ["a.bin"]


def test_a_wrong_checksum_names_the_file_and_both_sums(server: Server, tmp_path: Path) -> None:
    wanted = "0" * 64
    with pytest.raises(InputError) as error:
        fetch(remote(server, sha256=wanted), cache=tmp_path)
    assert all(part in str(error.value) for part in (wanted, SHA256, "a.bin"))
    assert left_behind(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    file = remote(server)
    path = fetch(file, cache=tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert fetch(file, cache=tmp_path).read_bytes() == CONTENT


def test_without_network_every_missing_file_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as closed:
        files = [remote(closed, name) for name in ("a.bin", "b.bin")]
    with pytest.raises(InputError) as error:
        fetch_all(files, cache=tmp_path)
    for file in files:
        assert f"{file.url} -> FOLDER/{file.path}" in str(error.value)
    assert "CORTICALIGN_MIRROR" in str(error.value)
    assert left_behind(tmp_path) in ([], ["a.bin.part"])


def test_an_absent_file_tells_the_servers_answer(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="HTTP 404"):
        fetch(RemoteFile(server.url("").replace("/data/", "/none"), sha256=SHA256), cache=tmp_path)


def test_an_unwritable_cache_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write .*XDG_CACHE_HOME"):
        fetch(remote(server), cache=tmp_path / "file")


def test_a_disk_that_fills_up_keeps_nothing(server: Server, tmp_path: Path) -> None:
    # A limit on the size of files makes the real write fail half-way, as a full disk or a quota does.
    limit = (
        "import resource, signal",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))",
    )
    done = subprocess.run(script(remote(server), tmp_path, *limit), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "InputError: cannot write" in done.stderr.splitlines()[-1]
    assert "the disk is full" in done.stderr.splitlines()[-1]
    assert left_behind(tmp_path) == []


def test_a_file_larger_than_the_disk_is_refused_at_once(server: Server, tmp_path: Path) -> None:
    server.claims = 10**18
    with pytest.raises(InputError, match=r"needs 1000000000000\.0 MB"):
        fetch(remote(server), cache=tmp_path)
    assert left_behind(tmp_path) == []


def race(server: Server, file: RemoteFile, cache: Path) -> list[tuple[str, str]]:
    """Output and errors of two processes that fetch one file at once."""
    server.stall = threading.Event()
    command = script(file, cache, "print('ready', flush=True)")
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other,
    ):
        assert [process.stdout.readline() for process in (one, other) if process.stdout] == ["ready\n"] * 2
        assert server.half_sent.wait(30)
        time.sleep(0.3)  # for the second to ask, if nothing held it back
        server.stall.set()
        return [process.communicate(timeout=60) for process in (one, other)]


def test_two_processes_may_fetch_one_file(server: Server, tmp_path: Path) -> None:
    file = remote(server)
    printed = race(server, file, tmp_path)
    assert printed == [(f"{cached(file, tmp_path)}\n", "")] * 2
    assert cached(file, tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 1
    assert left_behind(tmp_path) == ["a.bin"]


def test_two_processes_may_find_one_file_wrong(server: Server, tmp_path: Path) -> None:
    outputs = race(server, remote(server, sha256="0" * 64), tmp_path)
    assert ["InputError: wrong checksum" in errors for _, errors in outputs] == [True, True]
    assert left_behind(tmp_path) == []


def test_a_mirror_takes_the_place_of_the_network(server: Server, tmp_path: Path) -> None:
    mirror, cache = tmp_path / "mirror", tmp_path / "cache"
    file = RemoteFile(server.url("a%20b.bin") + "?versionId=W2v.x", sha256=SHA256)
    place = mirror / file.path
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert place.name == "a b.bin"
    assert fetch(file, cache=cache, mirror=mirror) == place
    assert not cache.exists()
    absent = [remote(server, "b.bin"), remote(server, "c.bin")]
    with pytest.raises(InputError, match=r"not in the mirror.*\n.*b.bin"):
        fetch(absent[0], cache=cache, mirror=mirror)
    with pytest.raises(InputError, match=r"2 file\(s\) missing: not in the mirror.*\n.*b.bin\n.*c.bin"):
        fetch_all([file, *absent], cache=cache, mirror=mirror)
    assert server.ranges == []
    with pytest.raises(InputError, match="not a folder"):
        fetch(file, cache=cache, mirror=tmp_path / "nowhere")


def test_a_wrong_file_in_a_mirror_is_left_alone(tmp_path: Path) -> None:
    file = RemoteFile("https://example.org/a", sha256=SHA256)
    place = tmp_path / file.path
    place.parent.mkdir()
    place.write_bytes(b"something else")
    with pytest.raises(InputError, match=hashlib.sha256(b"something else").hexdigest()):
        fetch(file, cache=tmp_path, mirror=tmp_path)
    assert place.exists()
    place.write_bytes(CONTENT)  # a file that changes is read again
    assert fetch(file, cache=tmp_path, mirror=tmp_path) == place


def test_the_environment_names_mirror_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORTICALIGN_MIRROR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_mirror() is None
    assert default_cache() == tmp_path / ".cache" / "corticalign"
    monkeypatch.setenv("CORTICALIGN_MIRROR", "~/mirror")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_mirror() == tmp_path / "mirror"
    assert default_cache() == tmp_path / "xdg" / "corticalign"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache() == tmp_path / ".cache" / "corticalign"
