"""The error tree. A message says what failed, where, what was expected, what was found, and what to do next.

``exit_status`` is what a command line ends with: 1 when the work was refused, 2 when the call or its input is
wrong.
"""

from __future__ import annotations

from typing import Optional


class EdgeformerError(Exception):
    """Root of every error that edgeformer raises on purpose."""

    exit_status = 1


class InputError(EdgeformerError):
    """The call, or a file that it names, is wrong."""

    exit_status = 2


class InternalError(EdgeformerError):
    """A library, or edgeformer itself, failed in a way that nobody foresaw; ``__cause__`` is what was raised."""


class RuntimeBundleError(EdgeformerError):
    """A bundle is damaged, altered, unsafe to open, or newer than this runtime.

    ``code`` names the kind of defect for programs, the same in every language; FORMAT.md lists them.
    """

    code = "bundle"

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class PathError(RuntimeBundleError):
    """A path that may not be in a bundle."""

    code = "path"


class FilesError(RuntimeBundleError):
    """A file of a bundle is missing, unlisted, of another size or hash, or no regular file."""

    code = "files"


class ArchiveError(RuntimeBundleError):
    """A .zip that isn't plain, or unpacks to too much."""

    code = "zip"


class BundleNotFoundError(RuntimeBundleError, InputError):
    """The path holds no bundle."""

    code = "not-a-bundle"
    exit_status = 2


class SignatureError(RuntimeBundleError):
    """A bundle isn't signed, or not with the key that was given, or was changed since."""

    code = "signature"


class InstallError(EdgeformerError):
    """A bundle can't be installed or switched to; what was installed before is as it was."""


class SandboxError(EdgeformerError):
    """Loading a bundle in a child process crashed, took too long or took too much."""


class EngineError(EdgeformerError):
    """No engine here can run the variant, or the engine failed while running it."""


class BusyError(EdgeformerError):
    """A session's queue is full: too many calls in the background wait already."""


class SensorError(EdgeformerError):
    """A sensor that was asked for can't be read."""


class TargetError(InputError):
    """A device name is unknown, or its profile is malformed."""
