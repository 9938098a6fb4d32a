from __future__ import annotations

import errno
import json
import logging
import os
import random
import signal
import stat
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from flashinfer_bench.data import files
from flashinfer_bench.data.files import append_lines, ends_torn, read_lines, write_atomic

WORKER = Path(__file__).with_name("append_worker.py")
MAX_BATCH = 3  # records that append_worker.py appends at once
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals, limits and modes")


def worker(*words: object, stderr: BinaryIO | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-S", "-E", WORKER, files.__file__, *words]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=stderr)


def run_limited(target: Path, limit: int, action: str, call: str) -> tuple[int, str]:
    """Exit status and output of a process that writes about 1500 bytes, at most `limit` of them."""
    with worker("limited", target, limit, action, call) as process:
        out, _ = process.communicate(timeout=30)
    return process.returncode, out.decode().strip()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_write_creates_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b" / "file.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["file.json"]


def test_write_takes_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomic(Path("file"), b"one")
    append_lines(Path("new/lines"), [b"1"])
    assert Path("file").read_bytes() == b"one"
    assert Path("new/lines").read_bytes() == b"1\n"


@posix
@pytest.mark.parametrize("bits", [0o600, 0o444, 0o666, 0o755])
def test_write_keeps_permission_bits(tmp_path, umask, bits):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    path.chmod(bits)
    write_atomic(path, b"two")
    assert mode(path) == bits
    assert path.read_bytes() == b"two"


@posix
def test_new_files_take_the_umask(tmp_path, umask):
    write_atomic(tmp_path / "file", b"")
    append_lines(tmp_path / "lines", [b"1"])
    assert mode(tmp_path / "file") == mode(tmp_path / "lines") == 0o666 & ~umask


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_write_follows_a_symlink(tmp_path, exists):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "file", tmp_path / "link"
    link.symlink_to(real)
    if exists:
        real.write_bytes(b"one")
    write_atomic(link, b"two")
    assert link.is_symlink()
    assert not real.is_symlink()
    assert real.read_bytes() == b"two"


@posix
def test_failed_write_leaves_the_target(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    inode = path.stat().st_ino
    assert run_limited(path, 1000, "SIG_IGN", "replace") == (0, str(errno.EFBIG))
    assert path.read_bytes() == b"one"
    assert path.stat().st_ino == inode
    assert names(tmp_path) == ["file"]


def test_failed_replace_removes_the_temporary_file(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "file", b"two")
    assert names(tmp_path) == ["file"]


@posix
def test_killed_write_leaves_the_target(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert run_limited(path, 1000, "SIG_DFL", "replace")[0] == -signal.SIGXFSZ
    assert path.read_bytes() == b"one"
    (left,) = set(names(tmp_path)) - {"file"}
    assert left.startswith(".")
    assert left.endswith(".tmp")


def test_append_creates_and_appends(tmp_path):
    path = tmp_path / "a" / "b" / "lines.jsonl"
    append_lines(path, [b"1"])
    append_lines(path, iter([b"2", b"3"]))
    assert path.read_bytes() == b"1\n2\n3\n"


def test_append_of_nothing_creates_nothing(tmp_path):
    append_lines(tmp_path / "a" / "lines", [])
    assert names(tmp_path) == []


def test_append_refuses_a_newline_before_it_writes(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'{"a": 1}\n{"torn')
    with pytest.raises(ValueError, match=r"contains a newline.*\[1,"):
        append_lines(path, [b"2", b"[1,\n2]"])
    assert path.read_bytes() == b'{"a": 1}\n{"torn'


def test_append_draws_all_lines_before_it_writes(tmp_path):
    def failing():
        yield b"1"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        append_lines(tmp_path / "lines", failing())
    assert names(tmp_path) == []


@posix
def test_append_follows_a_symlink(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real" / "lines")
    append_lines(tmp_path / "link", [b"1"])
    append_lines(tmp_path / "link", [b"2"])
    assert (tmp_path / "real" / "lines").read_bytes() == b"1\n2\n"


@posix
@pytest.mark.parametrize("before", [b"", b'{"a": 1}\n', b'{"a": 1}'])
def test_failed_append_restores_the_file(tmp_path, before):
    path = tmp_path / "lines"
    path.write_bytes(before)
    assert run_limited(path, 1000, "SIG_IGN", "append") == (0, str(errno.EFBIG))
    assert path.read_bytes() == before
    assert run_limited(path, 10_000, "SIG_IGN", "append") == (0, "done")
    numbers = [json.loads(line).get("number") for _, line in read_lines(path)]
    assert numbers == [None] * bool(before) + list(range(100))


@posix
def test_append_after_a_killed_append(tmp_path, caplog):
    path = tmp_path / "lines"
    assert run_limited(path, 1000, "SIG_DFL", "append")[0] == -signal.SIGXFSZ
    assert path.stat().st_size == 1000
    assert ends_torn(path)
    whole = path.read_bytes().rpartition(b"\n")[0]
    append_lines(path, [b"1"])
    assert path.read_bytes() == whole + b"\n1\n"
    assert [record.name for record in caplog.records] == ["flashinfer_bench"]


LONG = b"x" * (3 * files._TAIL_BLOCK + 5)
EDGE = b"x" * (files._TAIL_BLOCK - 9)  # its newline is the last byte of the next block
WHOLE = [b"{}", b'{"a": "%s"}' % LONG, b"9" * 5000, b"  ", b"\xef\xbb\xbf", b'{"a": 1}\r']
TORN = [
    b'{"a": 1',
    b'{"a": "%s' % LONG,
    b'{"a": "%s' % EDGE,
    '{"a": "é'.encode()[:-1],
    b'{"a": 1}}',
    b"\0" * 10,
]


@pytest.mark.parametrize("tail", WHOLE, ids=range(len(WHOLE)))
@pytest.mark.parametrize("before", [b"", b'{"a": 0}\n', b"%s\n" % LONG])
def test_append_completes_a_last_line(tmp_path, caplog, before, tail):
    path = tmp_path / "lines"
    path.write_bytes(before + tail)
    assert not ends_torn(path)
    append_lines(path, [b"2"])
    assert path.read_bytes() == before + tail + b"\n2\n"
    assert not caplog.records


@pytest.mark.parametrize("tail", TORN, ids=range(len(TORN)))
@pytest.mark.parametrize("before", [b"", b'{"a": 0}\n', b"%s\n" % LONG])
def test_append_removes_a_torn_record(tmp_path, caplog, before, tail):
    path = tmp_path / "lines"
    path.write_bytes(before + tail)
    assert ends_torn(path)
    append_lines(path, [b"2"])
    assert path.read_bytes() == before + b"2\n"
    assert not ends_torn(path)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flashinfer_bench", logging.WARNING)
    assert str(path) in record.getMessage()
    assert f" {len(tail)} bytes" in record.getMessage()


@pytest.mark.parametrize("replaced", [True, False])
def test_append_goes_to_the_file_that_replaced_the_locked_one(tmp_path, replaced):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lines"
    path.write_bytes(b"old\n")
    with path.open("rb") as old, ThreadPoolExecutor(1) as pool:
        fcntl.flock(old, fcntl.LOCK_EX)
        waiting = pool.submit(append_lines, path, [b"1"])
        time.sleep(0.1)
        assert not waiting.done()
        if replaced:
            write_atomic(path, b"new\n")
        else:
            path.unlink()
        fcntl.flock(old, fcntl.LOCK_UN)
        waiting.result(timeout=30)
        assert old.read() == b"old\n"
    assert path.read_bytes() == b"new\n" * replaced + b"1\n"


def test_append_waits_for_the_lock(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lines"
    with path.open("ab") as file, ThreadPoolExecutor(1) as pool:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = pool.submit(append_lines, path, [b"2"])
        time.sleep(0.05)
        file.write(b"1\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_UN)
        waiting.result(timeout=30)
    assert path.read_bytes() == b"1\n2\n"


def test_append_without_fcntl(tmp_path):
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from pathlib import Path\n"
        "from append_worker import load_files\n"
        "load_files(sys.argv[1]).append_lines(Path(sys.argv[2]), [b'1'])\n"
    )
    command = [sys.executable, "-c", code, files.__file__, str(tmp_path / "lines")]
    subprocess.run(command, check=True, timeout=30, cwd=WORKER.parent)
    assert (tmp_path / "lines").read_bytes() == b"1\n"


def test_read_numbers_and_strips(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n\t{"b": 2} \n\n{"c": "\xc3\xa9"}')
    assert list(read_lines(path)) == [(1, b'{"a": 1}'), (4, b'{"b": 2}'), (6, b'{"c": "\xc3\xa9"}')]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_read_of_a_blank_file(tmp_path, content):
    path = tmp_path / "lines"
    path.write_bytes(content)
    assert list(read_lines(path)) == []
    assert not ends_torn(path)


def test_a_bad_line_is_not_torn(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b'{"a": 1}\n{"bad\n')
    assert not ends_torn(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_lines(tmp_path / "lines"))
    with pytest.raises(FileNotFoundError):
        ends_torn(tmp_path / "lines")


ROUNDS = 10
KILLS = 20  # in each round: 200 in all
SEED = 20_260_101


class Writers:
    """Two processes that append to one file, and the records that they said are safe."""

    def __init__(self, target: Path, seed: int, stderr: BinaryIO) -> None:
        self.target, self.seed, self.stderr = target, seed, stderr
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.safe: dict[int, int] = {}

    def fill(self) -> None:
        """Start writers until two run; return when all are about to append."""
        fresh = range(len(self.safe), len(self.safe) + 2 - len(self.running))
        for writer in fresh:
            words = ("forever", self.target, writer, self.seed)
            self.running[writer] = worker(*words, stderr=self.stderr)
            self.safe[writer] = 0
        for writer in fresh:
            stdout = self.running[writer].stdout
            assert stdout is not None
            assert stdout.readline() == b"ready\n"

    def kill(self, writers: list[int]) -> None:
        for writer in writers:
            self.running[writer].kill()
        for writer in writers:
            with self.running.pop(writer) as process:
                assert process.stdout is not None
                self.safe[writer] = len(process.stdout.read().split())

    def wait_for_a_write(self) -> None:
        """Return just after the size of the file changed: likely in the middle of a record."""
        before, until = self.size(), time.monotonic() + 1
        while self.size() == before and time.monotonic() < until:
            pass

    def size(self) -> int:
        return self.target.stat().st_size if self.target.exists() else 0

    def kill_some(self, rng: random.Random) -> int:
        time.sleep(rng.uniform(0, 0.02))
        victims = rng.sample(sorted(self.running), rng.randint(1, 2))
        if rng.random() < 0.5:
            self.wait_for_a_write()
        self.kill(victims)
        return len(victims)


def numbers_by_writer(target: Path) -> dict[int, list[int]]:
    """The numbers of all records in `target`, each of which must be whole."""
    found: dict[int, list[int]] = {}
    for at, line in read_lines(target):
        record = json.loads(line)
        assert zlib.crc32(record["payload"].encode()) == record["check"], f"line {at}"
        found.setdefault(record["writer"], []).append(record["number"])
    return found


@posix
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_no_kill_loses_a_safe_record(tmp_path, seed):
    rng = random.Random(seed)
    target, log = tmp_path / "lines.jsonl", tmp_path / "stderr"
    with log.open("ab") as stderr:
        writers = Writers(target, seed, stderr)
        try:
            kills = 0
            while kills < KILLS:
                writers.fill()
                kills += writers.kill_some(rng)
        finally:
            writers.kill(list(writers.running))
    last = max(writers.safe) + 1
    append_lines(target, [b'{"writer": %d, "number": 0, "payload": "", "check": 0}' % last])
    writers.safe[last] = 1

    said = log.read_text()
    about = f"seed {seed}: {kills} kills, {sum(writers.safe.values())} safe; writers said: {said}"
    print(about)
    assert "Traceback" not in said, about
    assert not ends_torn(target), about
    found = numbers_by_writer(target)
    for writer, safe in writers.safe.items():
        numbers = found.pop(writer, [])
        assert numbers == list(range(len(numbers))), f"lost or doubled, writer {writer}, {about}"
        assert safe <= len(numbers) <= safe + MAX_BATCH, f"lost, writer {writer}, {about}"
    assert not found, about
    assert sum(writers.safe.values()) > KILLS, f"hardly anything was appended, {about}"
    target.unlink()  # pytest would keep it
