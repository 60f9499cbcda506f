"""What a user chooses of the lines that `aspire-llm predict` writes: fewer keys, or the other beams as well."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from aspire_llm.errors import ConfigError
from aspire_llm.records import Evidence, Prediction, Unread
from aspire_llm.results.predictions import Outcome, beam_to_json, outcome_to_json
from aspire_llm.rundir.files import Lines
from aspire_llm.selection import Part, Scoring

CANDIDATES = "candidates"
_FIELDS = (*outcome_to_json(Unread("", "")), "metadata")


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands in a line.

    Attributes:
        fields: The keys; None for all.
        candidates: Whether the other beams of the search do, too.
    """

    fields: frozenset[str] | None = None
    candidates: bool = False

    @classmethod
    def of(cls, names: Sequence[str] | None, *, include_candidates: bool = False) -> "Layout":
        """The layout with these keys, and the id; None for all. The other beams are in it where either names them.

        Raises:
            ConfigError: A name is no key of a line.
        """
        candidates = include_candidates or CANDIDATES in (names or ())
        if names is None:
            return cls(None, candidates)
        for name in names:
            if name not in (*_FIELDS, CANDIDATES):
                nearest = difflib.get_close_matches(name, (*_FIELDS, CANDIDATES), n=1, cutoff=0)[0]
                raise ConfigError(f"--fields: a line has no {name!r}; the nearest known field is {nearest!r}")
        return cls(frozenset(["id", *names, *([CANDIDATES] if candidates else [])]), candidates)

    def select(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """What of a line is chosen, in its order."""
        return {key: value for key, value in line.items() if self.fields is None or key in self.fields}


def with_candidates(lines: Lines[Outcome], scoring: Scoring) -> Lines[Outcome]:
    """The same file with the other beams, and their selection scores.

    Args:
        lines: The file.
        scoring: The selection score of the run. Where it takes the verdict of θs, which is asked about the likeliest
            answer alone, the scores of the others are not known.
    """

    def to_json(outcome: Outcome) -> dict[str, Any]:
        found = _candidates(outcome.scored.evidence, scoring) if isinstance(outcome, Prediction) else None
        return {**lines.to_json(outcome), CANDIDATES: found}

    return replace(lines, to_json=to_json)


def candidate_scores(evidence: Evidence, scoring: Scoring) -> list[float | None]:
    """The selection score of each beam.

    Args:
        evidence: With the beams.
        scoring: Where it takes the verdict of θs, which is asked about one answer alone, no score of a beam is known.
    """
    if Part.VERDICT in scoring.needs:
        return [None] * len(evidence.beams)
    return [
        scoring.score(replace(evidence, answer=beam, states=states, log_self_eval=None))
        for beam, states in zip_longest(evidence.beams, evidence.beam_states)
    ]


def _candidates(evidence: Evidence, scoring: Scoring) -> list[dict[str, Any]]:
    """All beams but the answer, likeliest first."""
    found = zip_longest(evidence.beams, evidence.beam_states, candidate_scores(evidence, scoring))
    return [
        beam_to_json(beam, states) | {"selection_score": score}
        for beam, states, score in found
        if beam != evidence.answer
    ]
