"""A cascade of two runs as it is stored: `cascade.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aspire_llm.errors import ConfigError
from aspire_llm.records import Split
from aspire_llm.records.fields import each, field, maybe, number, text
from aspire_llm.results.common_answers import CommonAnswers
from aspire_llm.results.identity import digest_of_run
from aspire_llm.rundir.files import Document
from aspire_llm.selection import Certified, Guarantee, RiskTarget, guarantee
from aspire_llm.selection.cascading import JudgedPairs, LogOdds, ThresholdPath


@dataclass(frozen=True, slots=True)
class CascadeRun:
    """One of the two runs.

    Attributes:
        name: What it was called.
        folder: Where it is, absolute.
        digest: Which run it is, see `digest_of_run`.
    """

    name: str
    folder: Path
    digest: str

    @classmethod
    def of(cls, folder: Path) -> "CascadeRun":
        """A finished run."""
        return cls(str(folder), folder.resolve(), digest_of_run(folder))


@dataclass(frozen=True, slots=True)
class Promise:
    """What is certified of a cascade for a target, or why nothing is.

    Attributes:
        guarantee: Its threshold is a level of the path.
        by_small: Share of the calibration questions that the small run answers; None where nothing is certified.
    """

    guarantee: Guarantee
    by_small: float | None = None

    @property
    def level(self) -> float | None:
        """Of the path; None where nothing is certified."""
        outcome = self.guarantee.outcome
        return outcome.threshold if isinstance(outcome, Certified) else None

    def sentence(self, small: str, large: str) -> str:
        """The guarantee's, with who answers how much."""
        said, outcome = self.guarantee.sentence, self.guarantee.outcome
        if self.by_small is None or not isinstance(outcome, Certified):
            return said
        first = round(100 * self.by_small)
        rest = round(100 * outcome.coverage) - first
        return f"{said.removesuffix('.')}: {first}% by {small}, {rest}% by {large}."


@dataclass(frozen=True, slots=True)
class CertifiedCascade:
    """Two runs, the path of their thresholds, and what is certified on it.

    Attributes:
        small: Is asked first.
        large: Is asked what the small one withholds.
        path: From a level to the thresholds of both.
        promises: Of the targets that were asked for, the lowest first.
    """

    small: CascadeRun
    large: CascadeRun
    path: ThresholdPath
    promises: tuple[Promise, ...]

    def promise(self, risk: float | None) -> Promise:
        """The one of a target; None for the only one.

        Raises:
            ConfigError: That target was not asked for, or it takes one of several.
        """
        found = [own for own in self.promises if risk in (None, own.guarantee.target.risk)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{own.guarantee.target.risk:g}" for own in self.promises)
        asked = "no target risk was given" if risk is None else f"nothing is certified for a target risk of {risk:g}"
        raise ConfigError(f"{asked} (known: {known}); aspire-llm cascade SMALL LARGE --target-risk R certifies others")

    def sentence(self, promise: Promise) -> str:
        """What is promised, with the names of the runs."""
        return promise.sentence(self.small.name, self.large.name)

    def to_json(self) -> dict[str, Any]:
        """The content of `cascade.json`."""
        return {
            **{
                name: {"name": run.name, "folder": str(run.folder), "digest": run.digest, "log_odds": asdict(log_odds)}
                for name, run, log_odds in (
                    ("small", self.small, self.path.small),
                    ("large", self.large, self.path.large),
                )
            },
            "guarantees": [
                {
                    **own.guarantee.to_json(),
                    "sentence": self.sentence(own),
                    "by_small": own.by_small,
                    "thresholds": None if own.level is None else list(self.path.thresholds(own.level)),
                }
                for own in self.promises
            ],
        }

    @classmethod
    def from_json(cls, content: Any) -> "CertifiedCascade":
        """The record that `to_json` wrote."""
        (small, its_odds), (large, other_odds) = (field(content, name, _run_from_json) for name in ("small", "large"))
        promises = field(content, "guarantees", each(_promise_from_json))
        return cls(small, large, ThresholdPath(its_odds, other_odds), promises)


def _run_from_json(content: Any) -> tuple[CascadeRun, LogOdds]:
    name, folder, digest = (field(content, key, text) for key in ("name", "folder", "digest"))
    return CascadeRun(name, Path(folder), digest), field(content, "log_odds", _log_odds_from_json)


def _log_odds_from_json(content: Any) -> LogOdds:
    return LogOdds(field(content, "slope", number), field(content, "intercept", number))


def _promise_from_json(content: Any) -> Promise:
    return Promise(Guarantee.from_json(content), field(content, "by_small", maybe(number)))


CASCADE: Document[CertifiedCascade] = Document(
    "cascade.json", "cascade", CertifiedCascade.to_json, CertifiedCascade.from_json
)


def judged_pairs(common: CommonAnswers) -> dict[Split, JudgedPairs]:
    """The answers of both runs, by split, on the path that follows from those to validation questions."""
    path = ThresholdPath.fit(common.small[Split.VALIDATION], common.large[Split.VALIDATION])
    return {split: JudgedPairs.along(path, common.small[split], common.large[split]) for split in common.small}


def certify_pairs(pairs: Mapping[Split, JudgedPairs], target: RiskTarget, *, score: str, seed: int = 0) -> Promise:
    """Certify a target for two runs on the calibration questions.

    Args:
        pairs: Their answers to validation and calibration questions.
        target: To be guaranteed.
        score: What the runs are scored by.
        seed: Of all that is drawn.
    """
    calibration = pairs[Split.CALIBRATION]
    promised = guarantee(calibration, pairs[Split.VALIDATION], target, score=score, seed=seed)
    if not isinstance(promised.outcome, Certified):
        return Promise(promised)
    by_small = calibration.weights @ calibration.by_small(np.array([promised.outcome.threshold]))[0]
    return Promise(promised, float(by_small))
