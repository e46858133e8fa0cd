"""Held-out repositories as workspaces: written to the disk, indexed, and the open file's own text left out."""

from __future__ import annotations

from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.evaluation.fim_infill import make_tasks
from completion_server.evaluation.held_out import SourceFile
from completion_server.evaluation.workspaces import fill_in_workspaces, write_workspaces
from completion_server.request import Completion, CompletionRequest, FinishReason

FILES = [
    SourceFile("r", "pkg/util.py", "python", "def area(width, height):\n    return width * height\n"),
    SourceFile("r", "pkg/main.py", "python", "from pkg.util import area\n\n\ndef own():\n    return area(3, 4)\n"),
    SourceFile("s", "a.py", "python", "from pkg.util import area\n\nsize = area(3, 4)\n"),
    SourceFile("s", "../../evil.py", "python", "size = 1\n"),
    SourceFile("t", "never.py", "python", "size = 2\n"),
]


class Recorder:
    """Chooses snippets as the service would and answers nothing."""

    def __init__(self, collector: ContextCollector) -> None:
        self._collector = collector
        self.seen: list[tuple[str, list[str]]] = []

    def complete(self, request: CompletionRequest) -> Completion:
        context = self._collector.collect(request.document, request.position, request.workspace, 256)
        self.seen.append((request.document.uri, [snippet.path for snippet in context.snippets]))
        return Completion.empty(FinishReason.STOP)

    def clear_caches(self) -> None:
        self._collector.clear()


def test_each_hole_is_asked_for_in_the_workspace_of_its_repository(tmp_path: Path) -> None:
    tasks = [task for task in make_tasks(FILES, 12) if task.repository in "rs" and "evil" not in task.path]
    roots = write_workspaces(FILES, tmp_path / "w", (task.repository for task in tasks))
    assert sorted(roots) == ["r", "s"]
    assert (roots["r"] / "pkg" / "util.py").read_text(encoding="utf-8") == FILES[0].text
    assert not list(tmp_path.rglob("evil.py"))
    assert not list(tmp_path.rglob("never.py"))
    collector = ContextCollector(runs_in_background=False)
    service = Recorder(collector)
    filled = list(fill_in_workspaces(service, collector, tasks, roots))
    assert sorted(hole.middle for hole in filled) == sorted(task.hole.middle for task in tasks)
    shown = dict(service.seen)
    assert shown[(roots["r"] / "pkg/main.py").as_uri()] == ["pkg/util.py"]
    assert shown[(roots["s"] / "a.py").as_uri()] == []
