"""A small package with tests of its own: what is right passes, what is wrong does not, nothing is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from completion_server.errors import RequestError
from completion_server.evaluation.package_holes import PackageTask, judge_package
from completion_server.request import Completion, CompletionItem, CompletionRequest, FinishReason

CODE = '''"""A docstring with code in it:
    not_a_hole(at all)
"""


def area(width, height):
    """Another one."""
    result = width * height
    return result


def unseen(value):
    nobody_calls(value)
'''
TESTS = "from shapes import area\nassert area(2, 3) == 6\n"
COMMAND = ("python", "test_shapes.py")


class Always:
    """Writes the same into every hole, and remembers what it was asked."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.requests: list[CompletionRequest] = []

    def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        texts = [text for text in self._texts if text not in request.document.text]
        if not texts:
            return Completion.empty(FinishReason.STOP)
        return Completion((CompletionItem(texts[0], request.position, request.position),), FinishReason.STOP)

    def clear_caches(self) -> None: ...


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "shapes.py").write_text(CODE)
    (tmp_path / "test_shapes.py").write_text(TESTS)
    return tmp_path


def test_only_lines_that_the_tests_notice_are_judged(package: Path) -> None:
    service = Always("result = width * height", "return result")
    judged = list(judge_package(service, PackageTask(package, COMMAND)))
    assert sorted(hole.middle for hole in judged) == ["result = width * height", "return result"]
    assert all(hole.is_passed for hole in judged)
    assert (package / "shapes.py").read_text() == CODE
    assert sorted(path.name for path in package.iterdir()) == ["shapes.py", "test_shapes.py"]


def test_what_works_passes_however_it_is_spelled(package: Path) -> None:
    service = Always("result = height * width")
    judged = {hole.middle: hole for hole in judge_package(service, PackageTask(package, COMMAND))}
    assert judged["result = width * height"].is_passed
    assert not judged["return result"].is_passed


@pytest.mark.parametrize(
    "text", ["", "import socket; socket.create_connection(('127.0.0.1', 1))", "while True: pass"]
)
def test_what_is_wrong_hangs_or_calls_out_does_not_pass(package: Path, text: str) -> None:
    task = PackageTask(package, COMMAND, max_test_s=5)
    assert not any(hole.is_passed for hole in judge_package(Always(text) if text else Always(), task))


def test_the_number_of_holes_is_kept_and_the_seed_decides(package: Path) -> None:
    first = [hole.line for hole in judge_package(Always(), PackageTask(package, COMMAND, num_holes=1, seed=3))]
    again = [hole.line for hole in judge_package(Always(), PackageTask(package, COMMAND, num_holes=1, seed=3))]
    assert len(first) == 1
    assert first == again


def test_tests_that_fail_anyway_are_an_error(package: Path) -> None:
    (package / "test_shapes.py").write_text("assert False")
    with pytest.raises(RequestError, match="do not pass as they are"):
        list(judge_package(Always(), PackageTask(package, COMMAND)))


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="not a directory"):
        list(judge_package(Always(), PackageTask(tmp_path / "gone", COMMAND)))
