"""Between stages 2 and 3: a linear read-out of hidden states, learned from the sampled answers (beyond the paper).

It reads `[θp] [x] [ŷ]` alone, so at inference its states are those that decoding computes anyway.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aspire_llm.config import StatesConfig
from aspire_llm.lm.answer_features import spread_layers
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.cache import TokenGrid
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.read_states import Position
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.processes import processes
from aspire_llm.progress import progress
from aspire_llm.records import LabelledAnswer, SampledAnswer
from aspire_llm.results.states import StatesReadout
from aspire_llm.selection import Infeasible
from aspire_llm.selection.linear_readout import LabelledStates, fit_readout

AnswersReader: TypeAlias = Callable[[Sequence[int], TokenGrid, Sequence[int]], list[NDArray[np.float32]]]

_BYTES = np.dtype(np.float32).itemsize


def learn_states(
    backbone: Backbone,
    prompts: Sequence[EncodedPrompt],
    samples: Sequence[Sequence[LabelledAnswer]],
    read: AnswersReader,
    config: StatesConfig,
    *,
    batch_size: int,
    seed: int,
) -> StatesReadout | Infeasible:
    """Learn the read-out from the answers of stage 2, whose states the main process alone holds.

    Args:
        backbone: The model.
        prompts: The questions that were sampled.
        samples: Their labelled answers, likeliest first.
        read: States of answers to the questions at some places, `[answers, positions, layers, d]` each.
        config: Layers to choose from, and memory.
        batch_size: Questions read together.
        seed: Of the folds of the cross-validation.

    Returns:
        The read-out, or why there is none.
    """
    if not backbone.shows_layers:
        return Infeasible("the model does not show what its layers give")
    layers = spread_layers(backbone.num_layers, config.num_layers)
    kept = [list(own[: answers_kept(len(prompts), len(layers), backbone.width, config)]) for own in samples]
    states = _states(prompts, kept, lambda places, grid: read(places, grid, layers), batch_size)
    answers = [own for question in kept for own in question]

    def at(place: int) -> NDArray[np.floating]:
        position, layer = divmod(place, len(layers))
        return states[:, position, layer]

    labelled = LabelledStates(
        at,
        num_places=len(Position) * len(layers),
        correct=np.array([own.correct for own in answers]),
        likelihoods=np.array([own.answer.likelihoods for own in answers]),
        questions=np.repeat(np.arange(len(kept)), [len(own) for own in kept]),
        groups=[prompt.question.cluster for prompt in prompts],
    )
    found = processes().once(lambda: fit_readout(labelled, seed=seed))
    if isinstance(found, Infeasible):
        return found
    position, layer = divmod(found.place, len(layers))
    return StatesReadout(found, Position(position).name.lower(), layers[layer])


def _read_tokens(answer: SampledAnswer) -> tuple[int, ...]:
    """The tokens of an answer that decoding has read when it ends: of one that was cut off, all but the last."""
    return answer.token_ids if answer.terminated else answer.token_ids[:-1]


def answers_kept(num_questions: int, num_layers: int, width: int, config: StatesConfig) -> int:
    """Answers per question whose states fit the memory; 1 at least."""
    per_answer = len(Position) * num_layers * width * _BYTES
    return max(1, config.memory * 2**20 // (num_questions * per_answer))


def _states(
    prompts: Sequence[EncodedPrompt],
    answers: Sequence[Sequence[LabelledAnswer]],
    read: Callable[[Sequence[int], TokenGrid], list[NDArray[np.float32]]],
    batch_size: int,
) -> NDArray[np.float32]:
    """Of all answers in order, `[answers, positions, layers, d]`, in the main process; nothing in the others."""
    with progress("states", len(prompts)) as bar:

        def states(indices: Sequence[int]) -> list[NDArray[np.float32]]:
            found = read(indices, [[_read_tokens(own.answer) for own in answers[i]] for i in indices])
            bar.update(len(indices))
            return found

        found = by_length([len(prompt.token_ids) for prompt in prompts], batch_size, states, main_only=True)
        return np.concatenate(found) if processes().is_main else np.empty(0, dtype=np.float32)
