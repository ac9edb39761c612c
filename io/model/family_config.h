// family_config.h - the keys of config.json that only one family or a few have. Each function is a row's
// `configure` (family.h): it runs after the keys that all families share were read.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

enum status configure_mistral(struct model_config *config, const struct config_reader *reader,
                              struct error *err);
enum status configure_qwen2(struct model_config *config, const struct config_reader *reader,
                            struct error *err);
enum status configure_phi3(struct model_config *config, const struct config_reader *reader,
                           struct error *err);
enum status configure_gemma2(struct model_config *config, const struct config_reader *reader,
                             struct error *err);
enum status configure_gemma3(struct model_config *config, const struct config_reader *reader,
                             struct error *err);
enum status configure_gpt_neox(struct model_config *config, const struct config_reader *reader,
                               struct error *err);
enum status configure_opt(struct model_config *config, const struct config_reader *reader, struct error *err);
enum status configure_mixtral(struct model_config *config, const struct config_reader *reader,
                              struct error *err);
enum status configure_qwen2_moe(struct model_config *config, const struct config_reader *reader,
                                struct error *err);
enum status configure_qwen3_moe(struct model_config *config, const struct config_reader *reader,
                                struct error *err);
