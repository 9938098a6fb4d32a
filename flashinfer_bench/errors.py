"""The exceptions of FlashInfer-Bench, and the exit code each one gives a command.

FlashInferBenchError           1  unexpected
├── UsageError                 2  the call's words are off
├── NotFoundError              3  a dataset, definition, solution or file is not there
├── AccessError                4  network or login needed
├── DataError                  5  a file or dataset fails validation   (is a ValueError)
└── MissingRequirementError    6  needs a package, hardware or a server

Every message says what happened, what was expected and what to do next, in one line.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means; the same table for every command."""

    OK = 0
    """Done and verified."""
    UNEXPECTED = 1
    """A fault of ours: please report it."""
    USAGE = 2
    """The command line is wrong."""
    NOT_FOUND = 3
    """What was named is not there."""
    ACCESS = 4
    """Network or login needed."""
    INVALID = 5
    """Output or dataset failed validation."""
    MISSING_REQUIREMENT = 6
    """Needs hardware, a package or a server."""
    ENGINE_STOPPED = 7
    """An agent engine stopped early."""
    STATUS_FOUND = 8
    """A status named by --fail-on occurred."""
    INTERRUPTED = 130
    """Stopped by the user."""


class FlashInferBenchError(Exception):
    """Anything that FlashInfer-Bench itself raises on purpose."""

    exit_code = ExitCode.UNEXPECTED


class UsageError(FlashInferBenchError):
    """A command or call was given words that do not fit together."""

    exit_code = ExitCode.USAGE


class NotFoundError(FlashInferBenchError, FileNotFoundError):
    """Something named by the caller is not there."""

    exit_code = ExitCode.NOT_FOUND

    def __str__(self) -> str:
        return " ".join(str(arg) for arg in self.args)


class AccessError(FlashInferBenchError):
    """What was named is elsewhere, and cannot be reached from here or without login."""

    exit_code = ExitCode.ACCESS


class DataError(FlashInferBenchError, ValueError):
    """A file, record or dataset breaks its schema."""

    exit_code = ExitCode.INVALID


class MissingRequirementError(FlashInferBenchError):
    """An optional package, a GPU or a server is needed and absent."""

    exit_code = ExitCode.MISSING_REQUIREMENT
