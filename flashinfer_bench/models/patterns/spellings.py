"""How vendors spell the sizes of a model in config.json, and one reader for all spellings.

The table is data: the first spelling that a configuration states counts. A dot goes into a nested
object. A list holds one value for each layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flashinfer_bench.errors import DataError

NESTED = ("text_config", "llm_config", "language_config", "language_model_config", "decoder_config")
"""Where a model with other parts besides text keeps its language model's configuration."""

SPELLINGS: dict[str, tuple[str, ...]] = {
    # size of the whole
    "layers": (
        *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"),
        *("num_transformer_layers", "num_decoder_layers"),
    ),
    "hidden": ("hidden_size", "n_embd", "d_model", "model_dim", "dim", "embed_dim", "dim_model"),
    "vocabulary": ("padded_vocab_size", "vocab_size", "n_vocab", "embedding_size"),
    "vocabulary multiple": ("pad_vocab_size_multiple",),
    "tied": ("tie_word_embeddings", "tie_embeddings", "weight_tying"),
    # attention
    "heads": (
        *("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
        *("decoder_attention_heads", "num_query_heads"),
    ),
    "kv heads": (
        *("num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_head_kv", "kv_n_heads"),
        *("multi_query_group_num", "num_attention_groups", "num_query_groups"),
        *("attn_config.kv_n_heads", "n_kv_head"),
    ),
    "one kv head": ("multi_query", "multi_query_attention"),
    "head size": ("head_dim", "attention_head_dim", "kv_channels", "head_size", "dim_head"),
    "attention bias": (
        *("attention_bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias", "attn_bias"),
        *("use_bias", "bias"),
    ),
    "query and key norms": ("use_qk_norm", "qk_norm", "qk_layernorm"),
    "output gate": ("attn_output_gate", "attention_output_gate", "use_output_gate"),
    "window": ("sliding_window", "sliding_window_size", "attention_window", "attention_chunk_size"),
    "uses window": ("use_sliding_window",),
    "window pattern": ("sliding_window_pattern", "global_attn_every_n_layers"),
    "rope base": ("rope_theta", "rotary_emb_base", "rope_parameters.rope_theta", "rotary_base"),
    "rotary share": (
        "partial_rotary_factor",
        "rotary_pct",
        "rope_parameters.partial_rotary_factor",
    ),
    "rotary size": ("rotary_dim",),
    "positions": ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len"),
    # multi-head latent attention
    "kv latent": ("kv_lora_rank",),
    "query latent": ("q_lora_rank",),
    "head size without rope": ("qk_nope_head_dim",),
    "head size with rope": ("qk_rope_head_dim",),
    "value head size": ("v_head_dim",),
    "indexer heads": ("index_n_heads",),
    "indexer head size": ("index_head_dim",),
    "indexer tokens": ("index_topk",),
    # gated delta net
    "linear key heads": ("linear_num_key_heads",),
    "linear value heads": ("linear_num_value_heads",),
    "linear key head size": ("linear_key_head_dim",),
    "linear value head size": ("linear_value_head_dim",),
    "linear convolution": ("linear_conv_kernel_dim",),
    # state space
    "state heads": ("mamba_n_heads", "mamba_num_heads", "ssm_num_heads"),
    "state head size": ("mamba_d_head", "mamba_head_dim", "ssm_cfg.headdim"),
    "state size": ("mamba_d_state", "ssm_state_size", "state_size", "ssm_cfg.d_state"),
    "state groups": ("mamba_n_groups", "n_groups", "mamba_ngroups", "ssm_cfg.ngroups"),
    "state inner": ("mamba_d_ssm", "d_inner"),
    "expansion": ("mamba_expand", "expand", "ssm_cfg.expand"),
    "convolution": ("mamba_d_conv", "conv_kernel", "ssm_cfg.d_conv"),
    "convolution bias": ("mamba_conv_bias", "use_conv_bias"),
    "time step rank": ("mamba_dt_rank", "time_step_rank"),
    "state layer": ("ssm_cfg.layer", "ssm_cfg"),
    # which layer is what
    "layer kinds": ("layer_types", "layers_block_type", "attn_type_list"),
    "blocks": ("block_configs",),
    "letters": ("hybrid_override_pattern",),
    "full attention every": ("full_attention_interval",),
    "attention every": ("attn_layer_period",),
    "attention from": ("attn_layer_offset",),
    "attention layers": ("attn_layer_indices", "attn_layer_idx"),
    # feed-forward
    "inner": (
        *("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff", "dim_ff"),
        *("mlp_hidden_size", "decoder_ffn_dim", "ffn_config.ffn_hidden_size", "d_intermediate"),
    ),
    "dense inner": ("intermediate_size_mlp", "dense_intermediate_size"),
    "activation": (
        *("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act"),
        *("activation", "hidden_activation_function"),
    ),
    "gated": ("gated_mlp", "use_gated_mlp", "glu", "use_glu"),
    "mlp bias": ("mlp_bias", "add_bias_linear"),
    # experts
    "experts": (
        *("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"),
        *("num_routed_experts", "n_experts", "ffn_config.moe_num_experts"),
    ),
    "has experts": ("is_moe", "use_moe", "enable_moe_block"),
    "experts per token": (
        *("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts"),
        *("experts_per_token", "moe_top_k", "moe_k", "num_selected_experts"),
        *("ffn_config.moe_top_k", "n_activated_experts", "expert_top_k"),
    ),
    "expert inner": (
        *("moe_intermediate_size", "expert_ffn_hidden_size", "expert_intermediate_size"),
        *("expert_hidden_dim", "moe_ffn_hidden_size", "intermediate_size", "ffn_hidden_size"),
        *("ffn_config.ffn_hidden_size", "ffn_dim"),
    ),
    "latent experts": ("moe_latent_size", "routed_expert_hidden_size"),
    "shared experts": (
        *("n_shared_experts", "num_shared_experts", "num_shared_expert"),
        "moe_num_shared_experts",
    ),
    "shared inner": (
        *("moe_shared_expert_intermediate_size", "shared_intermediate_size"),
        "shared_expert_hidden_size",
    ),
    "gated shared inner": ("shared_expert_intermediate_size",),
    "leading dense": (
        *("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"),
        "n_dense_first_layers",
    ),
    "moe frequency": ("moe_layer_freq",),
    "moe step": ("decoder_sparse_step", "interleave_moe_layer_step"),
    "moe period": ("expert_layer_period",),
    "moe from": ("expert_layer_offset",),
    "moe layers": ("moe_layers", "moe_layer_indices"),
    "dense layers": ("mlp_only_layers",),
    "feed-forward kinds": ("mlp_layer_types",),
    "expert groups": ("n_group", "num_expert_group", "num_expert_groups"),
    "chosen groups": ("topk_group", "num_limited_groups"),
    "scoring": ("scoring_func", "score_func", "score_function", "moe_router_activation_func"),
    "renormalises": ("norm_topk_prob", "moe_renormalize", "route_norm"),
    "selection bias": ("use_expert_bias", "use_routing_bias", "moe_router_enable_expert_bias"),
    "selection": ("topk_method",),
    "scaling": ("routed_scaling_factor", "route_scale", "router_scaling_factor"),
    # norms
    "rms epsilon": ("rms_norm_eps", "norm_eps", "rmsnorm_eps", "norm_epsilon"),
    "layer norm epsilon": ("layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon"),
    "rms": ("rms_norm", "rmsnorm", "use_rmsnorm"),
}
"""What it is -> keys of config.json, in the order in which they count."""


@dataclass
class Keys:
    """A configuration, read by what its keys mean."""

    config: Mapping[str, Any]
    """Of the language model, where that is nested."""
    outer: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    """Assumptions that were made, each once."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Keys:
        """Of the content of a config.json."""
        inner = next((config[it] for it in NESTED if isinstance(config.get(it), Mapping)), None)
        keys = cls(config if inner is None else inner, config)
        others = [it for it in ("vision_config", "audio_config") if config.get(it)]
        if others:
            keys.note(f"{' and '.join(others)}: only the language model is in the tree")
        return keys

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def get(self, meaning: str, default: Any = None) -> Any:
        """The value of the first spelling that is stated and not null."""
        for source in (self.config, self.outer):
            for key in SPELLINGS[meaning]:
                value = _dotted(source, key)
                if value is not None:
                    return value
        return default

    def states(self, meaning: str) -> bool:
        """Whether any spelling is there, also with null."""
        return any(key in it for it in (self.config, self.outer) for key in SPELLINGS[meaning])

    def size(self, meaning: str, default: Any = None, *, layer: int = 0) -> Any:
        """A number, of one layer where the configuration lists them."""
        value = self.get(meaning, default)
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = value[layer] if layer < len(value) else default
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        return default

    def need(self, meaning: str, *, layer: int = 0) -> int:
        """A size that nothing can stand for; raises DataError that names its spellings."""
        value = self.size(meaning, layer=layer)
        if value is None or value <= 0:
            spelled = ", ".join(f"`{key}`" for key in SPELLINGS[meaning])
            raise DataError(
                f"the configuration does not state its {meaning}; expected one of {spelled}"
            )
        return int(value)

    def assume(self, meaning: str, value: Any, why: str) -> Any:
        """What is stated, else a value with a note that it is assumed."""
        found = self.get(meaning)
        if found is not None:
            return found
        self.note(f"{meaning} is not stated; taken as {value} ({why})")
        return value


def _dotted(source: Mapping[str, Any], key: str) -> Any:
    value: Any = source
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


__all__ = ["NESTED", "SPELLINGS", "Keys"]
