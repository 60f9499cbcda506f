"""Selection: from likelihood and self-evaluation to a score, its metrics, and a calibrated confidence.

Scores always mean: higher = more confident. Nothing here needs torch.
"""

from aspire_llm.selection.confidence import Calibration, CalibrationMethod, UniformCalibration, fit_calibration
from aspire_llm.selection.decision import DecisionRule, relabelled
from aspire_llm.selection.evaluation import Difference, Evaluation, MethodMetrics, evaluate
from aspire_llm.selection.fused import FusedScore, fit_fused
from aspire_llm.selection.guarantee import Guarantee, Realised, guarantee, realised
from aspire_llm.selection.novelty import NoveltyGuard
from aspire_llm.selection.outcomes import Infeasible, Undefined, defined
from aspire_llm.selection.parts import Part
from aspire_llm.selection.reliability import ConfidenceMetrics
from aspire_llm.selection.risk_control import Certified, Uncertified
from aspire_llm.selection.risk_tests import JudgedScores, RiskTarget, Unit
from aspire_llm.selection.score import AspireScore, Scoring, selection_score
from aspire_llm.selection.seeds import SeedSummary, Spread, over_seeds
from aspire_llm.selection.slices import SlicedGuarantee, slice_of, sliced_guarantee

__all__ = [
    "AspireScore",
    "Calibration",
    "CalibrationMethod",
    "Certified",
    "ConfidenceMetrics",
    "DecisionRule",
    "Difference",
    "Evaluation",
    "FusedScore",
    "Guarantee",
    "Infeasible",
    "JudgedScores",
    "MethodMetrics",
    "NoveltyGuard",
    "Part",
    "Realised",
    "RiskTarget",
    "Scoring",
    "SeedSummary",
    "SlicedGuarantee",
    "Spread",
    "Uncertified",
    "Undefined",
    "UniformCalibration",
    "Unit",
    "defined",
    "evaluate",
    "fit_calibration",
    "fit_fused",
    "guarantee",
    "over_seeds",
    "realised",
    "relabelled",
    "selection_score",
    "slice_of",
    "sliced_guarantee",
]
