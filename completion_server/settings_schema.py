"""The settings as JSON: their schema, from which editors' settings pages are made, and their values."""

from __future__ import annotations

from typing import Any

import msgspec

from completion_server.config import EDITOR_SECTION, Settings


def settings_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the editor's settings, generated from the types in ``config``."""
    _, components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    root: dict[str, Any] = components.pop("Settings")
    for definition in [root, *components.values()]:
        definition["additionalProperties"] = False
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": EDITOR_SECTION,
        "$defs": components,
    }
    return _as_json_values(schema)


def settings_as_dict(settings: Settings) -> dict[str, Any]:
    """``settings`` as plain values with the editor's key names."""
    return _as_json_values(settings)


def _as_json_values(value: object) -> dict[str, Any]:
    """``value`` in what JSON has: lists, not tuples."""
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return result
