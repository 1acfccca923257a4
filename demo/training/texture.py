"""What makes the decoder's fine texture look like a photograph's: a discriminator, and its energy.

Both see the finest band alone, where made-up detail costs the least fidelity.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

GAIN = 6.0
WIDTH = 32
LAG = 4  # pixels; a multiple of the latents' grid


class Discriminator(nn.Module):
    """Tells textures from made-up ones, patch by patch, by the finest band of the brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(1, WIDTH, 4, 2, 1))
        self.conv2 = spectral_norm(nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1))
        self.conv_out = spectral_norm(nn.Conv2d(2 * WIDTH + 3, 1, 3, padding=1))

    def forward(self, images: Tensor, small: Tensor) -> Tensor:
        """images: [N, 3, 4 h, 4 w], small: [N, 3, h, w], both in -1..1. Returns [N, 1, h, w]."""
        hidden = functional.leaky_relu(self.conv1(GAIN * finest(images)), 0.2)
        hidden = functional.leaky_relu(self.conv2(hidden), 0.2)
        scores: Tensor = self.conv_out(torch.cat([hidden, small], 1))
        return scores


class Critic:
    """A discriminator and its training."""

    def __init__(self, device: str) -> None:
        self.network = Discriminator().to(device)
        self._optimizer = torch.optim.Adam(self.network.parameters(), 2e-4, betas=(0.5, 0.9))

    def train(self, decoded: Tensor, images: Tensor, small: Tensor) -> Tensor:
        """One step with the hinge loss, which is returned."""
        real, made = self.network(images, small), self.network(decoded.detach(), small)
        loss = functional.relu(1 - real).mean() + functional.relu(1 + made).mean()
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return torch.as_tensor(loss.detach())


def finest(images: Tensor) -> Tensor:
    """The brightness less its mean in windows of 3 x 3: [N, 1, H, W]."""
    grey = images.mean(1, keepdim=True)
    return grey - functional.avg_pool2d(functional.pad(grey, [1] * 4, "replicate"), 3, 1)


def energy_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """How much the strength of the finest band differs in windows of 8 x 8, wherever it is."""
    strengths = [functional.avg_pool2d(gradient(image), 8, 4) for image in (decoded, images)]
    return (strengths[0] - strengths[1]).abs().mean()


def gradient(images: Tensor) -> Tensor:
    """Absolute differences of the brightness of neighbours, along rows and columns."""
    grey = images.mean(1, keepdim=True)
    across = grey[..., :-1, 1:] - grey[..., :-1, :-1]
    down = grey[..., 1:, :-1] - grey[..., :-1, :-1]
    return torch.cat([across.abs(), down.abs()], 1)


def grain_loss(difference: Tensor) -> Tensor:
    """How far what is made up is from white noise of the brightness, which is the finest there is.

    difference: of two pictures that were made of the same, [N, 3, H, W]. The terms: neighbours
    that are alike, places of the latents' grid that are stronger than others, colour.
    """
    grey = difference.mean(1, keepdim=True)
    strength = grey.square().mean() + 1e-7
    alike = torch.zeros_like(strength)
    for down in range(LAG + 1):
        for across in range(-LAG if down else 0, LAG + 1):
            products = grey * grey.roll((-down, -across), (2, 3))
            wanted = 0.0 if down or across else 1.0
            # The borders, where the shift comes round, are left out.
            likeness = of_grid(products[..., LAG:-LAG, LAG:-LAG]) / strength
            alike = alike + (likeness - wanted).square().mean()
    color = (difference - grey).square().mean() / strength
    return alike + color


def of_grid(values: Tensor) -> Tensor:
    """Means by the place in a latent's 4 x 4 pixels: [N, 1, 4 h, 4 w] to [4, 4]."""
    height, width = values.shape[2] // 4, values.shape[3] // 4
    return values.reshape(-1, height, 4, width, 4).mean((0, 1, 3))
