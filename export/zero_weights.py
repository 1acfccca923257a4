"""Leave out of an engine what a checkpoint's own weights multiply by zero."""

import copy

from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn


class ConstantTransformer(nn.Module):
    """A `Transformer2DModel` whose last projection has no weights: it adds its bias.

    hidden_states float32 [B, C, h, w] -> the same shape, in a tuple as diffusers asks for it.
    """

    def __init__(self, transformer: Transformer2DModel) -> None:
        super().__init__()
        self.bias = transformer.proj_out.bias

    def forward(self, hidden_states: Tensor, *_: object, **__: object) -> tuple[Tensor]:
        return (hidden_states + self.bias[:, None, None],)


def without_zero_weights(module: nn.Module) -> nn.Module:
    """The module; where it has transformers without effect, a copy with the same weights less them.

    Training starts the last projection of a block at zero; one that nothing was learnt for, as in a
    model without captions, stays so. Its values are those of the module, bit for bit, and its
    arguments too.
    """
    names = [
        name
        for name, part in module.named_modules()
        if isinstance(part, Transformer2DModel) and not part.proj_out.weight.any()
    ]
    if not names:
        return module
    shared = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    lighter = copy.deepcopy(module, shared)
    for name in names:
        lighter.set_submodule(name, ConstantTransformer(lighter.get_submodule(name)))
    return lighter
