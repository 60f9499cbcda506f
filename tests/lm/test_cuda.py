"""On a GPU: what shared prefixes give is what plain passes of whole sequences give on the same card, in every type.

In float32 sequences are equal and figures within 1e-4, as on a CPU. In half precision rounding depends on how a pass is
cut, so both ways are held against float32: ours may be off by no more than twice what the plain way is.
"""

import pytest
import torch
from conftest import ARCHITECTURES, tiny_model
from expanded_models import EXPANDED, expanded_model
from reference import adapted, beams_equal_generate, full_forward, prompts_of, sequence_embeddings, set_terminator
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aspire_llm import SelectivePredictor, run
from aspire_llm.config import RunConfig, TrainingConfig
from aspire_llm.config_files import with_changes
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, Adapter, new_adapter
from aspire_llm.lm.answer_features import answer_features, answer_states
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.likelihood import answer_log_probs
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.read_states import StateRecorder
from aspire_llm.lm.self_evaluation import evaluate_decoded, log_self_evaluation
from aspire_llm.records import Question
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

PAIR = (7, 11)
TEXTS = ["Where?", "Where was the old piano built, and is it correct?", "Who built the old piano?"]
CONTEXT = "The old piano was built in a small town by the sea, long before."
ANSWERS = [[(5, 6, 7), (5, 6), (5, 8, 9, 9), ()], [(9,), (10, 9)], [(30, 31, 32)]]
HALVES = [torch.bfloat16, torch.float16]


def backbone_of(architecture: str, tokenizer: PreTrainedTokenizerFast, dtype: torch.dtype = torch.float32) -> Backbone:
    make = expanded_model if architecture in EXPANDED else tiny_model
    return Backbone(make(architecture, len(tokenizer)).to(DEVICE, dtype), tokenizer)


def verdict_of(model: AdaptedModel, prompt, answer) -> Tensor:
    """log P(z_c) by a plain pass over the whole sequence."""
    logits = full_forward(model, sequence_embeddings(model, prompt, answer, verdict=True))[-1]
    return log_self_evaluation(logits.float(), PAIR)


def log_probs_of(model: AdaptedModel, prompt, answer) -> Tensor:
    """log f of each token of an answer, `[|y|]`, by a plain pass over the whole sequence."""
    logits = full_forward(model, sequence_embeddings(model, prompt, answer))[-len(answer) - 1 : -1].float()
    return torch.log_softmax(logits, -1).gather(-1, torch.tensor(answer, device=DEVICE)[:, None])[:, 0]


@pytest.mark.parametrize("context", [None, CONTEXT])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *EXPANDED])
@torch.no_grad()
def test_beams_equal_generate(architecture: str, context: str | None, tokenizer: PreTrainedTokenizerFast) -> None:
    backbone = backbone_of(architecture, tokenizer)
    model, prompts = adapted(backbone), prompts_of(backbone, TEXTS, context)
    set_terminator(model, prompts)
    beams_equal_generate(model, prompts)


@pytest.mark.parametrize("decode", ["beam", "sample"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_likelihoods_and_verdicts_equal_plain_passes(
    architecture: str, decode: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    backbone = backbone_of(architecture, tokenizer)
    model, prompts = adapted(backbone), prompts_of(backbone, TEXTS)
    set_terminator(model, prompts)
    if decode == "beam":
        decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=6)
    else:
        decoded = sample_answers(model, prompts, num_samples=4, max_new_tokens=6, temperature=1.0, seed=0)
    for rank in (0, 3):
        chosen = [row[rank] for row in decoded.hypotheses]
        for prompt, own in zip(prompts, chosen, strict=True):
            assert log_probs_of(model, prompt, own.token_ids).tolist() == pytest.approx(own.token_log_probs, abs=1e-4)
        expected = [verdict_of(model, p, own.answer_ids).item() for p, own in zip(prompts, chosen, strict=True)]
        assert evaluate_decoded(model, decoded, chosen, PAIR).tolist() == pytest.approx(expected, abs=1e-4)
        log_probs, _ = answer_log_probs(model, prompts, [own.token_ids for own in chosen])
        taught = [value for own in chosen for value in own.token_log_probs]
        assert log_probs.tolist() == pytest.approx(taught, abs=1e-4)


@pytest.mark.parametrize("architecture", ["llama", *EXPANDED])
@torch.no_grad()
def test_states_of_decoding_are_those_of_reading(architecture: str, tokenizer: PreTrainedTokenizerFast) -> None:
    backbone = backbone_of(architecture, tokenizer)
    model, prompts = adapted(backbone), prompts_of(backbone, TEXTS)
    set_terminator(model, prompts)
    recorder = StateRecorder(backbone, [0, 1])
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=6, states=recorder)
    answers = [[own.answer_ids if own.terminated else own.answer_ids[:-1] for own in d] for d in decoded.hypotheses]
    read = answer_states(model, prompts, answers, layers=[0, 1])
    for i, hypotheses in enumerate(decoded.hypotheses):
        for own, states in zip(hypotheses, read[i], strict=True):
            torch.testing.assert_close(
                recorder.states(i, own.rows).cpu(), torch.from_numpy(states), atol=1e-4, rtol=1e-4
            )
    features = answer_features(model, prompts, [[row[0].answer_ids] for row in decoded.hypotheses], layers=[1])
    for own, row in zip(features, decoded.hypotheses, strict=True):
        known = row[0].token_log_probs[: len(row[0].answer_ids)]
        assert own[0].log_probs[: len(known)].tolist() == pytest.approx(known, abs=1e-4)


def losses(backbone: Backbone, kind: str) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Stage 1's and stage 3's loss and gradients, of an adapter that has begun to learn."""
    config = TrainingConfig(adapter=kind, num_soft_tokens=4, lora_rank=2)
    prompts = prompts_of(backbone, TEXTS)
    task = begun(new_adapter(backbone, TASK, config, seed=1))
    taught = task_loss(
        AdaptedModel(backbone, task), [TaskExample(p, own[0]) for p, own in zip(prompts, ANSWERS, strict=True)]
    ).mean()
    first = torch.autograd.grad(taught, list(task.parameters()))
    verdict = begun(new_adapter(backbone, SELF_EVALUATION, config, seed=2))
    model = AdaptedModel(backbone, new_adapter(backbone, TASK, TrainingConfig(num_soft_tokens=3), seed=1), verdict)
    examples = [VerdictExample(p, tuple(own[:1]), tuple(own[1:])) for p, own in zip(prompts, ANSWERS, strict=True)]
    kept = KeptPrefixes(backbone)
    for _ in range(2):  # the second time from what was kept
        judged = verdict_loss(model, PAIR, examples, read=kept.read).mean()
        second = torch.autograd.grad(judged, list(verdict.parameters()))
    return taught.detach(), judged.detach(), list(first), list(second)


@torch.no_grad()
def begun(adapter: Adapter) -> Adapter:
    """Moved off its start, where LoRA changes nothing and half of its gradients are 0."""
    generator = torch.Generator().manual_seed(0)
    for parameter in adapter.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.device)
    return adapter


@pytest.mark.parametrize("kind", ["soft_prompt", "lora"])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "lfm2"])
def test_losses_and_gradients_are_those_of_the_cpu(
    architecture: str, kind: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Which are those of plain passes, as the tests of the stages hold."""
    here = losses(backbone_of(architecture, tokenizer), kind)
    there = losses(Backbone(backbone_of(architecture, tokenizer).model.to("cpu"), tokenizer), kind)
    for ours, expected in zip(here[:2], there[:2], strict=True):
        torch.testing.assert_close(ours.cpu(), expected, atol=1e-4, rtol=1e-4)
    for ours, expected in zip([*here[2], *here[3]], [*there[2], *there[3]], strict=True):
        assert (ours.cpu() - expected).norm() <= 1e-3 * expected.norm()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_half_precision_is_no_further_off_than_plain_passes(
    architecture: str, dtype: torch.dtype, tokenizer: PreTrainedTokenizerFast
) -> None:
    backbone, exact = backbone_of(architecture, tokenizer, dtype), backbone_of(architecture, tokenizer)
    exact.model.load_state_dict(backbone.model.float().state_dict())  # what half precision made of the weights
    backbone.model.to(dtype)
    model, reference = adapted(backbone), adapted(exact)
    for own, theirs in ((model.task, reference.task), (model.self_evaluation, reference.self_evaluation)):
        for mine, other in zip(theirs.parameters(), own.parameters(), strict=True):
            mine.copy_(other)
    prompts = prompts_of(backbone, TEXTS, CONTEXT)
    decoded = beam_search(model, prompts, num_beams=4, max_new_tokens=6)
    chosen = [row[0] for row in decoded.hypotheses]
    ours = [torch.tensor(own.token_log_probs, device=DEVICE) for own in chosen]
    plain, truth = (
        [log_probs_of(which, prompt, own.token_ids) for prompt, own in zip(prompts, chosen, strict=True)]
        for which in (model, reference)
    )
    assert distance(ours, truth) <= 2 * distance(plain, truth) + 1e-3
    verdicts = [evaluate_decoded(model, decoded, chosen, PAIR)]
    plain, truth = (
        [torch.stack([verdict_of(which, p, own.answer_ids) for p, own in zip(prompts, chosen, strict=True)])]
        for which in (model, reference)
    )
    assert distance(verdicts, truth) <= 2 * distance(plain, truth) + 1e-3


def distance(values: list[Tensor], truth: list[Tensor]) -> float:
    """Root mean square; NaN where a value is, which no bound holds of."""
    return float((torch.cat(values) - torch.cat(truth)).square().mean().sqrt())


@pytest.mark.parametrize("kind", ["soft_prompt", "lora"])
@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_in_half_precision(dtype: torch.dtype, kind: str, tokenizer: PreTrainedTokenizerFast) -> None:
    half, full = (losses(backbone_of("llama", tokenizer, own), kind) for own in (dtype, torch.float32))
    for ours, expected in zip(half[:2], full[:2], strict=True):
        assert ours.item() == pytest.approx(expected.item(), rel=0.05)
    for ours, expected in zip(half[2:], full[2:], strict=True):
        flat, wanted = (torch.cat([own.flatten() for own in gradients]).float() for gradients in (ours, expected))
        assert torch.nn.functional.cosine_similarity(flat, wanted, dim=0) > 0.97


def test_a_whole_run_answers_alike_on_both(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("gpu") / "run"
    run(with_changes(config, [("device", DEVICE)]), folder)
    questions = [Question(str(i), f"Where was piano {i} built?") for i in range(40)]
    there, here = (SelectivePredictor.load(folder, device=own).predict(questions) for own in (DEVICE, "cpu"))
    assert [own.sampled.token_ids for own in there] == [own.sampled.token_ids for own in here]
    for gpu, cpu in zip(there, here, strict=True):
        assert gpu.scored.selection_score == pytest.approx(cpu.scored.selection_score, abs=1e-3)
