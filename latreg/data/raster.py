"""Pictures that anybody may have made: opening one starts no other program, and sizes are looked at before pixels.

Pillow knows formats that it hands to other programs: it shows an EPS, which is a program itself, to Ghostscript. So the
formats are listed here, and Pillow is asked for no others, whatever a file is called.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from latreg.errors import LatregError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_SIDE = 4096  # pixels


@contextmanager
def opened(source: Path | bytes, name: str, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    """A picture whose header is read, and whose pixels may be read in the block.

    Args:
        source: a file, or its content.
        name: what the picture is called in an error.
        formats: as Pillow names them.

    Raises:
        LatregError: it is none of these formats, is too large, or turns out to be damaged, also in the block.
    """
    too_large = f"{name} must have at most {MAX_SIDE}x{MAX_SIDE} pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of sizes that are refused here
            image = Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=list(formats))
        with image:
            if max(image.size) > MAX_SIDE:
                raise LatregError(f"{too_large}, got {image.width}x{image.height}")
            yield image
    except LatregError:
        raise
    except UnidentifiedImageError as error:
        raise LatregError(
            f"{name} cannot be read as an image: it is none of {', '.join(formats)}, or is damaged"
        ) from error
    except Image.DecompressionBombError as error:
        raise LatregError(f"{too_large}, got more") from error
    except Exception as error:  # Pillow's ways to say damaged are a dozen types
        raise LatregError(f"{name} cannot be read as an image: {' '.join(str(error).split())}") from error
