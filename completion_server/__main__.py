"""Entry point of ``completion-server`` and of ``python -m completion_server``."""

from __future__ import annotations

from completion_server.cli.app import app


def main() -> None:
    """Run the command line and end the process with its exit code."""
    app(prog_name="completion-server")


if __name__ == "__main__":
    main()
