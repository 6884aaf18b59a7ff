"""Any Hugging Face decoder with rotary positions as the language model: Llama, SmolLM2, Mistral, Qwen.

In: token ids or embeddings, and who may see whom (`AttentionPlan`). Out: hidden states, log-probabilities, the next
memory. The weights and the arithmetic of a layer are the library's; who is seen, and the memory, are ours: each layer
keeps keys and values of the words it may still look back on, keys *before* rotation. They are turned by their distance
to the word that asks, so positions never run out and a lane can forget anywhere in a chunk. The first words of a life
stay (attention sinks, Xiao et al. 2023, 2309.17453): models put attention there that has nowhere else to go.

    decoder = Decoder.from_hub("HuggingFaceTB/SmolLM2-135M-Instruct", window=512)     # or a folder
    log_probs, memory = decoder(ids, first, decoder.start(lanes))

Needs the packages transformers and, for LoRA (Hu et al. 2021, 2106.09685), peft.
Legend: B lanes, L ticks (or tokens) in a chunk, M remembered, N = M + L rows, E width, H heads, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from vlpt.language.interface import LanguageModel
from vlpt.language.visibility import AttentionPlan
from vlpt.memory import LanguageMemory

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class DecoderConfig:
    """architecture: the library's own configuration as a dictionary, with its model_type.

    window: how many tokens before its own a layer sees. lora_rank: 0, or the rank of adapters on the attention, beside
    which the library's weights stay as they are. sinks: how many first words stay when the window has moved on.
    """

    architecture: dict
    window: int = 512
    lora_rank: int = 0
    sinks: int = 4

    @property
    def vocabulary(self) -> int:
        return self.architecture["vocab_size"]

    @property
    def layers(self) -> int:
        return self.architecture["num_hidden_layers"]

    @property
    def width(self) -> int:
        return self.architecture["hidden_size"]

    @property
    def start_token(self) -> int | None:
        """What texts begin with, if the library knows."""
        return self.architecture.get("bos_token_id")


class Decoder(LanguageModel):
    """Embeds tokens, runs on them with memory, and gives log-probabilities of the next."""

    config_class = DecoderConfig

    def __init__(self, config: DecoderConfig, made: nn.Module | None = None) -> None:
        """made: the library's model, if there is one already. Raises ValueError for an architecture of another kind."""
        super().__init__()
        self.config = config
        self.causal = made if made is not None else _fresh(config.architecture)
        _check(self.causal)
        if getattr(self.causal.lm_head, "weight", None) is self.causal.model.embed_tokens.weight:
            self.causal.lm_head = None  # one table for input and output: kept, saved and trained once
        if config.lora_rank:
            _adapt(self.causal, config.lora_rank)

    @classmethod
    def from_hub(cls, name: str, window: int = 512, lora_rank: int = 0) -> "Decoder":
        """A published model by its name or folder, in fp32. Raises ValueError naming it when it cannot be loaded."""
        transformers = _library()
        try:
            made = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ValueError(f"{name} cannot be loaded as a language model ({str(error).splitlines()[0]})") from error
        return cls(DecoderConfig(_plain(made.config), window, lora_rank), made).eval()

    @property
    def width(self) -> int:
        """E, of embeddings and hidden states."""
        return self.config.width

    @property
    def row_width(self) -> int:
        """What a layer keeps of a word: its keys and values."""
        return 2 * self.causal.model.layers[0].self_attn.k_proj.out_features

    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, L) int64 -> (B, L, E)."""
        return self.causal.model.embed_tokens(ids)

    @torch.no_grad()
    def reinit_embeddings(self, ids: list[int]) -> None:
        """Fresh rows for tokens that training never showed, as long as the others."""
        table = self.causal.model.embed_tokens.weight
        table[ids] = torch.randn_like(table[ids]) * table.std()

    def prepare(self, plan: AttentionPlan, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """mask (B, 1, L, N), cos and sin (B, 1, N, head width) of each row's position; and with sinks, cos and sin of
        their numbers (B, 1, N, head width), of the asking words' (B, 1, L, head width), and which are sinks (B, 1, N,
        1).
        """
        mask, near = plan.additive_mask(dtype), self._turn(plan.position, dtype)
        if plan.sink is None:
            return mask, *near
        keys, queries = self._turn(plan.sink, dtype), self._turn(plan.number, dtype)
        return mask, *near, *keys, *queries, (plan.sink >= 0)[:, None, :, None]

    def _turn(self, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """cos and sin (B, 1, N, head width) of positions (B, N)."""
        cos, sin = self.causal.model.rotary_emb(torch.empty(0, dtype=dtype, device=position.device), position)
        return cos[:, None], sin[:, None]

    def run_layers(
        self, x: Tensor, prepared: tuple[Tensor, ...], memory: LanguageMemory, layers: range
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `LanguageModel.run_layers`."""
        rows, (mask, *turn) = [], prepared
        for i in layers:
            layer = self.causal.model.layers[i]
            attended, row = _attend(layer.self_attn, layer.input_layernorm(x), memory.layers[i], turn, mask)
            x = x + attended
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            rows.append(row)
        return x, tuple(rows)

    def finish(self, x: Tensor) -> Tensor:
        """The final norm."""
        return self.causal.model.norm(x)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (..., V) fp32."""
        return self._logits(hidden).log_softmax(-1)

    def log_normaliser(self, hidden: Tensor) -> Tensor:
        """hidden (..., E) -> (...) fp32: log of what the softmax divides by."""
        return self._logits(hidden).logsumexp(-1)

    def _logits(self, hidden: Tensor) -> Tensor:
        head = self.causal.lm_head or self.causal.model.embed_tokens
        return linear(hidden, head.weight).float()

    def trainable(self) -> list[nn.Parameter]:
        """What a stage that trains the language model trains: all, or with LoRA the adapters only."""
        named = self.named_parameters()
        return [p for name, p in named if not self.config.lora_rank or "lora_" in name]


def _attend(
    attention: nn.Module, x: Tensor, remembered: Tensor, turn: list[Tensor], mask: Tensor
) -> tuple[Tensor, Tensor]:
    """x (B, L, E), remembered (B, M, row width), turn as `Decoder.prepare` gives it -> attended (B, L, E), rows
    (B, N, row width).
    """
    split = (-1, attention.head_dim)
    q, k = attention.q_proj(x).unflatten(2, split), attention.k_proj(x).unflatten(2, split)
    if hasattr(attention, "q_norm"):  # Qwen3
        q, k = attention.q_norm(q), attention.k_norm(k)
    rows = torch.cat([remembered.to(x.dtype), torch.cat([k.flatten(2), attention.v_proj(x)], 2)], 1)
    k, v = (part.unflatten(2, split).transpose(1, 2) for part in rows.chunk(2, 2))
    q, k = _scored(q.transpose(1, 2), k, *turn)
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=attention.scaling, enable_gqa=True)
    return attention.o_proj(mixed.transpose(1, 2).flatten(2)), rows


def _scored(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *sinks: Tensor) -> tuple[Tensor, Tensor]:
    """q (B, H, L, e), k (B, H, N, e) -> what attention multiplies, turned by position.

    A sink looks nearer than it is once the window has moved on, from each asking word's own place: so sinks are scored
    in numbers of their own, which are 0 for all other rows, and the other way round.
    """
    asked = slice(k.shape[2] - q.shape[2], None)
    near_q, near_k = _turned(q, cos[:, :, asked], sin[:, :, asked]), _turned(k, cos, sin)
    if not sinks:
        return near_q, near_k
    *turns, is_sink = sinks
    far_q, far_k = _turned(q, *turns[2:]), _turned(k, *turns[:2])
    return torch.cat([near_q, far_q], -1), torch.cat([near_k * ~is_sink, far_k * is_sink], -1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (B, H, N, e) rotated by its position, the halves of a head being the two axes."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def _library():
    try:
        import transformers
    except ImportError as error:
        raise ValueError("this language model needs the package transformers: pip install 'transformers==5.23.0'"
                         ) from error  # fmt: skip
    return transformers


def _plain(config) -> dict:
    """The library's configuration without what only says where it came from."""
    content = {**config.to_diff_dict(), "model_type": config.model_type}
    for name in ("vocab_size", "num_hidden_layers", "hidden_size"):
        content[name] = getattr(config, name)
    return {key: value for key, value in content.items() if key not in ("dtype", "torch_dtype", "_name_or_path",
                                                                       "quantization_config", "transformers_version")}


def _fresh(architecture: dict) -> nn.Module:
    transformers = _library()
    kind = {key: value for key, value in architecture.items() if key != "model_type"}
    try:
        config = transformers.AutoConfig.for_model(architecture["model_type"], **kind)
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (KeyError, ValueError) as error:
        raise ValueError(f"not a language model that transformers knows: {error}") from error


def _check(causal: nn.Module) -> None:
    """Raises ValueError unless the layers are those of the Llama family."""
    model = getattr(causal, "model", None)
    layer = model.layers[0] if hasattr(model, "layers") and hasattr(model, "rotary_emb") else None
    wanted = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
    parts = dict(layer.named_children()) if layer is not None else {}
    attention = parts.get("self_attn")
    if set(parts) != wanted or not all(hasattr(attention, name) for name in PROJECTIONS):
        raise ValueError(f"{type(causal).__name__} is not built like Llama (layers of {sorted(wanted)} with rotary "
                         f"positions, {', '.join(PROJECTIONS)}): take a Llama, SmolLM2, Mistral or Qwen model")


def _adapt(causal: nn.Module, rank: int) -> None:
    """LoRA adapters on every attention projection; they start as nothing."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError("LoRA needs the package peft: pip install 'peft==0.21.2'") from error
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(PROJECTIONS)), causal)
