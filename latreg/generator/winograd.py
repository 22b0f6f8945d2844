"""3x3 convolutions by Winograd's F(4x4, 3x3) as three matrix products (Lavin and Gray, arXiv 1509.09308).

A tile of 4x4 results takes 36 products per pair of channels instead of 144. On one core and 512 channels that is about
twice as fast as the direct convolution; below 256 channels the transformations eat up the gain.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_CHANNELS = 256
TILE = 4  # results per side; TILE + 2 inputs
TILES_AT_ONCE = 256  # 36 x 256 x 512 floats are 18 MB; with larger temporaries the caches are lost

_INPUT = [  # B^T of the paper: 6 inputs => 6 points
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_KERNEL = [  # G: 3 taps => 6 points
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_OUTPUT = [  # A^T: 6 points => 4 results
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]


def suits(weight: Tensor, side: int) -> bool:
    """Whether a 3x3 convolution with this weight (O, I, 3, 3) on side x side maps is faster this way."""
    return weight.device.type == "cpu" and min(weight.shape[:2]) >= MIN_CHANNELS and side % TILE == 0 and side > TILE


class WinogradConvolution:
    """A convolution with padding 1 of (N, H, W, I) to (N, H, W, O), H and W multiples of 4.

    Args:
        weight: (O, I, 3, 3).
    """

    def __init__(self, weight: Tensor) -> None:
        kernel = torch.tensor(_KERNEL, dtype=torch.float64)
        points = torch.einsum("ai, ocij, bj -> abco", kernel, weight.detach().double(), kernel)
        self.weight = points.flatten(0, 1).float().contiguous()  # (36, I, O)
        self._input, self._output = (torch.tensor(matrix, dtype=torch.float32) for matrix in (_INPUT, _OUTPUT))

    def __call__(self, x: Tensor) -> Tensor:
        tiles = x.shape[1] * x.shape[2] // TILE**2
        parts = [self._convolve(part) for part in torch.split(x, max(TILES_AT_ONCE // tiles, 1))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _convolve(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        rows, columns = height // TILE, width // TILE
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        image, row, column, channel = padded.stride()
        windows = padded.as_strided(  # the same place of all tiles together
            (TILE + 2, TILE + 2, n, rows, columns, channels), (row, column, image, TILE * row, TILE * column, channel)
        )
        points = _on_both_axes(self._input, windows.reshape(36, -1)).view(36, -1, channels)
        products = torch.bmm(points, self.weight)
        y = _on_both_axes(self._output, products.flatten(1)).view(TILE, TILE, n, rows, columns, -1)
        return y.permute(2, 3, 0, 4, 1, 5).reshape(n, height, width, -1)


def _on_both_axes(matrix: Tensor, x: Tensor) -> Tensor:
    """x (M M, K), an M x M array for each column => (N N, K) for a matrix (N, M): matrix @ array @ matrix.T."""
    new, old = matrix.shape
    rows = matrix @ x.view(old, -1)
    return torch.matmul(matrix, rows.view(new, old, -1)).flatten(0, 1)
