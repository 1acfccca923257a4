from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from export.repository import write_tokenizer
from stages.prompt_tokens import PromptTokens
from tests.tiny_pipeline import make_tokenizer

PROMPTS = ["", "A white cat, 4k", "ünïcödé 猫 🐈", "word " * 100, "a\u0000b\n\tc", "<|endoftext|>"]


@pytest.mark.parametrize("pad_token", ["!", "<|endoftext|>"])
def test_ids_are_those_of_clip_tokenizer(tmp_path: Path, pad_token: str) -> None:
    tokenizer = make_tokenizer(pad_token)
    checkpoint = SimpleNamespace(pipeline=SimpleNamespace(tokenizer=tokenizer))
    write_tokenizer(checkpoint, tmp_path / "tokenizer.json")  # type: ignore[arg-type]
    expected = tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True)
    actual = PromptTokens(tmp_path / "tokenizer.json")(PROMPTS)
    assert actual.dtype == np.int64
    assert actual.tolist() == expected["input_ids"]
