"""Every selection method: what it is called, what it draws on, and what its scores depend on.

A method is an entry here and a module of its name beside this file, which defines
``score(answers: AnswerSet) -> Sequence[float]``: one finite number per answer, higher = more confident. Nothing here
needs torch, so that reports and the command line can name methods without loading it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from importlib import import_module
from typing import TYPE_CHECKING

from aspire_llm.rundir.steps import Output

if TYPE_CHECKING:
    from aspire_llm.methods.answer_set import AnswerSet

PROPOSED = ("aspire", "fused")  # what a run may decide by
BASELINE = "perplexity"
UNTUNED = "_untuned"  # ends the name of a method on the answers of the model before tuning
_PAPER = "Chen et al., 2023"
_BEYOND = "beyond the paper"
_STAGE_3 = "stage3.enabled"


class Family(StrEnum):
    """Methods that draw on the same evidence; reports list a family together and draw it in one hue."""

    ASPIRE = "aspire"
    LIKELIHOOD = "likelihood"
    SAMPLING = "sampling"
    ASKING = "asking"
    SUPERVISED = "supervised"
    OTHER = "other"

    @property
    def heading(self) -> str:
        """The heading over its methods."""
        return _HEADINGS[self]


_HEADINGS = {
    Family.ASPIRE: "ASPIRE and its variants",
    Family.LIKELIHOOD: "Likelihood of the answer",
    Family.SAMPLING: "Agreement of sampled answers",
    Family.ASKING: "Asking a model",
    Family.SUPERVISED: "Trained on labelled answers",
    Family.OTHER: "Other methods",
}


class Needs(Flag):
    """What a method's cost is made of, beside its own computing."""

    NOTHING = 0
    VERDICT = auto()  # of θs, computed with the answers
    MODEL = auto()  # it runs the model
    SAMPLES = auto()  # further answers, drawn
    FEATURES = auto()  # the answers, read once more by the model


@dataclass(frozen=True, slots=True)
class Method:
    """How sure to be of each answer.

    Attributes:
        name: Its key in `metrics.json`, and its module.
        label: What people call it.
        family: What it draws on.
        source: Where it was published.
        needs: What it takes.
        untuned: Whether the paper also applies it to the model before tuning.
        requires: The configuration key without which it cannot run, where there is one.
        settings: Configuration keys that its scores depend on, beside those that the answers depend on.
    """

    name: str
    label: str
    family: Family
    source: str
    needs: Needs = Needs.NOTHING
    untuned: bool = False
    requires: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def is_cheap(self) -> bool:
        """Whether its scores follow from stored predictions alone, and so are never worth keeping."""
        return self.needs in (Needs.NOTHING, Needs.VERDICT)

    def score(self, answers: "AnswerSet") -> Sequence[float]:
        """One finite number per answer; higher = more confident."""
        function: Callable[[AnswerSet], Sequence[float]] = import_module(f"aspire_llm.methods.{self.name}").score
        return function(answers)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("aspire", "ASPIRE", Family.ASPIRE, _PAPER, Needs.VERDICT, requires=_STAGE_3),
        Method("fused", "Fused", Family.ASPIRE, f"{_BEYOND}: likelihoods, agreement, states, verdict", Needs.VERDICT),
        Method("perplexity", "Perplexity", Family.LIKELIHOOD, "Malinin & Gales, 2021", untuned=True),
        Method(
            "sequence_log_probability",
            "Sequence log-probability",
            Family.LIKELIHOOD,
            "Hendrycks & Gimpel, 2017",
            untuned=True,
        ),
        Method("agreement_mass", "Agreement of beams", Family.LIKELIHOOD, _BEYOND),
        Method("agreement_margin", "Margin of beams", Family.LIKELIHOOD, _BEYOND),
        Method("fused_likelihood", "Fused, nothing learned", Family.LIKELIHOOD, f"{_BEYOND}: control of Fused"),
        Method("self_evaluation", "Self-evaluation alone", Family.ASKING, _PAPER, Needs.VERDICT, requires=_STAGE_3),
        Method(
            "states",
            "States and likelihood",
            Family.SUPERVISED,
            f"{_BEYOND}: linear read-out of hidden states, learned beside the likelihood",
            requires="states.enabled",
        ),
        Method(
            "predictive_entropy",
            "Predictive entropy",
            Family.SAMPLING,
            "Malinin & Gales, 2021",
            Needs.SAMPLES,
            untuned=True,
        ),
        Method(
            "semantic_entropy",
            "Semantic entropy",
            Family.SAMPLING,
            "Kuhn et al., 2023",
            Needs.SAMPLES,
            untuned=True,
            requires="rivals.nli_model",
            settings=("rivals.nli_model",),
        ),
        Method(
            "semantic_entropy_lexical",
            "Semantic entropy, lexical",
            Family.SAMPLING,
            "after Kuhn et al., 2023; equal texts, no NLI model",
            Needs.SAMPLES,
            untuned=True,
        ),
        Method(
            "self_eval_prompt",
            "Self-evaluation prompt",
            Family.ASKING,
            "Kadavath et al., 2022",
            Needs.MODEL,
            untuned=True,
        ),
        Method(
            "p_true",
            "P(True)",
            Family.ASKING,
            "Kadavath et al., 2022",
            Needs.MODEL | Needs.SAMPLES,
            untuned=True,
            settings=("rivals.p_true_examples",),
        ),
        Method("lexical_similarity", "Lexical similarity", Family.SAMPLING, "Fomicheva et al., 2020", Needs.SAMPLES),
        Method("sar", "SAR", Family.SAMPLING, "Duan et al., 2024", Needs.SAMPLES, settings=("rivals.nli_model",)),
        Method(
            "hidden_state_probe", "Hidden-state probe", Family.SUPERVISED, "Azaria & Mitchell, 2023", Needs.FEATURES
        ),
        Method("likelihood_features", "Likelihood features", Family.SUPERVISED, "Quevedo et al., 2024", Needs.FEATURES),
        Method(
            "cross_model",
            "Cross-model",
            Family.ASKING,
            "control",
            Needs.MODEL,
            requires="rivals.judge",
            settings=("rivals.judge",),
        ),
        Method(
            "aspire_readout",
            "ASPIRE, readout",
            Family.ASPIRE,
            f"{_BEYOND}: linear read-out of θs",
            Needs.MODEL,
            requires=_STAGE_3,
        ),
        Method(
            "aspire_alpha",
            "ASPIRE, tuned α",
            Family.ASPIRE,
            f"{_BEYOND}: α chosen on validation",
            Needs.VERDICT,
            requires=_STAGE_3,
        ),
        Method(
            "ensemble",
            "Ensemble",
            Family.SUPERVISED,
            f"{_BEYOND}: regression on likelihood, length and P(z_c)",
            Needs.VERDICT,
            requires=_STAGE_3,
        ),
    )
}


def score_outputs() -> tuple[Output, ...]:
    """What the scores that are worth keeping are made from, for the table of a run's outputs."""
    outputs = []
    for method in METHODS.values():
        for suffix in ("", UNTUNED) if method.untuned else ("",):
            answers = [f"predictions{suffix}.jsonl"]
            drawn = [f"rival_samples{suffix}.jsonl"] if Needs.SAMPLES in method.needs else []
            if not method.is_cheap:
                name = f"scores/{method.name}{suffix}.json"
                outputs.append(Output(name, (*answers, *drawn), method.settings, "evaluation"))
    return tuple(outputs)


def base_name(name: str) -> str:
    """The method without regard to whose answers it scores."""
    return name.removesuffix(UNTUNED)


def family_of(name: str) -> Family:
    """The family of a method; `OTHER` for an unknown one."""
    known = METHODS.get(base_name(name))
    return known.family if known else Family.OTHER


def method_label(name: str) -> str:
    """The human name of a method; an unknown method keeps its own name, in words."""
    base = base_name(name)
    label = METHODS[base].label if base in METHODS else base.replace("_", " ")
    return label if base == name else f"{label}, untuned"


def in_order(names: Iterable[str]) -> list[str]:
    """Names by family, then by place in the catalogue; unknown methods last, by name."""
    families, known = list(Family), list(METHODS)

    def place(name: str) -> tuple[int, int, str]:
        base = base_name(name)
        return families.index(family_of(name)), known.index(base) if base in METHODS else len(known), name

    return sorted(names, key=place)
