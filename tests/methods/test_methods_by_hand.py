"""Each method's scores of a tiny run against slow versions: plain forwards, loops, and scikit-learn itself."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nli import save_nli_model
from reference import full_forward, sequence_embeddings
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from stored import given, lines_of, scores_of
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from aspire_llm.correctness import rouge_l
from aspire_llm.errors import DataError, ModelError, RunDirectoryError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.answer_features import AnswerFeatures
from aspire_llm.methods.answer_set import Judged
from aspire_llm.methods.asking import asking_prompt
from aspire_llm.methods.aspire_alpha import best_alpha
from aspire_llm.methods.likelihood_features import likelihood_features
from aspire_llm.methods.p_true import _examples
from aspire_llm.methods.probes import fitted_probe
from aspire_llm.methods.scoring import resolve_methods, score_answers
from aspire_llm.pipeline import Pipeline
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, ScoredAnswer, Split
from aspire_llm.rundir.directory import RunDirectory


def opened(folder: Path, **rivals: object) -> Pipeline:
    """A finished run, with other settings of the rivals."""
    directory = RunDirectory.open(folder)
    changed = directory.config.rivals.model_copy(update=rivals)
    return Pipeline(RunDirectory(folder, directory.config.model_copy(update={"rivals": changed})))


def test_drawn_answers_have_the_model_s_own_likelihoods(finished: Path) -> None:
    run = opened(finished)
    question = run.questions[Split.TEST][0]
    line = lines_of(finished, "rival_samples.jsonl")[0]
    assert line["id"] == question.id
    model = AdaptedModel(run.model.backbone, run.model.task)
    for sample in line["samples"]:
        prompt = run.model.encoder.prompt(question)
        log_probs = torch.log_softmax(full_forward(model, sequence_embeddings(model, prompt, sample["token_ids"])), -1)
        targets = [*sample["token_ids"], run.model.backbone.eos_token_id][: len(sample["log_probs"])]
        start = log_probs.shape[0] - len(sample["token_ids"]) - 1
        expected = [float(log_probs[start + i, token]) for i, token in enumerate(targets)]
        assert sample["log_probs"] == pytest.approx(expected, abs=1e-4)


def chosen_log_prob(model: AdaptedModel, read: list[int], choices: tuple[int, int]) -> float:
    """Log-probability of the first of two next tokens, of both alone."""
    tokens = torch.tensor(read, device=model.backbone.device)
    embeddings = torch.cat([model.task.soft_tokens(), model.backbone.embed(tokens)])[None]
    return float(torch.log_softmax(full_forward(model, embeddings)[-1][list(choices)], 0)[0])


def test_asking_reads_the_choice_from_a_plain_forward(finished: Path) -> None:
    run = opened(finished)
    model = AdaptedModel(run.model.backbone, run.model.task)
    tokenizer = run.model.backbone.tokenizer
    for i, line in enumerate(lines_of(finished, "predictions.jsonl")[:4]):
        text = asking_prompt(run.questions[Split.TEST][i], given(line))
        assert text.endswith("The possible answer is:")
        true, false = (tokenizer(f"{text} ({letter}) ")["input_ids"] for letter in "AB")
        common = next(k for k, (a, b) in enumerate(zip(true, false, strict=False)) if a != b)
        expected = chosen_log_prob(model, true[:common], (true[common], false[common]))
        assert scores_of(finished, "self_eval_prompt")[i] == pytest.approx(expected, abs=1e-4)


def test_p_true_shows_ideas_and_examples() -> None:
    question = Question("0", "Who?", ("a",), context="A text.")
    assert asking_prompt(question, "Ann", ["Bob", "Ann"], verdict=False) == (
        "A text.\n\nQuestion: Who?\nHere are some brainstormed ideas:\nBob\nAnn\nPossible answer: Ann\n"
        "Is the possible answer:\n (A) True\n (B) False\nThe possible answer is: (B) False\n\n"
    )


def test_probes_are_sklearn_s_regression_on_the_named_features(finished: Path) -> None:
    answers = opened(finished).answers.sets()[""]
    (train, train_features), (validation, validation_features) = (
        answers.judged[split] for split in (Split.TRAIN, Split.VALIDATION)
    )
    assert len(train_features) == len(train.correct) == sum(map(len, train.answers))
    best = (-1.0, None)
    for layer in range(2):
        x, v, t = (
            np.stack([own.hidden[0, layer] for own in group]).astype(float)
            for group in (train_features, validation_features, answers.features)
        )
        scaler = StandardScaler().fit(x)
        for strength in (1e-3, 1e-2, 1e-1, 1.0):
            regression = LogisticRegression(C=strength, max_iter=2000)
            regression.fit(scaler.transform(x), train.correct, sample_weight=train.weights)
            ranked = regression.decision_function(scaler.transform(v))
            auroc = roc_auc_score(validation.correct, ranked, sample_weight=validation.weights)
            if auroc > best[0]:
                best = (auroc, regression.decision_function(scaler.transform(t)))
    assert scores_of(finished, "hidden_state_probe") == pytest.approx(best[1].tolist(), abs=1e-6)


def test_a_probe_needs_both_labels() -> None:
    judged = Judged([], [], np.array([True, True]), np.ones(2))
    with pytest.raises(DataError, match="all 2 training answers have the same label"):
        fitted_probe((np.zeros((2, 1)), judged), (np.zeros((2, 1)), judged))


def prediction(log_likelihood: float, log_self_eval: float, correct: bool) -> Prediction:
    answer = SampledAnswer("", (), log_likelihood, 1)
    return Prediction(Question("", ""), ScoredAnswer(Evidence(answer, log_self_eval), 0.0), correct=correct)


def test_alpha_is_the_best_on_validation() -> None:
    given = [prediction(-1.0, -0.1 * i, i < 3) for i in range(6)]
    # The likelihood says nothing: any α above 0 is best, and the smallest wins.
    assert best_alpha(given) == pytest.approx(0.05)
    with pytest.raises(DataError, match="right, or all wrong"):
        best_alpha(given[:3])


def test_another_model_s_verdict_is_that_of_a_plain_forward(finished: Path) -> None:
    run = opened(finished, judge=finished)
    names, _ = resolve_methods("cross_model", run.config)
    score_answers(run.folder, run.answers.sets(), names, optional=False)
    judge = opened(finished).model
    for i, line in enumerate(lines_of(finished, "predictions.jsonl")[:4]):
        prompt = judge.encoder.prompt(run.questions[Split.TEST][i])
        ids = judge.encoder.answer(prompt, given(line))
        logits = full_forward(judge.model, sequence_embeddings(judge.model, prompt, ids, verdict=True))[-1]
        expected = float(torch.log_softmax(logits[list(judge.verdict_tokens)], 0)[0])
        assert scores_of(finished, "cross_model")[i] == pytest.approx(expected, abs=1e-4)
    (finished / "scores" / "cross_model.json").unlink()


def test_a_judge_is_loaded_with_the_same_care(finished: Path, model_folder: Path, tmp_path: Path) -> None:
    """Also where the run is of a version that kept no digest of its model."""
    model, judge = tmp_path / "model", tmp_path / "judge"
    shutil.copytree(model_folder, model)
    shutil.copytree(finished, judge)
    (model / "code.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\nclass Mine: pass\n", encoding="utf-8")
    named = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": [None, "code.Mine"]}}
    tokenizer = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer | named), encoding="utf-8")
    config = (judge / "config.yaml").read_text(encoding="utf-8").replace(str(model_folder), str(model))
    (judge / "config.yaml").write_text(config, encoding="utf-8")
    asked = opened(finished, judge=judge)
    names, _ = resolve_methods("cross_model", asked.config)
    with pytest.raises(RunDirectoryError, match="has changed since this run was made"):
        score_answers(asked.folder, asked.answers.sets(), names, optional=False)
    provenance = json.loads((judge / "provenance.json").read_text(encoding="utf-8"))
    provenance["model"]["sha256"] = None
    (judge / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    with pytest.raises(ModelError, match="code from its repository, which is never run"):
        score_answers(asked.folder, asked.answers.sets(), names, optional=False)
    assert not (tmp_path / "RAN").exists()


def test_p_true_examples_are_asked_as_test_questions_are(finished: Path) -> None:
    run = opened(finished)
    (question, judged), *_ = run.model.sampled(Split.TRAIN)
    text = _examples(opened(finished, p_true_examples=1).answers.sets()[""])
    ideas = [labelled.answer.text for labelled in judged]
    assert text == asking_prompt(question, ideas[0], ideas, verdict=judged[0].correct)


def test_sar_of_the_drawn_answers_by_hand(finished: Path) -> None:
    tokenizer = opened(finished).model.backbone.tokenizer

    def alike(a: str, b: str) -> float:
        return 1.0 if a == b else rouge_l(a, [b])  # rouge-score itself sees no letters beyond ASCII

    for line, found in zip(lines_of(finished, "rival_samples.jsonl")[:5], scores_of(finished, "sar"), strict=False):
        shares = []
        for sample in line["samples"]:
            ids, text = sample["token_ids"], sample["text"]
            shorter = [
                tokenizer.decode(ids[:i] + ids[i + 1 :], skip_special_tokens=True).strip() for i in range(len(ids))
            ]
            relevance = [1 - alike(text, other) for other in shorter]
            if sum(relevance):
                surprise = sum(-p * r for p, r in zip(sample["log_probs"], relevance, strict=False)) / sum(relevance)
            else:
                surprise = -sum(sample["log_probs"]) / len(sample["log_probs"])
            shares.append(math.exp(-surprise))
        texts = [sample["text"] for sample in line["samples"]]
        terms = []
        for j, own in enumerate(shares):
            support = sum(alike(texts[j], texts[k]) * shares[k] for k in range(len(texts)) if k != j)
            terms.append(-math.log(own + support / 0.001))
        assert found == pytest.approx(-sum(terms) / len(terms), abs=1e-6)


def test_p_true_reads_the_choice_after_the_ideas(finished: Path) -> None:
    run = opened(finished)
    model = AdaptedModel(run.model.backbone, run.model.task)
    tokenizer = run.model.backbone.tokenizer
    drawn = lines_of(finished, "rival_samples.jsonl")
    for i, line in enumerate(lines_of(finished, "predictions.jsonl")[:4]):
        ideas = [sample["text"] for sample in drawn[i]["samples"]]
        # The window takes no example, and perhaps not all ideas: the last ones go first.
        for count in range(len(ideas), -1, -1):
            text = asking_prompt(run.questions[Split.TEST][i], given(line), ideas[:count])
            true, false = (tokenizer(f"{text} {choice}")["input_ids"] for choice in ("(A) True", "(B) False"))
            common = next(k for k, (a, b) in enumerate(zip(true, false, strict=False)) if a != b)
            if common <= run.model.encoder.budget:
                break
        expected = chosen_log_prob(model, true[:common], (true[common], false[common]))
        assert scores_of(finished, "p_true")[i] == pytest.approx(expected, abs=1e-4)


def test_likelihood_features_by_hand() -> None:
    features = AnswerFeatures(
        log_probs=np.array([-1.0, -3.0], dtype=np.float32),
        entropies=np.array([0.5, 1.5], dtype=np.float32),
        hidden=np.zeros((1, 1), dtype=np.float32),
    )
    assert likelihood_features(features).tolist() == [2, -2, -3, -4, 1, 1.5]


def test_the_ensemble_is_a_regression_on_what_comes_with_every_prediction(finished: Path) -> None:
    def columns(name: str) -> list[list[float]]:
        return [
            [
                line["log_likelihood"],
                line["log_likelihood"] * line["num_tokens"],
                line["num_tokens"],
                line["log_self_eval"],
            ]
            for line in lines_of(finished, name)
        ]

    x, t = np.array(columns("validation_predictions.jsonl")), np.array(columns("predictions.jsonl"))
    correct = [line["correct"] for line in lines_of(finished, "validation_predictions.jsonl")]
    scale = np.where(x.std(0) > 0, x.std(0), 1)
    regression = LogisticRegression(max_iter=2000).fit((x - x.mean(0)) / scale, correct)
    expected = regression.decision_function((t - x.mean(0)) / scale)
    assert scores_of(finished, "ensemble") == pytest.approx(expected.tolist(), abs=1e-6)


def test_semantic_entropy_and_sar_by_an_nli_model(
    finished: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = save_nli_model(tmp_path / "nli", tokenizer, ["entailment", "other"])
    plain = BertForSequenceClassification.from_pretrained(folder).eval()
    shutil.copytree(finished, tmp_path / "run")
    run = opened(tmp_path / "run", nli_model=str(folder))
    (tmp_path / "run" / "scores" / "sar.json").unlink()
    names, _ = resolve_methods("semantic_entropy,sar", run.config)
    score_answers(run.folder, run.answers.sets(), names, optional=False)

    @torch.no_grad()
    def probability(question: str, a: str, b: str) -> float:
        pair = tokenizer(f"{question} {a}", f"{question} {b}", return_tensors="pt")
        return float(plain(**pair).logits[0].softmax(-1)[0])

    questions = lines_of(finished, "predictions.jsonl")
    for i, line in enumerate(lines_of(finished, "rival_samples.jsonl")[:6]):
        question, samples = questions[i]["question"], line["samples"]
        begun: list[str] = []
        mass: list[float] = []
        for sample in samples:
            text = sample["text"]

            def same(first: str, text=text, question=question) -> bool:
                both = (probability(question, first, text), probability(question, text, first))
                return first == text or min(both) > 0.5

            index = next((c for c, first in enumerate(begun) if same(first)), len(begun))
            if index == len(begun):
                begun.append(text)
                mass.append(0.0)
            mass[index] += math.exp(sum(sample["log_probs"]) / len(sample["log_probs"]))
        expected = sum(math.log(share) for share in mass) / len(mass)
        assert scores_of(tmp_path / "run", "semantic_entropy")[i] == pytest.approx(expected, abs=1e-5)
    assert scores_of(tmp_path / "run", "sar") != scores_of(finished, "sar")


def test_scores_of_another_model_go_when_that_model_changes(
    finished: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    nli, judge = save_nli_model(tmp_path / "nli", tokenizer, ["entailment", "other"]), tmp_path / "judge"
    for copy in (judge, tmp_path / "run"):
        shutil.copytree(finished, copy)
    (tmp_path / "run" / "scores" / "sar.json").unlink()

    def scored(names: str) -> dict[str, list[float]]:
        run = opened(tmp_path / "run", nli_model=str(nli), judge=judge)
        score_answers(run.folder, run.answers.sets(), resolve_methods(names, run.config)[0], optional=False)
        return {path.stem: scores_of(run.folder, path.stem) for path in (run.folder / "scores").glob("*.json")}

    methods = {"semantic_entropy", "sar", "cross_model"}
    before = scored(",".join(methods))
    assert scored("aspire") == before
    weights = load_file(nli / "model.safetensors")
    save_file({key: tensor.flip(0) for key, tensor in weights.items()}, nli / "model.safetensors", {"format": "pt"})
    after = scored("sar")
    assert after["sar"] != before["sar"]
    assert before.keys() - after.keys() == {"semantic_entropy"}
    shutil.rmtree(nli)  # with nothing to hold them against, scores stay
    assert scored("aspire") == after
    tensors = load_file(judge / "self_eval_adapter" / "adapter_model.safetensors")
    changed = {key: tensor + 1 for key, tensor in tensors.items()}
    save_file(changed, judge / "self_eval_adapter" / "adapter_model.safetensors")
    assert after.keys() - scored("aspire").keys() == {"cross_model"}
    assert scored("cross_model")["cross_model"] != before["cross_model"]
