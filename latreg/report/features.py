"""What a network that is neither SUT nor judge sees in images, to measure how alike they are."""

from collections.abc import Iterator

import torch

from latreg.classifier.sut import load_network
from latreg.data.images import to_unit
from latreg.errors import LatregError
from latreg.measures.statistics import Floats
from latreg.report.diversity import Images, Space
from latreg.zoo import weights


def space_of(dataset: str) -> Iterator[Space]:
    """The features of the guide of a shipped data set, which taught its generator; of another there are none."""
    try:
        path = weights.resolve(f"zoo:{dataset}_guide", "dataset")
    except LatregError:
        return
    network = load_network(path).eval()

    def of(images: Images) -> Floats:
        with torch.inference_mode():
            found = network.features(to_unit(torch.from_numpy(images)))
        return torch.nn.functional.normalize(found, dim=1).double().numpy()

    yield Space(f"features of {path.stem}", of)
