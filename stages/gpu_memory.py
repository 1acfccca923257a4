"""How a GPU's memory is shared out: how large and how many tiles go in one call.

A quarter each is for a call of the UNet, for its CUDA graphs and for a call of the decoder, which
runs beside it; the rest is for weights, 5 GB in float32, for CUDA itself and for the jobs' latents.
What counts is the whole card and not what happens to be free: tiles decide pixels, so the same
request has to get the same ones every day.

A call's need is what eager PyTorch holds at most beside the weights of the x4 upscaler, in float32
and with every attention score in memory; tests/stages/test_gpu_memory.py counts it. An engine that
fuses, or computes in 16 bits, needs less.
"""

from stages.batching import ROW_PIXELS
from stages.tiles import MAX_TILE

UNET_SHARE = GRAPHS_SHARE = DECODER_SHARE = 0.25
LARGER_TILES = (512, 256)  # latent pixels, of those that are tried
GUIDED_ROWS = 2


def unet_bytes(rows: int, pixels: int) -> int:
    """Of a call. pixels: of the latents of a row.

    At 1024 x 1024 the attention at an eighth of the size, 8 heads, needs more than convolutions.
    """
    return rows * max(15_700 * pixels, 5_600 * pixels + pixels**2 // 64)


def decoder_bytes(tiles: int, pixels: int, has_attention: bool) -> int:
    """Of a call. pixels: of the latents of a tile; has_attention: over all of them, one head."""
    convolutions, beside = 49_200 * pixels, 12_400 * pixels
    scores = 8 * pixels**2 + beside if has_attention else 0
    return tiles * max(convolutions, scores)


def max_tile(memory: int) -> int:
    """The largest tile of the UNet on a GPU of so many bytes, with guidance: latent pixels."""
    room = UNET_SHARE * memory
    fitting = (side for side in LARGER_TILES if unet_bytes(GUIDED_ROWS, side**2) <= room)
    return next(fitting, MAX_TILE)


def unet_rows(memory: int, most: int) -> int:
    """Rows of ROW_PIXELS in a call of the UNet, at most `most`; one goes always."""
    return max(1, min(most, int(UNET_SHARE * memory) // unet_bytes(1, ROW_PIXELS)))


def decoder_tiles(memory: int, side: int, has_attention: bool, most: int) -> int:
    """Tiles of side x side latents in a call of the decoder, at most `most`; one goes always."""
    room = int(DECODER_SHARE * memory)
    return max(1, min(most, room // decoder_bytes(1, side**2, has_attention)))


def graphs_bytes(memory: int) -> int:
    """Of all CUDA graphs together."""
    return int(GRAPHS_SHARE * memory)
