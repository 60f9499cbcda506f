"""A plausible run directory, made from seeded noise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.special import expit, log_expit

from aspire_llm.records import MethodScores
from aspire_llm.selection.evaluation import evaluate

PEOPLE = ["Maria Okonjo", "Teun van Aalst", "Li Wei", "Ana Sofía Duarte", "Ivo Petrov", "Aoife Byrne", "Kwame Mensah"]
PLACES = ["Port Ellery", "São Tomar", "Velika", "Kestrel Bay", "Нови Град", "光明市", "Dunmore"]
RELATIONS = ["Where was {} born?", "In which city did {} die?", "Where did {} study?", "Which city did {} found?"]


def make_lines(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Lines of `predictions.jsonl`: the answer's likelihood and the verdict both know something, not everything."""
    rng = np.random.default_rng(seed)
    knowledge = rng.normal(0.4, 1.2, size=n)
    lines = []
    for i in range(n):
        right = bool(rng.random() < expit(1.6 * knowledge[i]))
        truth, other = rng.choice(len(PLACES), size=2, replace=False)
        log_likelihood = float(-np.exp(-0.9 * knowledge[i] - 1.1 + 0.7 * rng.normal()))
        verdict = 1.2 * knowledge[i] + (0.9 if right else -0.9) + 1.1 * rng.normal()
        log_self_eval = float(log_expit(verdict))
        score = 0.75 * log_likelihood + 0.25 * log_self_eval
        lines.append(
            {
                "id": f"q{i}",
                "question": RELATIONS[i % 4].format(PEOPLE[i % 7]),
                "context": None if i % 3 else f"{PEOPLE[i % 7]} lived in many towns over a long life. " * 4,
                "references": [PLACES[truth], f"the city of {PLACES[truth]}"],
                "group": f"person {i // 3}",
                "answer": PLACES[truth] if right else PLACES[other],
                "selection_score": score,
                "confidence": float(expit(3.0 * score + 2.2)),
                "abstained": score < -0.9,
                "log_likelihood": log_likelihood,
                "num_tokens": int(rng.integers(2, 7)),
                "self_eval": float(expit(verdict)),
                "log_self_eval": log_self_eval,
                "rouge_l": 1.0 if right else 0.0,
                "correct": right,
            }
        )
    return lines


def make_metrics(lines: list[dict[str, Any]], untuned: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of `metrics.json`, as an evaluation of these lines gives it."""

    def scores(name: str, key: Callable[[dict[str, Any]], float], rows: list[dict[str, Any]]) -> MethodScores:
        return MethodScores(
            name,
            tuple(key(line) for line in rows),
            tuple(line["correct"] for line in rows),
            tuple(line["group"] for line in rows),
        )

    methods = [
        scores("aspire", lambda line: line["selection_score"], lines),
        scores("perplexity", lambda line: line["log_likelihood"], lines),
        scores("self_evaluation", lambda line: line["log_self_eval"], lines),
        scores("sequence_log_probability", lambda line: line["log_likelihood"] * line["num_tokens"], lines),
        scores("perplexity_untuned", lambda line: line["log_likelihood"], untuned),
    ]
    confidence = [line["confidence"] for line in lines]
    evaluation = evaluate(methods, seed=0, num_resamples=200, confidence=confidence).to_json()
    return {
        "n": len(lines),
        "accuracy": evaluation["methods"]["aspire"]["accuracy"],
        "accuracy_before": evaluation["methods"]["perplexity_untuned"]["accuracy"],
        "malformed": 0.004,
        **evaluation,
        "notes": ["12 contexts were cut to the model's window of 512 tokens."],
    }


def write_run(run_dir: Path, lines: list[dict[str, Any]], untuned: list[dict[str, Any]]) -> None:
    """Write every file that the report reads."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for name, rows in (("predictions.jsonl", lines), ("predictions_untuned.jsonl", untuned)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (run_dir / name).write_text(text, encoding="utf-8")
    (run_dir / "metrics.json").write_text(json.dumps(make_metrics(lines, untuned)))
    config = {
        "model": "example-org/small-lm",
        "data": {"name": "triviaqa", "path": None, "limit": 3000, "splits": [0.6, 0.1, 0.1, 0.2]},
        "stage1": {"adapter": "soft_prompt", "num_soft_tokens": 50, "learning_rate": 0.01, "epochs": 10},
        "stage2": {"num_beams": 10, "max_new_tokens": 32, "length_penalty": 0.0},
        "score": {"alpha": 0.25},
        "seed": 7,
    }
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    provenance = {
        "versions": {"python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"},
        "seed": 7,
        "data_fingerprint": "sha256:9f2c1f0b7a64d1e5a0c4b8e2",
        "hardware": {"cpu": "2 cores", "device": "cpu"},
        "wall_seconds": {"stage1": 61.25, "stage2": 48.1, "stage3": 39.7, "evaluation": 12.03},
    }
    (run_dir / "provenance.json").write_text(json.dumps(provenance))


def untuned_lines(lines: list[dict[str, Any]], seed: int = 1) -> list[dict[str, Any]]:
    """The same questions answered before tuning: nearly always wrong, with no self-evaluation."""
    rng = np.random.default_rng(seed)
    gone = {"selection_score": None, "self_eval": None, "log_self_eval": None, "confidence": None, "abstained": False}
    return [
        {**line, **gone, "correct": bool(rng.random() < 0.06), "log_likelihood": float(-rng.gamma(2.0, 0.6))}
        for line in lines
    ]
