"""What a run will take on this machine, measured on a few layers of its model before any weight is read."""

from aspire_llm.planning.estimate import Plan, StagePlan
from aspire_llm.planning.plan import can_plan, is_long, plan_run

__all__ = ["Plan", "StagePlan", "can_plan", "is_long", "plan_run"]
