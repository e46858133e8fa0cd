"""``completion-server trust``: allow what a workspace's file asks for, take that back, or list it."""

from __future__ import annotations

from pathlib import Path

import typer

from completion_server import trust
from completion_server.config import WORKSPACE_FILE_NAME, load_settings
from completion_server.errors import ConfigError


def allow(folder: Path, *, is_confirmed: bool) -> None:
    """Show what the file in ``folder`` asks for and keep the user's agreement to exactly this content."""
    file = trust.read_with_agreement(folder.absolute())
    if file.problem:
        raise ConfigError(file.problem)
    if not file.digest:
        raise ConfigError(f"there is no {WORKSPACE_FILE_NAME} in {folder}")
    loaded = load_settings(file, None, {})
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}")
    if file.agreed:
        typer.echo(f"{file.path} is trusted already, as it is now.")
        return
    if not loaded.withheld:
        typer.echo(f"{file.path} asks for nothing that needs your agreement.")
        return
    typer.echo(f"{file.path} asks for:")
    for setting in loaded.withheld:
        typer.echo(f"  {setting}")
    if not is_confirmed:
        typer.confirm("Use these settings, as long as the file stays as it is?", abort=True)
    try:
        trust.remember(file, is_allowed=True)
    except OSError as error:
        raise ConfigError(f"the answer cannot be kept: {error}") from error
    typer.echo("Trusted. Restart the language server (or the editor) to use them.")


def revoke(folder: Path) -> None:
    """Forget what was said about ``folder``."""
    try:
        was_there = trust.forget(folder.absolute())
    except OSError as error:
        raise ConfigError(f"the answer cannot be taken back: {error}") from error
    typer.echo(f"{folder} is not trusted any more." if was_there else f"{folder} was not trusted.")


def show_all() -> None:
    """Every folder with an answer of the user, one a line."""
    for decision in trust.decisions():
        typer.echo(f"{'trusted' if decision.is_allowed else 'ignored'}  {decision.folder}")
