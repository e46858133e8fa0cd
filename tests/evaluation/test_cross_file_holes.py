"""Cross-file holes: before a name that another file defines, on disk, and context for them."""

from __future__ import annotations

from pathlib import Path

from completion_server.context.collect import ContextCollector
from completion_server.evaluation.cross_file_holes import fill_cross_file_holes, make_cross_file_tasks
from completion_server.evaluation.held_out import SourceFile
from completion_server.request import Completion, CompletionRequest, FinishReason

UTIL = SourceFile("r", "pkg/util.py", "python", "def area(width, height):\n    return width * height\n")
MAIN = SourceFile(
    "r",
    "pkg/main.py",
    "python",
    "from pkg.util import area\n\n\ndef own():\n    size = area(3, 4) + own()\n    return size\n",
)
ALONE = SourceFile("s", "a.py", "python", "from pkg.util import area\nsize = area(3, 4)\n")
OUTSIDE = SourceFile("r", "../../evil.py", "python", "x = 1\n")


class Recorder:
    """Chooses snippets as the service would and answers nothing."""

    def __init__(self, collector: ContextCollector) -> None:
        self._collector = collector
        self.paths: list[str] = []

    def complete(self, request: CompletionRequest) -> Completion:
        context = self._collector.collect(request.document, request.position, request.workspace, 256)
        self.paths += [snippet.path for snippet in context.snippets]
        return Completion.empty(FinishReason.STOP)

    def clear_caches(self) -> None:
        self._collector.clear()


def test_holes_and_their_workspace(tmp_path: Path) -> None:
    tasks = make_cross_file_tasks([UTIL, MAIN, ALONE, OUTSIDE], tmp_path / "w", 10)
    (task,) = tasks
    assert task.hole.middle == "area(3, 4) + own()"
    assert task.hole.document.line_prefix(task.hole.position) == "    size = "
    assert not (tmp_path / "evil.py").exists()
    collector = ContextCollector(runs_in_background=False)
    service = Recorder(collector)
    (filled,) = fill_cross_file_holes(service, collector, tasks)
    assert (filled.kind, filled.middle, filled.completion) == ("cross-file", task.hole.middle, "")
    assert service.paths == ["pkg/util.py"]


def test_holes_elsewhere_need_no_name_of_another_file(tmp_path: Path) -> None:
    alone = make_cross_file_tasks([UTIL, MAIN], tmp_path / "v", 10)
    tasks = make_cross_file_tasks([UTIL, MAIN], tmp_path / "w", 10, max_elsewhere=10)
    needed = [task for task in tasks if task.kind == "cross-file"]
    elsewhere = [task for task in tasks if task.kind == "elsewhere"]
    assert [task.hole.middle for task in needed] == [task.hole.middle for task in alone]
    assert {Path(task.hole.document.uri).name for task in elsewhere} == {"util.py", "main.py"}
    for task in elsewhere:
        assert not task.needed_names
        assert "area" not in task.hole.middle or task.hole.document.uri.endswith("util.py")
    collector = ContextCollector(runs_in_background=False)
    for task in elsewhere:
        service = Recorder(collector)
        (filled,) = fill_cross_file_holes(service, collector, [task])
        assert filled.kind == "elsewhere"
        # Not its own file, of which the disk has other text than the editor.
        assert Path(task.hole.document.uri).name not in [Path(path).name for path in service.paths]
