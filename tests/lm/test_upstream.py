"""What is relied on of each private or young name of transformers, torch and peft: a failure names what broke."""

import inspect
import tempfile
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from jinja2.exceptions import SecurityError
from peft import LoraConfig
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from aspire_llm.lm import upstream

VOCABULARY = 40
CHECKS: dict[str, Callable[[], None]] = {}


def relies_on(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register the check of one name, whose docstring says what is relied on."""

    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS[name] = check
        return check

    return register


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def softmax_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = query @ key.transpose(-1, -2) * scale
    return (scores if mask is None else scores + mask).softmax(-1) @ value


def same(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@relies_on("CacheLayerMixin")
def layers_of_a_cache() -> None:
    """These methods make a layer, and `keys`, `values` and `is_initialized` start as nothing."""
    assert upstream.CacheLayerMixin.__abstractmethods__ == {
        "lazy_initialization",
        "update",
        "get_mask_sizes",
        "get_seq_length",
        "get_max_length",
    }
    update = inspect.signature(upstream.CacheLayerMixin.update).parameters
    assert list(update)[:3] == ["self", "key_states", "value_states"]

    class Layer(upstream.CacheLayerMixin):
        lazy_initialization = update = get_mask_sizes = get_seq_length = get_max_length = None

    layer = Layer()
    assert (layer.keys, layer.values, layer.is_initialized) == (None, None, False)


@relies_on("Cache")
def a_cache_of_given_layers() -> None:
    """Models call `update` of the given layer by its number, and what it returns is attended to."""
    layers = upstream.DynamicCache(config=tiny_model("llama", VOCABULARY).config).layers
    cache = upstream.Cache(layers=layers)
    states = drawn(1, 2, 3, 8)
    keys, _ = cache.update(states, states, 1)
    same(keys, states)
    assert [layer.get_seq_length() for layer in cache.layers] == [0, 3]


@relies_on("DynamicCache")
def a_cache_that_a_model_fills() -> None:
    """A model fills it, `reorder_cache` repeats and swaps its rows, and its layers hold tensors in their `vars`."""
    model = tiny_model("llama", VOCABULARY)
    cache = upstream.DynamicCache(config=model.config.get_text_config())
    model(torch.tensor([[1, 2, 3], [4, 5, 6]]), past_key_values=cache)
    before = cache.layers[0].keys
    cache.reorder_cache(torch.tensor([1, 1, 0]))
    same(cache.layers[0].keys, before[[1, 1, 0]])
    assert sum(isinstance(value, Tensor) for value in vars(cache.layers[0]).values()) == 2


@relies_on("GradientCheckpointingLayer")
def decoder_layers() -> None:
    """Every decoder layer is one, and takes a `forward` that is set on the instance."""
    for name in ("gpt2", "opt", "llama"):
        model = tiny_model(name, VOCABULARY)
        layers = [m for m in model.modules() if isinstance(m, upstream.GradientCheckpointingLayer)]
        assert len(layers) == model.config.num_hidden_layers
    calls: list[int] = []
    forward = layers[0].forward
    layers[0].forward = lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs)
    model(torch.tensor([[1, 2]]))
    assert calls == [1]


@relies_on("Conv1D")
def gpt2_linear_layers() -> None:
    """x W + b with W `[in, out]`."""
    layer = upstream.Conv1D(3, 5)
    assert layer.weight.shape == (5, 3)
    x = drawn(2, 5)
    same(layer(x), x @ layer.weight + layer.bias)


def gelu_of_gpt2(kind: type[nn.Module]) -> None:
    x = torch.linspace(-5, 5, 101)
    inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)
    same(kind()(x), 0.5 * x * (1 + torch.tanh(inner)))


@relies_on("NewGELUActivation")
def new_gelu() -> None:
    """0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), without state."""
    gelu_of_gpt2(upstream.NewGELUActivation)


@relies_on("FastGELUActivation")
def fast_gelu() -> None:
    """0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), without state."""
    gelu_of_gpt2(upstream.FastGELUActivation)


@relies_on("sdpa_attention_forward")
def attention_of_transformers() -> None:
    """Query `[B, heads, R, D]` to `[B, R, heads, D]`, under an additive mask."""
    query, key = drawn(1, 2, 3, 4), drawn(1, 2, 5, 4, seed=1)
    mask = torch.zeros(1, 1, 3, 5).masked_fill(torch.ones(3, 5).triu(2).bool(), -1e9)
    output, _ = upstream.sdpa_attention_forward(nn.Module(), query, key, key, mask, scaling=0.3)
    same(output, softmax_attention(query, key, key, mask, 0.3).transpose(1, 2))


@relies_on("exchange_attention")
def attention_can_be_exchanged() -> None:
    """The function is called once per layer with these arguments, additive 4-D masks reach it unchanged, and
    positions are the given ones.
    """
    model, seen = tiny_model("llama", VOCABULARY), []

    def attention(module, query, key, value, attention_mask, scaling=None, **kwargs):
        seen.append((module.layer_idx, tuple(query.shape), tuple(key.shape), attention_mask, scaling))
        return upstream.sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)

    mask = torch.zeros(1, 1, 3, 3).masked_fill(torch.ones(3, 3).triu(1).bool(), torch.finfo(torch.float32).min)
    tokens, positions = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 7, 9]])
    expected = model(tokens, attention_mask=mask, position_ids=positions).logits
    assert upstream.exchange_attention(model, "canary", attention)
    same(model(tokens, attention_mask=mask, position_ids=positions).logits, expected)
    assert [(layer, query, key) for layer, query, key, _, _ in seen] == [
        (layer, (1, 4, 3, 8), (1, 2, 3, 8)) for layer in range(2)
    ]
    assert all(torch.equal(given, mask) for *_, given, _ in seen)
    assert {scaling for *_, scaling in seen} == {8**-0.5}
    assert not torch.allclose(model(tokens, attention_mask=mask).logits, expected)


@relies_on("restore_attention")
def attention_can_be_restored() -> None:
    """Afterwards the model uses scaled dot-product attention again; one with an attention of its own keeps it."""
    model = tiny_model("gpt2", VOCABULARY)
    assert upstream.exchange_attention(model, "canary", upstream.sdpa_attention_forward)
    upstream.restore_attention(model, "canary")
    assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")
    assert not upstream.exchange_attention(model, "canary", upstream.sdpa_attention_forward)


@relies_on("DistributedConfig")
def matrices_split_by_a_plan() -> None:
    """A number of processes is all it takes, and `from_pretrained` takes it; for one process it splits nothing."""
    assert (upstream.DistributedConfig(tp_size=3).tp_size, upstream.DistributedConfig(tp_size=3).fsdp_size) == (3, 1)
    model = tiny_model("llama", VOCABULARY)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        loaded = type(model).from_pretrained(folder, distributed_config=upstream.DistributedConfig(tp_size=1))
    tokens = torch.tensor([[1, 2, 3]])
    same(loaded(tokens).logits, model.eval()(tokens).logits)


@relies_on("has_tensor_plan")
def models_with_a_plan_say_so() -> None:
    """Llama has one, GPT-2 has none."""
    assert upstream.has_tensor_plan(tiny_model("llama", VOCABULARY))
    assert not upstream.has_tensor_plan(tiny_model("gpt2", VOCABULARY))


@relies_on("is_stateful")
def recurrent_models_say_so() -> None:
    """A recurrent model is stateful, a transformer is not."""
    from expanded_models import expanded_model

    assert upstream.is_stateful(expanded_model("mamba", VOCABULARY))
    assert not upstream.is_stateful(tiny_model("llama", VOCABULARY))


@relies_on("flash_attention")
def attention_kernel() -> None:
    """Softmax attention under an additive mask, with the logarithm of its denominator `[B, heads, R]`."""
    query, key, value = drawn(2, 3, 4, 8), drawn(2, 3, 6, 8, seed=1), drawn(2, 3, 6, 8, seed=2)
    mask = torch.zeros(2, 1, 4, 6).masked_fill(torch.ones(4, 6).triu(3).bool(), -1e9)
    output, lse = upstream.flash_attention(query, key, value, mask=mask, causal=False, scale=0.5)
    same(output, softmax_attention(query, key, value, mask, 0.5))
    same(lse, (query @ key.transpose(-1, -2) * 0.5 + mask).logsumexp(-1))


@relies_on("flash_attention_backward")
def attention_kernel_backward() -> None:
    """Gradients of query, key and value from the output and its log-sum-exp."""
    states = [drawn(1, 2, 4, 8, seed=seed).requires_grad_() for seed in range(3)]
    softmax_attention(*states, None, 0.5).backward(gradient := drawn(1, 2, 4, 8, seed=3))
    plain = [state.detach() for state in states]
    output, lse = upstream.flash_attention(*plain, mask=None, causal=False, scale=0.5)
    ours = upstream.flash_attention_backward(gradient, *plain, output, lse, mask=None, causal=False, scale=0.5)
    for own, state in zip(ours, states, strict=True):
        same(own, state.grad)


@relies_on("has_onednn")
def onednn_is_known() -> None:
    """Whether this build of torch has oneDNN can be asked."""
    assert upstream.has_onednn() in (True, False)


def onednn_weights() -> list[Tensor]:
    if not upstream.has_onednn():
        pytest.skip("this build of torch has no oneDNN")
    weight = drawn(20, 33)
    return [weight, upstream.onednn_layout(weight), weight.T.contiguous().T]


@relies_on("onednn_layout")
def weights_laid_out() -> None:
    """A weight in oneDNN's layout multiplies to the bits that the plain one does, for two rows and more."""
    plain, laid_out, _ = onednn_weights()
    assert laid_out.layout == torch._mkldnn
    for rows in (2, 10, 300):
        x = drawn(rows, 33, seed=1)
        assert torch.equal(upstream.onednn_product(x, laid_out), upstream.onednn_product(x, plain))


@relies_on("onednn_product")
def products_by_onednn() -> None:
    """x Wᵀ + b, for a weight laid out, contiguous, and transposed, and for no rows at all."""
    weights, bias = onednn_weights(), drawn(20, seed=2)
    for shape in ((0, 33), (7, 33), (2, 3, 33)):
        x = drawn(*shape, seed=1)
        for weight in weights:
            same(upstream.onednn_product(x, weight, bias), x @ weights[0].T + bias)
            same(upstream.onednn_product(x, weight), x @ weights[0].T)


def with_two_adapters() -> nn.Module:
    model = tiny_model("llama", VOCABULARY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name in ("one", "other"):
            model.add_adapter(LoraConfig(r=2, target_modules="all-linear"), adapter_name=name)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    return model


SOME_ADAPTERS = ([], ["one"], ["other"], ["one", "other"])


def tuner_layers(model: nn.Module) -> list[upstream.BaseTunerLayer]:
    return [module for module in model.modules() if isinstance(module, upstream.BaseTunerLayer)]


@relies_on("BaseTunerLayer")
def several_adapters_in_a_layer() -> None:
    """Any of a layer's adapters can be active, several at once, or none, as peft itself has it."""
    model, tokens = with_two_adapters(), torch.tensor([[1, 2, 3]])
    logits = []
    for names in SOME_ADAPTERS:
        for layer in tuner_layers(model):
            layer.enable_adapters(bool(names))
            if names:
                layer.set_adapter(names, inference_mode=True)
        logits.append(model(tokens).logits)
    same(logits[0], tiny_model("llama", VOCABULARY)(tokens).logits)
    assert all(not torch.allclose(logits[i], logits[j]) for i in range(4) for j in range(i))


@relies_on("activate_adapters")
@relies_on("active_adapters")
def adapters_are_active_without_a_change_of_what_learns() -> None:
    """What makes adapters active in a layer is two attributes of it, and which those are can be read again."""
    tokens = torch.tensor([[1, 2, 3]])
    for names in SOME_ADAPTERS:
        theirs, ours = with_two_adapters(), with_two_adapters()
        for layer in tuner_layers(theirs):
            layer.enable_adapters(bool(names))
            if names:
                layer.set_adapter(names, inference_mode=True)
        learns = [parameter.requires_grad for parameter in ours.parameters()]
        upstream.activate_adapters(tuner_layers(ours), names)
        assert torch.equal(ours(tokens).logits, theirs(tokens).logits)
        assert {tuple(upstream.active_adapters(layer)) for layer in tuner_layers(ours)} == {tuple(names)}
        assert [parameter.requires_grad for parameter in ours.parameters()] == learns


@relies_on("LoraLinear")
def a_layer_with_low_rank_terms() -> None:
    """x Wᵀ + Σ s x Aᵀ Bᵀ, of these attributes of the layer; a plain adapter has no variant, bias or dropout."""
    layer = tuner_layers(with_two_adapters())[0]
    assert type(layer) is upstream.LoraLinear
    assert not layer.merged
    x = drawn(3, layer.base_layer.in_features)
    expected = layer.base_layer(x)
    for name in ("one", "other"):
        assert not layer.lora_variant.get(name)
        assert layer.lora_bias[name] is False
        assert type(layer.lora_dropout[name]) is nn.Identity
        expected += layer.scaling[name] * (x @ layer.lora_A[name].weight.T) @ layer.lora_B[name].weight.T
    upstream.activate_adapters([layer], ["one", "other"])
    same(layer(x), expected)


@relies_on("get_peft_model_state_dict")
def state_of_one_adapter() -> None:
    """The tensors of one adapter, by names that do not hold its own."""
    state = upstream.get_peft_model_state_dict(with_two_adapters(), adapter_name="one")
    assert len(state) == 2 * 2 * 7  # A and B of seven linear layers in two decoder layers
    assert all("lora_" in name and ".one." not in name for name in state)


@relies_on("set_peft_model_state_dict")
def state_goes_into_an_adapter_of_any_name() -> None:
    """What one adapter saved, another loads."""
    model = with_two_adapters()
    state = {
        name: torch.full_like(t, 0.5)
        for name, t in upstream.get_peft_model_state_dict(model, adapter_name="one").items()
    }
    upstream.set_peft_model_state_dict(model, state, adapter_name="other")
    loaded = [p for name, p in model.named_parameters() if "lora_" in name and ".other." in name]
    assert len(loaded) == len(state)
    assert all((parameter == 0.5).all() for parameter in loaded)


@relies_on("get_tokenizer_config")
def the_configuration_of_a_tokenizer() -> None:
    """The content of `tokenizer_config.json` as a dictionary, code that it names included, without running any."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer_config.json").write_text('{"tokenizer_class": "Mine", "auto_map": {}}')
        found = upstream.get_tokenizer_config(folder)
    assert (found["tokenizer_class"], found["auto_map"]) == ("Mine", {})


@relies_on("tokenizer_class_from_name")
def classes_of_tokenizers() -> None:
    """A class for each name that transformers has a tokenizer of, None for any other."""
    for name in ("PreTrainedTokenizerFast", "TokenizersBackend", "GPT2TokenizerFast", "LlamaTokenizer"):
        assert upstream.tokenizer_class_from_name(name) is not None
    assert upstream.tokenizer_class_from_name("MyTokenizer") is None


@relies_on("compile_chat_template")
def templates_in_a_sandbox() -> None:
    """A template of jinja2 in a sandbox of its own, whose answer to what is unsafe can be set."""
    template = upstream.compile_chat_template(
        "{% generation %}{{ [strftime_now('%Y'), items] | tojson }}{{ items.__class__ }}{% endgeneration %}"
    )
    template.environment.unsafe_undefined = lambda _, attribute: f"no {attribute}"
    given = {"items": ["é"], "strftime_now": lambda form: form}
    assert template.render(**given) == '["%Y", ["é"]]no __class__'
    assert "no" not in upstream.compile_chat_template("{{ items.__class__ }}").render(**given)
    with pytest.raises(SecurityError):
        upstream.compile_chat_template("{{ items.append(1) }}").render(**given)


def offloaded(folder: str) -> nn.Module:
    """A tiny GPT-2, whose head is tied, of which everything lies on disk."""
    tiny_model("gpt2", VOCABULARY).save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, device_map="auto", max_memory={"cpu": 1000})


@relies_on("execution_device")
@relies_on("execution_devices")
def where_hooks_bring_weights() -> None:
    """`_hf_hook`, one hook or several in `hooks`, says in `execution_device` where; without one, weights lie there."""
    with tempfile.TemporaryDirectory() as folder:
        model = offloaded(folder)
        embedding = model.get_input_embeddings()
        assert embedding.weight.is_meta
        assert upstream.execution_device(embedding) == torch.device("cpu")
        assert upstream.execution_devices(model) == {torch.device("cpu")}
    assert upstream.execution_device(nn.Linear(1, 1, device="meta")) == torch.device("meta")
    assert upstream.execution_device(nn.GELU()) is None


@relies_on("leave_in_place")
def an_argument_that_hooks_leave_alone() -> None:
    """`skip_keys` of the hook of a whole model names arguments that it does not move; what stood there stays."""
    with tempfile.TemporaryDirectory() as folder:
        model = offloaded(folder)
        before = model._hf_hook.skip_keys
        upstream.leave_in_place(model, "logits_to_keep")
        stood = [before] if isinstance(before, str) else list(before)
        assert model._hf_hook.skip_keys == [*stood, "logits_to_keep"]
        assert stood
        model._hf_hook.execution_device = torch.device("meta")
        moved = model._hf_hook.pre_forward(model, input_ids=torch.ones(1), logits_to_keep=torch.ones(1))[1]
        assert {name: tensor.device.type for name, tensor in moved.items()} == {
            "input_ids": "meta",
            "logits_to_keep": "cpu",
        }
    upstream.leave_in_place(nn.Linear(1, 1), "logits_to_keep")


@relies_on("standing_in")
def adapters_of_layers_whose_weights_are_away() -> None:
    """peft would put them on no device; hooks find their weights again afterwards."""
    lora = LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    devices = []
    for stand_in in (nullcontext, upstream.standing_in):
        with tempfile.TemporaryDirectory() as folder:
            model = offloaded(folder)
            with stand_in(*([model] if stand_in is upstream.standing_in else [])):
                model.add_adapter(lora)
            devices.append({p.device.type for name, p in model.named_parameters() if "lora_" in name})
            assert all(p.is_meta for name, p in model.named_parameters() if "lora_" not in name)
    assert devices == [{"meta"}, {"cpu"}]


@relies_on("tied_names")
def weights_under_two_names() -> None:
    """`all_tied_weights_keys` has the second name; after a pass, what lies on disk is not seen to be the same."""
    with tempfile.TemporaryDirectory() as folder:
        model = offloaded(folder)
        assert upstream.tied_names(model) == {"lm_head.weight"}
        model(torch.arange(4)[None])
        assert "lm_head.weight" in dict(model.named_parameters())


@relies_on("keep_gradients")
def a_layout_without_gradients() -> None:
    """A 4-bit layer of bitsandbytes takes it where this attribute of its own is true, as on CPUs with bfloat16."""
    layers = pytest.importorskip("bitsandbytes.nn", reason="bitsandbytes is not installed")
    layer = layers.Linear4bit(64, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    layer.weight = layers.Params4bit(drawn(64, 64), requires_grad=False, quant_type="nf4").to("cpu")
    assert vars(layer)["support_avx512bf16_for_cpu"] in (True, False)
    layer.eval()
    upstream.keep_gradients(layer)
    with torch.no_grad():
        layer(drawn(3, 64))
    x = drawn(3, 64, seed=1).requires_grad_()
    plain = layer(torch.eye(64)).T
    same(layer(x), x @ plain.T)
    same(torch.autograd.grad(layer(x).sum(), x)[0], plain.sum(0).expand(3, -1))


@pytest.mark.parametrize("name", upstream.__all__)
def test_what_is_relied_on_holds(name: str) -> None:
    assert name in CHECKS, f"nothing checks lm.upstream.{name}"
    try:
        CHECKS[name]()
    except (AssertionError, AttributeError, TypeError, RuntimeError, ValueError, KeyError) as error:
        pytest.fail(f"lm.upstream.{name} no longer does what is relied on: {CHECKS[name].__doc__}\n{error}")


@pytest.mark.parametrize("name", ["gpt2", "opt", "llama"])
def test_a_model_takes_what_a_pass_gives(name: str) -> None:
    given = {"inputs_embeds", "attention_mask", "position_ids", "past_key_values", "use_cache", "logits_to_keep"}
    missing = given - set(inspect.signature(tiny_model(name, VOCABULARY).forward).parameters)
    assert not missing, f"{name} models no longer take {', '.join(sorted(missing))}"


def test_logits_are_computed_where_they_are_asked_for() -> None:
    """`logits_to_keep` takes a boolean `[B, R]`, also one that is False throughout, in every architecture."""
    for name in ("gpt2", "opt", "llama"):
        model, tokens = tiny_model(name, VOCABULARY).eval(), torch.tensor([[1, 2, 3], [4, 5, 6]])
        whole = model(tokens).logits
        for flags in ([[0, 1, 1], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]):
            kept = torch.tensor(flags, dtype=torch.bool)
            logits = model(tokens, logits_to_keep=kept).logits
            same(logits.view(-1, VOCABULARY), whole[kept])
