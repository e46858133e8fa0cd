"""Writes the server's settings, from its JSON Schema, into package.json and src/generated/.

usage: python scripts/generate_settings.py [--check]      (needs the completion_server package)
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from completion_server.settings_schema import settings_schema
from completion_server.workspace_rules import RULES, Rule

EXTENSION = Path(__file__).resolve().parent.parent
MANIFEST = EXTENSION / "package.json"
KEYS_FILE = EXTENSION / "src" / "generated" / "serverSettingKeys.ts"
SECTION = "completionServer"

OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "server.path": {
        "type": "string",
        "default": "",
        "scope": "machine",
        "markdownDescription": "The executable `completion-server`, or the Python environment it is in. "
        "Empty: the workspace's `.venv`, then `PATH`, then this extension's own environment.",
    },
    "server.python": {
        "type": "string",
        "default": "",
        "scope": "machine",
        "markdownDescription": "The Python (3.10 or newer) that installs the server. Empty: the one on `PATH`.",
    },
    "server.pipArguments": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "scope": "machine",
        "markdownDescription": "More arguments for pip when the server is installed, such as `--extra-index-url` "
        "and the address of a package index with a CPU build of PyTorch.",
    },
}
"""Settings of the extension itself; the server never sees them."""

KEPT = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "minLength", "items", "default")


def server_settings() -> dict[str, dict[str, dict[str, Any]]]:
    """Group (empty for the ungrouped) -> dotted key -> the setting as VS Code describes one."""
    schema = settings_schema()
    groups: dict[str, dict[str, dict[str, Any]]] = {"": {}}
    for name, entry in schema["properties"].items():
        if "$ref" not in entry:
            groups[""][name] = _vscode_setting(name, entry)
            continue
        inner = schema["$defs"][entry["$ref"].rpartition("/")[2]]["properties"]
        groups[name] = {f"{name}.{key}": _vscode_setting(f"{name}.{key}", value) for key, value in inner.items()}
    return groups


def configuration() -> list[dict[str, Any]]:
    """``contributes.configuration`` of package.json."""
    parts = [("Server", OWN_SETTINGS)]
    parts += [(group.capitalize() or "General", settings) for group, settings in server_settings().items()]
    return [
        {
            "title": title,
            "order": order,
            "properties": {f"{SECTION}.{key}": setting for key, setting in settings.items()},
        }
        for order, (title, settings) in enumerate(parts)
    ]


def harmless() -> list[str]:
    """Settings that a workspace may make before it is trusted: those that its own file may make without asking."""
    return [name for name in _server_names() if _rule(name) is Rule.FREE]


def users_only() -> list[str]:
    """Settings that no workspace may make: what is run, where text is sent, where models are kept."""
    return [*OWN_SETTINGS, *(name for name in _server_names() if _is_users_only(name))]


def restricted() -> list[str]:
    """Settings that a workspace may not make until it is trusted: all that are not known to be harmless."""
    return [f"{SECTION}.{name}" for name in [*OWN_SETTINGS, *_server_names()] if name not in harmless()]


def manifest() -> str:
    """package.json with the generated parts made anew."""
    content = json.loads(MANIFEST.read_text(encoding="utf-8"))
    content.setdefault("contributes", {})["configuration"] = configuration()
    content["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] = restricted()
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def keys_file() -> str:
    """The names of the server's settings, for the filter."""
    head = "// Made by scripts/generate_settings.py from the server's JSON Schema and its rules for workspaces.\n"
    lists = {
        "SERVER_SETTING_KEYS": ("", _server_names()),
        "HARMLESS_KEYS": ("\n/** A workspace may set these before it is trusted. */\n", harmless()),
        "USERS_ONLY_KEYS": ("\n/** No workspace may set these. */\n", users_only()),
    }
    parts = [
        "\n".join([f"{comment}export const {name}: readonly string[] = [", *(f'  "{key}",' for key in keys), "];"])
        for name, (comment, keys) in lists.items()
    ]
    return "\n".join([head, *parts]) + "\n"


def _server_names() -> list[str]:
    return [key for settings in server_settings().values() for key in settings]


def _rule(name: str) -> Rule:
    """The rule for a setting by the editor's name of it; NEVER for one that is not known."""
    return RULES.get(re.sub("[A-Z]", lambda match: "_" + match[0].lower(), name), Rule.NEVER)


def _is_users_only(name: str) -> bool:
    return name == "model.cacheDir" or (_rule(name) is Rule.NEVER and name != "trustWorkspace")


def _scope(name: str) -> str:
    if _is_users_only(name):
        return "machine"
    return "machine-overridable" if name.startswith("model.") else "window"


def _vscode_setting(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    setting = {key: entry[key] for key in KEPT if key in entry}
    if "anyOf" in entry:
        setting["type"] = [option["type"] for option in entry["anyOf"]]
    if "enum" in setting:
        setting["type"] = "string"
    setting["scope"] = _scope(name)
    setting["markdownDescription"] = re.sub(r"(\.[\w-]+\.toml)", r"`\1`", entry["description"])
    return setting


def main(arguments: list[str]) -> int:
    wanted = {MANIFEST: manifest(), KEYS_FILE: keys_file()}
    stale = [
        path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in stale:
            sys.stdout.write(f"{path.name} is stale: run python {Path(__file__).name}\n")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
