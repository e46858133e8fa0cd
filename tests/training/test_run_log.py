"""What a run leaves behind and shows."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from completion_server.training.error import TrainingError
from completion_server.training.interruption import stop_on_signals
from completion_server.training.loss_plot import write_plot
from completion_server.training.run_lock import locked_run
from completion_server.training.run_log import LogFile, StepReport, shown_run


def report(step: int, middle_nll: float | None = 1.5) -> StepReport:
    return StepReport(step, 2.25, middle_nll, 1e-3, 0.5, 1000 * step, 321.4, 10.0 * step)


def test_a_log_has_a_line_per_step_and_event(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.jsonl")
    log.on_step(report(1))
    log.on_event("checkpoint", {"step": 1})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["step", "checkpoint"]
    assert lines[0]["loss"] == 2.25


def test_a_plot_is_made_of_the_log(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.jsonl")
    assert not write_plot_of(tmp_path, log, 1)
    assert write_plot_of(tmp_path, log, 5)
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"event": "st')
    assert write_plot(tmp_path / "log.jsonl", tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").read_text().count("<circle") == 1


def write_plot_of(directory: Path, log: LogFile, num_steps: int) -> bool:
    for step in range(1, num_steps + 1):
        log.on_step(report(step, 3.0 / step))
    log.on_event("validation", {"step": num_steps, "middle_nll": 2.0})
    (directory / "loss.svg").unlink(missing_ok=True)
    lines = (directory / "log.jsonl").read_text().splitlines()
    (directory / "log.jsonl").write_text("\n".join([*lines[: num_steps + 1], ""]))
    return write_plot(directory / "log.jsonl", directory / "loss.svg")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_people_see_loss_and_speed(is_terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=160, highlight=False)
    with shown_run(console, 10) as view:
        view.on_step(report(10))
        view.on_step(report(10, None))
        view.on_event("validation", {"step": 10, "middle_nll": 1.23456789})
    assert "321 tokens/s" in stream.getvalue()
    assert "middle_nll 1.23457" in stream.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_signals_ask_to_stop_and_the_second_interrupt_stops() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as request:
        assert not request()
        os.kill(os.getpid(), signal.SIGTERM)
        assert request()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_two_processes_do_not_train_in_one_directory(tmp_path: Path) -> None:
    with locked_run(tmp_path), pytest.raises(TrainingError, match="another process"), locked_run(tmp_path):
        pass
    with locked_run(tmp_path):
        pass
