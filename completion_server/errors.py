"""Every error this package raises on purpose.

CompletionServerError
├── ConfigError             a settings file or value that cannot be used at all
├── DocumentError           an edit or a position that does not fit the document
├── RequestError            a request that cannot be answered (unknown document, ...)
├── SharedEngineError       the engine of all windows cannot be started or reached, or is gone
│   └── SharedEngineDownError   and it could not be started again
├── RemoteError             a model server that cannot be reached, refuses, or breaks off
└── ModelError              anything about model files
    ├── ModelNotFoundError      no such model here, and not allowed or able to fetch it
    ├── ModelFormatError        files of a kind or shape that is refused or not understood
    ├── ModelFetchError         the download failed or did not match its hash
    ├── DamagedModelError       files that are not what was installed, or compute no numbers
    └── UnsupportedModelError   an architecture that the engine cannot drive

Third-party errors are mapped to these at the boundary where they arise. The message is written for the
user: what happened, with which file, and what to do.
"""

EXIT_INTERRUPTED = 130
"""What a command that Ctrl-C ended leaves with, as in shells: 128 and the signal's number."""


class CompletionServerError(Exception):
    """Root of the tree."""


class ConfigError(CompletionServerError):
    """A settings file or value that cannot be used at all."""


class DocumentError(CompletionServerError):
    """An edit or a position that does not fit the document."""


class RequestError(CompletionServerError):
    """A request that cannot be answered."""


class SharedEngineError(CompletionServerError):
    """The engine of all windows cannot be started or reached, or is gone."""


class SharedEngineDownError(SharedEngineError):
    """The engine of all windows ended and could not be started again; a user has to look."""


class RemoteError(CompletionServerError):
    """A model server that cannot be reached, refuses, or breaks off."""


class ModelError(CompletionServerError):
    """Anything about model files."""


class ModelNotFoundError(ModelError):
    """No such model here, and not allowed or able to fetch it."""


class ModelFormatError(ModelError):
    """Files of a kind or shape that is refused or not understood."""


class ModelFetchError(ModelError):
    """The download failed or did not match its hash."""


class DamagedModelError(ModelError):
    """Files that are not what was installed, or that compute no numbers."""


class UnsupportedModelError(ModelError):
    """An architecture that the engine cannot drive."""
