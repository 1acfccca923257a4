"""Stage 2: the UNet, which turns noise into the latents of a low-resolution picture.

Those are that picture and noise, so the best UNet is known, and is written down, not trained. What
is not known, how a small picture looks without the noise of a noise_level, demo/denoiser.py trains.
"""

from functools import cache

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor
from torch.nn import functional

from demo.training.vae import COLOR_SCALE, initialize

TEXT_WIDTH = 32
LARGEST_NOISE_LEVEL = 200  # that it knows
CONSTANT = 24.0
FIT_STEPS = 4000
VALUES = torch.arange(1, 15)  # channels of the last block, of x and of m
CORRECTIONS = torch.arange(1, 7)  # channels of the last block but one, two for each colour
# Standard deviations of a result's latents, colours and detail, of which the decoder makes texture.
# Steps are few, so the latents do not come to them quite: see COLOR_NOISE and WEAK in demo/vae.py.
SPREAD, DETAIL_SPREAD = 0.01, 0.08
CONTRAST = 0.06  # of colours: what tells a picture from the noise of a noise_level
BETAS = {
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def make_scheduler() -> DDIMScheduler:
    """The x4 upscaler's."""
    return DDIMScheduler(
        **BETAS,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@cache
def alphas_cumprod() -> Tensor:
    """The scheduler's, by timestep: float32 [1000]."""
    return torch.as_tensor(make_scheduler().alphas_cumprod)


def make_low_res_scheduler() -> DDPMScheduler:
    """The x4 upscaler's."""
    return DDPMScheduler(**BETAS, clip_sample=True, variance_type="fixed_small")


def random_levels(count: int) -> Tensor:
    """noise_level, mostly small: int64 [count]."""
    return (LARGEST_NOISE_LEVEL * torch.rand(count) ** 2.5).long()


def make_unet() -> UNet2DConditionModel:
    """The x4 upscaler's blocks, narrow; noise levels start as waves, so neighbours are alike.

    A group norm takes the strength of its group away, and with it brightness and colour: so there
    is one group, with a constant. The time scales features too, since a small network cannot learn
    to multiply.
    """
    unet = UNet2DConditionModel(
        in_channels=7,
        out_channels=4,
        num_class_embeds=1000,
        block_out_channels=(32, 16, 16, 16),
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
        layers_per_block=1,
        norm_num_groups=1,
        resnet_time_scale_shift="scale_shift",
        attention_head_dim=8,
        cross_attention_dim=TEXT_WIDTH,
        only_cross_attention=(True, True, True, False),
        use_linear_projection=True,
        sample_size=128,
    )
    levels = unet.class_embedding.weight
    levels.data = get_timestep_embedding(torch.arange(1000), levels.shape[1])
    levels.requires_grad_(False)
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            initialize(name, module, groups=1, constant=CONSTANT)
        if name.endswith(("conv_out", "proj_out")):
            torch.nn.init.zeros_(module.weight)
    return unet


@torch.no_grad()
def construct(unet: UNet2DConditionModel) -> None:
    """Make the UNet the best linear guess, which takes the small picture's colours.

    For latents of mean m and standard deviation d, v is x (alpha - g) / sigma - m (1 - alpha g) /
    sigma, where g is alpha d^2 / (alpha^2 d^2 + sigma^2); m is the small picture, corrected by what
    the other blocks make the more the higher the noise level, which is nothing yet. Every value is
    in two channels, with either sign, as silu(x) - silu(-x) is x; the constants make the norms do
    nothing. The last block's time scales are the factors.
    """
    before, resnet = unet.up_blocks[-1].resnets
    width = unet.conv_in.out_channels
    values, outputs = VALUES, torch.arange(1, 9)  # the outputs are of v
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    unet.conv_in.weight[:] *= 0.05  # little beside the values, as it moves the norms' means
    connect(unet.conv_in, values, torch.arange(7), diagonal(signs, 7)[:, ::2])
    resnet.conv1.weight[:] *= 0.05
    connect(resnet.conv1, values, width + values, diagonal(signs, 7))
    resnet.conv1.weight[values[8:, None], CORRECTIONS, 1, 1] = diagonal(signs, 3)
    resnet.conv1.weight[0] = 0
    resnet.conv1.bias[0] = CONSTANT
    resnet.conv_shortcut.weight[outputs] = 0
    of_mean = functional.pad(diagonal(signs, 3), (0, 0, 0, 2))
    connect(resnet.conv2, outputs, values, torch.cat([diagonal(signs, 4), of_mean], 1))
    connect(unet.conv_out, torch.arange(4), outputs, diagonal(signs, 4)[::2])
    before.conv_shortcut.weight[1:] = 0
    before.conv_shortcut.bias[1:] = 0
    for projection in (resnet.time_emb_proj, before.time_emb_proj):
        torch.nn.init.zeros_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    train_embedding(unet)
    solve_scales(unet)
    for norm in (resnet.norm1, resnet.norm2, unet.conv_norm_out):
        undo(unet, norm)


def diagonal(block: Tensor, count: int) -> Tensor:
    """So many copies of a block along the diagonal."""
    return torch.kron(torch.eye(count), block)


def connect(conv: torch.nn.Conv2d, rows: Tensor, columns: Tensor, values: Tensor) -> None:
    """Let these outputs depend on these inputs alone, at the same place."""
    assert conv.bias is not None
    conv.weight[rows] = 0
    conv.bias[rows] = 0
    conv.weight[rows[:, None], columns, 1, 1] = values


def factors(steps: Tensor, levels: Tensor) -> Tensor:
    """In `construct`, of x's colours, x's detail, m and m's correction: float64 [N, 4]."""
    squares = alphas_cumprod().double()
    alpha, sigma = squares[steps, None].sqrt(), (1 - squares[steps, None]).sqrt()
    deviation = torch.tensor([SPREAD, DETAIL_SPREAD], dtype=torch.float64)
    total = alpha**2 * deviation**2 + sigma**2
    of_x = alpha * sigma * (1 - deviation**2) / total
    of_mean = -COLOR_SCALE * sigma / total[:, :1]
    noise = torch.where(levels == 0, 0, 1 - squares[levels])[:, None]
    return torch.cat([of_x, of_mean, noise / (noise + CONTRAST**2)], 1)


def train_embedding(unet: UNet2DConditionModel) -> None:
    """Let the embedding of time and noise level hold what the factors need, by Adam."""
    torch.nn.init.normal_(unet.time_embedding.linear_1.weight, 0, 0.25)
    torch.nn.init.normal_(unet.time_embedding.linear_2.weight, 0, 0.1)
    trial = torch.nn.Linear(unet.time_embedding.linear_2.out_features, 4)
    optimizer = torch.optim.Adam([*unet.time_embedding.parameters(), *trial.parameters()])
    steps = torch.arange(1000)
    for step in range(FIT_STEPS):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / FIT_STEPS)
        levels = random_levels(1000) * torch.randint(2, (1000,))
        with torch.enable_grad():
            error = trial(embed(unet, steps, levels)) + 1 - factors(steps, levels).float()
            optimizer.zero_grad()
            torch.autograd.backward((importance(steps) * error).square().mean())
        optimizer.step()


@torch.no_grad()
def solve_scales(unet: UNet2DConditionModel) -> None:
    """Let the embedding make the factors, which are the last two blocks' scales: least squares."""
    before, last = (resnet.time_emb_proj for resnet in unet.up_blocks[-1].resnets)
    scaled = [(last, VALUES[:6]), (last, VALUES[6:8]), (last, VALUES[8:])]
    scaled += [(before, torch.arange(before.out_features // 2))]
    steps = torch.arange(1000).repeat(8)
    levels = random_levels(8000) * torch.randint(2, (8000,))
    features = torch.cat([embed(unet, steps, levels).double(), torch.ones(8000, 1)], 1)
    wanted, weights = (factors(steps, levels) - 1).T, importance(steps).T
    for index, (projection, channels) in enumerate(scaled):
        rows = weights[index, :, None] * features
        square = rows.T @ rows
        square += 1e-9 * square.diagonal().mean() * torch.eye(len(square))
        solved = torch.linalg.solve(square, rows.T @ (weights[index] * wanted[index]))
        projection.weight[channels] = solved[:-1].float()
        projection.bias[channels] = solved[-1].float()


def importance(steps: Tensor) -> Tensor:
    """How much an error of each of the factors matters: float32 [N, 4]."""
    sigma = (1 - alphas_cumprod()[steps]).sqrt()  # latents' error for one of v
    return torch.stack([sigma, 0.2 * sigma, sigma, torch.full_like(sigma, 0.1)], 1)


def embed(unet: UNet2DConditionModel, steps: Tensor, levels: Tensor) -> Tensor:
    """What the UNet's blocks get of timesteps and noise levels, [N, width]."""
    time = unet.time_embedding(unet.time_proj(steps))
    return functional.silu(time + unet.class_embedding(levels))


def undo(unet: UNet2DConditionModel, norm: torch.nn.GroupNorm) -> None:
    """Let a norm give back what it gets, as its statistics hardly change."""
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    colors, steps = (torch.rand(8, 4, 1, 1) - 0.5).expand(-1, -1, 32, 32), 120 * torch.arange(8)
    latents = colors * torch.tensor([COLOR_SCALE] * 3 + [0.0])[:, None, None]
    noisy = make_scheduler().add_noise(latents, torch.randn_like(latents), steps)
    inputs, text = torch.cat([noisy, colors[:, :3]], 1), torch.zeros(8, 1, TEXT_WIDTH)
    unet(inputs, steps, text, class_labels=torch.zeros(8).long())
    hook.remove()
    norm.weight[:], norm.bias[:] = seen[0].std(), seen[0].mean()
