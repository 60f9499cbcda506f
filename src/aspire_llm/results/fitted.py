"""What a run has fitted beside its adapters, read from its directory."""

from dataclasses import dataclass, replace
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.errors import ConfigError
from aspire_llm.results.calibration import CALIBRATION, Calibrated, decision_rule
from aspire_llm.results.fused import FUSED
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.states import STATES, StatesReadout
from aspire_llm.selection import DecisionRule, Infeasible, NoveltyGuard


@dataclass(frozen=True, slots=True)
class Fitted:
    """What decides about answers, and what they and their questions are held against.

    Attributes:
        rule: What decides about answers.
        calibrated: Confidence, and thresholds by target risk.
        novelty: The calibration questions that others are compared with; None before there are any.
        states: The read-out of hidden states; None where there is none.
    """

    rule: DecisionRule
    calibrated: Calibrated | None = None
    novelty: NoveltyGuard | Infeasible | None = None
    states: StatesReadout | Infeasible | None = None

    @classmethod
    def read(
        cls, folder: Path, config: RunConfig, target_risk: float | None = None, per: str | None = None
    ) -> "Fitted":
        """Of a finished run, to decide by a certified target where one is given.

        Raises:
            ConfigError: That target was not asked for.
            RunDirectoryError: A file is missing or broken.
        """
        calibrated = CALIBRATION.read(folder)
        fused = FUSED.read(folder) if config.score.kind == "fused" else None
        own = cls(
            decision_rule(config, calibrated, fused), calibrated, NOVELTY.read(folder), states_of_run(folder, config)
        )
        return replace(own, rule=own.rule_for(target_risk, per))

    def rule_for(self, target_risk: float | None, per: str | None = None) -> DecisionRule:
        """The rule with the threshold of a certified target in place of its own; as it is without one.

        Raises:
            ConfigError: That target was not asked for, or a field is given without one.
        """
        if target_risk is None:
            if per is not None:
                raise ConfigError(f"a threshold per {per} takes a target risk too")
            return self.rule
        return replace(self.rule, guarantee=(self.calibrated or _UNCALIBRATED).guarantee(target_risk, per))


_UNCALIBRATED = Calibrated(Infeasible("none"))


def states_of_run(folder: Path, config: RunConfig) -> StatesReadout | Infeasible | None:
    """The read-out of states of a run; None where it is switched off."""
    return STATES.read(folder) if config.states.enabled else None
