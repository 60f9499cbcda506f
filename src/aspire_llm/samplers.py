"""The θp that sample answers: the one that answers, or one for each fold of the training questions."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

from aspire_llm.data.cross_fitting import CrossFit
from aspire_llm.lm.adapters import Adapter

T = TypeVar("T")


class Samplers:
    """Whatever is computed behind the θp that samples a question is computed through here.

    Args:
        cross_fit: The fold of each training question.
        task: The θp that answers; it samples whatever is in no fold.
        of_fold: Loads the θp of a fold, or tunes it.
    """

    def __init__(self, cross_fit: CrossFit, task: Callable[[], Adapter], of_fold: Callable[[int], Adapter]) -> None:
        self._folds, self._task, self._of_fold = cross_fit.folds, task, cache(of_fold)

    def make_ready(self) -> None:
        """Load all of them, or tune them in their order: while another adapter learns, that would freeze it."""
        self._task()
        for fold in sorted(set(self._folds.values())):
            self._of_fold(fold)

    def apply(self, ids: Sequence[str], compute: Callable[[Adapter, Sequence[int]], Sequence[T]]) -> list[T]:
        """Results for questions in their order, computed for those of each θp together.

        Args:
            ids: Of questions of any split.
            compute: The results for the questions at some places, behind their θp.
        """
        places: dict[int | None, list[int]] = {}
        for place, id in enumerate(ids):
            places.setdefault(self._folds.get(id), []).append(place)
        results: dict[int, T] = {}
        for fold, own in places.items():
            sampler = self._task() if fold is None else self._of_fold(fold)
            results |= zip(own, compute(sampler, own), strict=True)
        return [results[place] for place in range(len(ids))]
