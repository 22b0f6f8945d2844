"""An independent opinion on what an image shows: an ensemble of classifiers that are not the SUT."""

import hashlib
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from latreg.compute.batches import in_batches, placed
from latreg.errors import LatregError, NotFiniteError
from latreg.interfaces import SUT

ROUNDING = 1e-5  # of sums of probabilities, at most


class Judge:
    """An ensemble that answers with the mean of its members' probabilities.

    Attributes:
        id: sha256 over the members' ids, in their order, and whether they are shown mirrored images too.
        num_classes: K.
    """

    def __init__(self, members: Sequence[SUT], batch: int = 64, *, mirror: bool = False) -> None:
        """Make an ensemble.

        Args:
            members: distinct classifiers of the same classes.
            batch: images per forward pass.
            mirror: each member answers with the mean of its probabilities for an image and for the mirrored one.

        Raises:
            LatregError: no members, the same one twice, members of different classes, or a batch below 1.
        """
        ids = [member.id for member in members]
        classes = sorted({member.num_classes for member in members})
        if not ids or len(set(ids)) < len(ids):
            raise LatregError(f"validity.judge must name one or more distinct classifiers, got the ids {ids}")
        if len(classes) > 1:
            raise LatregError(f"the members of validity.judge must have the same number of classes, got {classes}")
        if batch < 1:
            raise LatregError(f"validity.judge_batch must be at least 1, got {batch}")
        self.members = list(members)
        self.batch = batch
        self.mirror = mirror
        self.num_classes = classes[0]
        self.id = hashlib.sha256("\n".join([*ids, *["mirror"] * mirror]).encode()).hexdigest()

    def opinions(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) => each member's probabilities (M, N, K), on the CPU."""
        if not len(images):
            return torch.zeros(len(self.members), 0, self.num_classes)
        return in_batches(self._opinions, images, self.batch, dim=1)

    def _opinions(self, images: Tensor) -> Tensor:
        return torch.stack([self._opinion(number, images) for number in range(len(self.members))])

    def _opinion(self, number: int, images: Tensor) -> Tensor:
        """Of one member, (N, K)."""
        views = [images, images.flip(3)] if self.mirror else [images]
        try:
            return torch.stack([self.members[number](view).cpu() for view in views]).mean(0)
        except NotFiniteError as error:
            raise NotFiniteError(f"member {number} of the judge (from 0 on)", error.image) from error

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) => probabilities (N, K)."""
        return self.opinions(images).mean(0)

    def votes(self, images: Tensor, labels: Tensor) -> Tensor:
        """How many members say that the image shows its label, (N,) int64."""
        return count_votes(self.opinions(images), labels)

    def kept(self, images: Tensor, labels: Tensor, min_confidence: float = 0.0) -> Tensor:
        """As `label_kept` of all opinions, (N,) bool; a member is asked about images on which it can change the answer.

        Args:
            images: (N, C, H, W).
            labels: (N,).
            min_confidence: that the label must have.
        """
        places = torch.arange(len(images))
        opinions = torch.zeros(0, len(images), self.num_classes)
        for number in range(len(self.members)):
            if not len(places):
                break
            with placed(places.tolist()):
                opinion = in_batches(partial(self._opinion, number), images[places], self.batch)
            opinions = torch.cat([opinions, opinion[None]])
            open = _can_be_kept(opinions, labels[places], min_confidence, len(self.members))
            places, opinions = places[open], opinions[:, open]
        kept = torch.zeros(len(images), dtype=torch.bool)
        kept[places] = label_kept(opinions, labels[places], min_confidence)
        return kept


def _can_be_kept(opinions: Tensor, labels: Tensor, min_confidence: float, members: int) -> Tensor:
    """Whether members that are still to be asked, besides those with these opinions (M, N, K), may be for the label."""
    sums = opinions.sum(0)
    most = sums.gather(1, labels[:, None])[:, 0] + members - len(opinions) + ROUNDING
    return (most >= members * min_confidence) & (most >= sums.amax(1))


def divided(names: Sequence[str], held_out: int) -> tuple[list[str], list[str]]:
    """The members that judge, at least one if there is any, and so many of the last ones that are held out."""
    judging = max(len(names) - held_out, min(len(names), 1))
    return list(names[:judging]), list(names[judging:])


def count_votes(opinions: Tensor, labels: Tensor) -> Tensor:
    """Opinions (M, N, K) and labels (N,) => the number of members whose argmax is the label, (N,) int64."""
    return (opinions.argmax(2) == labels.cpu()).sum(0)


def label_kept(opinions: Tensor, labels: Tensor, min_confidence: float = 0.0) -> Tensor:
    """Opinions (M, N, K), labels (N,) => whether the mean's argmax is the label and at least so probable, (N,) bool."""
    probability, answer = opinions.mean(0).max(1)
    return (answer == labels.cpu()) & (probability >= min_confidence)
