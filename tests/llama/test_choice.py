"""Which files llama.cpp runs, how it is started for them, and that it writes what the native engine writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from completion_server.backends.tuning import Tuning, write_tuning
from completion_server.bootstrap import build_service, cache_dir_of
from completion_server.config import ContextSettings, GenerationSettings, ModelSettings, Settings
from completion_server.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from completion_server.llama import build, child
from completion_server.llama.build import build_llama, choose_options
from completion_server.llama.gguf_facts import GgufFacts, read_facts
from completion_server.model import Prompt, SamplingParams
from completion_server.remote.prompt import RemotePrompt
from completion_server.request import CancellationToken, Deadline
from completion_server.service import CompletionService
from tests.catalog.gguf_samples import (
    CONTROL,
    Vocabulary,
    byte_alphabet,
    byte_level_vocabulary,
    llama_weights,
    write_model,
    write_tiny_llama,
)
from tests.support.marked import parse_marked

GUARD_MS = 60_000
NUM_NEW = 24
TEXT = "def area(width, height):\n    return width * height\n\n\nprint(area(3, 4))\n"
needs_llama = pytest.mark.skipif(not child.is_installed(), reason="xllamacpp is not installed")
YARN = {
    "context_length": 1024,
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 2.0,
    "rope.scaling.original_context_length": 512,
}


def silent(_message: str, _fraction: float | None) -> None:
    pass


def write_readable(path: Path, vocabulary: Vocabulary, kind: Kind = Kind.F32, **settings: Any) -> Path:
    """A random Llama that writes printable ASCII only: all other tokens have the same logit, 0."""
    weights = llama_weights(len(vocabulary.tokens), seed=3)
    letters = byte_alphabet()
    printable = {letters[byte] for byte in (*range(32, 127), 10)}
    is_readable = np.array([set(token) <= printable for token in vocabulary.tokens])
    is_readable &= np.array(vocabulary.kinds) == 1
    weights["model.embed_tokens.weight"] *= 10
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * is_readable[:, None]
    settings = {"context_length": 1024} | settings
    write_model(path, "llama", weights, vocabulary, kind, interleave=True, settings=settings)
    return path


def model_settings(path: Path, engine: str, cache: Path, fim_format: str = "auto") -> Settings:
    model = ModelSettings(
        name=str(path),
        engine=engine,
        dtype="float32",
        device="cpu",
        num_threads=1,
        cache_dir=str(cache),
        fim_format=fim_format,  # type: ignore[arg-type]
    )
    return Settings(model=model)


@contextmanager
def serving(path: Path, engine: str, cache: Path, fim_format: str = "auto") -> Iterator[CompletionService]:
    service = build_service(model_settings(path, engine, cache, fim_format), silent)
    try:
        yield service
    finally:
        service.close()


def write(service: CompletionService, prompt: Prompt) -> str:
    sampling = SamplingParams(max_new_tokens=NUM_NEW)
    result = service._engine.generate(prompt, sampling, [], Deadline.after_ms(GUARD_MS), CancellationToken())
    assert result.generations, result
    return result.generations[0].text


@needs_llama
@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16], ids=lambda kind: kind.name)
def test_both_engines_write_the_same_after_the_same_tokens(tmp_path: Path, kind: Kind) -> None:
    path = write_readable(tmp_path / "readable.gguf", byte_level_vocabulary(), kind)
    with serving(path, "native", tmp_path) as native, serving(path, "llama", tmp_path) as llama:
        document, position = parse_marked("ˇ")
        made = llama._prompts.build(document, position, llama._settings, NUM_NEW)
        assert isinstance(made, RemotePrompt)
        texts = []
        for seed in range(6):
            token_ids = tuple(int(each) for each in np.random.default_rng(seed).integers(5, 200, 3 + 40 * seed))
            texts.append(write(native, Prompt(token_ids)))
            assert write(llama, RemotePrompt(token_ids, plan=made.plan)) == texts[-1]
        assert len(set(texts)) == len(texts)
        assert all(len(text) >= NUM_NEW for text in texts)


@needs_llama
def test_both_services_write_the_same_at_every_place_where_words_have_one_spelling(tmp_path: Path) -> None:
    """Without merges there is one way to spell what healing cut off, and both engines must take it."""
    vocabulary = byte_level_vocabulary()
    vocabulary.tokens = [*vocabulary.tokens[:4], *byte_alphabet()]
    vocabulary.kinds = [CONTROL] * 4 + [1] * 256
    vocabulary.merges = ["Ġ Ġ"]  # a file must have one
    vocabulary.tokens.append("ĠĠ")
    vocabulary.kinds.append(1)
    path = write_readable(tmp_path / "bytes.gguf", vocabulary)
    with (
        serving(path, "native", tmp_path, "starcoder2") as native,
        serving(path, "llama", tmp_path, "starcoder2") as llama,
    ):
        for place in (0, 6, 8, 12, 24, 40, 52, len(TEXT) - 1):
            document, position = parse_marked(TEXT[:place] + "ˇ" + TEXT[place:])
            ours = native._prompts.build(document, position, native._settings, NUM_NEW)
            theirs = llama._prompts.build(document, position, llama._settings, NUM_NEW)
            assert theirs.token_ids == ours.token_ids
            assert (theirs.start != "") == (place > 0)  # type: ignore[attr-defined]
            assert write(llama, theirs) == write(native, ours), place


@needs_llama
def test_auto_takes_llama_cpp_only_for_what_cannot_be_converted(tmp_path: Path) -> None:
    plain = write_readable(tmp_path / "plain.gguf", byte_level_vocabulary())
    yarn = write_readable(tmp_path / "yarn.gguf", byte_level_vocabulary(), **YARN)
    with serving(plain, "auto", tmp_path) as service:
        assert service.status()["backend"] != "llama.cpp"
    with serving(yarn, "auto", tmp_path) as service:
        assert service.status()["backend"] == "llama.cpp"
    with pytest.raises(UnsupportedModelError, match="yarn"):
        build_service(model_settings(yarn, "native", tmp_path), silent)


@needs_llama
def test_auto_takes_llama_cpp_where_the_doctor_found_it_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_readable(tmp_path / "plain.gguf", byte_level_vocabulary())
    write_tuning(Tuning(engine="llama"), path, cache_dir_of(model_settings(path, "auto", tmp_path).model))
    with serving(path, "auto", tmp_path) as service:
        assert service.status()["backend"] == "llama.cpp"
    with serving(path, "native", tmp_path) as service:
        assert service.status()["backend"] != "llama.cpp"

    def fail(*_arguments: object) -> None:
        raise ModelError("it does not start")

    monkeypatch.setattr(build, "build_llama", fail)
    with serving(path, "auto", tmp_path) as service:
        assert service.status()["backend"] != "llama.cpp"


@needs_llama
def test_a_tokenizer_that_is_not_known_here_is_left_to_llama_cpp(tmp_path: Path) -> None:
    path = write_readable(tmp_path / "other.gguf", byte_level_vocabulary(pre="gpt-4o"))
    with serving(path, "auto", tmp_path) as service:
        status = service.status()
        assert status["dialect"] == "llama-infill"
        assert "'gpt-4o' is not known" in str(status["warnings"])
        document, position = parse_marked("def area(wiˇ):\n    pass\n")
        assert write(service, service._prompts.build(document, position, service._settings, NUM_NEW))


def test_without_the_package_auto_says_what_the_converter_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "is_installed", lambda: False)
    yarn = write_readable(tmp_path / "yarn.gguf", byte_level_vocabulary(), **YARN)
    with pytest.raises(UnsupportedModelError, match="yarn"):
        build_service(model_settings(yarn, "auto", tmp_path), silent)
    with pytest.raises(ModelError, match=r"pip install 'completion-server\[gguf\]'"):
        build_service(model_settings(yarn, "llama", tmp_path), silent)


def test_llama_is_for_gguf_files(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"runs \.gguf files, and model\.name is smollm2-135m"):
        build_service(model_settings(Path("smollm2-135m"), "llama", tmp_path), silent)


@needs_llama
def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"gone\.gguf cannot be read: No such file"):
        build_service(model_settings(tmp_path / "gone.gguf", "llama", tmp_path), silent)
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(ModelNotFoundError, match=r"folder\.gguf cannot be read"):
        build_service(model_settings(tmp_path / "folder.gguf", "llama", tmp_path), silent)


@needs_llama
@pytest.mark.parametrize("damage", [slice(0, -5000), slice(100, None), slice(0)])
def test_a_damaged_file_is_refused_in_llama_cpps_words(tmp_path: Path, damage: slice) -> None:
    path = tmp_path / "damaged.gguf"
    write_tiny_llama(path)
    path.write_bytes(path.read_bytes()[damage])
    with pytest.raises(ModelError, match=r"^llama\.cpp: "):
        build_llama(model_settings(path, "llama", tmp_path), silent)


def test_the_context_holds_the_longest_prompt_and_answer(tmp_path: Path) -> None:
    settings = Settings(
        context=ContextSettings(max_prompt_tokens=5000), generation=GenerationSettings(invoked_max_tokens=300)
    )
    options = choose_options(Path("a.gguf"), settings, GgufFacts())
    assert options.num_context == 5376  # 5000 + 300 + 64, in steps of 256
    assert choose_options(Path("a.gguf"), settings, GgufFacts(max_context=1000)).num_context == 1000
    assert options.cache_mib == settings.cache.prefix_cache_mb
    write_tiny_llama(tmp_path / "tiny.gguf")
    with_tokenizer = choose_options(Path("a.gguf"), settings, read_facts(tmp_path / "tiny.gguf"))
    assert with_tokenizer.num_batch == 128
    large = dataclasses.replace(read_facts(tmp_path / "tiny.gguf"), num_bytes=1 << 30)
    assert choose_options(Path("a.gguf"), settings, large).num_batch == 64


def test_sentinels_that_only_the_file_names_are_used(tmp_path: Path) -> None:
    vocabulary = byte_level_vocabulary()
    vocabulary.tokens[1:4] = ["<|hole_begin|>", "<|hole_rest|>", "<|hole_fill|>"]
    write_readable(tmp_path / "own.gguf", vocabulary)
    facts = read_facts(tmp_path / "own.gguf")
    assert facts.fim_format is not None
    assert facts.fim_format.sentinel_tokens == ("<|hole_begin|>", "<|hole_rest|>", "<|hole_fill|>")
    if child.is_installed():
        with serving(tmp_path / "own.gguf", "llama", tmp_path) as service:
            assert service.status()["fim_format"] == "gguf"
            assert service.status()["warnings"] == []
            document, position = parse_marked("abˇ\ncd\n")
            prompt = service._prompts.build(document, position, service._settings, NUM_NEW)
            assert [each for each in prompt.token_ids if each < 5] == [1, 2, 3]
