"""Models of real sizes with random weights, and questions of given lengths: nothing is downloaded."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SoftPrompt
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.records import Question

SOFT_TOKENS = 50
WINDOW = 2048
# Two terminators: one that a model of random weights never comes to, one that it comes to now and then.
NEVER, SOMETIMES = "<never>", "<sometimes>"
_SPECIAL = ["<unknown>", NEVER, SOMETIMES]
_WORDS = ["Q:", "A:", "correct", "wrong"]
_SOMETIMES_SCALE = 3.6  # of that terminator's row in the output matrix, in units of the others'
_SOMETIMES_SEED = 3
_SPREAD = 0.02  # standard deviation of the weights, the default of OPT and GPT-2
_TOKEN_SPREAD = 0.1  # of token embeddings, which are the output matrix too: logits so far apart that no two beams tie


def opt(vocab_size: int = 50272, *, width: int = 768, layers: int = 12, heads: int = 12) -> PreTrainedModel:
    """OPT-125M unless told otherwise; dropout off."""
    config = OPTConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        word_embed_proj_dim=width,
        ffn_dim=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=WINDOW,
        init_std=_SPREAD,
        dropout=0.0,
        attention_dropout=0.0,
    )
    return OPTForCausalLM(config)


def gpt2(vocab_size: int = 50257) -> PreTrainedModel:
    """GPT-2 small; dropout off, more positions."""
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=WINDOW,
        initializer_range=_SPREAD,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return GPT2LMHeadModel(config)


def qwen(vocab_size: int = 32000) -> PreTrainedModel:
    """Half of Qwen2.5-0.5B: 14 heads share 2 heads of keys and values, rotary positions, 0.2 B parameters."""
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=12,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        initializer_range=_SPREAD,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config)


def tiny(vocab_size: int = 500) -> PreTrainedModel:
    """For warming up, and for tests of the benchmarks themselves."""
    return opt(vocab_size, width=32, layers=2, heads=4)


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "opt-125m": opt,
    "gpt2-small": gpt2,
    "qwen-0.2b": qwen,
    "opt-1.3b": partial(opt, width=2048, layers=24, heads=32),
    "opt-tiny": tiny,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """One model for both sides, with a θp and a θs that were not trained.

    Attributes:
        ours: The adapted model. Its modules are copies that share the peer's parameters, so that no way in which
            a backbone prepares its modules helps or hinders the peer.
        plain: The model as transformers builds it.
    """

    ours: AdaptedModel
    plain: PreTrainedModel

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.ours.backbone.device

    @property
    def terminator(self) -> int:
        """The token that ends answers."""
        return self.ours.backbone.eos_token_id

    @property
    def verdict_tokens(self) -> tuple[int, int]:
        """z_c and z_w."""
        correct, wrong = self.ours.backbone.tokenizer.convert_tokens_to_ids(["correct", "wrong"])
        return correct, wrong

    def ids(self, token_ids: Sequence[int]) -> Tensor:
        """Token ids where the model is."""
        return torch.tensor(token_ids, device=self.device)

    def sequence(self, prompt: EncodedPrompt, answer: Sequence[int] = (), *, verdict: bool = False) -> Tensor:
        """`[θp] [x] [ŷ] [θs]` of one question, `[T, d]`, put together plainly; θs keeps its gradient."""
        embed = self.plain.get_input_embeddings()
        parts = [self.ours.task.soft_tokens().detach(), embed(self.ids([*prompt.token_ids, *answer]))]
        if verdict:
            parts.append(self.ours.self_evaluation.soft_tokens())
        return torch.cat(parts)


@lru_cache(maxsize=1)  # one model in memory, however many paths measure it
def model(name: str) -> PreTrainedModel:
    """A model by its name in `MODELS`, in evaluation mode, always with the same weights; ``NAME@cuda`` is on a GPU."""
    name, _, device = name.partition("@")
    torch.manual_seed(0)
    built = MODELS[name]().to(device or "cpu").eval().requires_grad_(False)
    _spread_tokens(built)
    built.generation_config.bos_token_id = built.generation_config.eos_token_id = None
    return built


def subject(name: str, terminator: str = NEVER, *, both: bool = True) -> Subject:
    """A model with answers that end by one of the two terminators: for both sides, or for ours alone to prepare.

    The parameters that both share stay in memory whatever ours puts in their place.
    """
    plain = model(name)
    backbone = Backbone(_our_modules(name) if both else plain, tokenizer(plain.config.vocab_size, terminator))
    task, self_evaluation = (SoftPrompt.initialise(backbone, SOFT_TOKENS, seed) for seed in (1, 2))
    return Subject(AdaptedModel(backbone, task, self_evaluation), plain)


@lru_cache(maxsize=1)
def _our_modules(name: str) -> PreTrainedModel:
    plain = model(name)
    return copy.deepcopy(plain, {id(parameter): parameter for parameter in plain.parameters()})


@torch.no_grad()
def _spread_tokens(model: PreTrainedModel) -> None:
    """Weights of the tokens, the two terminators' set apart."""
    generator = torch.Generator().manual_seed(_SOMETIMES_SEED)
    rows = model.get_output_embeddings().weight
    rows *= _TOKEN_SPREAD / _SPREAD
    rows[_SPECIAL.index(NEVER)] = 0
    drawn = torch.randn(rows.shape[-1], generator=generator)
    rows[_SPECIAL.index(SOMETIMES)] = _SOMETIMES_SCALE * _TOKEN_SPREAD * drawn.to(rows.device)


@lru_cache(maxsize=4)
def tokenizer(vocab_size: int, terminator: str) -> PreTrainedTokenizerFast:
    """Words split at white space, one token each, as many as the model has rows."""
    words = [*_SPECIAL, *_WORDS]
    words += [f"w{i}" for i in range(len(words), vocab_size)]
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=_SPECIAL[0]))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token=_SPECIAL[0], eos_token=terminator, pad_token=terminator
    )


def token_ids(model: PreTrainedModel, length: int, seed: int) -> tuple[int, ...]:
    """Random words."""
    generator = torch.Generator().manual_seed(seed)
    first = len(_SPECIAL) + len(_WORDS)
    return tuple(torch.randint(first, model.config.vocab_size, (length,), generator=generator).tolist())


def prompts(model: PreTrainedModel, positions: Sequence[int]) -> list[EncodedPrompt]:
    """One question for each number of positions, which θp's soft tokens are among."""
    return [
        _prompt(Question(str(i), f"question {i}"), token_ids(model, n - SOFT_TOKENS, 100 + i))
        for i, n in enumerate(positions)
    ]


def _prompt(question: Question, token_ids: tuple[int, ...]) -> EncodedPrompt:
    return EncodedPrompt(question, question, "", token_ids)


def left_padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences `[T_i, d]` as one batch `[B, T, d]`, its mask `[B, T]` and its positions `[B, T]`."""
    longest = max(len(row) for row in rows)
    padded = torch.stack([torch.nn.functional.pad(row, (0, 0, longest - len(row), 0)) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=padded.device)
    return padded, mask, (mask.cumsum(-1) - 1).clamp(min=0)
