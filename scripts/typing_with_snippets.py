"""How much of the prompt comes from the prefix cache while somebody types, without snippets and with them.

usage: python scripts/typing_with_snippets.py CORPUS [--files 4] [--keys 30] [--seed 0]

In held-out repositories of a corpus (`train corpus`), the lines from a place that needs another file's name on are
typed again key by key, each key asks the model in the settings, and idle work is done in between. The last line
of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from msgspec.structs import replace

from completion_server.bootstrap import build_service
from completion_server.config import Settings, load_settings
from completion_server.context.collect import ContextCollector
from completion_server.evaluation.cross_file_holes import CrossFileTask, make_cross_file_tasks
from completion_server.evaluation.held_out import read_split
from completion_server.evaluation.workspaces import index_workspace
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.service import CompletionService


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--keys", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = load_settings(None, None).settings
    # Every key asks: what is remembered would hide what a prompt costs.
    settings = replace(settings, cache=replace(settings.cache, completion_cache_entries=0))
    collector = ContextCollector(runs_in_background=False)
    service = build_service(settings, lambda *_step: None, context=collector)
    counts = {"off": [0, 0, 0], "auto": [0, 0, 0], "on": [0, 0, 0]}
    with tempfile.TemporaryDirectory() as directory:
        files = read_split(arguments.corpus, "held-out")
        for task in make_cross_file_tasks(files, Path(directory).resolve(), arguments.files, arguments.seed):
            for mode, sums in counts.items():
                use_context(service, settings, mode)
                for index, value in enumerate(type_again(service, collector, task, arguments.keys)):
                    sums[index] += value
    facts = {
        mode: {"num_keys": keys, "num_prompt_tokens": prompt, "cached_token_ratio": round(cached / prompt, 4)}
        for mode, (keys, prompt, cached) in counts.items()
    }
    print(json.dumps({"bench": "typing-with-snippets", "model": settings.model.name, **facts}))


def use_context(service: CompletionService, settings: Settings, mode: str) -> None:
    service.apply_settings(replace(settings, context=replace(settings.context, cross_file=mode)))
    service.clear_caches()


def type_again(
    service: CompletionService, collector: ContextCollector, task: CrossFileTask, num_keys: int
) -> tuple[int, int, int]:
    """Requests that reached the model after the first, their prompt tokens, and how many of those were cached."""
    view = index_workspace(collector, task.hole, task.root)
    document, position = task.hole.document, task.hole.position
    following = "".join(document.lines[position.line : position.line + 6])[position.column :]
    requests = prompt_tokens = cached_tokens = 0
    for number, key in enumerate(["", *(task.hole.middle + following)[:num_keys]]):
        document, position = document.with_replacement(position, position, key)
        request = CompletionRequest(
            document, position, TriggerKind.AUTOMATIC, Deadline.never(), CancellationToken(), workspace=view
        )
        completion = service.complete(request)
        service.look_ahead(request, completion)
        num_prompt = completion.trace.get("num_prompt_tokens")
        if number and isinstance(num_prompt, int) and num_prompt:
            requests += 1
            prompt_tokens += num_prompt
            cached_tokens += int(str(completion.trace["num_cached_tokens"]))
    return requests, prompt_tokens, cached_tokens


if __name__ == "__main__":
    main()
