"""The model in the box, fetched and converted for real (or taken from the user's models directory)."""

from __future__ import annotations

import inspect
import textwrap
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from completion_server.catalog.registry import DEFAULT_MODEL_NAME
from completion_server.catalog.resolve import ensure_local
from completion_server.catalog.store import ModelStore, default_cache_dir
from completion_server.config import load_settings

# As transformers' own tokenizer for the same GGUF file gives them.
TOKEN_IDS = {
    "def add(a, b):\n    return a + b\n": [1604, 803, 24, 81, 28, 278, 727, 472, 1003, 253, 1232, 278, 198],
    "x = 12345\n": [104, 446, 216, 33, 34, 35, 36, 37, 198],
    "    if value is None:\n\t\traise ValueError('é 你好 🎉')\r\n": [
        333, 585, 1685, 314, 1943, 42, 3354, 197, 20622, 11049, 1305, 2756, 216, 18645, 250, 48392, 138, 15107,
        232, 227, 1465, 2738,
    ],
    "<|im_start|>user": [1, 4093],
}  # fmt: skip

CORPUS = [
    *TOKEN_IDS,
    inspect.getsource(textwrap),
    "\tif (x)\r\n\t{\r\n\t\treturn;\r\n\t}\r\n",
    "变量 = '日本語' # 한국어 العربية עברית",
    "👩‍👩‍👧‍👦 e\u0301 \u00a0\u2028\u200b\ufeff \x00\x0c",
    "    \n\n\n        ",
]


@pytest.fixture(scope="module")
def model_dir() -> Path:
    settings = load_settings().settings.model
    cache_dir = Path(settings.cache_dir).expanduser() if settings.cache_dir else default_cache_dir()
    fresh = ModelStore(cache_dir).find(DEFAULT_MODEL_NAME) is None
    start = time.perf_counter()
    path = ensure_local(DEFAULT_MODEL_NAME, cache_dir)
    how = "fetched and converted" if fresh else "already installed, resolved"
    print(f"default model {how} in {time.perf_counter() - start:.2f} s")  # noqa: T201
    return path


@pytest.mark.default_model
def test_tokens_are_those_of_transformers_and_round_trip(model_dir: Path) -> None:
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    for text, token_ids in TOKEN_IDS.items():
        assert tokenizer.encode(text, add_special_tokens=False).ids == token_ids
    for text in CORPUS:
        token_ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(token_ids, skip_special_tokens=False) == text


@pytest.mark.default_model
def test_indentation_before_a_digit_stays_one_token(model_dir: Path) -> None:
    # The model was trained with digits cut off first; a plain GPT-2 split would give three spaces and one.
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    assert tokenizer.encode("    28\n").tokens == ["ĠĠĠĠ", "2", "8", "Ċ"]


@pytest.mark.default_model
def test_weights_predict_python(model_dir: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.LlamaForCausalLM.from_pretrained(model_dir)
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    page = inspect.getsource(textwrap)[:3000]
    token_ids = torch.tensor([tokenizer.encode(page, add_special_tokens=False).ids])
    with torch.no_grad():
        loss = model(token_ids, labels=token_ids).loss.item()
    assert loss < 3.5
