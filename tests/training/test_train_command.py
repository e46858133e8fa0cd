"""The commands, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from completion_server.cli import evaluate_command
from completion_server.cli.option import CommonOptions
from completion_server.cli.train_command import app
from completion_server.evaluation.held_out import read_split
from completion_server.training.earlier_stage import find_earlier_stage
from completion_server.training.error import TrainingError
from tests.training.test_personalise import make_repository

RUNNER = CliRunner()


def invoke(*arguments: str, exit_code: int = 0) -> str:
    result = RUNNER.invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def no_user_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_corpus_from_a_directory(tmp_path: Path) -> None:
    make_repository(tmp_path / "mine")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[source]]\nkind = "directory"\nname = "mine"\nlicence = "MIT"\nsplit = "train"\n')
    output = invoke("corpus", str(recipe), str(tmp_path / "corpus"))
    assert "python" in output
    assert len(read_split(tmp_path / "corpus", "train")) == 24
    facts = json.loads(invoke("corpus", str(recipe), str(tmp_path / "corpus"), "--json"))
    assert facts["num_files"]["train"] == 24


def test_pretrain_goes_on_and_writes_a_model(corpus: Path, tmp_path: Path) -> None:
    options = ["--corpus", str(corpus), "--run", str(tmp_path / "run"), "--hidden", "32", "--layers", "1",
               "--vocabulary", "400", "--threads", "1"]  # fmt: skip
    invoke("pretrain", *options, "--steps", "2")
    output = invoke("pretrain", *options, "--steps", "4")
    assert "the model is in" in output
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    events = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2, 3, 4]


def test_adapt_export_and_evaluate(
    tiny_model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, model = str(tmp_path / "run"), str(tiny_model)
    invoke("adapt", "--corpus", str(corpus), "--run", run, "--model", model, "--steps", "2", "--batch", "2",
           "--rank", "2", "--threads", "1")  # fmt: skip
    invoke("adapt", "--corpus", str(corpus), "--run", run, "--model", model, "--steps", "2", "--batch", "2",
           "--rank", "2", "--threads", "1", "--finish", "1")  # fmt: skip
    invoke("export", "--run", run, "--model", model, "--out", str(tmp_path / "merged"))
    options = [CommonOptions(model, True, 1), CommonOptions(str(tmp_path / "merged"), True, 1)]
    task = evaluate_command.EvaluationTask(corpus, num_per_kind=2, runs_tests=False, measures_likelihood=True)
    evaluate_command.run(options, task, out=tmp_path / "run" / "scores.json")
    lines = capsys.readouterr().out.splitlines()
    scores = json.loads(lines[-1])["scores"]
    before, after = json.loads(lines[-1])["nll"]
    assert after["middle_nll"] == pytest.approx(before["middle_nll"], rel=0.05)
    assert before["plain_nll"] > 0
    assert {row["kind"] for row in scores} == {"rest-of-line", "whole-line", "block", "all", "all, python"}
    assert {row["fim_format"] for row in scores} == {"spm"}
    assert any("rest-of-line" in line for line in lines[:-1])
    invoke("export", "--run", run, "--out", str(tmp_path / "adapter"), "--adapter-only")
    card = (tmp_path / "adapter" / "README.md").read_text()
    assert "rank 2" in card
    assert "3 steps of 2 examples" in card
    assert "| merged | all |" in card.replace(str(tmp_path) + "/", "")


def test_a_second_stage_with_snippets(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    options = ["--corpus", str(corpus), "--model", str(tiny_model), "--steps", "1", "--batch", "2", "--rank", "2",
               "--threads", "1"]  # fmt: skip
    invoke("adapt", *options, "--run", str(tmp_path / "first"))
    invoke("adapt", *options, "--run", str(tmp_path / "second"), "--from", str(tmp_path / "first"),
           "--snippets", "0.75", "--named-elsewhere", "0.5")  # fmt: skip
    facts = json.loads((tmp_path / "second" / "run.json").read_text())
    assert (facts["rates"]["snippets"], facts["rates"]["named_elsewhere"]) == (0.75, 0.5)
    assert [stage["num_steps"] for stage in facts["earlier_stages"]] == [1]
    invoke("export", "--run", str(tmp_path / "second"), "--average-with", str(tmp_path / "first"), "--out",
           str(tmp_path / "mean"), "--adapter-only")  # fmt: skip
    assert "* The weights are the mean of what they were then" in (tmp_path / "mean" / "README.md").read_text()
    invoke("export", "--run", str(tmp_path / "second"), "--average-with", str(tmp_path / "mean"), "--model",
           str(tiny_model), "--out", str(tmp_path / "merged"))  # fmt: skip
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_kinds_languages_windows_and_schedule_are_part_of_the_recipe(
    tiny_model: Path, corpus: Path, tmp_path: Path
) -> None:
    options = ["--corpus", str(corpus), "--model", str(tiny_model), "--batch", "2", "--rank", "2", "--threads",
               "1", "--run", str(tmp_path / "run"), "--schedule", "linear"]  # fmt: skip
    options += ["--kinds", "whole-line=3,rest-of-line=1", "--full-windows", "0.5", "--max-tokens", "600"]
    invoke("adapt", *options, "--steps", "2", "--languages", "python=2")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["rates"]["kinds"] == {"whole-line": 3, "rest-of-line": 1}
    assert facts["corpus"]["language_shares"] == {"python": 2}
    assert facts["settings"]["schedule"]["kind"] == "linear"
    invoke("export", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "adapter"), "--adapter-only")
    card = (tmp_path / "adapter" / "README.md").read_text()
    assert "* Holes: whole-line 75%, rest-of-line 25%." in card
    assert "* Examples by language: python 100%." in card
    assert "* All the text around it that fits 600 tokens in 50% of the examples with a hole, windows of" in card
    assert find_earlier_stage(tmp_path / "adapter").stages[0]["full_windows"] == 0.5
    invoke("adapt", *options, "--run", str(tmp_path / "next"), "--steps", "1", "--from", str(tmp_path / "run"))
    invoke("export", "--run", str(tmp_path / "next"), "--out", str(tmp_path / "adapter"), "--adapter-only")
    earlier = "rest-of-line 25%; all the text around it that fits 600 tokens in 50% of the examples with a hole"
    assert earlier in (tmp_path / "adapter" / "README.md").read_text()
    with pytest.raises(TrainingError, match="another model, corpus or recipe"):
        invoke("adapt", *options, "--steps", "3")
    with pytest.raises(TrainingError, match="no steady rate"):
        invoke("adapt", *options, "--steps", "3", "--finish", "1")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--kinds", "lines=1", "'lines' is not one of block, random, rest-of-line, whole-line"),
        ("--kinds", "block=1,block=2", "'block' comes twice"),
        ("--kinds", "block", "the share of block must be a number"),
        ("--kinds", "block=-1", "the share of block must be a number"),
        ("--kinds", "block=nan", "the share of block must be a number"),
        ("--kinds", "block=0", "all shares are 0"),
        ("--languages", "cobol=1", "'cobol' is not one of bash, c, cpp"),
        ("--languages", "", "'' is not one of"),
    ],
)
def test_shares_that_are_none(
    tiny_model: Path, corpus: Path, tmp_path: Path, option: str, value: str, message: str
) -> None:
    options = ["--corpus", str(corpus), "--run", str(tmp_path / "run"), "--model", str(tiny_model)]
    with pytest.raises(typer.BadParameter) as found:
        RUNNER.invoke(app, ["adapt", *options, option, value], catch_exceptions=False, standalone_mode=False)
    assert message in str(found.value)
    assert found.value.param_hint == option


def test_personalise(tiny_model: Path, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "mine")
    output = invoke("personalise", str(repository), "--run", str(tmp_path / "run"), "--model", str(tiny_model),
                    "--steps", "2", "--rank", "2", "--holes", "2", "--threads", "1")  # fmt: skip
    assert "before" in output
    assert "keep it" in output
