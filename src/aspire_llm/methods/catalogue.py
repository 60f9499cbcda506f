"""Selection methods: ASPIRE, its variants, and its rivals, one file a method behind one interface.

Every method scores the same stored answers; what several of them need is made once (`AnswerSet`).
"""

from aspire_llm.methods.aspire import ASPIRE, SELF_EVALUATION
from aspire_llm.methods.aspire_variants import ASPIRE_ALPHA, ASPIRE_READOUT, ENSEMBLE
from aspire_llm.methods.cross_model import CROSS_MODEL
from aspire_llm.methods.lexical_similarity import LEXICAL_SIMILARITY
from aspire_llm.methods.likelihood import PERPLEXITY, SEQUENCE_LOG_PROBABILITY
from aspire_llm.methods.method import Method
from aspire_llm.methods.p_true import P_TRUE
from aspire_llm.methods.predictive_entropy import PREDICTIVE_ENTROPY
from aspire_llm.methods.probes import HIDDEN_STATE_PROBE, LIKELIHOOD_FEATURES
from aspire_llm.methods.sar import SAR
from aspire_llm.methods.self_eval_prompt import SELF_EVAL_PROMPT
from aspire_llm.methods.semantic_entropy import SEMANTIC_ENTROPY, SEMANTIC_ENTROPY_LEXICAL

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        ASPIRE,
        PERPLEXITY,
        SEQUENCE_LOG_PROBABILITY,
        SELF_EVALUATION,
        PREDICTIVE_ENTROPY,
        SEMANTIC_ENTROPY,
        SEMANTIC_ENTROPY_LEXICAL,
        SELF_EVAL_PROMPT,
        P_TRUE,
        LEXICAL_SIMILARITY,
        SAR,
        HIDDEN_STATE_PROBE,
        LIKELIHOOD_FEATURES,
        CROSS_MODEL,
        ASPIRE_READOUT,
        ASPIRE_ALPHA,
        ENSEMBLE,
    )
}

__all__ = ["METHODS", "Method"]
