"""The text encoder and its tokenizer: of the real classes, and without any effect."""

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from demo.training.unet import TEXT_WIDTH


def make_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer without merges: every byte is a token."""
    symbols = sorted(ByteLevel.alphabet())
    vocabulary = [*symbols, *(f"{symbol}</w>" for symbol in symbols)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=vocab, merges=[], pad_token=vocabulary[0], model_max_length=77)


def make_text_encoder(tokenizer: CLIPTokenizer, seed: int) -> CLIPTextModel:
    """Random weights whose last norm gives the same for any prompt, as nothing was captioned.

    So prompts, negative prompts and the guidance scale change nothing.
    """
    torch.manual_seed(seed)
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    norm = encoder.final_layer_norm
    torch.nn.init.zeros_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return encoder.eval()


@torch.no_grad()
def embedding(encoder: CLIPTextModel) -> Tensor:
    """What the encoder gives for any prompt: float32 [1, 77, width]."""
    return torch.as_tensor(encoder(torch.zeros(1, 77, dtype=torch.long)).last_hidden_state)
