"""Prompts to the token ids that the text encoder was trained on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


class PromptTokens:
    """A `tokenizer.json` in which the export has set padding and truncation to 77 tokens."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))

    def __call__(self, prompts: list[str]) -> NDArray[np.int64]:
        """Token ids [len(prompts), 77], as `CLIPTokenizer` pads and truncates them."""
        return np.array([e.ids for e in self._tokenizer.encode_batch(prompts)], np.int64)
