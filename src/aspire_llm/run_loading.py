"""What a run answers with, from its configuration and directory: the model, its encoder, its adapters, its search."""

from collections.abc import Sequence
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, num_soft_tokens
from aspire_llm.lm.cache.expanded import check_readable
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.placement import Placement
from aspire_llm.lm.read_states import StateRecorder
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.processes import processes
from aspire_llm.records import Question


def load_model(config: RunConfig, device: str | None = None) -> Backbone:
    """The frozen model of a configuration, on another device where one is given, or split as the command splits it."""
    placement = None
    if config.device_map is not None and device is None:
        placement = Placement(config.device_map, config.max_memory, config.offload_folder)
    backbone = load_backbone(
        config.model,
        device=device or config.device,
        dtype=config.dtype,
        speed=config.speed,
        sharding=processes().sharding,
        prompts=config.prompts,
        quantization=config.quantization,
        placement=placement,
    )
    check_readable(backbone)
    return backbone


def new_encoder(backbone: Backbone, config: RunConfig, examples: Sequence[Question]) -> Encoder:
    """The encoder of a run: prompts leave room for both adapters and the longest answer."""
    return Encoder(
        backbone,
        max_answer_tokens=config.stage2.max_new_tokens,
        soft_tokens=sum(num_soft_tokens(backbone, config.stage1, config.stage3)),
        examples=examples,
    )


def load_adapted(backbone: Backbone, config: RunConfig, folder: Path, *, of: str = "") -> AdaptedModel:
    """θ + θp + θs of a run, without θs where it has none; `of` as of `load_adapter`."""
    names = (TASK, SELF_EVALUATION) if config.stage3.enabled else (TASK,)
    return AdaptedModel(backbone, *(load_adapter(backbone, own, folder / f"{own}_adapter", of=of) for own in names))


def decode_likeliest(
    model: AdaptedModel, prompts: Sequence[EncodedPrompt], config: RunConfig, states: StateRecorder | None = None
) -> Decoded:
    """Beam search as predictions use it; the first hypothesis of a question is ŷ*."""
    return beam_search(
        model,
        prompts,
        num_beams=config.stage2.num_beams,
        max_new_tokens=config.stage2.max_new_tokens,
        length_penalty=config.stage2.length_penalty,
        states=states,
    )
