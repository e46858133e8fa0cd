"""Jobs that wait for the model thread: one per document, the newest first, some not before their time."""

from __future__ import annotations

from dataclasses import dataclass

from completion_server.lsp.job import Job


@dataclass(frozen=True)
class _Waiting:
    job: Job
    due_at: float


class PendingJobs:
    """Not thread-safe. Instants are those of ``time.monotonic``."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def uris(self) -> list[str]:
        return list(self._waiting)

    def put(self, job: Job, due_at: float) -> None:
        """The newest job. Whoever puts one has taken out an older one for the same document."""
        self._waiting[job.uri] = _Waiting(job, due_at)

    def pop(self, uri: str) -> Job | None:
        """Take out what waits for a document."""
        waiting = self._waiting.pop(uri, None)
        return None if waiting is None else waiting.job

    def forget(self, job: Job) -> bool:
        """Take out this job. False where it does not wait here."""
        waiting = self._waiting.get(job.uri)
        if waiting is None or waiting.job is not job:
            return False
        del self._waiting[job.uri]
        return True

    def pop_due(self, now: float) -> Job | None:
        """Take out the newest whose time has come."""
        due = [uri for uri, waiting in self._waiting.items() if waiting.due_at <= now]
        return self.pop(due[-1]) if due else None

    def seconds_to_next(self, now: float) -> float | None:
        """Until the time of one of them comes; None where none waits."""
        instants = [waiting.due_at for waiting in self._waiting.values()]
        return max(min(instants) - now, 0.0) if instants else None
