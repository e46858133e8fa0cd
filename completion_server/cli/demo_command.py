"""``completion-server demo``: the real server, a bundled file typed as by hand, ghost text as it comes.

The typist presses Tab where a suggestion is exactly what the file goes on with, as a person would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from completion_server.cli.demo_view import DemoView, make_view
from completion_server.cli.option import CommonOptions
from completion_server.cli.output import make_console, shown_progress
from completion_server.cli.sample import SAMPLES, Sample
from completion_server.cli.server_process import started_server
from completion_server.evaluation.latency import summarize
from completion_server.evaluation.typing_session import (
    Editor,
    KeyRecord,
    TypedText,
    TypingSession,
    split_keys,
)

_MIN_ACCEPTED_CHARS = 4
_KEY_SECONDS = 0.09
_TAB_SECONDS = 0.7
_SAMPLE_SECONDS = 1.0


@dataclass(frozen=True)
class Pacing:
    """How fast the typist is, and when to stop."""

    is_fast: bool = False
    max_seconds: float = 40.0

    async def wait(self, seconds: float) -> None:
        """A pause that a viewer needs and a machine does not."""
        if not self.is_fast:
            await asyncio.sleep(seconds)


def run(options: CommonOptions, pacing: Pacing) -> int:
    """Show it all; 0 when at least one suggestion was shown. Raises CompletionServerError."""
    return asyncio.run(_run(options, pacing))


async def _run(options: CommonOptions, pacing: Pacing) -> int:
    # Not the age of the process: a shell may have done other work in it before it became this command.
    began = time.monotonic()
    console = make_console()
    settings = options.resolve(Path.cwd()).settings
    async with AsyncExitStack() as stack:
        # The bar goes when the model is there; the server stays until all is typed.
        with shown_progress(console) as progress:
            editor, model = await stack.enter_async_context(started_server(options, progress))
        view = make_view(console, model)
        records, num_accepted, first_at = await _type_samples(editor, pacing, view)
    first_s = None if first_at is None else first_at - began
    report = summarize(records, settings.latency.automatic_timeout_ms)
    view.show_summary(report, num_accepted, first_s)
    return 0 if report.num_with_text else 1


async def _type_samples(
    editor: Editor, pacing: Pacing, view: DemoView
) -> tuple[list[KeyRecord], int, float | None]:
    """All key presses, the characters that came by Tab, and the instant of the first suggestion."""
    stop_at = time.monotonic() + pacing.max_seconds
    records: list[KeyRecord] = []
    num_accepted, first_at = 0, None
    with view:
        for number, sample in enumerate(SAMPLES):
            if number:
                await pacing.wait(_SAMPLE_SECONDS)
            typist = Typist(editor, sample, pacing)
            async for record in typist.type_sample():
                records.append(record)
                if record.text and first_at is None:
                    first_at = time.monotonic()
                view.show_key(sample.name, typist.session.document, record)
                if time.monotonic() >= stop_at:
                    break
            num_accepted += typist.num_accepted_chars
            if time.monotonic() >= stop_at:
                break
    return records, num_accepted, first_at


class Typist:
    """Types one sample and takes what suggestions are right."""

    def __init__(self, editor: Editor, sample: Sample, pacing: Pacing) -> None:
        self._pacing = pacing
        text, self._remaining = sample.read()
        plan = TypedText(sample.uri, text, sample.start, (), sample.language_id)
        self.session = TypingSession(editor, plan)
        self.num_accepted_chars = 0

    async def type_sample(self) -> AsyncIterator[KeyRecord]:
        """One record per key; the viewer sees a suggestion before it is accepted."""
        while self._remaining:
            key = split_keys(self._remaining)[0]
            began = time.perf_counter()
            self._insert(key)
            record = await self.session.ask(key)
            yield record
            if self._is_wanted(record.text):
                await self._pacing.wait(_TAB_SECONDS)
                self._insert(record.text)
                self.num_accepted_chars += len(record.text)
            else:
                await self._pacing.wait(max(0.0, _KEY_SECONDS - (time.perf_counter() - began)))

    def _is_wanted(self, suggestion: str) -> bool:
        """Whether the text goes on with ``suggestion`` up to the end of a line."""
        if len(suggestion.strip()) < _MIN_ACCEPTED_CHARS or not self._remaining.startswith(suggestion):
            return False
        return self._remaining[len(suggestion) :][:1] in {"", "\n"}

    def _insert(self, text: str) -> None:
        self.session.insert(text)
        self._remaining = self._remaining[len(text) :]
