"""Entry point of ``completion-server`` and of ``python -m completion_server``."""

from __future__ import annotations

import sys

from completion_server.errors import EXIT_INTERRUPTED, CompletionServerError


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:] in (["serve"], ["serve", "--stdio"]):
        _serve()
    else:
        from completion_server.cli.app import app

        app(prog_name="completion-server")


def _serve() -> None:
    """What editors start: without options no parser is needed, which takes a tenth of a second to import."""
    from completion_server.cli.serve_command import run

    try:
        run(None, {})
    except CompletionServerError as error:
        raise SystemExit(f"completion-server: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None


if __name__ == "__main__":
    main()
