import pytest
import torch

from latreg.errors import LatregError, NotFiniteError
from latreg.validity.judge import Judge, label_kept


class Fixed:
    """Says the same about every image."""

    def __init__(self, id, probabilities):
        self.id = id
        self.num_classes = len(probabilities)
        self.probabilities = torch.tensor(probabilities)
        self.batches = []

    def __call__(self, images):
        self.batches.append(len(images))
        return self.probabilities.repeat(len(images), 1)


class LeftHalf(Fixed):
    """Gives class 0 the brightness of the left half."""

    def __call__(self, images):
        self.batches.append(len(images))
        left = images[..., :16].mean((1, 2, 3))
        return torch.stack([left, 1 - left], dim=1)


IMAGES = torch.zeros(5, 1, 32, 32)
LABELS = torch.tensor([0, 0, 1, 1, 2])


def judge(batch=64):
    return Judge([Fixed("a", [0.6, 0.4, 0.0]), Fixed("b", [0.6, 0.4, 0.0]), Fixed("c", [0.0, 1.0, 0.0])], batch)


def test_answers_the_mean_of_the_members():
    torch.testing.assert_close(judge()(IMAGES), torch.tensor([0.4, 0.6, 0.0]).repeat(5, 1))


def test_votes_count_members_and_kept_asks_the_ensemble():
    assert judge().votes(IMAGES, LABELS).tolist() == [2, 2, 1, 1, 0]
    assert judge().kept(IMAGES, LABELS).tolist() == [False, False, True, True, False]


def test_opinions_of_each_member():
    opinions = judge(batch=2).opinions(IMAGES)
    assert opinions.shape == (3, 5, 3)
    assert opinions[2, 4].tolist() == [0, 1, 0]
    assert judge().opinions(IMAGES[:0]).shape == (3, 0, 3)


def test_members_are_asked_where_they_can_change_the_answer():
    members = [LeftHalf("a", [1.0, 0.0]), LeftHalf("b", [1.0, 0.0]), LeftHalf("c", [1.0, 0.0])]
    images = torch.rand(40, 1, 32, 32) * torch.linspace(0.1, 1.6, 40).clamp(max=1)[:, None, None, None]
    images[..., :16] = images[..., :16].sqrt().sqrt()
    labels = torch.arange(40) % 2
    whole = Judge(members)
    for confidence in (0.0, 0.5, 0.7, 0.9):
        kept = whole.kept(images, labels, confidence)
        assert torch.equal(kept, label_kept(whole.opinions(images), labels, confidence))
    asked = [sum(member.batches) for member in members]
    assert asked[0] > asked[1] > asked[2]
    assert whole.kept(images[:0], labels[:0]).tolist() == []


def test_a_mirrored_image_is_judged_like_the_image():
    images = torch.zeros(3, 1, 32, 32)
    images[0, ..., :16], images[1, ..., 16:] = 1.0, 0.5
    member = LeftHalf("a", [1.0, 0.0])
    assert Judge([member])(images)[:, 0].tolist() == [1.0, 0.0, 0.0]
    both = Judge([member], mirror=True)
    assert both(images)[:, 0].tolist() == [0.5, 0.25, 0.0]
    assert torch.equal(both(images), both(images.flip(3)))


def test_id_follows_the_members():
    a, b = Fixed("a", [1.0, 0.0]), Fixed("b", [1.0, 0.0])
    assert len(Judge([a]).id) == 64
    assert Judge([a, b]).id == Judge([a, b], batch=2).id
    assert len({Judge([a]).id, Judge([b]).id, Judge([a, b]).id, Judge([b, a]).id, Judge([a], mirror=True).id}) == 5


@pytest.mark.parametrize(
    ("members", "batch", "message"),
    [
        ([], 64, "one or more distinct classifiers"),
        ([Fixed("a", [1.0]), Fixed("a", [1.0])], 64, "one or more distinct classifiers"),
        ([Fixed("a", [1.0]), Fixed("b", [1.0, 0.0])], 64, r"same number of classes, got \[1, 2\]"),
        ([Fixed("a", [1.0])], 0, "judge_batch must be at least 1, got 0"),
    ],
)
def test_bad_ensembles_are_refused(members, batch, message):
    with pytest.raises(LatregError, match=message):
        Judge(members, batch)


def test_an_answer_that_is_not_finite_is_told_with_the_member_and_the_image():
    class Failing(Fixed):
        def __call__(self, images):
            if images.amax() == 1:
                raise NotFiniteError("the classifier", int(images.amax((1, 2, 3)).argmax()))
            return super().__call__(images)

    members = [Fixed("a", [0.5, 0.5]), Failing("b", [0.5, 0.5])]
    images = torch.zeros(11, 1, 32, 32)
    images[9] = 1
    with pytest.raises(NotFiniteError, match=r"member 1 of the judge \(from 0 on\) must answer with finite") as caught:
        Judge(members, batch=4).opinions(images)
    assert caught.value.image == 9
