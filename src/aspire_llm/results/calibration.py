"""The map from selection score to confidence as it is stored, and the rule that decides with it."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspire_llm.config import RunConfig
from aspire_llm.errors import ConfigError
from aspire_llm.records import Prediction
from aspire_llm.records.fields import each, field, maybe, optional, text
from aspire_llm.results.fused import FUSED
from aspire_llm.rundir.files import Document
from aspire_llm.selection import (
    AspireScore,
    Calibration,
    DecisionRule,
    FusedScore,
    Guarantee,
    Infeasible,
    JudgedScores,
    NoveltyGuard,
    RiskTarget,
    Scoring,
    SlicedGuarantee,
    fit_calibration,
    guarantee,
    slice_of,
    sliced_guarantee,
)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What the calibration answers settle.

    Attributes:
        confidence: From score to probability.
        guarantees: Of the targets that were asked for, the lowest first.
        slices: Of the targets that were asked for per value of a field.
        source: Where the calibration questions came from, if not from the run's own split.
    """

    confidence: Calibration | Infeasible
    guarantees: tuple[Guarantee, ...] = ()
    source: str | None = None
    slices: tuple[SlicedGuarantee, ...] = ()

    @property
    def targets(self) -> list[RiskTarget]:
        """All that were asked for."""
        return [own.target for own in self.guarantees] + [own.target for own in self.slices]

    @property
    def joint_delta(self) -> float:
        """The largest probability that any promise fails."""
        return sum(own.delta for own in self.targets)

    def guarantee(self, risk: float, per: str | None = None) -> Guarantee | SlicedGuarantee:
        """The one of a target.

        Args:
            risk: Its share of wrong answers.
            per: The field for whose every value it was asked for; None: for all questions.

        Raises:
            ConfigError: That target was not asked for.
        """
        asked = f"{risk:g}" + _per(per)
        found: tuple[Guarantee | SlicedGuarantee, ...] = (*self.guarantees, *self.slices)
        for own in found:
            if (own.target.risk, own.target.per) == (risk, per):
                return own
        known = ", ".join(f"{own.risk:g}{_per(own.per)}" for own in self.targets) or "none"
        raise ConfigError(
            f"nothing is certified for a target risk of {asked} (known: {known}); aspire-llm calibrate RUN "
            f"--target-risk {asked} does that"
        )

    def to_json(self) -> dict[str, Any]:
        """The content of `calibration.json`."""
        confidence = self.confidence
        fitted = (
            {"method": None, "reason": confidence.reason}
            if isinstance(confidence, Infeasible)
            else confidence.to_json()
        )
        sliced = {"slices": [own.to_json() for own in self.slices]} if self.slices else {}
        return {**fitted, "guarantees": [own.to_json() for own in self.guarantees], "source": self.source, **sliced}

    @classmethod
    def from_json(cls, content: Any) -> "Calibrated":
        """The record that `to_json` wrote; files of earlier versions have no guarantees."""
        method = field(content, "method", maybe(text))
        return cls(
            Infeasible(field(content, "reason", text)) if method is None else Calibration.from_json(content),
            optional(content, "guarantees", each(Guarantee.from_json)) or (),
            optional(content, "source", text),
            optional(content, "slices", each(SlicedGuarantee.from_json)) or (),
        )


def _per(field: str | None) -> str:
    return "" if field is None else f" --per {field}"


CALIBRATION: Document[Calibrated] = Document(
    "calibration.json", "calibration", Calibrated.to_json, Calibrated.from_json
)


_NOT_YET = Calibrated(Infeasible("not fitted yet"))


def decision_rule(
    config: RunConfig,
    calibrated: Calibrated | None = None,
    fused: FusedScore | Infeasible | None = None,
) -> DecisionRule:
    """What decides about the answers of a run.

    Args:
        config: Of the run.
        calibrated: Whatever could be fitted; None before that, when nothing is withheld.
        fused: Whatever could be fitted; None before that, and where the score is ASPIRE's.
    """
    target = None if calibrated is None else config.score.target_risk
    lacking = f"no fused score ({fused.reason}): the paper's is used" if isinstance(fused, Infeasible) else ""
    if lacking and config.score.candidates > 1:
        lacking += ", and answers are the likeliest"
    return DecisionRule(
        scoring=fused if isinstance(fused, FusedScore) else aspire_score(config),
        candidates=config.score.candidates if isinstance(fused, FusedScore) else 1,
        lacking=lacking,
        abstain_below=config.score.abstain_below,
        eval_threshold=config.correctness.eval_threshold,
        measure=config.correctness.measure,
        calibration=(calibrated or _NOT_YET).confidence,
        novelty_level=0.0 if calibrated is None else config.score.novelty_level,
        guarantee=calibrated.guarantee(target) if calibrated and target else None,
    )


def stored_rule(folder: Path, config: RunConfig) -> DecisionRule:
    """What decides about the answers of a run that was calibrated; `folder` holds what was fitted."""
    fused = FUSED.read(folder) if config.score.kind == "fused" else None
    return decision_rule(config, CALIBRATION.read(folder), fused)


def aspire_score(config: RunConfig) -> Scoring:
    """The paper's score; without stage 3 there is no verdict, and the likelihood is left of it."""
    return AspireScore(config.score.alpha if config.stage3.enabled else 0.0)


def caveats(rule: DecisionRule, novelty: NoveltyGuard | Infeasible | None) -> tuple[str, ...]:
    """What a user must know of all decisions of a run, in clauses.

    Args:
        rule: What decides.
        novelty: What novel questions are told by; None before there can be anything.
    """
    found = list(rule.caveats)
    level = rule.novelty_level
    if level and isinstance(novelty, Infeasible):
        found.append(f"no novelty guard ({novelty.reason}): questions unlike the run's own are not noticed")
    elif level and isinstance(novelty, NoveltyGuard) and level * (1 + len(novelty.groups)) <= 1:
        count = len(novelty.groups)
        found.append(f"no novelty guard: {count} calibration questions are too few for a novelty_level of {level:g}")
    return tuple(found)


def calibrate(
    config: RunConfig,
    answered: Sequence[Prediction],
    validation: Callable[[], Sequence[Prediction]],
    rule: DecisionRule,
    targets: Collection[RiskTarget] = (),
) -> Calibrated:
    """Fit confidence, and certify thresholds, on calibration answers whose correctness is known.

    Args:
        config: Of the run.
        answered: The calibration answers.
        validation: Those to the validation split, on which everything is settled that no calibration label may settle.
        rule: Scores answers; nothing in it was fitted on the calibration answers.
        targets: Beside the one of the config, if there is one.
    """
    known = [own for own in map(rule.decide_again, answered) if own.correct is not None]
    scores = [own.scored.selection_score for own in known]
    groups = [own.question.cluster for own in known]
    confidence = fit_calibration(scores, [bool(own.correct) for own in known], config.score.calibration, groups=groups)
    asked = {(own.per or "", own.risk): own for own in targets}
    if config.score.target_risk is not None:
        asked["", config.score.target_risk] = RiskTarget(config.score.target_risk, config.score.delta)
    if not asked or not known:
        return Calibrated(confidence)
    level, score = config.score.novelty_level, score_name(rule.scoring)
    piloted = [own for own in map(rule.decide_again, validation()) if own.correct is not None]
    calibration, pilot = judged_scores(known, level), judged_scores(piloted, level)
    guarantees, slices = [], []
    lowest = _lowest if any(own.mark is not None for own in known) else lambda _judged: -math.inf
    for _, target in sorted(asked.items()):
        if target.per is None:
            promised = guarantee(calibration, pilot, target, score=score, seed=config.seed)
            guarantees.append(promised.not_below(lowest(calibration)))
            continue
        parts, pilots = (sliced_scores(own, target.per, level) for own in (known, piloted))
        sliced = sliced_guarantee(parts, pilots, pilot, target, score=score, seed=config.seed)
        slices.append(sliced.not_below({value: lowest(part) for value, part in parts.items()}))
    return Calibrated(confidence, tuple(guarantees), slices=tuple(slices))


def _lowest(judged: JudgedScores) -> float:
    """The lowest score at which an answer was judged."""
    return float(judged.scores[judged.scores > -math.inf].min(initial=math.inf))


def score_name(scoring: Scoring) -> str:
    """What guarantees call a score."""
    return "fused" if isinstance(scoring, FusedScore) else "aspire"


def sliced_scores(predictions: Iterable[Prediction], field: str, novelty_level: float) -> dict[str, JudgedScores]:
    """`judged_scores` of the judged answers to the questions of each value of a field."""
    parts: dict[str, list[Prediction]] = {}
    for own in predictions:
        if own.correct is not None:
            parts.setdefault(slice_of(own.question, field), []).append(own)
    return {value: judged_scores(part, novelty_level) for value, part in parts.items()}


def judged_scores(predictions: Iterable[Prediction], novelty_level: float) -> JudgedScores:
    """Scores of judged answers, −inf where the question counts as novel: what is certified is the whole decision."""
    known = [own for own in predictions if own.correct is not None]
    novel = [own.novelty is not None and own.novelty < novelty_level for own in known]
    scores = [-math.inf if new else own.scored.selection_score for own, new in zip(known, novel, strict=True)]
    return JudgedScores.of(scores, [bool(own.correct) for own in known], [own.question.cluster for own in known])
