"""Stage 2: the UNet, which turns noise into the latents of a low-resolution picture.

Those are that picture and noise, so the best UNet is known, and is written down, not trained.
"""

from functools import cache

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor
from torch.nn import functional

from demo.vae import COLOR_SCALE, WEAK, initialize

TEXT_WIDTH = 32
LARGEST_NOISE_LEVEL = 200  # that it knows
CONSTANT = 24.0
FIT_STEPS = 4000
# Of colours, as latents: the noise in a result, of which the decoder makes texture; what tells a
# picture from the noise of a noise_level.
SPREAD, CONTRAST = 0.012, 0.06
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
        block_out_channels=(32, 48, 64, 96),
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
    sigma, where g is alpha d^2 / (alpha^2 d^2 + sigma^2); m is the small picture, drawn towards its
    mean in windows of 3 x 3 the more noise it has. Every value is in two channels, with either
    sign, as silu(x) - silu(-x) is x; the constants make the norms do nothing. The last block's
    time scales are the factors.
    """
    resnet = unet.up_blocks[-1].resnets[-1]
    width = unet.conv_in.out_channels
    values, outputs = torch.arange(1, 21), torch.arange(1, 9)
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    unet.conv_in.weight[:] *= 0.05  # little beside the values, as it moves the norms' means
    unet.conv_in.weight[values] = 0
    unet.conv_in.bias[values] = 0
    for value in range(10):  # four of x, three colours, and what their blurred picture differs by
        for sign in (0, 1):
            kernel = unet.conv_in.weight[1 + 2 * value + sign, value if value < 7 else value - 3]
            if value >= 7:
                kernel += signs[0, sign] / 9
            kernel[1, 1] += signs[0, sign] * (1 if value < 7 else -1)
    resnet.conv1.weight[:] *= 0.05
    connect(resnet.conv1, values, width + values, diagonal(signs, 10))
    resnet.conv1.weight[0] = 0
    resnet.conv1.bias[0] = CONSTANT
    resnet.conv_shortcut.weight[outputs] = 0
    sums = [diagonal(signs, 4), diagonal(signs, 3), diagonal(signs, 3)]
    sums[1:] = [functional.pad(part, (0, 0, 0, 2)) for part in sums[1:]]
    connect(resnet.conv2, outputs, values, torch.cat(sums, 1))
    connect(unet.conv_out, torch.arange(4), outputs, diagonal(signs, 4)[::2])
    resnet.time_emb_proj.weight[width + values] = 0
    resnet.time_emb_proj.bias[width + values] = 0
    fit(unet, resnet.time_emb_proj, values)
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
    """In `construct` of x's colours and detail, m, and its blur less itself: float64 [N, 4]."""
    squares = alphas_cumprod().double()
    alpha, sigma = squares[steps, None].sqrt(), (1 - squares[steps, None]).sqrt()
    deviation = torch.tensor([SPREAD, WEAK], dtype=torch.float64)
    total = alpha**2 * deviation**2 + sigma**2
    of_x = alpha * sigma * (1 - deviation**2) / total
    of_mean = -COLOR_SCALE * sigma / total[:, :1]
    noise = 1 - squares[levels, None]
    return torch.cat([of_x, of_mean, of_mean * noise / (noise + CONTRAST**2)], 1)


def fit(unet: UNet2DConditionModel, projection: torch.nn.Linear, channels: Tensor) -> None:
    """Let the embedding of time and noise level make the factors: by Adam, then least squares."""
    torch.nn.init.normal_(unet.time_embedding.linear_1.weight, 0, 0.25)
    torch.nn.init.normal_(unet.time_embedding.linear_2.weight, 0, 0.1)
    trial = torch.nn.Linear(projection.in_features, 4)
    optimizer = torch.optim.Adam([*unet.time_embedding.parameters(), *trial.parameters()])
    sigma = (1 - alphas_cumprod()).sqrt()[:, None]  # latents' error for one of v
    importance = sigma * torch.tensor([1, 0.2, 1, 5 * CONTRAST])
    steps = torch.arange(1000)
    for step in range(FIT_STEPS):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / FIT_STEPS)
        levels = random_levels(1000) * torch.randint(2, (1000,))
        with torch.enable_grad():
            error = trial(embed(unet, steps, levels)) + 1 - factors(steps, levels).float()
            optimizer.zero_grad()
            torch.autograd.backward((importance * error).square().mean())
        optimizer.step()
    steps = steps.repeat(8)
    levels = random_levels(8000) * torch.randint(2, (8000,))
    features = embed(unet, steps, levels).double()
    features = torch.cat([features, torch.ones(8000, 1)], 1)
    for index, wanted in enumerate(factors(steps, levels).T - 1):
        rows = importance[steps, index, None] * features
        square = rows.T @ rows
        square += 1e-9 * square.diagonal().mean() * torch.eye(len(square))
        solved = torch.linalg.solve(square, rows.T @ (importance[steps, index] * wanted))
        first, last = ((0, 6), (6, 8), (8, 14), (14, 20))[index]
        projection.weight[channels[first:last]] = solved[:-1].float()
        projection.bias[channels[first:last]] = solved[-1].float()


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
