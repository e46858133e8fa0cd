"""From a recipe to a corpus directory, with registries' clients replaced."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from completion_server.evaluation.held_out import read_manifest, read_split
from completion_server.training.corpus_build import build_corpus
from completion_server.training.corpus_dedup import NearDuplicates
from completion_server.training.corpus_fetch import fetch_source
from completion_server.training.corpus_recipe import CorpusRecipe, Source, read_recipe
from completion_server.training.error import TrainingError
from tests.training.conftest import make_file

WORDS = (
    "open",
    "close",
    "read",
    "write",
    "send",
    "count",
    "index",
    "value",
    "name",
    "path",
    "line",
    "text",
    "item",
)


def prose(seed: int) -> str:
    rng = random.Random(seed)
    return "\n".join(
        f"{rng.choice(WORDS)}_{number} = {rng.choice(WORDS)}({rng.choice(WORDS)})" for number in range(60)
    )


def make_wheel(directory: Path, name: str, licence: str, files: dict[str, str]) -> None:
    with zipfile.ZipFile(directory / f"{name}-1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}-1.2.dist-info/METADATA", f"Name: {name}\nLicense-Expression: {licence}\n")
        for path, text in files.items():
            archive.writestr(f"{name}/{path}", text)


def make_tar(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))


def fake_registry(command: Sequence[str], directory: Path) -> None:
    """Leaves what the real clients would."""
    name = command[-1].partition("==")[0]
    if "pip" in command:
        if name == "missing":
            raise TrainingError("no such package")
        licence = "GPL-3.0" if name == "copyleft" else "MIT"
        make_wheel(directory, name, licence, {"a.py": prose(1 if name == "copy" else sum(map(ord, name)))})
    elif command[0] == "npm":
        facts = json.dumps({"name": "thing", "version": "3.0.0", "license": "ISC"})
        make_tar(directory / "thing-3.0.0.tgz", {"package/package.json": facts, "package/src/a.ts": prose(7)})
    else:
        (directory / "tool_1.0-2.dsc").write_text("")
        make_tar(directory / "tool_1.0.orig.tar.gz", {"tool-1.0/a.c": prose(8), "tool-1.0/old/b.c": prose(9)})
        copyright_text = "Files: *\nLicense: Expat\n\nFiles: old/*\nLicense: GPL-2\n"
        make_tar(directory / "tool_1.0-2.debian.tar.gz", {"debian/copyright": copyright_text})


def test_a_corpus_keeps_repositories_and_copies_apart(tmp_path: Path) -> None:
    sources = (
        Source("wheel", "first", split="train"),
        Source("wheel", "copy", split="train"),
        Source("wheel", "copyleft", split="train"),
        Source("wheel", "missing", split="train"),
        Source("npm", "thing", split="validation"),
        Source("debian", "tool", split="held-out"),
        Source("directory", str(tmp_path / "mine"), licence="MIT", split="held-out"),
    )
    mine = tmp_path / "mine" / "lib.py"
    mine.parent.mkdir()
    mine.write_text(prose(1))
    summary = build_corpus(CorpusRecipe(sources), tmp_path / "corpus", run=fake_registry)
    assert summary.num_files == {"held-out": 2, "validation": 1, "train": 1}
    assert set(summary.left_out) == {"wheel:copyleft", "wheel:missing"}
    held_out = {
        (file.repository, file.path, file.language) for file in read_split(tmp_path / "corpus", "held-out")
    }
    # The copy in "copy" gave way to the file that scores are made on; the file under another licence is gone.
    assert held_out == {("debian:tool", "a.c", "c"), ("directory:mine", "lib.py", "python")}
    assert [file.path for file in read_split(tmp_path / "corpus", "train")] == ["first/a.py"]
    records = {record["source"]: record for record in read_manifest(tmp_path / "corpus")["sources"]}
    assert records["wheel:first"]["licence"] == "MIT"
    assert records["wheel:first"]["version"] == "1.2"
    assert len(records["npm:thing"]["sha256"]) == 64
    assert records["debian:tool"]["version"] == "1.0-2"


def test_the_same_recipe_gives_the_same_corpus(tmp_path: Path) -> None:
    recipe = CorpusRecipe((Source("wheel", "first"), Source("npm", "thing")), seed=3)
    for name in ("one", "two"):
        build_corpus(recipe, tmp_path / name, run=fake_registry)
    for split in ("train", "validation", "held-out"):
        assert read_split(tmp_path / "one", split) == read_split(tmp_path / "two", split)


def test_nothing_usable_is_an_error_and_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such package"):
        build_corpus(CorpusRecipe((Source("wheel", "missing"),)), tmp_path / "corpus", run=fake_registry)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("has_filter", [True, False])
def test_no_package_may_lead_out_of_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_filter: bool
) -> None:
    if not has_filter:  # as older releases of Python are
        monkeypatch.delattr(tarfile, "data_filter", raising=False)

    def evil(_command: Sequence[str], directory: Path) -> None:
        make_tar(directory / "evil-1.tgz", {"package/package.json": "{}", "../../outside.ts": prose(1)})

    with pytest.raises(TrainingError, match="cannot be unpacked"):
        fetch_source(Source("npm", "evil"), tmp_path / "work", evil)
    assert not list(tmp_path.rglob("outside.ts"))


def test_near_duplicates_are_found_and_other_files_kept() -> None:
    duplicates = NearDuplicates()
    text = prose(1)
    assert duplicates.is_new(text)
    assert not duplicates.is_new(text.replace("\n", "\n\n"))
    assert not duplicates.is_new(text.replace("open_0", "shut_0") + "\n# one more line\n")
    assert duplicates.is_new(prose(2))


def test_a_recipe_is_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'seed = 4\n[language_shares]\npython = 0.5\n[packages]\nwheel = ["click==8.1.0", "attrs"]\n'
        '[[source]]\nkind = "directory"\nname = "src"\nlicence = "MIT"\nsplit = "train"\n'
    )
    recipe = read_recipe(path)
    assert recipe.seed == 4
    assert recipe.sources[0] == Source("wheel", "click", "8.1.0")
    assert recipe.sources[2] == Source("directory", str(tmp_path / "src"), None, "MIT", "train")
    for text, message in {
        "": "names no source",
        "packages = 3": "cannot be read|names no source",
        '[packages]\nrubygems = ["x"]': "no such kind",
        '[packages]\nwheel = ["x", "x"]': "twice",
        '[[source]]\nkind = "npm"\nname = "x"\nsplit = "test"': "no such split",
        '[[source]]\nkind = "npm"\nname = "x"\nurl = "y"': "no field 'url'",
    }.items():
        path.write_text(text)
        with pytest.raises(TrainingError, match=message):
            read_recipe(path)


def test_splits_depend_on_the_name_and_the_seed_only() -> None:
    splits = [Source("wheel", f"package{number}").chosen_split(0) for number in range(2000)]
    assert 120 < splits.count("held-out") < 200
    assert 50 < splits.count("validation") < 110
    assert splits == [Source("wheel", f"package{number}", "1.0").chosen_split(0) for number in range(2000)]
    assert make_file(1) == make_file(1)
