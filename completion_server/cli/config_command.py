"""``completion-server config``: every setting, its value here, and which source it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from completion_server.bootstrap import cache_dir_of
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, make_facts_table, make_table, print_json
from completion_server.config import (
    WORKSPACE_FILE_NAME,
    Settings,
    environment_variable_names,
    load_settings,
)
from completion_server.settings_schema import settings_as_dict, settings_schema
from completion_server.trust import read_with_agreement


def print_schema() -> None:
    """The JSON Schema of the editor's settings."""
    print_json(settings_schema())


def run(options: CommonOptions, workspace: Path | None = None, *, as_json: bool = False) -> None:
    """Show the settings as they are in ``workspace`` (default: the current directory)."""
    workspace = workspace or Path.cwd()
    loaded = options.resolve(workspace)
    rows = [
        {"setting": name, "value": value, "source": source}
        for name, (value, source) in resolve_with_sources(options, workspace).items()
    ]
    files = file_locations(loaded.settings, workspace)
    if as_json:
        print_json({"settings": rows, "files": files, "warnings": list(loaded.warnings)})
        return
    console = make_console()
    table = make_table(console, "setting", "value", "from")
    for column in table.columns:
        column.justify = "left"
        column.no_wrap = False
    for row in rows:
        style = "dim" if row["source"] == "default" and console.is_terminal else ""
        table.add_row(row["setting"], _shown(row["value"]), row["source"], style=style)
    console.print(table)
    console.print(make_facts_table(files))
    for warning in loaded.warnings:
        console.print(f"warning: {warning}", soft_wrap=True)


def resolve_with_sources(options: CommonOptions, workspace: Path) -> dict[str, tuple[Any, str]]:
    """Dotted setting -> its value and where the value comes from."""
    values = _flatten(settings_as_dict(options.resolve(workspace).settings))
    file = read_with_agreement(workspace)
    without_environment = _flatten(settings_as_dict(load_settings(file, None, {}).settings))
    with_environment = _flatten(settings_as_dict(load_settings(file).settings))
    defaults = _flatten(settings_as_dict(Settings()))
    given = {f"model.{_camel(name)}" for name in options.as_overrides()}
    variables = {_dotted_camel(dotted): variable for variable, dotted in environment_variable_names().items()}

    def source_of(name: str) -> str:
        if name in given:
            return "command line"
        if with_environment[name] != without_environment[name]:
            return f"environment ({variables[name]})"
        return WORKSPACE_FILE_NAME if without_environment[name] != defaults[name] else "default"

    return {name: (value, source_of(name)) for name, value in values.items()}


def file_locations(settings: Settings, workspace: Path) -> dict[str, str]:
    """The files and folders that matter, with what is true of them."""
    workspace_file = workspace / WORKSPACE_FILE_NAME
    is_read = "read" if workspace_file.is_file() and settings.trust_workspace else "not read"
    state = is_read if workspace_file.exists() else "not there"
    return {
        "workspace file": f"{workspace_file} ({state})",
        "models": str(cache_dir_of(settings.model)),
        "editor settings": "sent by the editor when it starts the server (not seen from here)",
    }


def _flatten(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    return dict(_leaves(value, path))


def _leaves(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        name = f"{path}{key}"
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{name}.")
        else:
            yield name, inner


def _dotted_camel(dotted: str) -> str:
    return ".".join(_camel(part) for part in dotted.split("."))


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "(none)"
    return "(empty)" if value == "" else str(value)
