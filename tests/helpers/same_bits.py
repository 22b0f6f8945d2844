"""What "alike whatever lies beside it" means: to the bit, at any place, in any company, in batches of any size."""

import random

import torch

SIZES = (2, 3, 8, 9, 13)


def assert_same_alone(answer, *batches):
    """The answer to each row, asked about alone, is that in batches of other sizes, at other places, beside others."""
    rng = random.Random(0)
    rows = range(len(batches[0]))
    alone = torch.cat([answer(*(batch[[row]] for batch in batches)) for row in rows])
    assert alone.isfinite().all()
    for size in SIZES:
        places = rng.sample(rows, min(size, len(rows)))
        assert torch.equal(answer(*(batch[places] for batch in batches)), alone[places]), f"{size} at once"
