"""What the tests of `files` run in processes of their own, to be limited or killed.

append_worker.py FILES limited TARGET LIMIT ACTION CALL: write records 0 to 99 with CALL, "append"
or "replace", in files of LIMIT bytes at most, and print "done" or the errno; ACTION on SIGXFSZ.
append_worker.py FILES forever TARGET WRITER SEED: append records, printing each number when safe.
"""

import importlib.util
import itertools
import json
import os
import random
import signal
import sys
import zlib
from pathlib import Path


def load_files(source: str):
    """The module under test, without its package: nothing that takes long to import."""
    spec = importlib.util.spec_from_file_location("files", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def limited(files, target: Path, limit: str, action: str, call: str) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.Handlers[action])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    lines = [b'{"number": %d}' % number for number in range(100)]
    try:
        if call == "append":
            files.append_lines(target, lines)
        else:
            files.write_atomic(target, b"\n".join(lines))
        print("done")
    except OSError as error:
        print(error.errno)


def forever(files, target: Path, writer: str, seed: str) -> None:
    rng = random.Random(f"{seed} {writer}")
    numbers = itertools.count()
    os.write(1, b"ready\n")
    while True:
        batch = list(itertools.islice(numbers, rng.randint(1, 3)))
        files.append_lines(target, [record(rng, int(writer), number) for number in batch])
        os.write(1, b"".join(b"%d\n" % number for number in batch))


def record(rng: random.Random, writer: int, number: int) -> bytes:
    """A record of 100 B to 200 kB, small ones as likely as large ones."""
    size = int(100 * 2000 ** rng.random())
    payload = rng.randbytes(max(0, size - 70) // 2).hex()
    check = zlib.crc32(payload.encode())
    return json.dumps(
        {"writer": writer, "number": number, "check": check, "payload": payload}
    ).encode()


if __name__ == "__main__":
    _, source, mode, target, *words = sys.argv
    {"limited": limited, "forever": forever}[mode](load_files(source), Path(target), *words)
