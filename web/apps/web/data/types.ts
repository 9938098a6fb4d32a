// The records of flashinfer_bench/data/model.py, as they stand in JSON; a test compares the two.

/** How the model is served where its sizes per rank hold. */
export interface Layout {
  /** E.g. `h200`. */
  gpu: string;
  /** Tensor-parallel ranks. */
  tp: number;
  /** Expert-parallel ranks. */
  ep: number;
  /** As SGLang's flag; absent leaves it to SGLang. */
  attention_backend?: string;
  /** Tokens in a page of the KV cache; absent leaves it to SGLang. */
  page_size?: number;
}

/** What the tree was made from. */
export interface Origin {
  /** Where config.json came from: `file`, `cache`, `hub` or `table`. */
  config: string;
  /** Commit of the repository, where known. */
  revision?: string;
  /** Version of SGLang whose source was read. */
  sglang?: string;
  /** `sglang`, `transformers` or `pattern`. */
  route: string;
  /** `exact`, `likely` or `guess`. */
  confidence: string;
}

/** One module of a model, all its repetitions together. */
export interface Module {
  /** How often the module occurs in the whole model. */
  count: number;
  /** Key of the module it belongs to; absent at the top. */
  parent?: string;
  /** `block` has modules inside, `layer` computes. */
  type: "block" | "layer";
  /** Names of the Definitions it calls. */
  definitions?: string[];
  /** Shown instead of the last part of its key. */
  label?: string;
  /** Class in SGLang. */
  class_name?: string;
  /** File and line of the class, e.g. `sglang/srt/models/llama.py:60`. */
  place?: string;
  /** Of one occurrence with all inside, on one rank. */
  parameters?: number;
  /** Name of what it computes that no Definition describes yet. */
  gap?: string;
}

/**
 * The module tree of an LLM.
 *
 * `modules` is keyed by name. Where two modules under different parents share a name, their keys
 * are qualified by the parent's: `mlp_dense.down_proj`, `mlp_moe.down_proj`.
 */
export interface Model {
  /** Unique identifier, e.g. `kimi-k2`. */
  id: string;
  /** Display name. */
  name: string;
  /** What sets the model apart. */
  description?: string;
  /** Repository on the Hugging Face Hub. */
  hf_repo_id?: string;
  /** Class of the whole model. */
  architecture?: string;
  /** Of the whole model. */
  parameters?: number;
  /** Of all weights on one rank, in the checkpoint's precision. */
  weight_bytes?: number;
  /** Of matrix products for one token on one rank, attention scores apart. */
  flops_per_token?: number;
  /** How it is served where sizes per rank hold. */
  layout?: Layout;
  /** What the tree was made from. */
  origin?: Origin;
  /** Key to module, parents before children by custom. */
  modules: Record<string, Module>;
}
