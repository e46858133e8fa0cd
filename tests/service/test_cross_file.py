"""Context in the straight line: over a tiny model, typing reads only what is typed; ignored files get nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from completion_server.config import ContextSettings, GenerationSettings, Settings
from completion_server.context.collect import ContextCollector
from completion_server.document import Position
from completion_server.engine.engine import Engine
from completion_server.prompt.build import ModelFacts, PromptBuilder
from completion_server.request import (
    CancellationToken,
    CompletionRequest,
    Deadline,
    FinishReason,
    TriggerKind,
    WorkspaceView,
)
from completion_server.service import CompletionService
from completion_server.tokenizer import StreamingDetokenizer
from tests.service.test_families import family
from tests.support.marked import parse_marked
from tests.support.workspaces import settled_collector, write_files

FILES = {
    "pkg/util.py": "def area(width, height):\n    return 1\n\n\nclass Point:\n    def norm(self): ...\n",
    "pkg/main.py": "x = 1\n",
}
BEFORE = "from pkg.util import Point, area\n\n\n" + "".join(f"value_{n} = {n}\n" for n in range(12))


def make_service(name: str, collector: ContextCollector) -> CompletionService:
    tokenizer, model, _ = family(name)
    model.wanted = None
    settings = Settings(
        context=ContextSettings(cross_file="on", max_prompt_tokens=400, max_suffix_tokens=64),
        generation=GenerationSettings(automatic_max_tokens=4),
    )
    builder = PromptBuilder(tokenizer, ModelFacts(None, model.max_context))
    engine = Engine(model, lambda skipped: StreamingDetokenizer(tokenizer, len(skipped)), settings)
    return CompletionService(engine, builder, settings, collector)


def request_for(root: Path, marked: str, path: str = "pkg/main.py") -> CompletionRequest:
    document, position = parse_marked(marked, uri=(root / path).as_uri())
    view = WorkspaceView(root_uri=root.as_uri())
    return CompletionRequest(
        document, position, TriggerKind.AUTOMATIC, Deadline.never(), CancellationToken(), workspace=view
    )


@pytest.mark.parametrize("name", ["qwen2.5-coder", "mellum", "own spm", "smollm2"])
def test_typing_reads_almost_nothing_anew(tmp_path: Path, name: str) -> None:
    service = make_service(name, settled_collector(write_files(tmp_path, FILES)))
    line = "size = area(value_1, Point().norm())"
    num_prompt = num_cached = 0
    for column in range(8, len(line) + 1):
        # The text after the cursor comes first in some orders; there is little of it, as at the end of a file.
        completion = service.complete(request_for(tmp_path, BEFORE + line[:column] + "ˇ"))
        if "num_prompt_tokens" not in completion.trace or column == 8:
            continue
        assert completion.trace["snippets"]
        num_prompt += int(str(completion.trace["num_prompt_tokens"]))
        num_cached += int(str(completion.trace["num_cached_tokens"]))
    assert num_prompt > 1000
    if family(name)[2].order_name != "psm":
        assert num_cached >= 0.95 * num_prompt


def test_other_files_are_copied_from_beside_the_prompt(tmp_path: Path) -> None:
    collector = settled_collector(write_files(tmp_path, FILES))
    prompts = []
    for cross_file, local_ngrams in (("off", "off"), ("off", "on"), ("auto", "on"), ("auto", "off")):
        service = make_service("own spm", collector)
        context = ContextSettings(cross_file=cross_file, local_ngrams=local_ngrams, max_prompt_tokens=400)
        settings = replace(service._settings, context=context)
        service.apply_settings(settings)
        prompts.append(service._prompt_of(request_for(tmp_path, BEFORE + "size = area(ˇ")))
    tokenizer = family("own spm")[0]
    needed = np.array(tokenizer.encode("def area(width, height):"), np.int32).tobytes()
    assert {prompt.token_ids for prompt in prompts} == {prompts[0].token_ids}, "they cost no tokens"
    assert [each.local_text is not None for each in prompts] == [False, True, True, False]
    assert [each.local_text is not None and needed in each.local_text.token_ids for each in prompts] == [
        False,
        False,
        True,
        False,
    ]


def test_the_trace_names_places_and_no_text(tmp_path: Path) -> None:
    service = make_service("own spm", settled_collector(write_files(tmp_path, FILES)))
    trace = service.complete(request_for(tmp_path, BEFORE + "size = area(ˇ")).trace
    (snippet,) = trace["snippets"]  # type: ignore[misc]
    assert (snippet["place"], snippet["kind"]) == ("pkg/util.py:1-6", "definition")
    assert snippet["num_tokens"] > 4
    assert "width" not in repr(trace)
    assert "context" in trace["stage_ms"]  # type: ignore[operator]


def test_a_better_selection_is_read_at_idle_and_then_costs_nothing(tmp_path: Path) -> None:
    collector = settled_collector(write_files(tmp_path, FILES))
    service = make_service("own spm", collector)
    request = request_for(tmp_path, BEFORE.replace("import Point, area", "import Point") + "size = ˇ")
    answer = service.complete(request)
    later = request_for(tmp_path, BEFORE + "size = area(ˇ")
    assert "Point" in repr(
        collector.collect(later.document, later.position, later.workspace, 100).snippets[0].text
    )
    service.look_ahead(later, dataclasses.replace(answer, items=()))
    completion = service.complete(request_for(tmp_path, BEFORE + "size = area(1, ˇ"))
    (snippet,) = collector.collect(later.document, later.position, later.workspace, 100).snippets
    assert "def area" in snippet.text
    assert int(str(completion.trace["num_prefilled_tokens"])) <= 12


def test_a_document_read_at_idle_is_the_head_of_a_prompt_in_its_middle(tmp_path: Path) -> None:
    collector = settled_collector(write_files(tmp_path, FILES))
    service = make_service("smollm2", collector)
    text = BEFORE + "size = area(1)\n" + "\n" * 60
    end = request_for(tmp_path, text + "ˇ")
    service.prefill(end)
    first = collector.collect(end.document, end.position, end.workspace, 100)
    line = BEFORE.count("\n")
    place = dataclasses.replace(end, position=Position(line, len("size = area(1)")))
    trace = service.complete(place).trace
    assert trace["snippets"]
    assert int(str(trace["num_prefilled_tokens"])) <= 12
    assert collector.collect(place.document, place.position, place.workspace, 100) is first


@pytest.mark.parametrize(("path", "word"), [("hidden.py", ".completionignore"), (".env", "secrets")])
def test_ignored_documents_get_nothing_and_the_trace_says_why(tmp_path: Path, path: str, word: str) -> None:
    write_files(tmp_path, {**FILES, ".completionignore": "hidden.py\n"})
    service = make_service("own spm", settled_collector(tmp_path))
    completion = service.complete(request_for(tmp_path, "x = ˇ", path))
    assert (completion.items, completion.finish_reason) == ((), FinishReason.SKIPPED)
    assert word in str(completion.trace["reason"])


def test_inside_a_secret_nothing_is_suggested(tmp_path: Path) -> None:
    service = make_service("own spm", settled_collector(tmp_path))
    for marked in ("key = 'AKIAABCDEFGHIJˇKLMNOP'", "key = 'AKIAABCDEFGHIJKLMNOPˇ'"):
        completion = service.complete(request_for(tmp_path, marked))
        assert "secret" in str(completion.trace["reason"])
