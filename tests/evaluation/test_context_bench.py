"""The benchmark of snippets: its workspace is indexed whole and gives every place some."""

from __future__ import annotations

from pathlib import Path

from completion_server.evaluation.context_bench import measure_context


def test_all_files_are_indexed_and_every_request_has_snippets(tmp_path: Path) -> None:
    times = measure_context(tmp_path / "w", num_files=20, num_requests=10)
    assert times.num_files == 20
    assert times.num_snippets >= 10
    assert len(times.kept_ms) == len(times.chosen_ms) == 10
