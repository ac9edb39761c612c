#include "pipeline/job/peers.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char wanda[] = "Wanda", sparsegpt[] = "SparseGPT", both[] = "Wanda and SparseGPT",
                  compressor[] = "llm-compressor", owl[] = "OWL", ria[] = "RIA", others[] = "other programs";

static const struct peer_word words[] = {
    {"nsamples", both, "calibration.sequences", NULL},
    {"sparsity_ratio", wanda, "prune.sparsity", NULL},
    {"sparsity_type", wanda, "prune.pattern", "2:4 keeps 2 of 4; for unstructured, prune.sparsity alone"},
    {"prune_method", wanda, "prune.method", NULL},
    {"use_variant", wanda, NULL, "prune.method: auto searches in another way"},
    {"save", both, "output", "the pruned model goes there; results are printed, with --json for machines"},
    {"save_model", wanda, "output", NULL},
    {"cache_dir", wanda, NULL, "the variable HF_HOME says where the Hugging Face cache is"},
    {"eval_zero_shot", wanda, "evaluate.tasks", "a list of the tasks' files"},
    {"prunen", sparsegpt, "prune.pattern", "2:4 keeps 2 of 4, while prunen counts those that go"},
    {"prunem", sparsegpt, "prune.pattern", "2:4 keeps 2 of 4, while prunen counts those that go"},
    {"gmp", sparsegpt, "prune.method", "magnitude, with prune.group: layer"},
    {"percdamp", sparsegpt, NULL, "it is always .01"},
    {"blocksize", sparsegpt, NULL, "it is always 128"},
    {"minlayer", sparsegpt, "prune.skip", "patterns of linears that stay dense"},
    {"maxlayer", sparsegpt, "prune.skip", "patterns of linears that stay dense"},
    {"prune_only", sparsegpt, "prune.skip", "patterns of linears that stay dense"},
    {"invert", sparsegpt, "prune.skip", "patterns of linears that stay dense"},
    {"true_sequential", sparsegpt, NULL,
     "compensate.output: least_squares goes through a layer in that order"},
    {"log_wandb", sparsegpt, NULL, "progress goes to standard error, and all numbers to the run directory"},
    {"wbits", sparsegpt, NULL, "there is no quantisation"},
    {"SparseGPTModifier", compressor, "prune.method", "sparsegpt"},
    {"WandaPruningModifier", compressor, "prune.method", "wanda"},
    {"MagnitudePruningModifier", compressor, "prune.method", "magnitude"},
    {"sparsity_stage", compressor, "prune", NULL},
    {"pruning_stage", compressor, "prune", NULL},
    {"sparsity_modifiers", compressor, "prune", NULL},
    {"quantization_stage", compressor, NULL, "there is no quantisation"},
    {"mask_structure", compressor, "prune.pattern", "2:4 keeps 2 of 4"},
    {"sparsity_profile", compressor, "prune.allocation", "owl"},
    {"owl_m", compressor, "prune.owl_threshold", NULL},
    {"owl_lmbda", compressor, "prune.owl_range", NULL},
    {"ignore", compressor, "prune.skip",
     "patterns of linears; the head and the embedding stay dense in any case"},
    {"targets", compressor, "prune.skip",
     "which names the linears that stay dense instead; all others are pruned"},
    {"dataset", compressor, "calibration.corpus", "a file of it"},
    {"text_column", compressor, "calibration.field", NULL},
    {"num_calibration_samples", compressor, "calibration.sequences", NULL},
    {"max_seq_length", compressor, "calibration.length", NULL},
    {"concatenate_data", compressor, "calibration.pack", "true"},
    {"dampening_frac", compressor, NULL, "it is always 0.01"},
    {"block_size", compressor, NULL, "it is always 128"},
    {"sequential_update", compressor, "prune.propagation", "pruned, the default"},
    {"sequential_targets", compressor, NULL, "layers are always done one after the other"},
    {"model_revision", compressor, "model", "ID@REVISION"},
    {"output_dir", compressor, "output", NULL},
    {"save_compressed", compressor, NULL, "the export stores zeros like other weights"},
    {"recipe", compressor, NULL, "the job file is the recipe"},
    {"Hyper_m", owl, "prune.owl_threshold", NULL},
    {"Lamda", owl, "prune.owl_range", NULL},
    {"calib_dataset", ria, "calibration.corpus", "a file of it"},
    {"seqlen", ria, "calibration.length", NULL},
    {"reallocation", ria, "prune.permute", "true"},
    {"lsa", ria, "prune.permute", "true"},
    {"reconstruction", ria, "compensate.output", "least_squares"},
    {"pruning", others, "prune", NULL},
    {"model_name_or_path", others, "model", NULL},
    {"model_path", others, "model", NULL},
    {"model_id", others, "model", NULL},
    {"output_path", others, "output", NULL},
    {"save_path", others, "output", NULL},
    {"target_sparsity", others, "prune.sparsity", NULL},
    {"num_samples", others, "calibration.sequences", NULL},
    {"n_samples", others, "calibration.sequences", NULL},
    {"seq_len", others, "calibration.length", NULL},
    {"max_length", others, "calibration.length", NULL},
    {"batch_size", others, NULL, "a rank passes one sequence at a time"},
    {"device", others, NULL, "all work is done by CPUs"},
};

const struct peer_word *peer_words(size_t *count)
{
    *count = sizeof words / sizeof *words;
    return words;
}

static bool is_same(const char *text, const char *word)
{
    size_t i = 0;
    while (text[i] != '\0' &&
           tolower((unsigned char)(text[i] == '-' ? '_' : text[i])) == tolower((unsigned char)word[i]))
        i++;
    return text[i] == '\0' && word[i] == '\0';
}

const struct peer_word *peer_word_find(const char *text)
{
    text += strspn(text, "-");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_same(text, words[i].word))
            return &words[i];
    return NULL;
}

const char *peer_word_answer(const struct peer_word *word, char *text, size_t size)
{
    snprintf(text, size, "%s (%s) %s%s%s%s%s", word->word, word->tools,
             word->ours != NULL ? "is " : "has no counterpart", word->ours != NULL ? word->ours : "",
             " in coppice", word->note != NULL ? ": " : "", word->note != NULL ? word->note : "");
    return text;
}
