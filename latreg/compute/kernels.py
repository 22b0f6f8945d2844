"""Products of matrices and convolutions, compiled, in which a row or an image has no say in what becomes of the others.

Winograd's convolutions take feature maps to points, products of points, and products to feature maps. An axis is cut
into tiles of 4 pixels. While a row of tiles is worked on, the pixels of a line are sorted by their place in their tile:
(4 places, tiles, channels), flat. So all arithmetic is on vectors of many tiles, and what becomes of an image
depends on nothing but the image.

All arrays are float32 and C-contiguous. Weights are (P, panels, I, COLUMNS) for P points or pairs of points, where the
outputs are filled up to a multiple of COLUMNS and cut into panels.

Compiled code is kept on disk, and compiled anew when this file changes: so all of it has to stay in this one.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

TILE = 4
SAME_POINTS = 6  # 0, r, -r, 2 r, -2 r, infinity with r = sqrt(1/2): a quarter of the rounding errors of r = 1
EVEN_POINTS = 5  # 1/2, -1/2, 5/4, -5/4, infinity: half of those of 0, 1, -1, 2, infinity
DEPTH = 128  # inputs that are summed before their sum is added to others: few keep the rounding errors small

_WIDE = bool(llvm.get_host_cpu_features().get("avx512f"))
LANES = 16 if _WIDE else 8  # floats of a vector
ROWS = 8 if _WIDE else 4  # of a block of a product, so that its sums fill the registers and no more
VECTORS = 2  # of a row of a block
COLUMNS = VECTORS * LANES

Array = np.ndarray[Any, np.dtype[np.float32]]
f32 = np.float32
R, R2 = f32(0.5**0.5), f32(2**0.5)

_compiled = njit(nogil=True, error_model="numpy", fastmath={"contract"})
_inlined = njit(nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True)


def _kept(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled, and kept on disk where there is a place for it."""
    kept: Callable[..., None]
    try:
        kept = njit(nogil=True, error_model="numpy", fastmath={"contract"}, cache=True)(function)
    except RuntimeError:  # neither the folder of the package nor that of the user can be written
        kept = _compiled(function)
    return kept


# ---- Convolutions


@_kept
def same(
    x: Array, scale: Array, weights: Array, bias: Array, tiles_at_once: int, first: int, end: int, y: Array
) -> None:
    """A convolution with zeros around the maps.

    Args:
        x: (N, H, W, I).
        scale: of its channels, (N, I).
        weights: of the 36 pairs of points.
        bias: (O,).
        tiles_at_once: whose points are in memory; those of one image at least.
        first, end: the images to convolve.
        y: where the results go, (N, H, W, O).
    """
    _, height, width, inputs = x.shape
    tiles = _tiles(height) * _tiles(width)
    at_once = max(tiles_at_once // tiles, 1)
    for n in range(first, end, at_once):
        stop = min(n + at_once, end)
        points = _rows((stop - n) * tiles, inputs, SAME_POINTS, SAME_POINTS)
        _split_same(x, scale, n, stop, points)
        _join_same(_products(points, weights), bias, n, stop, y)


@_kept
def upsampling(
    x: Array,
    scale: Array,
    weights: tuple[Array, Array, Array, Array, Array, Array],
    taps: Array,
    tiles_at_once: int,
    first: int,
    end: int,
    y: Array,
) -> None:
    """A convolution that doubles H and W, multiples of 4, with zeros between the pixels, and a filter after it.

    Args:
        x: (N, H, W, I).
        scale: of its channels, (N, I).
        weights: for even rows and columns, of 25 pairs of points; for even rows and odd columns, of 5 points; for odd
            rows and even columns, of 5; for odd ones, of 1; for the last row and the last column, three times as many
            outputs as there are, of 1.
        taps: of the filter, (4,), the same along both axes.
        tiles_at_once: whose points are in memory; those of one image at least.
        first, end: the images to convolve.
        y: where the results go, (N, 2 H, 2 W, O).
    """
    _, height, width, inputs = x.shape
    tiles = _tiles(height) * _tiles(width)
    at_once = max(tiles_at_once // tiles, 1)
    for n in range(first, end, at_once):
        stop = min(n + at_once, end)
        count = (stop - n) * tiles
        ee, eo = _rows(count, inputs, EVEN_POINTS, EVEN_POINTS), _rows(count, inputs, EVEN_POINTS, TILE)
        oe, oo = _rows(count, inputs, EVEN_POINTS, TILE), _rows(count, inputs, TILE, TILE)
        _split_upsampling(x, scale, n, stop, ee, eo, oe, oo)
        bottom, right = _rows((stop - n) * width, inputs, 1, 1), _rows((stop - n) * height, inputs, 1, 1)
        _take_last(x, scale, n, stop, bottom, right)
        _join_upsampling(
            _products(ee, weights[0]),
            _products(eo, weights[1]),
            _products(oe, weights[2]),
            _products(oo, weights[3]),
            _products(bottom, weights[4]),
            _products(right, weights[5]),
            taps,
            n,
            stop,
            y,
        )


@_compiled
def _tiles(pixels: int) -> int:
    return (pixels + TILE - 1) // TILE


# ---- Rows, skip outputs


@_kept
def rows(x: Array, weights: Array, bias: Array, rows_at_once: int, first: int, end: int, y: Array) -> None:
    """Rows times a matrix, and a bias.

    Args:
        x: (N, I).
        weights: of one point.
        bias: (O,).
        rows_at_once: how many are worked on, so that they stay in the caches.
        first, end: the rows to multiply.
        y: where the results go, (N, O).
    """
    for n in range(first, end, rows_at_once):
        stop = min(n + rows_at_once, end)
        points = _rows(stop - n, x.shape[1], 1, 1)
        for i in range(stop - n):
            _copy(x[n + i], points[0, 0, i])
        products = _products(points, weights)
        for i in range(stop - n):
            _add(products[0, 0, i], bias, y[n + i])


@_kept
def skips(x: Array, weights: Array, first: int, end: int, y: Array) -> None:
    """Pixels times the matrix of their own image.

    Args:
        x: (N, P, I), P a multiple of ROWS.
        weights: (N, O, I).
        first, end: the images.
        y: where the results go, (N, O, P).
    """
    _, pixels, inputs = x.shape
    outputs = weights.shape[1]
    panels = (outputs + COLUMNS - 1) // COLUMNS
    packed = np.zeros((1, panels, inputs, COLUMNS), f32)
    for n in range(first, end):
        for o in range(outputs):
            for c in range(inputs):
                packed[0, o // COLUMNS, c, o % COLUMNS] = weights[n, o, c]
        products = _products(x[n].reshape((1, 1, pixels, inputs)), packed)
        for o in range(outputs):
            for p in range(pixels):
                y[n, o, p] = products[0, 0, p, o]


# ---- Products of points


@_compiled
def _rows(count: int, size: int, a: int, b: int) -> Array:
    """Room for `count` rows of a size for a x b points, filled up with zeros to whole blocks."""
    rows = np.empty((a, b, (count + ROWS - 1) // ROWS * ROWS, size), f32)
    rows[:, :, count:] = f32(0)
    return rows


@_compiled
def _products(points: Array, weights: Array) -> Array:
    """Points (a, b, rows, I), of which each pair or all of the same a have their weights => (a, b, rows, O)."""
    pairs, panels, inputs, _ = weights.shape
    outputs = panels * COLUMNS
    products = np.empty((*points.shape[:3], outputs), f32)
    flat_points, flat_weights, flat_products = points.reshape(-1), weights.reshape(-1), products.reshape(-1)
    rows = len(flat_points) // (inputs * pairs)  # for each pair
    for p in range(pairs):
        for panel in range(panels):
            for k in range(0, inputs, DEPTH):
                depth = min(DEPTH, inputs - k)
                b = ((p * panels + panel) * inputs + k) * COLUMNS
                for row in range(p * rows, (p + 1) * rows, ROWS):
                    a, c = row * inputs + k, row * outputs + panel * COLUMNS
                    if k == 0:
                        _set_block(flat_points, a, inputs, flat_weights, b, depth, flat_products, c, outputs)
                    else:
                        _add_block(flat_points, a, inputs, flat_weights, b, depth, flat_products, c, outputs)
    return products


_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INDEX = ir.IntType(64)
_FUSED = ("contract",)  # a product and a sum may become one instruction


def _block(adds: bool) -> Any:
    """A compiled function (a, a_at, a_step, b, b_at, depth, c, c_at, c_step) on flat arrays of float32.

    It sets c[i, j], or adds to it, the sum over k < depth of a[i, k] b[k, j], in the order of k, for ROWS rows i and
    COLUMNS columns j. A matrix begins at `.._at`; its rows are `.._step` apart, those of b follow each other.
    """
    size = types.intp

    @intrinsic
    def block(
        context: Any, a: Any, a_at: Any, a_step: Any, b: Any, b_at: Any, depth: Any, c: Any, c_at: Any, c_step: Any
    ) -> Any:
        return types.void(a, size, size, b, size, size, c, size, size), generate

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        a, a_at, a_step, b, b_at, depth, c, c_at, c_step = arguments
        a_type, _, _, b_type, _, _, c_type, _, _ = signature.args

        def pointer(array_type: Any, array: ir.Value, at: ir.Value) -> ir.Value:
            return builder.gep(context.make_array(array_type)(context, builder, array).data, [at])

        def rows(start: ir.Value, step: ir.Value) -> list[ir.Value]:
            return [builder.gep(start, [builder.mul(step, _INDEX(i))]) for i in range(ROWS)]

        def vectors(start: ir.Value) -> list[ir.Value]:
            places = [builder.gep(start, [_INDEX(i * LANES)]) for i in range(VECTORS)]
            return [builder.bitcast(place, _VECTOR.as_pointer()) for place in places]

        a_rows, c_rows = rows(pointer(a_type, a, a_at), a_step), rows(pointer(c_type, c, c_at), c_step)
        b_start = pointer(b_type, b, b_at)
        zero = _VECTOR([0.0] * LANES)
        sums = [[_variable(builder, zero) for _ in range(VECTORS)] for _ in range(ROWS)]
        with cgutils.for_range(builder, depth) as loop:
            b_row = vectors(builder.gep(b_start, [builder.mul(loop.index, _INDEX(COLUMNS))]))
            factors = [builder.load(vector, align=4) for vector in b_row]
            for a_row, row_sums in zip(a_rows, sums, strict=True):
                value = _repeated(builder, builder.load(builder.gep(a_row, [loop.index])))
                for factor, total in zip(factors, row_sums, strict=True):
                    product = builder.fmul(value, factor, flags=_FUSED)
                    builder.store(builder.fadd(builder.load(total), product, flags=_FUSED), total)
        for c_row, row_sums in zip(c_rows, sums, strict=True):
            for place, total in zip(vectors(c_row), row_sums, strict=True):
                result = builder.load(total)
                if adds:
                    result = builder.fadd(builder.load(place, align=4), result)
                builder.store(result, place, align=4)
        return context.get_dummy_value()

    return block


_set_block = _block(adds=False)
_add_block = _block(adds=True)


def _variable(builder: ir.IRBuilder, value: ir.Constant) -> ir.Value:
    variable: ir.Value = cgutils.alloca_once_value(builder, value)  # type: ignore[no-untyped-call]
    return variable


def _repeated(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A vector of the same value."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.VectorType(ir.IntType(32), LANES)([0] * LANES))


# ---- Feature maps to points


@_compiled
def _split_same(x: Array, scale: Array, first: int, end: int, points: Array) -> None:
    """Maps, zeros around them, to the points of their tiles in both directions.

    Args:
        x: (N, H, W, C).
        scale: of their channels, (N, C).
        first, end: the images to split.
        points: where they go, (6, 6, N tiles or more, C).
    """
    _, height, width, channels = x.shape
    down, across = _tiles(height), _tiles(width)
    size = across * channels
    place = size + channels  # of a line, which holds one tile more than the maps
    line = TILE * place
    step = points.shape[2] * channels
    lines = np.zeros((SAME_POINTS, TILE, across + 1, channels), f32)
    flat_lines, flat_points = lines.reshape(-1), points.reshape(-1)
    rows = np.empty(SAME_POINTS * line, f32)
    for n in range(first, end):
        for i in range(down):
            _load(x, scale, n, TILE * i - 1, lines)
            _to_same_points(flat_lines, 0, line, TILE * line, line, rows, 0, line)
            at = ((n - first) * down + i) * size
            for a in range(SAME_POINTS):
                _to_same_points(rows, a * line, place, channels, size, flat_points, a * SAME_POINTS * step + at, step)


@_compiled
def _split_upsampling(x: Array, scale: Array, first: int, end: int, ee: Array, eo: Array, oe: Array, oo: Array) -> None:
    """Maps, H and W multiples of 4, to what even and odd places of the doubled maps are made of.

    Even places are made of points, odd ones of the pixels themselves.

    Args:
        x: (N, H, W, C).
        scale: of their channels, (N, C).
        first, end: the images to split.
        ee, eo, oe, oo: where they go, by what they are vertically, then horizontally: (5, 5, N tiles or more, C),
            (5 vertically, 4, .., C), (5 horizontally, 4, .., C) and (4, 4, .., C).
    """
    _, height, width, channels = x.shape
    down, across = _tiles(height), _tiles(width)
    size = across * channels
    place = size + channels
    line = TILE * place
    step = ee.shape[2] * channels
    lines = np.zeros((EVEN_POINTS, TILE, across + 1, channels), f32)
    flat_lines = lines.reshape(-1)
    flat_ee, flat_eo, flat_oe, flat_oo = ee.reshape(-1), eo.reshape(-1), oe.reshape(-1), oo.reshape(-1)
    rows = np.empty(EVEN_POINTS * line, f32)
    for n in range(first, end):
        for i in range(down):
            _load(x, scale, n, TILE * i - 1, lines)
            _to_even_points(flat_lines, 0, line, TILE * line, line, rows, 0, line)
            at = ((n - first) * down + i) * size
            for a in range(EVEN_POINTS):
                _to_even_points(rows, a * line, place, channels, size, flat_ee, a * EVEN_POINTS * step + at, step)
                _to_pixels(rows, a * line, place, channels, size, flat_eo, a * TILE * step + at, step)
            for k in range(TILE):
                start = (k + 1) * line
                _to_even_points(flat_lines, start, place, channels, size, flat_oe, k * step + at, TILE * step)
                _to_pixels(flat_lines, start, place, channels, size, flat_oo, k * TILE * step + at, step)


@_compiled
def _load(x: Array, scale: Array, n: int, top: int, lines: Array) -> None:
    """The rows of image n from `top` on, one pixel to the right of where they are, zeros where there are none."""
    _, height, width, _ = x.shape
    factors = scale[n]
    for r in range(len(lines)):
        if not 0 <= top + r < height:
            lines[r] = f32(0)
            continue
        for j in range(TILE):
            for t in range(lines.shape[2]):
                w = TILE * t + j - 1
                if 0 <= w < width:
                    _multiply(x[n, top + r, w], factors, lines[r, j, t])


@_compiled
def _take_last(x: Array, scale: Array, first: int, end: int, bottom: Array, right: Array) -> None:
    """The lowest and the rightmost pixels, (1, 1, images H or W or more, I)."""
    _, height, width, _ = x.shape
    for n in range(first, end):
        factors = scale[n]
        for w in range(width):
            _multiply(x[n, height - 1, w], factors, bottom[0, 0, (n - first) * width + w])
        for h in range(height):
            _multiply(x[n, h, width - 1], factors, right[0, 0, (n - first) * height + h])


@_compiled
def _to_same_points(
    source: Array, start: int, place: int, tile: int, size: int, target: Array, at: int, step: int
) -> None:
    """Six pixels next to each other to the points 0, r, -r, 2 r, -2 r and infinity, r = sqrt(1/2).

    Args:
        source: flat; the j-th pixels begin at start + (j % 4) place + (j // 4) tile.
        size: of a vector.
        target: flat; the j-th points begin at at + j step.
    """
    x0, x1 = source[start:], source[start + place :]
    x2, x3 = source[start + 2 * place :], source[start + 3 * place :]
    x4, x5 = source[start + tile :], source[start + tile + place :]
    p0, p1, p2 = target[at:], target[at + step :], target[at + 2 * step :]
    p3, p4, p5 = target[at + 3 * step :], target[at + 4 * step :], target[at + 5 * step :]
    for c in range(size):
        even, odd = x4[c] - f32(2) * x2[c], x3[c] - f32(2) * x1[c]
        even2, odd2 = x4[c] - f32(0.5) * x2[c], x3[c] - f32(0.5) * x1[c]
        p0[c] = (x0[c] + x4[c]) - f32(2.5) * x2[c]
        p1[c] = even + R * odd
        p2[c] = even - R * odd
        p3[c] = even2 + R2 * odd2
        p4[c] = even2 - R2 * odd2
        p5[c] = (x1[c] + x5[c]) - f32(2.5) * x3[c]


@_compiled
def _to_even_points(
    source: Array, start: int, place: int, tile: int, size: int, target: Array, at: int, step: int
) -> None:
    """Five pixels next to each other to the points 1/2, -1/2, 5/4, -5/4 and infinity.

    The arguments are those of `_to_same_points`.
    """
    x0, x1 = source[start:], source[start + place :]
    x2, x3 = source[start + 2 * place :], source[start + 3 * place :]
    x4 = source[start + tile :]
    p0, p1, p2 = target[at:], target[at + step :], target[at + 2 * step :]
    p3, p4 = target[at + 3 * step :], target[at + 4 * step :]
    for c in range(size):
        odd, even = x3[c] - f32(1.5625) * x1[c], x2[c] - f32(1.5625) * x0[c]
        odd2, even2 = x3[c] - f32(0.25) * x1[c], x2[c] - f32(0.25) * x0[c]
        p0[c] = odd + f32(0.5) * even
        p1[c] = odd - f32(0.5) * even
        p2[c] = odd2 + f32(1.25) * even2
        p3[c] = odd2 - f32(1.25) * even2
        p4[c] = (x4[c] - f32(1.8125) * x2[c]) + f32(0.390625) * x0[c]


@_compiled
def _to_pixels(source: Array, start: int, place: int, tile: int, size: int, target: Array, at: int, step: int) -> None:
    """The four pixels of each tile themselves; arguments as for `_to_same_points`."""
    for j in range(1, TILE + 1):
        begin = start + (j % TILE) * place + (j // TILE) * tile
        goal = at + (j - 1) * step
        _copy(source[begin:], target[goal : goal + size])


# ---- Products to feature maps


@_compiled
def _join_same(products: Array, bias: Array, first: int, end: int, y: Array) -> None:
    """Products of the points (6, 6, N tiles or more, C) and bias (C,) to maps y (N, H, W, C), images first .. end."""
    _, height, width, _ = y.shape
    channels = products.shape[3]
    down, across = _tiles(height), _tiles(width)
    size = across * channels
    line = TILE * size
    step = products.shape[2] * channels
    flat = products.reshape(-1)
    rows = np.empty(SAME_POINTS * line, f32)
    lines = np.empty((TILE, TILE, across, channels), f32)
    for n in range(first, end):
        for i in range(down):
            at = ((n - first) * down + i) * size
            for a in range(SAME_POINTS):
                _from_same_points(flat, a * SAME_POINTS * step + at, step, size, rows, a * line, size)
            _from_same_points(rows, 0, line, line, lines.reshape(-1), 0, line)
            for k in range(min(TILE, height - TILE * i)):
                for j in range(TILE):
                    for t in range((width - j + TILE - 1) // TILE):
                        _add(lines[k, j, t], bias, y[n, TILE * i + k, TILE * t + j])


@_compiled
def _join_upsampling(
    ee: Array, eo: Array, oe: Array, oo: Array, bottom: Array, right: Array, taps: Array, first: int, end: int, y: Array
) -> None:
    """Products to the doubled maps (N, 2 H + 1, 2 W + 1, C), and these filtered to y (N, 2 H, 2 W, C).

    Args:
        ee, eo, oe, oo: products of what `_split_upsampling` makes.
        bottom: products of the lowest pixels, (N, W, 3 taps, C), for the last row.
        right: products of the rightmost pixels, (N, H, 3 taps, C), for the last column.
        taps: of the filter, (4,), the same along both axes.
        first, end: the images to join.
        y: where they go.
    """
    _, height, width, _ = y.shape
    channels = ee.shape[3]
    down, across = _tiles(height // 2), _tiles(width // 2)
    size = across * channels
    step = ee.shape[2] * channels
    flat_ee, flat_eo, flat_oe, flat_oo = ee.reshape(-1), eo.reshape(-1), oe.reshape(-1), oo.reshape(-1)
    rows = np.empty(EVEN_POINTS * TILE * size, f32)
    lines = np.empty((TILE, TILE, across, channels), f32)
    flat_lines = lines.reshape(-1)
    doubled = np.zeros((height + 3, width + 3, channels), f32)  # with one zero before and after
    filtered, row = np.empty((width + 3) * channels, f32), np.empty(width * channels, f32)
    for n in range(first, end):
        for i in range(down):
            at = ((n - first) * down + i) * size
            top = 2 * TILE * i + 1
            for a in range(EVEN_POINTS):
                _from_even_points(flat_ee, a * EVEN_POINTS * step + at, step, size, rows, a * TILE * size, size)
            _from_even_points(rows, 0, TILE * size, TILE * size, flat_lines, 0, TILE * size)
            _spread(lines, doubled, top, 1)
            for k in range(TILE):
                _from_even_points(flat_eo, k * step + at, TILE * step, size, flat_lines, k * size, TILE * size)
            _spread(lines, doubled, top, 2)
            for k in range(TILE):
                _from_even_points(flat_oe, k * step + at, TILE * step, size, flat_lines, k * TILE * size, size)
            _spread(lines, doubled, top + 1, 1)
            for k in range(TILE):
                for j in range(TILE):
                    place = k * TILE + j
                    _copy(flat_oo[place * step + at :], flat_lines[place * size : (place + 1) * size])
            _spread(lines, doubled, top + 1, 2)
        _put_last(bottom, right, n - first, doubled)
        for h in range(height):
            _filter(doubled.reshape(-1), h * len(filtered), len(filtered), taps, filtered)
            _filter(filtered, 0, channels, taps, row)
            for w in range(width):
                _copy(row[w * channels :], y[n, h, w])


@_compiled
def _spread(lines: Array, doubled: Array, top: int, left: int) -> None:
    """Put lines (4, 4 places, tiles, C) to every other row from `top` on and every other column from `left` on."""
    for k in range(TILE):
        row = doubled[top + 2 * k]
        for j in range(TILE):
            for t in range(lines.shape[2]):
                _copy(lines[k, j, t], row[left + 2 * (TILE * t + j)])


@_compiled
def _put_last(bottom: Array, right: Array, n: int, doubled: Array) -> None:
    """Fill in the last row and column, which are made of the last row and column of pixels alone.

    Args:
        bottom, right: products with the three taps, (1, 1, images W or H or more, 3 C).
        n: the image.
        doubled: (2 H + 3, 2 W + 3, C), the maps with one zero before and after.
    """
    width, channels = (doubled.shape[1] - 3) // 2, doubled.shape[2]
    height = (doubled.shape[0] - 3) // 2
    row, last = doubled[2 * height + 1].reshape(-1), 2 * width + 1
    row[:] = f32(0)
    for w in range(width):
        start = (2 * w + 1) * channels
        target = row[start : start + 3 * channels]
        _add(bottom[0, 0, n * width + w], target, target)
    doubled[1 : 2 * height + 1, last] = f32(0)
    for h in range(height):
        products = right[0, 0, n * height + h].reshape(-1, channels)
        for k in range(3 if h < height - 1 else 2):  # the corner is done
            target = doubled[2 * h + 1 + k, last]
            _add(products[k], target, target)


@_compiled
def _from_same_points(source: Array, start: int, step: int, size: int, target: Array, at: int, place: int) -> None:
    """Products of the six points, `step` apart, to four results, `place` apart."""
    p0, p1, p2 = source[start:], source[start + step :], source[start + 2 * step :]
    p3, p4, p5 = source[start + 3 * step :], source[start + 4 * step :], source[start + 5 * step :]
    y0, y1, y2, y3 = target[at:], target[at + place :], target[at + 2 * place :], target[at + 3 * place :]
    for c in range(size):
        even, odd, even2, odd2 = p1[c] + p2[c], p1[c] - p2[c], p3[c] + p4[c], p3[c] - p4[c]
        y0[c] = (p0[c] + even) + even2
        y1[c] = R * odd + R2 * odd2
        y2[c] = f32(0.5) * even + f32(2) * even2
        y3[c] = (f32(0.5) * R * odd + p5[c]) + f32(2) * R2 * odd2


@_compiled
def _from_even_points(source: Array, start: int, step: int, size: int, target: Array, at: int, place: int) -> None:
    """Products of the five points, `step` apart, to four results, `place` apart."""
    p0, p1, p2 = source[start:], source[start + step :], source[start + 2 * step :]
    p3, p4 = source[start + 3 * step :], source[start + 4 * step :]
    y0, y1, y2, y3 = target[at:], target[at + place :], target[at + 2 * place :], target[at + 3 * place :]
    for c in range(size):
        even, odd, even2, odd2 = p0[c] + p1[c], p0[c] - p1[c], p2[c] + p3[c], p2[c] - p3[c]
        y0[c] = even + even2
        y1[c] = f32(0.5) * odd + f32(1.25) * odd2
        y2[c] = f32(0.25) * even + f32(1.5625) * even2
        y3[c] = (f32(0.125) * odd + f32(1.953125) * odd2) + p4[c]


@_compiled
def _filter(source: Array, start: int, step: int, taps: Array, target: Array) -> None:
    """The sum of four vectors, `step` apart, times taps (4,)."""
    x0, x1 = source[start:], source[start + step :]
    x2, x3 = source[start + 2 * step :], source[start + 3 * step :]
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    for c in range(len(target)):
        target[c] = (t0 * x0[c] + t3 * x3[c]) + (t1 * x1[c] + t2 * x2[c])


# ---- Vectors, as long as the target


@_inlined
def _copy(x: Array, target: Array) -> None:
    for c in range(len(target)):
        target[c] = x[c]


@_inlined
def _add(x: Array, y: Array, target: Array) -> None:
    for c in range(len(target)):
        target[c] = x[c] + y[c]


@_inlined
def _multiply(x: Array, y: Array, target: Array) -> None:
    for c in range(len(target)):
        target[c] = x[c] * y[c]


@_inlined
def _add_product(x: Array, y: Array, target: Array) -> None:
    for c in range(len(target)):
        target[c] += x[c] * y[c]
