"""From source files to a model that the server loads and that fills in the middle."""

from __future__ import annotations

from pathlib import Path

from completion_server.bootstrap import build_service
from completion_server.config import ModelSettings, Settings
from completion_server.document import Document, Position
from completion_server.request import CancellationToken, CompletionRequest, Deadline, TriggerKind
from completion_server.tokenizer import Tokenizer
from completion_server.training.pretrain import PretrainTask, prepare_pretrain
from tests.training.conftest import TINY, tiny_settings


def test_the_loss_falls(corpus: Path, tmp_path: Path) -> None:
    trainer, _ = prepare_pretrain(PretrainTask(corpus, tmp_path, tiny_settings(40), TINY))
    before = trainer.validate()
    assert trainer.run()
    assert trainer.validate() < before - 1


def test_the_server_loads_the_model_and_knows_its_format(tiny_model: Path) -> None:
    service = build_service(Settings(model=ModelSettings(name=str(tiny_model))), lambda *_: None)
    assert service.status()["fim_format"] == "spm"
    document = Document.from_text("def total_of(alpha, beta):\n    return alpha + \n", language_id="python")
    request = CompletionRequest(
        document, Position(1, 19), TriggerKind.INVOKED, Deadline.never(), CancellationToken()
    )
    assert service.complete(request).finish_reason.value in {"stop", "length"}


def test_control_tokens_are_no_text(tiny_model: Path) -> None:
    tokenizer = Tokenizer.from_directory(tiny_model)
    assert tokenizer.special_token_ids.isdisjoint(tokenizer.encode("<|fim_suffix|> <|fim_end|>"))
