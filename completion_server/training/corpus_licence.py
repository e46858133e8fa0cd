"""Which licences allow training on a file: permissive ones only, read from metadata and Debian copyright files.

Copyright files: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. Expressions: SPDX, loosely.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass

_PERMISSIVE = re.compile(
    r"(?:the )?(?:"
    r"mit(?:-0|-cmu|-style| license| licence)?|expat|x11|isc(?: license)?(?: \(iscl\))?|0bsd|zlib(?:/libpng)?"
    r"|(?:new |modified |simplified |3-clause |2-clause )?bsd(?:[- ]?\(?[0234][- ]clause\)?)?(?:[- ]license)?"
    r"|bsd[- ](?:style|like|new|simplified|revised)|revised bsd license"
    r"|apache(?:[- ]software)?(?:[- ]licen[sc]e)?[-, ]*(?:version[- ]?)?v?(?:2(?:\.0)?)?(?:-llvm)?(?: licen[sc]e)?"
    r"|asl[- ]?2(?:\.0)?|bsl-1\.0|boost(?:[- ]?(?:software license )?1\.0)?|cc0(?:-1\.0)?(?: universal)?"
    r"|public[- ]domain|psf(?:-2\.0)?|python(?:[- ]software foundation license|-2\.0(?:\.1)?)"
    r"|hpnd|curl|postgresql|ncsa"
    r"|blueoak-1\.0\.0|unlicense|bzip2(?:-1\.0\.6)?|w3c|upl(?:-1\.0)?"
    r")"
)
_VERSION_COMMA = re.compile(r",\s*(?=v(?:ersion)?[ .]?\d)")
_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")
_FIELD = re.compile(r"^([A-Za-z-]+):[ \t]*(.*)$")


def is_permissive(expression: str | None) -> bool:
    """Whether ``expression`` ("MIT OR GPL-2.0", "BSD-3-clause and Expat") leaves a permissive choice."""
    text = (expression or "").casefold().strip()
    text = _VERSION_COMMA.sub(" ", text)
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    if not text or " with " in text:
        return False
    alternatives = re.split(r"\s+or\s+|\s*/\s*|\|", text)
    return any(_all_permissive(each) for each in alternatives)


def _all_permissive(conjunction: str) -> bool:
    parts = [part.strip() for part in re.split(r"\s+and\s+|[,&;]", conjunction) if part.strip()]
    return bool(parts) and all(_PERMISSIVE.fullmatch(part) for part in parts)


def licence_of_metadata(metadata: str) -> str | None:
    """The licence that a Python package's METADATA states, or None: expression, classifiers, then free text."""
    header = metadata.split("\n\n", 1)[0]
    fields: dict[str, list[str]] = {}
    for line in header.splitlines():
        if found := _FIELD.match(line):
            fields.setdefault(found[1].casefold(), []).append(found[2].strip())
    if expression := fields.get("license-expression"):
        return expression[0]
    classifiers = [found[1] for text in fields.get("classifier", []) if (found := _CLASSIFIER.match(text))]
    names = sorted({name.removesuffix(" License") for name in classifiers if name != "OSI Approved"})
    if names:
        return " AND ".join(names)
    stated = fields.get("license", [""])[0]
    return stated or None


@dataclass(frozen=True)
class DebianCopyright:
    """The stanzas of a copyright file: (patterns, licence name), in order; the last that matches a file counts."""

    stanzas: tuple[tuple[tuple[str, ...], str], ...]

    def licence_of(self, path: str) -> str | None:
        """Licence of the file at ``path`` (relative, with slashes), None where no stanza speaks about it."""
        found = None
        for patterns, licence in self.stanzas:
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                found = licence
        return found

    @property
    def main_licence(self) -> str | None:
        """What is said about ``*``."""
        return next((licence for patterns, licence in self.stanzas if "*" in patterns), None)


def parse_debian_copyright(text: str) -> DebianCopyright | None:
    """The machine-readable stanzas of ``text``; None for a file in free prose."""
    stanzas: list[tuple[tuple[str, ...], str]] = []
    for block in re.split(r"\n\s*\n", text):
        fields = _stanza_fields(block)
        if "files" in fields and "license" in fields:
            licence = (fields["license"].splitlines() or [""])[0].strip()
            stanzas.append((tuple(fields["files"].split()), licence))
    return DebianCopyright(tuple(stanzas)) if stanzas else None


def _stanza_fields(block: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    name = None
    for line in block.splitlines():
        if line[:1] in {" ", "\t"} and name is not None:
            fields[name] += "\n" + line
        elif found := _FIELD.match(line):
            name = found[1].casefold()
            fields[name] = found[2]
    return fields
