"""Files that survive a kill: whole files replaced at once, JSONL files that only ever grow."""

from __future__ import annotations

import codecs
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOG = logging.getLogger("flashinfer_bench")

_TAIL_BLOCK = 1 << 16
_NEW_FILE_MODE = 0o666


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file at `path`, through a symlink if it is one, by `data`: all of it or nothing.

    Permission bits of an existing file are kept. A process killed meanwhile may leave a `.*.tmp`
    file beside it. Takes no lock: files that others append to want `rewrite_lines`.

    Raises OSError, the file untouched, if the new one cannot be written or put in its place.
    """
    path = path.resolve()
    _make_folder(path.parent)
    temporary = path.with_name(f".{os.urandom(8).hex()}.tmp")
    mode = _mode(path)
    opener = partial(os.open, mode=_NEW_FILE_MODE if mode is None else mode)
    try:
        with open(temporary, "xb", buffering=0, opener=opener) as file:
            if mode is not None:  # bits that the umask took away
                temporary.chmod(mode)
            _write_all(file, data)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def append_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Append each of `lines`, a JSON object without newline, to the JSONL file `path`, durably.

    Processes and threads may append at once (one at a time where there is no fcntl: no lock there).
    If this process is killed, the file holds a leading part of `lines`, perhaps with a torn record
    at the end, which the next append removes.

    Raises ValueError if a line contains a newline, OSError if writing fails; nothing is appended.
    """
    data = b"".join([_record(line) for line in lines])
    if not data:
        return
    folder = path.resolve().parent
    _make_folder(folder)
    with _locked(path) as file:
        length, separator = _repair_tail(file, path)
        # Earlier than the records: whoever made the file may have been killed before its sync.
        if length == 0:
            _sync_folder(folder)
        try:
            _write_all(file, separator + data)
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(length)
            raise


def rewrite_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Replace the JSONL file `path`; an append either comes before or goes to the new file.

    Raises as `append_lines` and `write_atomic`.
    """
    data = b"".join([_record(line) for line in lines])
    _make_folder(path.resolve().parent)
    with _locked(path):
        write_atomic(path, data)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number, from 1, and the stripped bytes of each line that is not blank.

    A last line without newline is yielded too: `ends_torn` tells if its writer was interrupted.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
            if text:
                yield number, text


def ends_torn(path: Path) -> bool:
    """Whether the last line lacks its newline and is no JSON: an append was cut short or goes on.

    Raises OSError if `path` cannot be read.
    """
    with path.open("rb") as file:
        return _is_torn(_tail(file))


def _record(line: bytes) -> bytes:
    if b"\n" in line:
        raise ValueError(f"record contains a newline, expected one line of JSON: {line[:80]!r}")
    return line + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    """The file at `path`, made if missing, open for reading and appending by nobody else."""
    while True:
        with path.open("a+b", buffering=0) as file, _lock(file):
            if _is_at(path, file):
                yield file
                return


@contextmanager
def _lock(file: FileIO) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        # Closing is not enough: a child forked by another thread meanwhile shares the lock.
        fcntl.flock(file, fcntl.LOCK_UN)


def _is_at(path: Path, file: FileIO) -> bool:
    """Whether `path` still names `file`, not one that another process put there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _repair_tail(file: FileIO, path: Path) -> tuple[int, bytes]:
    """The length of `file` without a torn record, and what must come before the next record."""
    length = file.seek(0, os.SEEK_END)
    # A FileIO may read less than asked for, a buffered reader does not.
    with open(file.fileno(), "rb", closefd=False) as reader:
        tail = _tail(reader)
    if not tail:
        return length, b""
    if not _is_torn(tail):
        return length, b"\n"
    _LOG.warning("%s: removed %d bytes of a record that an append left torn", path, len(tail))
    return file.truncate(length - len(tail)), b""


def _tail(file: BinaryIO) -> bytes:
    """The bytes after the last newline."""
    blocks: list[bytes] = []
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _TAIL_BLOCK)
        file.seek(start)
        _, newline, rest = file.read(end - start).rpartition(b"\n")
        blocks.append(rest)
        if newline:
            break
        end = start
    return b"".join(reversed(blocks))


def _is_torn(tail: bytes) -> bool:
    """Whether `tail` is only part of a JSON text; blank is not."""
    try:
        text = tail.decode("utf-8-sig")
        if text.strip():
            json.loads(text, parse_int=str)  # int() refuses more than 4300 digits
    except ValueError:
        return True
    return False


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _mode(path: Path) -> int | None:
    """Permission bits of `path`, None if there is no such file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _make_folder(folder: Path) -> None:
    """Create `folder` and the missing ones above it, durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; Windows opens no folders and needs nothing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
