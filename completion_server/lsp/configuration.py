"""Where settings come from in an editor: initializationOptions, pulled, pushed, the workspace's file.

Owns which of them was heard last, and which warnings were given already. Knows nothing of the connection.
LSP 3.18, "Configuration Request", "DidChangeConfiguration Notification".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from lsprotocol import types
from pygls.uris import to_fs_path

from completion_server.config import EDITOR_SECTION, Options, Settings, load_settings


class Configuration:
    """Gathers what the editor said and resolves it to settings."""

    def __init__(self, overrides: Options | None = None) -> None:
        """``overrides`` (of the command line) win over every other source."""
        self.workspace: Path | None = None
        self.initialization_options: object = None
        self.editor_options: object = None
        self._overrides = overrides or {}
        self._reported: set[str] = set()

    def resolve(self) -> tuple[Settings, list[str]]:
        """Settings from all sources, and the warnings that were not returned before."""
        editor = merge_options(self.initialization_options, self.editor_options)
        # Not a mapping: passed on all the same, since it is load_settings that words the warning.
        loaded = load_settings(self.workspace, editor)
        settings, warnings = loaded.settings, list(loaded.warnings)
        if self._overrides:
            checked = load_settings(None, self._overrides, {})
            settings = _take_over(settings, checked.settings, self._overrides)
            warnings += checked.warnings
        new = [warning for warning in warnings if warning not in self._reported]
        self._reported.update(new)
        return settings, new


def section_of(pushed: object) -> object:
    """This server's part of what a client pushes: ``{"completionServer": {...}}`` or the bare section.

    None when nothing of it is meant for this server.
    """
    if not isinstance(pushed, Mapping):
        return None
    if EDITOR_SECTION in pushed:
        return pushed[EDITOR_SECTION]
    fields = msgspec.structs.fields(Settings)
    known = {name for field in fields for name in (field.name, field.encode_name)}
    return pushed if known.intersection(pushed) else None


def merge_options(base: object, top: object) -> Any:
    """``base`` with all of ``top`` put over it, group by group."""
    if top is None:
        return base
    if not isinstance(base, Mapping) or not isinstance(top, Mapping):
        return top
    merged = dict(base)
    for key, value in top.items():
        # Taken out first, so that a key is where it was said last: its two spellings may both be there.
        merged[key] = merge_options(merged.pop(key, None), value)
    return merged


def workspace_path(params: types.InitializeParams) -> Path | None:
    """The root folder on this machine, if the client names one."""
    folders = params.workspace_folders or ()
    uri = folders[0].uri if folders else params.root_uri
    path = to_fs_path(uri) if uri and uri.startswith("file:") else params.root_path
    return Path(path) if path else None


def _take_over(base: Any, source: Any, options: Mapping[str, Any]) -> Any:
    """``base`` with the values of ``source`` for every setting that ``options`` names."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(base):
        key = field.name if field.name in options else field.encode_name
        if key not in options:
            continue
        value = getattr(source, field.name)
        if isinstance(value, msgspec.Struct):
            value = _take_over(getattr(base, field.name), value, options[key])
        changes[field.name] = value
    return msgspec.structs.replace(base, **changes)
