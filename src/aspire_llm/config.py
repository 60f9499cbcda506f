"""The settings of a run: one frozen, strict section per stage.

Defaults are the paper's where it states them (§4 and appendix). `demo/*.yaml` hold the demonstrations'.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, model_validator

from aspire_llm.abstention import AbstentionConfig
from aspire_llm.correctness import Measure
from aspire_llm.data_config import Count, CountOrZero, DataConfig, PromptsConfig, Section
from aspire_llm.processes import Sharding

MODEL_NAMES = ("demo", "smollm2")  # models that go by a name of ours; ./demo is a folder

Probability = Annotated[float, Field(ge=0, le=1)]
MemorySize = Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?(KB|MB|GB|KiB|MiB|GiB)$")]


class TrainingConfig(Section):
    """One run of the training loop (stages 1 and 3).

    Attributes:
        adapter: The paper's soft prompt, or LoRA.
        num_soft_tokens: Length l of the soft prompt.
        lora_rank: Rank of the LoRA matrices, scaled by `lora_alpha / lora_rank`.
        learning_rate: Peak of the warm-up + cosine schedule of AdamW.
        epochs: Passes over the training split at most.
        batch_size: Questions per optimiser step.
        tokens_per_pass: Positions that go through the model at once, padding included: a batch of more takes several
            passes, whose gradients add up. Bounds memory, changes no result.
        recompute_layers: Compute activations again in the backward pass instead of keeping them (gradient
            checkpointing): less memory, a third more time.
        warmup_fraction: Share of all steps over which the learning rate rises linearly.
        max_grad_norm: Gradients are clipped to this norm.
        weight_decay: AdamW's decoupled weight decay.
        patience: Stop after this many epochs without a lower validation loss.
    """

    adapter: Literal["soft_prompt", "lora"] = "soft_prompt"
    num_soft_tokens: Count = 50
    lora_rank: Count = 8
    lora_alpha: float = Field(default=16.0, gt=0)
    learning_rate: float = Field(default=0.01, gt=0)
    epochs: Count = 10
    batch_size: Count = 8
    tokens_per_pass: Count = 1024
    recompute_layers: bool = False
    warmup_fraction: Probability = 0.05
    max_grad_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    patience: Count = 3


class SamplingConfig(Section):
    """Answer decoding (stage 2 and prediction).

    Attributes:
        decoder: Beam search (the paper's), or temperature sampling. Predictions always use beam search.
        num_beams: Beam width k = hypotheses kept per question; answers drawn per question when sampling.
        max_new_tokens: Longest answer, terminator included.
        length_penalty: Hypotheses rank by summed log-likelihood / length ** penalty; 0 is the paper's argmax.
        temperature: Softmax temperature of sampling.
        batch_size: Questions decoded together.
        folds: Answers to training questions are sampled by a θp that was tuned on the other folds of them, at the cost
            of one more stage 1 per fold; 1 samples the questions that θp was tuned on (the paper's).
        held_out: Share of the training questions that are kept out of stage 1, and alone are sampled; instead of folds.
    """

    decoder: Literal["beam", "sample"] = "beam"
    num_beams: Count = 10
    max_new_tokens: Count = 32
    length_penalty: float = Field(default=0.0, ge=-4, le=10)  # beyond, long answers score as if there were none
    temperature: float = Field(default=1.0, ge=1e-3)  # below, logits over it may be beyond all floats
    batch_size: Count = 8
    folds: Count = 1
    held_out: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "SamplingConfig":
        if self.folds > 1 and self.held_out:
            raise ValueError("folds and held_out are both set; give one of them")
        return self


class SelfEvaluationConfig(TrainingConfig):
    """Self-evaluation learning (stage 3): the training settings and the answers learned from.

    Attributes:
        enabled: Without it, there is no θs, and the selection score must do without its verdict.
        learn_from: ``samples`` is the paper's sets of answers; ``likeliest`` is each question's likeliest answer alone,
            which is what will be judged.
        max_correct: k_c, sampled correct answers per question beside the reference.
        max_wrong: k_w, sampled wrong answers per question.
        verdict_words: The words whose first tokens are z_c and z_w.
        kept_prefixes: MiB of keys and values to keep from epoch to epoch instead of computing them again; ``auto`` is
            half of the free memory.
    """

    enabled: bool = True
    learn_from: Literal["samples", "likeliest"] = "samples"
    max_correct: CountOrZero = 2
    max_wrong: Count = 10
    verdict_words: tuple[str, str] = ("correct", "wrong")
    kept_prefixes: CountOrZero | Literal["auto"] = "auto"


class StatesConfig(Section):
    """The read-out of hidden states, learned from stage 2's answers (beyond the paper).

    Attributes:
        enabled: Whether there is one.
        num_layers: Layers that it is chosen from, evenly spread.
        memory: MiB that the states of all answers may take: of more, those of each question's likeliest are kept.
    """

    enabled: bool = True
    num_layers: Count = 8
    memory: Count = 1024


class ScoreConfig(Section):
    """The selection score.

    Attributes:
        kind: ``aspire`` is the paper's; ``fused`` a logistic model over likelihoods, agreement of the beams, states and
            verdict, fitted on the validation split.
        alpha: Weight of log P(z_c) against the mean log-likelihood.
        candidates: How many of the likeliest beams may be the answer: of these the one that the fused score ranks first
            is, and the score does without the verdict, which is asked about the likeliest alone. 1 is the paper's: the
            likeliest.
        calibration: How the score becomes a confidence: Platt's logistic curve, isotonic regression, or whichever
            predicts held-out calibration answers better.
        abstain_below: Answers whose calibrated confidence is lower are withheld.
        target_risk: The largest share of wrong answers among those given, which a threshold is certified for; it takes
            the place of `abstain_below`.
        delta: The largest probability that the certified threshold breaks that promise.
        novelty_level: Answers to questions whose novelty p-value is lower are withheld: at most this share of questions
            like those that calibrated the run. It takes more than 1 / level calibration questions; 0 withholds none.
    """

    kind: Literal["aspire", "fused"] = "aspire"
    alpha: Probability = 0.25
    candidates: Count = 1
    calibration: Literal["auto", "platt", "isotonic"] = "auto"
    abstain_below: Probability = 0.5
    target_risk: Annotated[float, Field(ge=1e-6, lt=1)] | None = None  # see `LEAST_RISK` of `selection`
    delta: float = Field(default=0.05, gt=0, lt=1)
    novelty_level: Probability = 0.01


class RivalsConfig(Section):
    """What the methods that ASPIRE is compared with are given.

    Attributes:
        untuned: Whether the model before tuning answers the test questions, too, and its likelihood is a method.
        num_samples: m, answers drawn for each test question.
        temperature: Of these draws.
        nli_model: Folder or hub id of the NLI model of semantic entropy and SAR.
        p_true_examples: Training questions with a verdict that stand before P(True)'s question.
        judge: Run directory of another model, whose θs judges these answers as a control.
    """

    untuned: bool = True
    num_samples: Count = 10
    temperature: float = Field(default=0.5, ge=1e-3)
    nli_model: str | None = None
    p_true_examples: CountOrZero = 0
    judge: Path | None = None


class CorrectnessConfig(Section):
    """What counts as a correct answer.

    Attributes:
        measure: The agreement with the references that is held against the thresholds; an exact match is 1 or 0.
        train_threshold: The agreement above which (strictly) an answer is correct in stage 2's labels.
        eval_threshold: The same in evaluation, and where a run is calibrated.
    """

    measure: Measure = Measure.ROUGE_L
    train_threshold: Probability = 0.9
    eval_threshold: Probability = 0.7


class RunConfig(Section):
    """Everything that determines a run.

    Attributes:
        model: ``demo`` (embedded), ``smollm2`` (SmolLM2-135M-Instruct), or a folder, a GGUF file or a hub id of a
            decoder-only model.
        seed: Seeds splits, initialisation, data order, sampling and the bootstrap.
        device: ``auto`` (CUDA where there is one), or a torch device.
        sharding: How several processes split the frozen model, where one device does not hold it: ``tensor`` splits
            the matrices, ``fsdp`` the layers' weights, which come together layer by layer. Not set, each process has
            the whole model, and they share the work.
        dtype: Floating-point type of the frozen model; adapters are float32 throughout.
        quantization: Bits in which the linear layers of the frozen model are held; by bitsandbytes, or torchao.
        device_map: Spread the layers over GPUs, memory and disk as transformers does, instead of `device`.
        max_memory: The most that `device_map` uses, by the number of a GPU or ``cpu``; of others, nothing. Empty: all
            that is free.
        offload_folder: Where it writes weights that it cannot read from their own files; None: in the cache folder.
        speed: ``fast``, or ``plain``: without the kernels that are faster on CPU. Changes results by rounding alone.
        tracking: Where losses and metrics go beside the run directory; none where it is not set.
    """

    model: str = "demo"
    data: DataConfig = DataConfig()
    prompts: PromptsConfig = PromptsConfig()
    stage1: TrainingConfig = TrainingConfig()
    stage2: SamplingConfig = SamplingConfig()
    stage3: SelfEvaluationConfig = SelfEvaluationConfig()
    states: StatesConfig = StatesConfig()
    score: ScoreConfig = ScoreConfig()
    correctness: CorrectnessConfig = CorrectnessConfig()
    abstention: AbstentionConfig = AbstentionConfig()
    rivals: RivalsConfig = RivalsConfig()
    seed: int = Field(default=0, ge=0, lt=2**63)  # torch takes twice as many
    device: str = "auto"
    sharding: Sharding | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    quantization: Literal["8bit", "4bit"] | None = None
    device_map: Literal["auto", "balanced", "sequential"] | None = None
    max_memory: dict[CountOrZero | Literal["cpu"], MemorySize] = Field(default_factory=dict)
    offload_folder: Path | None = None
    speed: Literal["fast", "plain"] = "fast"
    tracking: Literal["tensorboard", "wandb", "trackio", "mlflow"] | None = None

    @model_validator(mode="after")
    def _check(self) -> "RunConfig":
        if (self.stage1.recompute_layers or self.stage3.recompute_layers) and "lora" in (
            self.stage1.adapter,
            self.stage3.adapter,
        ):
            raise ValueError(
                "recompute_layers works with soft prompts only; choose adapter: soft_prompt, or leave it off"
            )
        if self.sharding == "tensor" and "lora" in (self.stage1.adapter, self.stage3.adapter):
            raise ValueError("sharding: tensor works with soft prompts only; choose adapter: soft_prompt, or fsdp")
        if self.device_map is None and (self.max_memory or self.offload_folder):
            raise ValueError("max_memory and offload_folder say what device_map may use; set device_map: auto, too")
        if self.device_map is not None and self.device != "auto":
            raise ValueError(f"device_map chooses devices, and device is {self.device}; set one of them")
        if self.sharding is not None and (self.quantization is not None or self.device_map is not None):
            raise ValueError("sharding splits a plain model; leave out quantization and device_map, or sharding")
        if not self.stage3.enabled and self.score.kind == "aspire" and self.score.alpha:
            raise ValueError(
                "without stage 3 there is no verdict; set score.kind to fused, or score.alpha to 0 (likelihood alone)"
            )
        candidates, beams = self.score.candidates, self.stage2.num_beams
        if candidates > 1 and self.score.kind != "fused":
            raise ValueError(
                f"score.candidates is {candidates}, and only the fused score tells beams apart; set score.kind to "
                "fused, or score.candidates to 1"
            )
        if candidates > beams:
            raise ValueError(f"score.candidates is {candidates}, stage2.num_beams only {beams}; set it to at most that")
        return self

    def to_yaml(self) -> str:
        """The whole configuration, defaults resolved, as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
