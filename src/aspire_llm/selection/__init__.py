"""Selection: from likelihood and self-evaluation to a score, its metrics, and a calibrated confidence.

Scores always mean: higher = more confident. Nothing here needs torch.
"""

from aspire_llm.selection.confidence import Calibration, CalibrationMethod, fit_calibration
from aspire_llm.selection.evaluation import Evaluation, evaluate
from aspire_llm.selection.outcomes import Infeasible, Undefined
from aspire_llm.selection.score import selection_score

__all__ = [
    "Calibration",
    "CalibrationMethod",
    "Evaluation",
    "Infeasible",
    "Undefined",
    "evaluate",
    "fit_calibration",
    "selection_score",
]
