"""Recall of snippets: what is counted, that no hole can be read from the disk, and the command's figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from completion_server.cli.bench_context_command import RecallTask, recall_rows, run_recall
from completion_server.cli.option import CommonOptions
from completion_server.context.collect import ContextCollector
from completion_server.evaluation.context_recall import layout_of, recalled_holes
from completion_server.evaluation.cross_file_holes import make_cross_file_tasks
from completion_server.evaluation.held_out import SourceFile, split_path, write_files
from completion_server.evaluation.names_elsewhere import common_names
from completion_server.snippet import CrossFileContext
from tests.support.tiny_tokenizers import byte_level, smollm2

UTIL = SourceFile("r", "pkg/util.py", "python", "def square_of(width):\n    return width * width\n")
USES = SourceFile(
    "r",
    "pkg/main.py",
    "python",
    "import pkg.util\n\n\ndef own():\n    size = pkg.util.square_of(3, 4)\n    return size\n",
)


def all_of(context: CrossFileContext, language_id: str, max_tokens: int) -> str:
    return "".join(snippet.text for snippet in context.snippets)


def test_a_name_that_the_snippets_show(tmp_path: Path) -> None:
    tasks = make_cross_file_tasks([UTIL, USES], tmp_path, 10)
    (hole,) = recalled_holes(tasks, ContextCollector(runs_in_background=False), all_of, 256)
    assert hole.task.needed_names == ("square_of",)
    assert (hole.is_in_document, hole.has_snippets, hole.has_first, hole.has_all) == (False, True, True, True)
    (total, python) = recall_rows([hole])
    assert total == {**python, "language": "all"}
    assert (total["num_holes"], total["num_first"]) == (1, 1)
    assert total["not_in_document"]["num_first"] == 1  # type: ignore[index]


def test_what_the_layout_cuts_is_not_visible(tmp_path: Path) -> None:
    tasks = make_cross_file_tasks([UTIL, USES], tmp_path, 10)
    lay_out = layout_of(smollm2())
    for max_tokens, is_visible in ((256, True), (4, False)):
        collector = ContextCollector(runs_in_background=False)
        holes = list(recalled_holes(tasks, collector, lambda *args: lay_out(*args[:2], max_tokens), 256))  # noqa: B023
        assert [hole.has_first for hole in holes] == [is_visible]


def test_no_hole_can_be_read_from_the_disk(tmp_path: Path) -> None:
    (task,) = make_cross_file_tasks([UTIL, USES], tmp_path, 10)
    on_disk = (task.root / "pkg/main.py").read_text(encoding="utf-8")
    assert on_disk == task.hole.document.text
    assert "square_of" not in on_disk


def test_names_of_many_repositories_and_in_strings_do_not_count(tmp_path: Path) -> None:
    others = [SourceFile(f"s{number}", "a.py", "python", "square_of(1)\n") for number in range(3)]
    assert make_cross_file_tasks([UTIL, USES, *others], tmp_path / "common", 10) == []
    assert common_names((file.repository, file.text) for file in others[:2]) == frozenset()
    quoted = SourceFile("r", "pkg/text.py", "python", "x = 1\nprint('see square_of for it')\n")
    assert make_cross_file_tasks([UTIL, quoted], tmp_path / "quoted", 10) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, model = tmp_path / "corpus", tmp_path / "model"
    corpus.mkdir()
    model.mkdir()
    write_files(split_path(corpus, "held-out"), [UTIL, USES])
    (model / "tokenizer.json").write_text(json.dumps(byte_level()), encoding="utf-8")
    (model / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (model / "model.safetensors").write_bytes(b"")
    run_recall(CommonOptions(str(model)), RecallTask(corpus))
    *table, last = capsys.readouterr().out.splitlines()
    assert any("not in document" in line for line in table)
    figures = json.loads(last)
    assert (figures["split"], figures["num_tokens"], figures["rows"][0]["num_holes"]) == ("held-out", 256, 1)
