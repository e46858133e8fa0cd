"""transformers' ``generate`` as a script would use it: ``python -m ...transformers_child DIRECTORY THREADS``.

Reads one request per line from stdin and writes one answer per line. Of several that wait only the newest is
answered; one that runs, runs to its end, because ``generate`` has nobody to ask.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from importlib import import_module
from typing import Any


def main() -> None:
    """Load the model, say so, and answer until stdin ends."""
    directory, num_threads = sys.argv[1], int(sys.argv[2])
    torch, transformers = import_module("torch"), import_module("transformers")
    torch.set_num_threads(num_threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    _write({"ready": True})
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while (line := lines.get()) is not None:
        while not lines.empty():
            newer = lines.get()
            if newer is None:
                return
            line = newer
        _write(_answer(model, torch, json.loads(line)))


def _read(lines: queue.Queue[str | None]) -> None:
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)


def _answer(model: Any, torch: Any, request: dict[str, Any]) -> dict[str, Any]:
    prompt = torch.tensor([request["token_ids"]])
    with torch.inference_mode():
        output = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=request["max_new_tokens"],
            eos_token_id=request["stop_token_ids"],
            pad_token_id=request["stop_token_ids"][0],
        )
    new = output[0, prompt.shape[1] :].tolist()
    return {"id": request["id"], "num_prompt_tokens": prompt.shape[1], "token_ids": new}


def _write(value: object) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
