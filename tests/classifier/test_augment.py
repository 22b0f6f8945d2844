import numpy as np
import torch

from latreg.classifier.augment import cutout, random_affine


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_no_motion_changes_nothing() -> None:
    images = torch.rand(4, 3, 8, 8)
    moved = random_affine(images, rng(), max_shift=0, max_rotation=0, flip=False)
    torch.testing.assert_close(moved, images, rtol=0, atol=1e-5)


def test_shift_by_whole_pixels_with_reflection() -> None:
    images = torch.rand(200, 1, 8, 8)
    moved = random_affine(images, rng(), max_shift=2, max_rotation=0, flip=False)
    padded = torch.from_numpy(np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric"))
    shifts = [(y, x) for y in range(5) for x in range(5)]
    found = set()
    for one, after in zip(padded, moved, strict=True):
        matches = [s for s in shifts if torch.allclose(one[:, s[0] : s[0] + 8, s[1] : s[1] + 8], after, atol=1e-4)]
        assert len(matches) == 1
        found.add(matches[0])
    assert found == set(shifts)


def test_flip_mirrors_some() -> None:
    images = torch.rand(40, 1, 8, 8)
    moved = random_affine(images, rng(), max_shift=0, max_rotation=0, flip=True)
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(images, moved, strict=True)]
    mirrored = [torch.allclose(a.flip(-1), b, atol=1e-5) for a, b in zip(images, moved, strict=True)]
    assert all(s != m for s, m in zip(same, mirrored, strict=True))
    assert 10 < sum(mirrored) < 30


def test_rotation_keeps_the_centre_and_turns_by_at_most_the_limit() -> None:
    yy, xx = torch.meshgrid(torch.arange(33) - 16.0, torch.arange(33) - 16.0, indexing="ij")
    ray = ((yy.abs() < 1) & (xx > 0)).float()  # from the centre to the right
    moved = random_affine(ray.expand(50, 1, 33, 33), rng(), max_shift=0, max_rotation=20, flip=False)[:, 0]
    angles = torch.rad2deg(torch.atan2((moved * yy).sum((1, 2)), (moved * xx).sum((1, 2))))
    assert angles.abs().max() < 21
    assert angles.abs().max() > 15
    assert angles.min() < 0 < angles.max()


def test_cutout_blackens_one_square() -> None:
    erased = cutout(torch.ones(50, 2, 10, 10), rng(), side=4) == 0
    area = erased.sum((1, 2, 3)) / 2
    assert area.max() == 16
    assert area.min() >= 4  # the centre is inside the image


def test_same_generator_same_images() -> None:
    images = torch.rand(5, 1, 8, 8)
    a, b = (random_affine(images, rng(3), max_shift=2, max_rotation=9, flip=True) for _ in range(2))
    assert torch.equal(a, b)
