"""Logging set-up. Everything goes to stderr; stdout belongs to the protocol. Knows nothing of LSP."""

import logging
import sys

_LEVELS = {"off": logging.CRITICAL + 10, "error": 40, "warning": 30, "info": 20, "debug": 10}
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Send this package's records to stderr from ``level`` (off, error, warning, info, debug) upwards."""
    root = logging.getLogger()
    root.handlers.clear()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT, datefmt="%H:%M:%S"))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Change the level of this package's own records; other libraries stay at warning."""
    logging.getLogger("completion_server").setLevel(_LEVELS[level])
