"""Settings: what an editor, a file or the environment says (Options) becomes one frozen ``Settings``.

Owns the order of the sources and the only reading of environment variables. A bad value falls back to the value
below it and is reported once; it never stops the server. Precedence, lowest first: defaults, the workspace's
``.completion-server.toml`` (``workspace_rules`` says what of it counts), the editor's settings, the environment.
"""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import msgspec
from msgspec import Struct

from completion_server.environment import API_KEY
from completion_server.settings_types import (
    WORKSPACE_FILE_NAME,
    CacheSettings,
    ContextSettings,
    GenerationSettings,
    LatencySettings,
    LogSettings,
    ModelSettings,
    RemoteSettings,
    Settings,
)
from completion_server.workspace_file import WorkspaceFile
from completion_server.workspace_rules import RULES, Rule, applies_at_once

__all__ = [
    "EDITOR_SECTION",
    "WORKSPACE_FILE_NAME",
    "CacheSettings",
    "ContextSettings",
    "GenerationSettings",
    "LatencySettings",
    "LoadedSettings",
    "LogSettings",
    "ModelSettings",
    "Options",
    "RemoteSettings",
    "Settings",
    "environment_variable_names",
    "is_api_key_withheld",
    "limit_thread_spinning",
    "load_settings",
    "remote_api_key",
    "send_api_key_to",
]

EDITOR_SECTION = "completionServer"
_ENV_PREFIX = "COMPLETION_SERVER_"
_REMOTE_URL = _ENV_PREFIX + "REMOTE_URL"
_SPIN_COUNT = 300  # turns of a waiting loop; see EXPERIMENTS.md for what other values cost
_MAX_WARNINGS = 20
_MAX_SHOWN_CHARS = 60

Options = Mapping[str, Any]
"""Settings as sent: nested, every key optional, keys in camelCase or snake_case, values not yet checked."""

_users_addresses: set[str] = set()
"""Addresses of model servers that the environment does not name, but that are known to be the user's own words."""


class LoadedSettings(Struct, frozen=True):
    """``settings`` are always usable; ``warnings`` say, for the user, what was ignored and why."""

    settings: Settings
    warnings: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    """What the workspace's file asks for and does not get before the user agrees: ``model.name = 'x'``, ..."""


def load_settings(
    workspace: WorkspaceFile | None = None,
    editor: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Resolve all sources. ``environ`` None means the process environment."""
    options = _environment_options(os.environ if environ is None else environ)
    warnings: list[str] = []

    def over(base: Settings) -> Settings:
        """``base`` with the user's own settings on top."""
        base = _merge(base, editor, "editor settings", [])
        merged: Settings = _merge(base, options, "environment", [], strict=False)
        return merged

    _merge(Settings(), editor, "editor settings", warnings)
    allowed = asked = Settings()
    if workspace is not None and over(Settings()).trust_workspace:
        asked = _asked_by(workspace, warnings)
        allowed = _allowed_of(asked, workspace.agreed is True)
    _merge(Settings(), options, "environment", warnings, strict=False)
    settings = over(allowed)
    has_effect = over(asked) != settings
    withheld = tuple(_differences(allowed, asked)) if has_effect else ()
    return LoadedSettings(settings, _first_of(warnings), withheld)


def remote_api_key(url: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The environment's key for the model server at ``url``; None when there is none, or it is not for ``url``.

    The key goes to an address that the environment names as well, or that was given to ``send_api_key_to``.
    """
    environ = os.environ if environ is None else environ
    is_known = _same_address(environ.get(_REMOTE_URL, "")) == _same_address(url)
    if not is_known and _same_address(url) not in _users_addresses:
        return None
    return environ.get(API_KEY, "").strip() or None


def is_api_key_withheld(url: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether there is a key in the environment that is not sent to ``url``."""
    environ = os.environ if environ is None else environ
    return bool(environ.get(API_KEY, "").strip()) and remote_api_key(url, environ) is None


def send_api_key_to(url: str) -> None:
    """From now on the environment's key may go to ``url``: the user, and no workspace, named this address."""
    _users_addresses.add(_same_address(url))


def _same_address(url: str) -> str:
    return url.strip().rstrip("/")


def limit_thread_spinning(environ: MutableMapping[str, str] | None = None) -> None:
    """Let the threads of one forward pass sleep soon when they wait for each other; call before importing torch.

    GNU OpenMP, which torch and llama.cpp use on Linux, spins for long by default. Beside a compiler or a test run
    the awaited thread is not running, and a forward pass of 35 ms takes up to seconds. What the user set stays.
    """
    environ = os.environ if environ is None else environ
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environ.keys():
        environ["GOMP_SPINCOUNT"] = str(_SPIN_COUNT)


def environment_variable_names() -> dict[str, str]:
    """Environment variable -> dotted setting."""
    return {_env_name(path): ".".join(path) for path in _leaf_paths(Settings)}


def _asked_by(workspace: WorkspaceFile, warnings: list[str]) -> Settings:
    """Everything that the file asks for and that is no nonsense, but for what no workspace may say."""
    if workspace.problem:
        warnings.append(workspace.problem)
    content = dict(workspace.options or {})
    if content.pop("remote", None) is not None:
        warnings.append(f"{WORKSPACE_FILE_NAME}: remote is ignored: a workspace may not say where text is sent")
    if isinstance(content.get("log"), dict):
        content["log"] = log = dict(content["log"])
        if [log.pop(name) for name in ("otlpEndpoint", "otlp_endpoint") if name in log]:
            reason = "a workspace may not say where anything is sent"
            warnings.append(f"{WORKSPACE_FILE_NAME}: log.otlpEndpoint is ignored: {reason}")
    if [content.pop(name) for name in ("trustWorkspace", "trust_workspace") if name in content]:
        reason = "a workspace may not say whether it is trusted"
        warnings.append(f"{WORKSPACE_FILE_NAME}: trustWorkspace is ignored: {reason}")
    asked: Settings = _merge(Settings(), content, WORKSPACE_FILE_NAME, warnings)
    return asked


def _allowed_of(asked: Any, is_agreed: bool, path: str = "") -> Any:
    """``asked`` with the default in place of every value that a workspace may not set now."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(asked):
        dotted, value = path + field.name, getattr(asked, field.name)
        may_apply = is_agreed and RULES.get(dotted, Rule.NEVER) is not Rule.NEVER
        if isinstance(value, Struct):
            changes[field.name] = _allowed_of(value, is_agreed, dotted + ".")
        elif not may_apply and not applies_at_once(dotted, value):
            changes[field.name] = field.default
    return msgspec.structs.replace(asked, **changes)


def _differences(base: Any, other: Any, path: str = "") -> Iterator[str]:
    """Every setting that is another in ``other``, with its value there."""
    for field in msgspec.structs.fields(base):
        dotted, before, after = path + field.encode_name, getattr(base, field.name), getattr(other, field.name)
        if isinstance(before, Struct):
            yield from _differences(before, after, dotted + ".")
        elif before != after:
            yield f"{dotted} = {_shown(after)}"


def _merge(
    base: Any, options: object, source: str, warnings: list[str], path: str = "", *, strict: bool = True
) -> Any:
    """``base`` with every good value of ``options`` put in; each bad one adds a warning and changes nothing."""
    if options is None:
        return base
    if not isinstance(options, Mapping):
        warnings.append(f"{source}: {path or 'settings'} must be an object, got {_shown(options)}")
        return base
    fields = {name: field for field in msgspec.structs.fields(base) for name in (field.name, field.encode_name)}
    changes: dict[str, Any] = {}
    for key, value in options.items():
        field = fields.get(key) if isinstance(key, str) else None
        if field is None:
            name = _shown_name(f"{path}.{key}" if path else str(key))
            hint = _suggestion(str(key), fields) if len(warnings) < _MAX_WARNINGS else ""
            warnings.append(f"{source}: unknown setting {name}{hint}")
            continue
        dotted, current = f"{path}.{key}" if path else key, getattr(base, field.name)
        if isinstance(current, Struct):
            changes[field.name] = _merge(current, value, source, warnings, dotted, strict=strict)
            continue
        try:
            changes[field.name] = msgspec.convert(value, field.type, strict=strict)
        except (ValueError, OverflowError, RecursionError, TypeError) as error:
            warnings.append(f"{source}: {dotted} = {_shown(value)} is ignored ({error}); using {current!r}")
    return msgspec.structs.replace(base, **changes)


def _first_of(warnings: list[str]) -> tuple[str, ...]:
    """``warnings``, but no more than a user would read."""
    num_more = len(warnings) - _MAX_WARNINGS
    more = (f"and {num_more} more like these",) if num_more > 0 else ()
    return (*warnings[:_MAX_WARNINGS], *more)


def _shown(value: object) -> str:
    """``value`` in at most 60 characters; it may be of any size and depth."""
    try:
        text = _SHORT.repr(value)
    except (ValueError, RecursionError):  # a number with more digits than Python converts
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 3] + "..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 2 * _MAX_SHOWN_CHARS


def _shown_name(name: str) -> str:
    return name if name.isprintable() and len(name) <= _MAX_SHOWN_CHARS else _shown(name)


def _suggestion(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1) if len(key) <= _MAX_SHOWN_CHARS else ()
    return f" (did you mean {close[0]}?)" if close else ""


def _leaf_paths(struct: type[Struct], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for field in msgspec.structs.fields(struct):
        inner = (*path, field.name)
        if isinstance(field.default, Struct):
            paths.extend(_leaf_paths(type(field.default), inner))
        else:
            paths.append(inner)
    return paths


def _env_name(path: tuple[str, ...]) -> str:
    return _ENV_PREFIX + "_".join(path).upper()


def _environment_options(environ: Mapping[str, str]) -> dict[str, Any]:
    """Options found in the environment, also the Hub's own HF_HUB_OFFLINE."""
    options: dict[str, Any] = {}
    if environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        options["model"] = {"offline": True}
    for path in _leaf_paths(Settings):
        text = environ.get(_env_name(path))
        if text is None:
            continue
        group = options
        for name in path[:-1]:
            group = group.setdefault(name, {})
        is_list = path[-1] in {"disabled_languages", "disabled_contexts"}
        group[path[-1]] = [part for part in text.split(",") if part] if is_list else text
    return options
