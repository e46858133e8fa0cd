"""Licences: permissive ones pass, everything else and everything unclear does not."""

from __future__ import annotations

import pytest

from completion_server.training.corpus_licence import is_permissive, licence_of_metadata, parse_debian_copyright


@pytest.mark.parametrize(
    "expression",
    [
        "MIT", "MIT License", "Expat", "BSD-3-Clause", "BSD 3-Clause", "BSD", "Apache-2.0",
        "Apache License 2.0", "Apache License, Version 2.0", "Apache 2.0 License",
        "ISC", "ISC License (ISCL)", "0BSD", "Zlib",
        "Apache Software License", "Boost-1.0", "Unlicense", "CC0-1.0", "public-domain", "PSF-2.0",
        "BSL-1.0", "MIT OR GPL-3.0", "GPL-2+ or Expat",
        "BSD-2-clause and Expat", "MIT AND Apache-2.0", "(MIT OR Apache-2.0)", "MIT/Apache-2.0",
    ],
)  # fmt: skip
def test_permissive(expression: str) -> None:
    assert is_permissive(expression)


@pytest.mark.parametrize(
    "expression",
    [
        None, "", "GPL-3.0", "LGPL-2.1", "AGPL-3.0-only", "MPL-2.0", "MIT AND GPL-2.0", "Expat and LGPL-2+",
        "unknown", "Proprietary", "CC-BY-NC-4.0", "SSPL-1.0", "GPL-2.0 WITH Classpath-exception-2.0", "UNLICENSED",
        "SEE LICENSE IN LICENSE.md", "BUSL-1.1", "EPL-2.0", "CC-BY-SA-4.0",
    ],
)  # fmt: skip
def test_not_permissive(expression: str | None) -> None:
    assert not is_permissive(expression)


def test_metadata_states_it_in_three_ways() -> None:
    assert licence_of_metadata("Name: x\nLicense-Expression: MIT\nLicense: GPL\n\nbody") == "MIT"
    classifiers = "License: see file\nClassifier: License :: OSI Approved :: BSD License\n"
    assert licence_of_metadata(classifiers) == "BSD"
    assert licence_of_metadata("Name: x\nLicense: ISC\n\nLicense: GPL") == "ISC"
    assert licence_of_metadata("Name: x\n") is None


COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: thing

Files: *
Copyright: 2020 Somebody
License: Expat
 Permission is hereby granted

Files: contrib/*
 src/old.c
Copyright: 2001 Somebody Else
License: GPL-2+

License: GPL-2+
 long text
"""


def test_debian_copyright_knows_single_files() -> None:
    facts = parse_debian_copyright(COPYRIGHT)
    assert facts is not None
    assert facts.main_licence == "Expat"
    assert facts.licence_of("src/new.c") == "Expat"
    assert facts.licence_of("src/old.c") == "GPL-2+"
    assert facts.licence_of("contrib/deep/file.c") == "GPL-2+"
    assert parse_debian_copyright("This package was written by somebody.") is None
