#!/usr/bin/env python3
"""Writes published_configs.json: what config.json of published checkpoints says, for tests/io/model/test_config_unread.c

The entries are facts about the releases; a family's releases differ in their keys, and every kind of key is here once.
"""

import json
import os
import sys

ids = lambda bos, eos: {"bos_token_id": bos, "eos_token_id": eos}
llama = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", initializer_range=0.02,
             rms_norm_eps=1e-5, use_cache=True, tie_word_embeddings=False)
sizes = lambda hidden, inner, layers, heads, kv, vocab: dict(
    hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
    num_key_value_heads=kv, vocab_size=vocab)
qwen2 = dict(architectures=["Qwen2ForCausalLM"], attention_dropout=0.0, hidden_act="silu", initializer_range=0.02,
             max_position_embeddings=32768, model_type="qwen2", rms_norm_eps=1e-6, rope_theta=1000000.0,
             sliding_window=32768, torch_dtype="bfloat16", use_cache=True, use_sliding_window=False)

qwen3_next = dict(
    attention_bias=False, attention_dropout=0.0, full_attention_interval=4, head_dim=256, hidden_act="silu",
    initializer_range=0.02, linear_conv_kernel_dim=4, linear_key_head_dim=128, linear_num_key_heads=16,
    linear_num_value_heads=32, linear_value_head_dim=128, max_position_embeddings=262144, rms_norm_eps=1e-6,
    tie_word_embeddings=False, use_cache=True)
experts = lambda count, per_token: dict(
    num_experts=count, num_experts_per_tok=per_token, moe_intermediate_size=512, shared_expert_intermediate_size=512,
    output_router_logits=False, router_aux_loss_coef=0.001)
qwen3_5 = qwen3_next | dict(
    attn_output_gate=True, mamba_ssm_dtype="float32", mtp_num_hidden_layers=1, mtp_use_dedicated_embeddings=False,
    layer_types=(["linear_attention"] * 3 + ["full_attention"]) * 8, rope_parameters=dict(
        mrope_interleaved=True, mrope_section=[11, 11, 10], partial_rotary_factor=0.25, rope_theta=10000000,
        rope_type="default"))

CONFIGS = {
    "Qwen3-Next, 80b-a3b": qwen3_next | experts(512, 10) | ids(151643, 151645) | sizes(2048, 5120, 48, 16, 2, 151936) | dict(
        architectures=["Qwen3NextForCausalLM"], model_type="qwen3_next", decoder_sparse_step=1, mlp_only_layers=[],
        norm_topk_prob=True, partial_rotary_factor=0.25, rope_scaling=None, rope_theta=10000000,
        torch_dtype="bfloat16", use_sliding_window=False),
    "Qwen3.5, 9b, text": qwen3_5 | sizes(4096, 12288, 32, 16, 4, 248320) | dict(model_type="qwen3_5_text"),
    "Qwen3.5, experts, text": {key: value for key, value in (
        qwen3_5 | experts(256, 8) | sizes(2048, 0, 32, 16, 2, 248320)).items() if key != "intermediate_size"} | dict(
            model_type="qwen3_5_moe_text"),
    "LLaMA 1, 7b": llama | ids(1, 2) | dict(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32000,
        max_sequence_length=2048, pad_token_id=-1, torch_dtype="float16", transformers_version="4.27.0.dev0"),
    "Llama 2, 7b": llama | ids(1, 2) | sizes(4096, 11008, 32, 32, 32, 32000) | dict(
        _name_or_path="meta-llama/Llama-2-7b-hf", max_position_embeddings=4096, pretraining_tp=1, rope_scaling=None,
        torch_dtype="float16", transformers_version="4.31.0.dev0"),
    "Llama 2, 70b": llama | ids(1, 2) | sizes(8192, 28672, 80, 64, 8, 32000) | dict(
        attention_bias=False, max_position_embeddings=4096, pretraining_tp=1, rope_scaling=None, rope_theta=10000.0),
    "Llama 3, 8b": llama | ids(128000, 128001) | sizes(4096, 14336, 32, 32, 8, 128256) | dict(
        attention_bias=False, attention_dropout=0.0, max_position_embeddings=8192, pretraining_tp=1, rope_scaling=None,
        rope_theta=500000.0, torch_dtype="bfloat16", transformers_version="4.40.0.dev0"),
    "Llama 3.1, 8b": llama | ids(128000, [128001, 128008, 128009]) | sizes(4096, 14336, 32, 32, 8, 128256) | dict(
        attention_bias=False, attention_dropout=0.0, max_position_embeddings=131072, mlp_bias=False, pretraining_tp=1,
        rope_scaling=dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192,
                          rope_type="llama3"), rope_theta=500000.0, torch_dtype="bfloat16"),
    "Llama 3.2, 1b": llama | ids(128000, 128001) | sizes(2048, 8192, 16, 32, 8, 128256) | dict(
        attention_bias=False, attention_dropout=0.0, head_dim=64, max_position_embeddings=131072, mlp_bias=False,
        pretraining_tp=1, tie_word_embeddings=True, rope_scaling=dict(
            factor=32.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=8192,
            rope_type="llama3"), rope_theta=500000.0),
    "TinyLlama": llama | ids(1, 2) | sizes(2048, 5632, 22, 32, 4, 32000) | dict(
        max_position_embeddings=2048, pretraining_tp=1, rope_scaling=None),
    "SmolLM": llama | ids(0, 0) | sizes(576, 1536, 30, 9, 3, 49152) | dict(
        attention_bias=False, attention_dropout=0.0, max_position_embeddings=2048, pretraining_tp=1,
        rope_interleaved=False, rope_scaling=None, rope_theta=10000.0, is_llama_config=True, tie_word_embeddings=True,
        torch_dtype="bfloat16", **{"transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}}),
    "DeepSeek R1 Distill, 8b": llama | ids(128000, 128001) | sizes(4096, 14336, 32, 32, 8, 128256) | dict(
        attention_bias=False, mlp_bias=False, max_position_embeddings=131072, pretraining_tp=1, rope_theta=500000.0),
    "Llama as Unsloth saves it": llama | ids(128000, 128001) | sizes(2048, 8192, 16, 32, 8, 128256) | dict(
        max_position_embeddings=131072, pad_token_id=128004, unsloth_version="2024.9", unsloth_fixed=True,
        _attn_implementation_autoset=True, neftune_noise_alpha=5, rope_theta=500000.0),
    "Mistral 0.1, 7b": ids(1, 2) | sizes(4096, 14336, 32, 32, 8, 32000) | dict(
        architectures=["MistralForCausalLM"], hidden_act="silu", initializer_range=0.02, max_position_embeddings=32768,
        model_type="mistral", rms_norm_eps=1e-5, rope_theta=10000.0, sliding_window=4096, tie_word_embeddings=False,
        torch_dtype="bfloat16", transformers_version="4.34.0.dev0", use_cache=True),
    "Mistral 0.3, 7b": ids(1, 2) | sizes(4096, 14336, 32, 32, 8, 32768) | dict(
        architectures=["MistralForCausalLM"], attention_dropout=0.0, hidden_act="silu", initializer_range=0.02,
        max_position_embeddings=32768, model_type="mistral", rms_norm_eps=1e-5, rope_theta=1000000.0,
        sliding_window=None, tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True),
    "Mistral Nemo": ids(1, 2) | sizes(5120, 14336, 40, 32, 8, 131072) | dict(
        architectures=["MistralForCausalLM"], attention_dropout=0.0, head_dim=128, hidden_act="silu",
        initializer_range=0.02, max_position_embeddings=1024000, model_type="mistral", rms_norm_eps=1e-5,
        rope_theta=1000000.0, sliding_window=None, tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True),
    "Mixtral, 8x7b": ids(1, 2) | sizes(4096, 14336, 32, 32, 8, 32000) | dict(
        architectures=["MixtralForCausalLM"], attention_dropout=0.0, hidden_act="silu", initializer_range=0.02,
        max_position_embeddings=32768, model_type="mixtral", num_experts_per_tok=2, num_local_experts=8,
        output_router_logits=False, rms_norm_eps=1e-5, rope_theta=1000000.0, router_aux_loss_coef=0.02,
        router_jitter_noise=0.0, sliding_window=None, tie_word_embeddings=False, use_cache=True),
    "Qwen 2, 0.5b": qwen2 | ids(151643, 151643) | sizes(896, 4864, 24, 14, 2, 151936) | dict(
        max_window_layers=24, tie_word_embeddings=True, max_position_embeddings=131072, sliding_window=131072),
    "Qwen 2.5, 7b": qwen2 | ids(151643, 151643) | sizes(3584, 18944, 28, 28, 4, 152064) | dict(
        max_window_layers=28, max_position_embeddings=131072, use_mrope=False, tie_word_embeddings=False),
    "Qwen 2 MoE": ids(151643, 151643) | sizes(3584, 18944, 28, 28, 4, 151936) | dict(
        architectures=["Qwen2MoeForCausalLM"], attention_dropout=0.0, decoder_sparse_step=1, hidden_act="silu",
        initializer_range=0.02, max_position_embeddings=131072, max_window_layers=28, model_type="qwen2_moe",
        moe_intermediate_size=2560, norm_topk_prob=False, num_experts=64, num_experts_per_tok=8,
        output_router_logits=False, rms_norm_eps=1e-6, rope_theta=1000000.0, router_aux_loss_coef=0.001,
        shared_expert_intermediate_size=20480, sliding_window=65536, tie_word_embeddings=False, use_cache=True,
        use_sliding_window=False),
    "Qwen 3, 0.6b": ids(151643, 151645) | sizes(1024, 3072, 28, 16, 8, 151936) | dict(
        architectures=["Qwen3ForCausalLM"], attention_bias=False, attention_dropout=0.0, head_dim=128,
        hidden_act="silu", initializer_range=0.02, max_position_embeddings=40960, max_window_layers=28,
        model_type="qwen3", rms_norm_eps=1e-6, rope_scaling=None, rope_theta=1000000, sliding_window=None,
        tie_word_embeddings=True, torch_dtype="bfloat16", transformers_version="4.51.0", use_cache=True,
        use_sliding_window=False),
    "Qwen 3 MoE, 30b": ids(151643, 151645) | sizes(2048, 6144, 48, 32, 4, 151936) | dict(
        architectures=["Qwen3MoeForCausalLM"], attention_bias=False, attention_dropout=0.0, decoder_sparse_step=1,
        head_dim=128, hidden_act="silu", initializer_range=0.02, max_position_embeddings=40960, max_window_layers=48,
        mlp_only_layers=[], model_type="qwen3_moe", moe_intermediate_size=768, norm_topk_prob=True, num_experts=128,
        num_experts_per_tok=8, output_router_logits=False, rms_norm_eps=1e-6, rope_scaling=None,
        rope_theta=1000000.0, router_aux_loss_coef=0.001, sliding_window=None, tie_word_embeddings=False,
        use_cache=True, use_sliding_window=False),
    "Phi 3 mini, 4k": ids(1, 32000) | sizes(3072, 8192, 32, 32, 32, 32064) | dict(
        architectures=["Phi3ForCausalLM"], attention_bias=False, attention_dropout=0.0, auto_map={
            "AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"},
        embd_pdrop=0.0, hidden_act="silu", initializer_range=0.02, max_position_embeddings=4096, model_type="phi3",
        original_max_position_embeddings=4096, pad_token_id=32000, resid_pdrop=0.0, rms_norm_eps=1e-5,
        rope_scaling=None, rope_theta=10000.0, sliding_window=2047, tie_word_embeddings=False, use_cache=True),
    "Phi 4 mini": ids(199999, 199999) | sizes(3072, 8192, 32, 24, 8, 200064) | dict(
        architectures=["Phi3ForCausalLM"], attention_bias=False, attention_dropout=0.0, embd_pdrop=0.0,
        full_attn_mod=1, hidden_act="silu", initializer_range=0.02, interpolate_factor=1, lm_head_bias=False,
        max_position_embeddings=131072, mlp_bias=False, model_type="phi3", original_max_position_embeddings=4096,
        pad_token_id=199999, partial_rotary_factor=0.75, resid_pdrop=0.0, rms_norm_eps=1e-5, rope_scaling=dict(
            long_factor=[1.0] * 48, short_factor=[1.0] * 48, type="longrope"), rope_theta=10000.0,
        sliding_window=262144, tie_word_embeddings=True, use_cache=True),
    "Gemma 2, 2b": ids(2, 1) | sizes(2304, 9216, 26, 8, 4, 256000) | dict(
        architectures=["Gemma2ForCausalLM"], attention_bias=False, attention_dropout=0.0, attn_logit_softcapping=50.0,
        cache_implementation="hybrid", final_logit_softcapping=30.0, head_dim=256, hidden_act="gelu_pytorch_tanh",
        hidden_activation="gelu_pytorch_tanh", initializer_range=0.02, max_position_embeddings=8192,
        model_type="gemma2", pad_token_id=0, query_pre_attn_scalar=256, rms_norm_eps=1e-6, rope_theta=10000.0,
        sliding_window=4096, torch_dtype="float32", use_cache=True),
    "Gemma 3, 1b": ids(2, [1, 106]) | sizes(1152, 6912, 26, 4, 1, 262144) | dict(
        architectures=["Gemma3ForCausalLM"], attention_bias=False, attention_dropout=0.0, attn_logit_softcapping=None,
        cache_implementation="hybrid", final_logit_softcapping=None, head_dim=256,
        hidden_activation="gelu_pytorch_tanh", initializer_range=0.02, max_position_embeddings=32768,
        model_type="gemma3_text", pad_token_id=0, query_pre_attn_scalar=256, rms_norm_eps=1e-6,
        rope_local_base_freq=10000, rope_scaling=None, rope_theta=1000000, sliding_window=512,
        sliding_window_pattern=6, torch_dtype="bfloat16", use_cache=True),
    "Gemma 3, 270m": ids(2, 1) | sizes(640, 2048, 18, 4, 1, 262144) | dict(
        _sliding_window_pattern=6, architectures=["Gemma3ForCausalLM"], attention_bias=False, attention_dropout=0.0,
        attn_logit_softcapping=None, final_logit_softcapping=None, head_dim=256,
        hidden_activation="gelu_pytorch_tanh", initializer_range=0.02,
        layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 3, max_position_embeddings=32768,
        model_type="gemma3_text", pad_token_id=0, query_pre_attn_scalar=256, rms_norm_eps=1e-6,
        rope_local_base_freq=10000.0, rope_scaling=None, rope_theta=1000000.0, sliding_window=512,
        use_bidirectional_attention=False, use_cache=True),
    "Pythia, 1.4b": ids(0, 0) | dict(
        architectures=["GPTNeoXForCausalLM"], hidden_act="gelu", hidden_size=2048, initializer_range=0.02,
        intermediate_size=8192, layer_norm_eps=1e-5, max_position_embeddings=2048, model_type="gpt_neox",
        num_attention_heads=16, num_hidden_layers=24, rotary_emb_base=10000, rotary_pct=0.25,
        tie_word_embeddings=False, torch_dtype="float16", use_cache=True, use_parallel_residual=True,
        vocab_size=50304, attention_dropout=0.0, hidden_dropout=0.0, classifier_dropout=0.1),
    "OPT, 1.3b": ids(2, 2) | dict(
        _name_or_path="facebook/opt-1.3b", activation_dropout=0.0, activation_function="relu",
        architectures=["OPTForCausalLM"], attention_dropout=0.0, do_layer_norm_before=True, dropout=0.1, ffn_dim=8192,
        hidden_size=2048, init_std=0.02, layerdrop=0.0, max_position_embeddings=2048, model_type="opt",
        num_attention_heads=32, num_hidden_layers=24, pad_token_id=1, prefix="</s>", torch_dtype="float16",
        use_cache=True, vocab_size=50272, word_embed_proj_dim=2048, _remove_final_layer_norm=False,
        enable_bias=True, layer_norm_elementwise_affine=True),
    "GPT-2": ids(50256, 50256) | dict(
        activation_function="gelu_new", architectures=["GPT2LMHeadModel"], attn_pdrop=0.1, embd_pdrop=0.1,
        initializer_range=0.02, layer_norm_epsilon=1e-5, model_type="gpt2", n_ctx=1024, n_embd=768, n_head=12,
        n_layer=12, n_positions=1024, resid_pdrop=0.1, summary_activation=None, summary_first_dropout=0.1,
        summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True,
        task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}}, vocab_size=50257),
    "SantaCoder": ids(49152, 49152) | dict(
        activation_function="gelu_fast", architectures=["GPTBigCodeForCausalLM"], attention_softmax_in_fp32=True,
        attn_pdrop=0.1, embd_pdrop=0.1, inference_runner=0, initializer_range=0.02, layer_norm_epsilon=1e-5,
        max_batch_size=None, max_sequence_length=None, model_type="gpt_bigcode", multi_query=True, n_embd=2048,
        n_head=16, n_inner=8192, n_layer=24, n_positions=2048, pad_key_length=True, pre_allocate_kv_cache=False,
        resid_pdrop=0.1, scale_attention_softmax_in_fp32=True, scale_attn_weights=True, summary_type="cls_index",
        torch_dtype="float32", use_cache=True, validate_runner_input=True, vocab_size=49280),
    "GPT-J, 6b": ids(50256, 50256) | dict(
        activation_function="gelu_new", architectures=["GPTJForCausalLM"], attn_pdrop=0.0, embd_pdrop=0.0,
        gradient_checkpointing=False, initializer_range=0.02, layer_norm_epsilon=1e-5, model_type="gptj", n_embd=4096,
        n_head=16, n_inner=None, n_layer=28, n_positions=2048, resid_pdrop=0.0, rotary=True, rotary_dim=64,
        scale_attn_weights=True, summary_use_proj=True, tie_word_embeddings=False, tokenizer_class="GPT2Tokenizer",
        use_cache=True, vocab_size=50400),
    "CodeGen, 350m": ids(1, 50256) | dict(
        activation_function="gelu_new", architectures=["CodeGenForCausalLM"], attn_pdrop=0.0, embd_pdrop=0.0,
        gradient_checkpointing=False, initializer_range=0.02, layer_norm_epsilon=1e-5, model_type="codegen",
        n_ctx=2048, n_embd=1024, n_head=16, n_inner=None, n_layer=20, n_positions=2048, resid_pdrop=0.0,
        rotary_dim=32, scale_attn_weights=True, tie_word_embeddings=False, tokenizer_class="GPT2Tokenizer",
        use_cache=True, vocab_size=51200),
    "BLOOM, 560m": ids(1, 2) | dict(
        apply_residual_connection_post_layernorm=False, architectures=["BloomForCausalLM"], attention_dropout=0.0,
        attention_softmax_in_fp32=True, bias_dropout_fusion=True, hidden_dropout=0.0, initializer_range=0.02,
        layer_norm_epsilon=1e-5, masked_softmax_fusion=True, model_type="bloom", n_embed=1024, n_inner=None,
        n_layer=24, num_attention_heads=16, offset_alibi=100, pad_token_id=3, pretraining_tp=1, seq_length=2048,
        skip_bias_add=True, skip_bias_add_qkv=False, slow_but_exact=False, unk_token_id=0, use_cache=True,
        vocab_size=250880),
    "Falcon, 7b": ids(11, 11) | dict(
        alibi=False, apply_residual_connection_post_layernorm=False, architectures=["FalconForCausalLM"],
        attention_dropout=0.0, bias=False, hidden_dropout=0.0, hidden_size=4544, initializer_range=0.02,
        layer_norm_epsilon=1e-5, model_type="falcon", multi_query=True, new_decoder_architecture=False,
        num_attention_heads=71, num_hidden_layers=32, parallel_attn=True, torch_dtype="bfloat16", use_cache=True,
        vocab_size=65024),
    "MPT, 7b": dict(
        architectures=["MPTForCausalLM"], attn_config=dict(
            alibi=True, alibi_bias_max=8, attn_impl="torch", attn_pdrop=0, attn_type="multihead_attention",
            attn_uses_sequence_id=False, clip_qkv=None, prefix_lm=False, qk_ln=False, softmax_scale=None),
        d_model=4096, emb_pdrop=0, embedding_fraction=1.0, expansion_ratio=4, init_config={"name": "kaiming_normal_"},
        init_device="cpu", learned_pos_emb=True, logit_scale=None, max_seq_len=2048, model_type="mpt", n_heads=32,
        n_layers=32, no_bias=True, norm_type="low_precision_layernorm", resid_pdrop=0,
        tokenizer_name="EleutherAI/gpt-neox-20b", use_cache=False, verbose=0, vocab_size=50432),
    "Granite 3.0, 2b": ids(0, 0) | sizes(2048, 8192, 40, 32, 8, 49155) | dict(
        architectures=["GraniteForCausalLM"], attention_bias=False, attention_dropout=0.1,
        attention_multiplier=0.015625, embedding_multiplier=12.0, hidden_act="silu", initializer_range=0.02,
        logits_scaling=8.0, max_position_embeddings=4096, mlp_bias=False, model_type="granite", pad_token_id=0,
        residual_multiplier=0.22, rms_norm_eps=1e-5, rope_scaling=None, rope_theta=10000.0, tie_word_embeddings=True,
        torch_dtype="float32", use_cache=True),
    "Command R": ids(5, 255001) | sizes(8192, 22528, 40, 64, 64, 256000) | dict(
        architectures=["CohereForCausalLM"], attention_bias=False, attention_dropout=0.0, hidden_act="silu",
        initializer_range=0.02, layer_norm_eps=1e-5, logit_scale=0.0625, max_position_embeddings=8192,
        model_max_length=131072, model_type="cohere", pad_token_id=0, rope_theta=8000000.0, torch_dtype="float16",
        use_cache=True, use_qk_norm=False),
    "Command R, 7b": ids(5, 255001) | sizes(4096, 14336, 32, 32, 8, 256000) | dict(
        architectures=["Cohere2ForCausalLM"], attention_bias=False, attention_dropout=0.0,
        cache_implementation="hybrid", head_dim=128, hidden_act="silu", initializer_range=0.02, layer_norm_eps=1e-5,
        layer_switch=4, logit_scale=0.25, max_position_embeddings=132096, model_type="cohere2",
        order_of_interleaved_layers="local_attn_first", pad_token_id=0, position_embedding_type="rope_gptj",
        rope_scaling=None, rope_theta=50000, rotary_pct=1.0, sliding_window=4096, sliding_window_pattern=4,
        torch_dtype="bfloat16", use_cache=True, use_embedding_sharing=True, use_gated_activation=True,
        use_parallel_block=True, use_parallel_embedding=True),
    "Phi 2": ids(50256, 50256) | sizes(2560, 10240, 32, 32, 32, 51200) | dict(
        architectures=["PhiForCausalLM"], attention_dropout=0.0, embd_pdrop=0.0, hidden_act="gelu_new",
        initializer_range=0.02, layer_norm_eps=1e-5, max_position_embeddings=2048, model_type="phi",
        partial_rotary_factor=0.4, qk_layernorm=False, resid_pdrop=0.1, rope_scaling=None, rope_theta=10000.0,
        tie_word_embeddings=False, torch_dtype="float16", use_cache=True),
    "StarCoder 2, 3b": ids(0, 0) | sizes(3072, 12288, 30, 24, 2, 49152) | dict(
        activation_function="gelu", architectures=["Starcoder2ForCausalLM"], attention_dropout=0.1,
        attention_softmax_in_fp32=True, embedding_dropout=0.1, hidden_act="gelu_pytorch_tanh",
        initializer_range=0.018042, layer_norm_epsilon=1e-5, max_position_embeddings=16384, mlp_type="default",
        model_type="starcoder2", norm_epsilon=1e-5, norm_type="layer_norm", residual_dropout=0.1,
        rope_theta=999999.4420358813, scale_attention_softmax_in_fp32=True, scale_attn_weights=True,
        sliding_window=4096, use_bias=True, use_cache=True),
    "StableLM 2, 1.6b": ids(100257, 100257) | sizes(2048, 5632, 24, 32, 32, 100352) | dict(
        architectures=["StableLmForCausalLM"], hidden_act="silu", initializer_range=0.02, layer_norm_eps=1e-5,
        max_position_embeddings=4096, model_type="stablelm", partial_rotary_factor=0.25, rope_theta=10000,
        tie_word_embeddings=False, torch_dtype="float16", use_cache=True, use_qkv_bias=True),
    "StableLM 2, 12b": ids(100257, 100257) | sizes(5120, 13824, 40, 32, 8, 100352) | dict(
        architectures=["StableLmForCausalLM"], hidden_act="silu", initializer_range=0.02, layer_norm_eps=1e-5,
        max_position_embeddings=4096, model_type="stablelm", partial_rotary_factor=0.25, qk_layernorm=True,
        rope_theta=10000, tie_word_embeddings=False, use_cache=True, use_parallel_residual=True,
        use_qkv_bias=False, attention_dropout=0.0, hidden_dropout=0.0),
}

vision = dict(hidden_size=1152, image_size=896, intermediate_size=4304, model_type="siglip_vision_model",
              num_attention_heads=16, num_hidden_layers=27, patch_size=14, vision_use_head=False)
CONFIGS |= {
    "Gemma 3, 4b": dict(
        architectures=["Gemma3ForConditionalGeneration"], boi_token_index=255999, eoi_token_index=256000,
        eos_token_id=[1, 106], image_token_index=262144, initializer_range=0.02, mm_tokens_per_image=256,
        model_type="gemma3", text_config=dict(
            hidden_size=2560, intermediate_size=10240, model_type="gemma3_text", num_hidden_layers=34,
            rope_scaling=dict(factor=8.0, rope_type="linear"), sliding_window=1024),
        torch_dtype="bfloat16", transformers_version="4.50.0.dev0", vision_config=vision),
    "Gemma 3, 27b": dict(
        architectures=["Gemma3ForConditionalGeneration"], boi_token_index=255999, eoi_token_index=256000,
        image_token_index=262144, initializer_range=0.02, mm_tokens_per_image=256, model_type="gemma3",
        text_config=dict(head_dim=128, hidden_size=5376, intermediate_size=21504, model_type="gemma3_text",
                         num_attention_heads=32, num_hidden_layers=62, num_key_value_heads=16,
                         query_pre_attn_scalar=168, rope_scaling=dict(factor=8.0, rope_type="linear"),
                         sliding_window=1024),
        torch_dtype="bfloat16", vision_config=vision),
    "Qwen 2 VL, 7b": qwen2 | ids(151643, 151645) | sizes(3584, 18944, 28, 28, 4, 152064) | dict(
        architectures=["Qwen2VLForConditionalGeneration"], model_type="qwen2_vl", max_window_layers=28,
        rope_scaling=dict(type="mrope", mrope_section=[16, 24, 24]), vision_start_token_id=151652,
        vision_end_token_id=151653, vision_token_id=151654, image_token_id=151655, video_token_id=151656,
        tie_word_embeddings=False, vision_config=dict(depth=32, embed_dim=1280, hidden_size=3584, mlp_ratio=4,
                                                      num_heads=16, in_chans=3, patch_size=14)),
    "Qwen 2.5 VL, 3b": qwen2 | ids(151643, 151645) | sizes(2048, 11008, 36, 16, 2, 151936) | dict(
        architectures=["Qwen2_5_VLForConditionalGeneration"], model_type="qwen2_5_vl", max_window_layers=70,
        rope_scaling=dict(type="mrope", mrope_section=[16, 24, 24]), max_position_embeddings=128000,
        vision_start_token_id=151652, vision_end_token_id=151653, vision_token_id=151654, image_token_id=151655,
        video_token_id=151656, tie_word_embeddings=True, vision_config=dict(depth=32, hidden_size=1280)),
    "Qwen 3 VL, 4b": dict(
        architectures=["Qwen3VLForConditionalGeneration"], image_token_id=151655, model_type="qwen3_vl",
        text_config=ids(151643, 151645) | sizes(2560, 9728, 36, 32, 8, 151936) | dict(
            attention_bias=False, attention_dropout=0.0, dtype="bfloat16", head_dim=128, hidden_act="silu",
            initializer_range=0.02, max_position_embeddings=262144, model_type="qwen3_vl_text", rms_norm_eps=1e-6,
            rope_scaling=dict(mrope_interleaved=True, mrope_section=[24, 20, 20], rope_type="default"),
            rope_theta=5000000, tie_word_embeddings=True, use_cache=True),
        tie_word_embeddings=True, transformers_version="4.57.0.dev0", video_token_id=151656,
        vision_config=dict(depth=24, deepstack_visual_indexes=[5, 11, 17]), vision_end_token_id=151653,
        vision_start_token_id=151652),
    "Qwen 3 VL, 30b": dict(
        architectures=["Qwen3VLMoeForConditionalGeneration"], image_token_id=151655, model_type="qwen3_vl_moe",
        text_config=ids(151643, 151645) | sizes(2048, 6144, 48, 32, 4, 151936) | dict(
            attention_bias=False, attention_dropout=0.0, decoder_sparse_step=1, dtype="bfloat16", head_dim=128,
            hidden_act="silu", initializer_range=0.02, max_position_embeddings=262144, mlp_only_layers=[],
            model_type="qwen3_vl_moe_text", moe_intermediate_size=768, norm_topk_prob=True, num_experts=128,
            num_experts_per_tok=8, rms_norm_eps=1e-6, rope_theta=5000000, use_cache=True,
            rope_scaling=dict(mrope_interleaved=True, mrope_section=[24, 20, 20], rope_type="default")),
        tie_word_embeddings=False, video_token_id=151656, vision_config=dict(depth=27), vision_end_token_id=151653,
        vision_start_token_id=151652),
    "LLaVA 1.5, 7b": dict(
        architectures=["LlavaForConditionalGeneration"], ignore_index=-100, image_token_index=32000,
        model_type="llava", pad_token_id=32001, projector_hidden_act="gelu", text_config=dict(
            _name_or_path="lmsys/vicuna-7b-v1.5", architectures=["LlamaForCausalLM"], max_position_embeddings=4096,
            model_type="llama", rms_norm_eps=1e-5, torch_dtype="float16", vocab_size=32064),
        tie_word_embeddings=False, torch_dtype="float16", transformers_version="4.36.0.dev0",
        vision_config=dict(model_type="clip_vision_model"), vision_feature_layer=-2,
        vision_feature_select_strategy="default", vocab_size=32064),
    "LLaVA 1.6, Mistral": dict(
        architectures=["LlavaNextForConditionalGeneration"], ignore_index=-100, image_grid_pinpoints=[[336, 672]],
        image_token_index=32000, model_type="llava_next", projector_hidden_act="gelu", text_config=dict(
            _name_or_path="mistralai/Mistral-7B-Instruct-v0.2", architectures=["MistralForCausalLM"],
            intermediate_size=14336, max_position_embeddings=32768, model_type="mistral", num_key_value_heads=8,
            rms_norm_eps=1e-5, rope_theta=1000000.0, sliding_window=None, torch_dtype="bfloat16", vocab_size=32064),
        use_image_newline_parameter=True, vision_config=dict(model_type="clip_vision_model"),
        vision_feature_layer=-2, vision_feature_select_strategy="default", vocab_size=32064),
    "Mistral Small 3.1": dict(
        architectures=["Mistral3ForConditionalGeneration"], image_token_index=10, model_type="mistral3",
        multimodal_projector_bias=False, projector_hidden_act="gelu", spatial_merge_size=2,
        text_config=sizes(5120, 32768, 40, 32, 8, 131072) | dict(
            attention_dropout=0.0, head_dim=128, hidden_act="silu", initializer_range=0.02,
            max_position_embeddings=131072, model_type="mistral", rms_norm_eps=1e-5, rope_theta=1000000000.0,
            sliding_window=None, use_cache=True),
        torch_dtype="bfloat16", vision_config=dict(model_type="pixtral"), vision_feature_layer=-1),
    "InternVL 3, 1b": dict(
        architectures=["InternVLForConditionalGeneration"], downsample_ratio=0.5, image_seq_length=256,
        image_token_id=151667, model_type="internvl", projector_hidden_act="gelu",
        text_config=qwen2 | ids(151643, 151645) | sizes(896, 4864, 24, 14, 2, 151674) | dict(
            max_window_layers=21, rope_scaling=dict(factor=2.0, rope_type="dynamic", type="dynamic"),
            sliding_window=None),
        vision_config=dict(model_type="internvl_vision"), vision_feature_layer=-1,
        vision_feature_select_strategy="default"),
    "SmolVLM": dict(
        architectures=["Idefics3ForConditionalGeneration"], image_seq_len=81, image_token_id=49153,
        model_type="idefics3", scale_factor=3, text_config=llama | ids(0, 0) | sizes(2048, 8192, 24, 32, 32, 49155) | dict(
            _flash_attn_2_enabled=True, _name_or_path="HuggingFaceTB/SmolLM2-1.7B-Instruct",
            architectures=["VLlama3ForCausalLM"], head_dim=64, max_position_embeddings=16384, neftune_noise_alpha=0.0,
            pad_token_id=2, perceiver_config=dict(model_type="vllama3", qk_layer_norms_perceiver=False),
            pixel_shuffle_factor=3, qk_layer_norms=False, rope_theta=273768.0, use_resampler=False),
        tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True,
        vision_config=dict(hidden_size=1152, max_image_size={"longest_edge": 384}, model_type="idefics3")),
    "Gemma, 7b": ids(2, 1) | sizes(3072, 24576, 28, 16, 16, 256000) | dict(
        architectures=["GemmaForCausalLM"], attention_bias=False, attention_dropout=0.0, head_dim=256, hidden_act="gelu",
        hidden_activation=None, initializer_range=0.02, max_position_embeddings=8192, model_type="gemma", pad_token_id=0,
        rms_norm_eps=1e-6, rope_scaling=None, rope_theta=10000.0, torch_dtype="bfloat16", use_cache=True),
    "SmolLM3, 3b": ids(128000, 128012) | sizes(2048, 11008, 36, 16, 4, 128256) | dict(
        architectures=["SmolLM3ForCausalLM"], attention_bias=False, attention_dropout=0.0, hidden_act="silu",
        initializer_range=0.02, layer_types=["full_attention"] * 36, max_position_embeddings=65536, max_window_layers=28,
        mlp_bias=False, model_type="smollm3", no_rope_layer_interval=4, no_rope_layers=[1, 1, 1, 0] * 9,
        pad_token_id=128004, pretraining_tp=2, rms_norm_eps=1e-6, rope_scaling=None, rope_theta=5000000.0,
        sliding_window=None, torch_dtype="bfloat16", use_cache=False, use_sliding_window=False),
    "OLMo, 7b": sizes(4096, 11008, 32, 32, 32, 50304) | dict(
        architectures=["OlmoForCausalLM"], attention_bias=False, attention_dropout=0.0, clip_qkv=None, eos_token_id=50279,
        hidden_act="silu", initializer_range=0.02, max_position_embeddings=2048, model_type="olmo", pad_token_id=1,
        pretraining_tp=1, rope_scaling=None, rope_theta=10000.0, tie_word_embeddings=False, use_cache=True),
    "OLMo 2, 7b": sizes(4096, 11008, 32, 32, 32, 100352) | dict(
        architectures=["Olmo2ForCausalLM"], attention_bias=False, attention_dropout=0.0, eos_token_id=100257,
        hidden_act="silu", initializer_range=0.02, max_position_embeddings=4096, model_type="olmo2", pad_token_id=100277,
        rms_norm_eps=1e-6, rope_scaling=None, rope_theta=500000, tie_word_embeddings=False, torch_dtype="float32"),
    "OLMo 3, 7b": sizes(4096, 11008, 32, 32, 32, 100278) | dict(
        architectures=["Olmo3ForCausalLM"], attention_bias=False, attention_dropout=0.0, eos_token_id=100257,
        hidden_act="silu", initializer_range=0.02, max_position_embeddings=65536, model_type="olmo3", pad_token_id=100277,
        layer_types=(["sliding_attention"] * 3 + ["full_attention"]) * 8, rms_norm_eps=1e-6, rope_theta=500000,
        rope_scaling=dict(attention_factor=1.2079441541679836, beta_fast=32, beta_slow=1, factor=8.0,
                          original_max_position_embeddings=8192, rope_type="yarn"), sliding_window=4096),
    "EXAONE 4, 32b": ids(1, 361) | sizes(5120, 27392, 64, 40, 8, 102400) | dict(
        architectures=["Exaone4ForCausalLM"], attention_dropout=0.0, head_dim=128, hidden_act="silu",
        initializer_range=0.02, layer_types=(["sliding_attention"] * 3 + ["full_attention"]) * 16,
        max_position_embeddings=131072, model_type="exaone4", pad_token_id=0, rms_norm_eps=1e-5, rope_theta=1000000,
        rope_scaling=dict(factor=16.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=8192,
                          rope_type="llama3"), sliding_window=4096, sliding_window_pattern="LLLG"),
    "Seed-OSS, 36b": ids(0, 2) | sizes(5120, 27648, 64, 80, 8, 155136) | dict(
        architectures=["SeedOssForCausalLM"], attention_bias=True, attention_dropout=0.1, attention_out_bias=False,
        head_dim=128, hidden_act="silu", initializer_range=0.02, max_position_embeddings=524288, mlp_bias=False,
        model_type="seed_oss", pad_token_id=1, residual_dropout=0.1, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_scaling=dict(rope_type="default"), rope_theta=10000000.0, torch_dtype="bfloat16", use_cache=True),
    "Apertus, 8b": ids(1, 2) | sizes(4096, 21504, 32, 32, 8, 131072) | dict(
        architectures=["ApertusForCausalLM"], attention_bias=False, attention_dropout=0.0, hidden_act="xielu",
        hidden_dropout=0.0, initializer_range=0.02, max_position_embeddings=65536, mlp_bias=False, model_type="apertus",
        pad_token_id=3, post_norm=False, qk_norm=True, rms_norm_eps=1e-5, rope_theta=12000000,
        rope_scaling=dict(factor=8.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=8192,
                          rope_type="llama3", type="llama3"), torch_dtype="bfloat16", use_cache=False),
    "Hunyuan, 7b": ids(1, 127960) | sizes(4096, 14336, 32, 32, 8, 128167) | dict(
        add_classification_head=False, architectures=["HunYuanDenseV1ForCausalLM"], attention_bias=False,
        attention_dropout=0.1, attention_head_dim=128, cla_share_factor=2, class_num=0, dense_list=[4096, 0], head_dim=128,
        eod_token_id=127967, hidden_act="silu", im_end_id=6, im_newline_id=12, im_start_id=5, initializer_range=0.02,
        mask_init_id=13, max_position_embeddings=32768, mlp_bias=False, model_type="hunyuan_v1_dense", norm_type="rms",
        org_vocab_size=128167, pad_id=127961, pad_token_id=127961, pool_type="last", position_embedding_xdrope=False,
        pretraining_tp=1, rms_norm_eps=1e-5, rope_theta=10000.0, sep_token_id=127962, text_end_id=8, text_start_id=7,
        rope_scaling=dict(alpha=1000.0, beta_fast=32, beta_slow=1, factor=1.0, mscale=1.0, mscale_all_dim=1.0,
                          type="dynamic"), tie_word_embeddings=True, torch_dtype="bfloat16", use_cache=True,
        use_cla=False, use_qk_norm=True, use_rotary_pos_emb=True),
    "GLM-4 0414, 9b": sizes(4096, 13696, 40, 32, 2, 151552) | dict(
        architectures=["Glm4ForCausalLM"], attention_bias=False, attention_dropout=0.0, head_dim=128, hidden_act="silu",
        eos_token_id=[151329, 151336, 151338], initializer_range=0.02, max_position_embeddings=32768, model_type="glm4",
        pad_token_id=151329, partial_rotary_factor=0.5, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False),
    "Ernie 4.5, 0.3b": ids(1, 2) | sizes(1024, 3072, 18, 16, 2, 103424) | dict(
        architectures=["Ernie4_5ForCausalLM"], head_dim=128, hidden_act="silu", max_position_embeddings=131072,
        model_type="ernie4_5", pad_token_id=0, rms_norm_eps=1e-5, rope_theta=500000, tie_word_embeddings=True,
        torch_dtype="bfloat16", use_bias=False, use_cache=False),
    "Helium 1, 2b": ids(1, 2) | sizes(2048, 8192, 28, 16, 8, 64000) | dict(
        architectures=["HeliumForCausalLM"], attention_bias=False, attention_dropout=0.0, head_dim=128, hidden_act="silu",
        initializer_range=0.02, max_position_embeddings=4096, mlp_bias=False, model_type="helium", pad_token_id=3,
        rms_norm_eps=1e-8, rope_theta=20000.0, tie_word_embeddings=False, torch_dtype="bfloat16", use_cache=True),
    "AFM, 4.5b": ids(128000, 128001) | sizes(2560, 18432, 36, 20, 4, 128004) | dict(
        architectures=["ArceeForCausalLM"], attention_bias=False, attention_dropout=0.0, head_dim=128, hidden_act="relu2",
        initializer_range=0.02, max_position_embeddings=65536, mlp_bias=False, model_type="arcee", rms_norm_eps=1e-5,
        rope_theta=10000.0, rope_scaling=dict(beta_fast=32.0, beta_slow=1.0, factor=20.0, mscale=1.0, rope_type="yarn",
                                              original_max_position_embeddings=4096), tie_word_embeddings=False),
    "Minitron, 4b": ids(2, 3) | sizes(3072, 9216, 32, 24, 8, 256000) | dict(
        architectures=["NemotronForCausalLM"], attention_bias=False, attention_dropout=0.0, head_dim=128,
        hidden_act="relu2", initializer_range=0.0134, max_position_embeddings=4096, mlp_bias=False, model_type="nemotron",
        norm_eps=1e-5, partial_rotary_factor=0.5, rope_theta=10000.0, tie_word_embeddings=False, use_cache=True),
}

llama4 = ids(200000, [200001, 200007, 200008]) | sizes(5120, 8192, 48, 40, 8, 202048) | dict(
    _attn_implementation_autoset=True, attention_bias=False, attention_chunk_size=8192, attention_dropout=0.0,
    for_llm_compressor=False, head_dim=128, hidden_act="silu", initializer_range=0.02, intermediate_size_mlp=16384,
    model_type="llama4_text", num_experts_per_tok=1, output_router_logits=False, pad_token_id=200018, rms_norm_eps=1e-5,
    rope_theta=500000.0, router_aux_loss_coef=0.001, router_jitter_noise=0.0, torch_dtype="bfloat16", use_cache=True)
llama4_wrapper = dict(
    architectures=["Llama4ForConditionalGeneration"], boi_token_index=200080, eoi_token_index=200081,
    image_token_index=200092, model_type="llama4", torch_dtype="bfloat16", transformers_version="4.51.0.dev0",
    vision_config=dict(hidden_size=1408, image_size=336, intermediate_size=5632, model_type="llama4_vision_model",
                       num_attention_heads=16, num_hidden_layers=34, patch_size=14, pixel_shuffle_ratio=0.5,
                       projector_input_dim=4096, projector_output_dim=4096, rope_theta=10000, vision_output_dim=4096))
CONFIGS |= {
    "Llama 4 Maverick": llama4_wrapper | dict(text_config=llama4 | dict(
        interleave_moe_layer_step=2, max_position_embeddings=1048576, no_rope_layers=[], num_local_experts=128,
        rope_scaling=None, use_qk_norm=False)),
    "Llama 4 Scout": llama4_wrapper | dict(text_config=llama4 | dict(
        interleave_moe_layer_step=1, max_position_embeddings=10485760, no_rope_layers=[], num_local_experts=16,
        rope_scaling=dict(factor=16.0, high_freq_factor=1.0, low_freq_factor=1.0, original_max_position_embeddings=8192,
                          rope_type="llama3"), use_qk_norm=True)),
    # Its text model, saved by itself by transformers 4.51.
    "Llama 4 Scout, text": llama4 | dict(
        architectures=["Llama4ForCausalLM"], attn_scale=0.1, attn_temperature_tuning=True, cache_implementation="hybrid",
        floor_scale=8192, interleave_moe_layer_step=1, max_position_embeddings=10485760, moe_layers=[*range(48)],
        no_rope_layers=[1, 1, 1, 0] * 12, num_local_experts=16, tie_word_embeddings=False, use_qk_norm=True,
        rope_scaling=dict(factor=16.0, high_freq_factor=1.0, low_freq_factor=1.0, original_max_position_embeddings=8192,
                          rope_type="llama3")),
    "Gemma 4, E2B": dict(
        architectures=["Gemma4ForConditionalGeneration"], model_type="gemma4", vocab_size=262144,
        text_config=ids(2, 1) | sizes(1536, 6144, 35, 8, 1, 262144) | dict(
            final_logit_softcapping=30.0, global_head_dim=512, head_dim=256, hidden_activation="gelu_pytorch_tanh",
            hidden_size_per_layer_input=256, layer_types=(["sliding_attention"] * 4 + ["full_attention"]) * 7,
            max_position_embeddings=131072, model_type="gemma4_text", num_kv_shared_layers=20, pad_token_id=0,
            rms_norm_eps=1e-6, sliding_window=512, tie_word_embeddings=True, torch_dtype="bfloat16",
            use_double_wide_mlp=True, vocab_size_per_layer_input=262144, rope_parameters=dict(
                full_attention=dict(partial_rotary_factor=0.25, rope_theta=1000000.0, rope_type="proportional"),
                sliding_attention=dict(rope_theta=10000.0, rope_type="default")))),
}


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "published_configs.json")
    with open(target, "w", encoding="utf-8") as file:
        lines = (f"{json.dumps(name)}: {json.dumps(config)}" for name, config in CONFIGS.items())
        file.write("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
