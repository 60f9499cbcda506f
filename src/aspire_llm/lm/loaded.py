"""Whether a model that was loaded is whole, and its tokenizer its own."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aspire_llm.errors import ModelError
from aspire_llm.lm.text import control_tokens


def check_weights(name: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Refuse a model some of whose weights were not in its files, or that leaves some of its own parts' weights out."""
    shapes = {key: (tuple(in_file), tuple(wanted)) for key, in_file, wanted in report["mismatched_keys"]}
    for key, (in_file, wanted) in sorted(shapes.items()):
        raise ModelError(
            f"{name}: {_count(shapes)} of another shape than config.json says ({key} is {in_file}, not {wanted}); "
            "config and weights are of different models: get both again"
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"{name}: {_count(missing)} missing from its files ({_few(missing)}), and would be random; "
            "get the whole model again"
        )
    if unexpected := sorted(key for key in report["unexpected_keys"] if _belongs_to_a_part(key, model)):
        raise ModelError(
            f"{name}: {_count(unexpected)} in its files that config.json has no place for ({_few(unexpected)}); "
            "config and weights are of different models: get both again"
        )
    quantisation = getattr(model.config, "quantization_config", None)
    if quantisation and getattr(model, "hf_quantizer", None) is None:
        method = quantisation.get("quant_method") if isinstance(quantisation, dict) else quantisation
        raise ModelError(
            f"{name}: its weights are quantised by {method!r}, which transformers does not know; use another"
        )
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError(f"{name}: an adapter of peft, not a model; merge it into its model (merge_and_unload) first")


def _belongs_to_a_part(key: str, model: PreTrainedModel) -> bool:
    """Whether an unused weight is of a module that the model has; whole parts, such as another head, may stay out."""
    modules = dict[str, nn.Module](model.named_modules())
    names = key.split(".")
    nearest = next(prefix for end in range(len(names), -1, -1) if (prefix := ".".join(names[:end])) in modules)
    # Masks that the model makes by itself, and that checkpoints of GPT-2's time hold.
    is_mask = names[-1] == "masked_bias" or names[-1] in dict(modules[nearest].named_buffers(recurse=False))
    return nearest not in ("", model.base_model_prefix) and not is_mask


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that gives tokens, or a terminator, that the model has no embedding for.

    Raises:
        ModelError: With the token.
    """
    size = model.get_input_embeddings().num_embeddings
    configured = model.config.get_text_config().eos_token_id
    named = [("the tokenizer's eos_token", tokenizer.eos_token_id)]
    named += [
        ("config.json's eos_token_id", own) for own in (configured if isinstance(configured, list) else [configured])
    ]
    for name, token in named:
        if token is not None and not 0 <= token < size:
            raise ModelError(f"{name} is {token}, outside the vocabulary of {size} tokens; set it to one of them")
    # Tokens that control never come from text, so the model may lack those that are not put around one.
    harmless = control_tokens(tokenizer) - set(tokenizer("a")["input_ids"])
    beyond = {token for token, number in tokenizer.get_vocab().items() if number >= size and number not in harmless}
    if beyond:
        raise ModelError(
            f"the model has {size} embeddings, and none for {len(beyond)} tokens of its tokenizer "
            f"({_few(sorted(beyond))}); use its own tokenizer, or save it after resize_token_embeddings"
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _count(names: Any) -> str:
    return f"{len(names)} weights are" if len(names) > 1 else "1 weight is"
