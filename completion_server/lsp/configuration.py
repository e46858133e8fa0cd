"""Where settings come from in an editor: initializationOptions, pulled, pushed, the workspace's file.

Owns which of them was heard last, and which warnings were given already. Knows nothing of the connection.
LSP 3.18, "Configuration Request", "DidChangeConfiguration Notification".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from lsprotocol import types
from pygls.uris import to_fs_path

from completion_server.config import (
    EDITOR_SECTION,
    LoadedSettings,
    Options,
    Settings,
    is_api_key_withheld,
    load_settings,
    send_api_key_to,
)
from completion_server.workspace_file import WorkspaceFile

log = logging.getLogger(__name__)

_MAX_DEPTH = 4


class Configuration:
    """Gathers what the editor said and resolves it to settings."""

    def __init__(self, overrides: Options | None = None) -> None:
        """``overrides`` (of the command line) win over every other source."""
        self.workspace: Path | None = None
        self.workspace_file: WorkspaceFile | None = None
        self.initialization_options: object = None
        self.editor_options: object = None
        self.has_users_addresses = False
        """The client says that addresses in its settings are the user's own, never those of a workspace."""
        self._overrides = overrides or {}
        self._reported: set[str] = set()

    def resolve(self) -> LoadedSettings:
        """Settings from all sources, with the warnings that were not returned before."""
        editor, ignored = self._editor_settings()
        # Not a mapping: passed on all the same, since it is load_settings that words the warning.
        loaded = load_settings(self.workspace_file, editor)
        settings, warnings = loaded.settings, [*ignored, *loaded.warnings]
        if self._overrides:
            checked = load_settings(None, self._overrides, {})
            settings = _take_over(settings, checked.settings, self._overrides)
            warnings += checked.warnings
        if settings.remote.url and self.has_users_addresses:
            send_api_key_to(settings.remote.url)
        warnings += _withheld_key(settings.remote.url)
        new = [warning for warning in warnings if warning not in self._reported]
        self._reported.update(new)
        return LoadedSettings(settings, tuple(new), loaded.withheld)

    def trusts_workspace(self) -> bool:
        """Whether the workspace's file may be looked at. False where that cannot be said."""
        try:
            return load_settings(None, self._editor_settings()[0]).settings.trust_workspace
        except Exception:
            log.exception("the settings could not be read")
            return False

    def _editor_settings(self) -> tuple[Any, list[str]]:
        """Options of the editor; and what is to be said of addresses that a workspace may have put there.

        Many clients merge a workspace's settings into those that they send later. What they say in
        ``initialize`` was written for the server's start.
        """
        first, later = self.initialization_options, self.editor_options
        if self.has_users_addresses or not isinstance(later, Mapping):
            return merge_options(first, later), []
        first_addresses, kept = _split_addresses(first)[0], _split_addresses(later)[1]
        merged = merge_options(first, kept)
        wanted = _split_addresses(merge_options(first, later))[0]
        return merged, [] if _are_equal(wanted, first_addresses) else [_IGNORED_ADDRESSES]


def _split_addresses(options: object) -> tuple[dict[str, Any], Any]:
    """What says where text goes, and ``options`` without it."""
    if not isinstance(options, Mapping):
        return {}, options
    rest = dict(options)
    addresses = {"remote": rest.pop("remote")} if rest.get("remote") is not None else {}
    if isinstance(rest.get("log"), Mapping):
        rest["log"] = log_options = dict(rest["log"])
        for name in ("otlpEndpoint", "otlp_endpoint"):
            if name in log_options:
                addresses[name] = log_options.pop(name)
    return addresses, rest


def _are_equal(one: object, other: object) -> bool:
    try:
        return one == other
    except RecursionError:
        return False


def _withheld_key(url: str) -> list[str]:
    if not url or not is_api_key_withheld(url):
        return []
    return [
        f"the key in COMPLETION_SERVER_REMOTE_API_KEY is not sent to {url}, for a workspace may have named that "
        "address; to send it, set COMPLETION_SERVER_REMOTE_URL as well"
    ]


_IGNORED_ADDRESSES = (
    "editor settings: remote and log.otlpEndpoint are ignored here, for a workspace may have set them; put them "
    "into initializationOptions, or into the environment (COMPLETION_SERVER_REMOTE_URL)"
)


def sends_users_addresses(capabilities: types.ClientCapabilities) -> bool:
    """Whether the client declares ``experimental.completionServer.userAddresses``."""
    value: Any = capabilities.experimental
    for name in (EDITOR_SECTION, "userAddresses"):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value is True


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


def merge_options(base: object, top: object, depth: int = 0) -> Any:
    """``base`` with all of ``top`` put over it, group by group, no deeper than settings are."""
    if top is None:
        return base
    if not isinstance(base, Mapping) or not isinstance(top, Mapping) or depth > _MAX_DEPTH:
        return top
    merged = dict(base)
    for key, value in top.items():
        # Taken out first, so that a key is where it was said last: its two spellings may both be there.
        merged[key] = merge_options(merged.pop(key, None), value, depth + 1)
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
