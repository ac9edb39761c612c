// key_table.h - every key of the job file, one row each. For keys.h and keys.c, which define KEY and include
// it as a list.
//
//   KEY(NAME, "section.key", TYPE(where it is kept, what it takes), the rest by name)
//
// The columns are those of struct job_key_row (keys.h). The order of the rows is that of jobs/example.yaml,
// of members in JSON, of the parts of a variant's name, and of the sweep: the first key changes slowest.
// jobs/example.yaml is written from it: COPPICE_UPDATE_GOLDEN=1 ctest --preset release -R job.example
// clang-format off

KEY(MODEL, "model", TEXT(model, "a directory"),
    .flags = KEY_PATH | KEY_REQUIRED | KEY_ON_RECORD | KEY_MAY_CHANGE, .example = "/models/Llama-2-7b-hf",
    .help = "a Hugging Face folder (config.json, *.safetensors, tokenizer.json); or, if there is no such folder, the name of a model in the local Hugging Face cache: Qwen/Qwen3-0.6B[@revision]")
KEY(IGNORE_CONFIG_KEYS, "ignore_config_keys", SKIP(ignored_keys, num_ignored_keys, "a key of config.json"),
    .flags = KEY_MAY_CHANGE, .help = "keys of the model's config.json that coppice does not know and should ignore")
KEY(RUN, "run", TEXT(run, "a directory"),
    .flags = KEY_PATH | KEY_REQUIRED | KEY_ON_RECORD | KEY_MAY_CHANGE, .example = "/scratch/runs/llama-2-7b",
    .help = "the run directory; the same command again goes on from what is in it")
KEY(OUTPUT, "output", TEXT(output, "a directory"),
    .flags = KEY_PATH | KEY_ON_RECORD | KEY_MAY_CHANGE, .example = "/models/Llama-2-7b-pruned", .otherwise = "none: nothing is exported",
    .help = "where the pruned model is written; with several variants, each gets a folder in it")
KEY(OUTPUT_FORMAT, "output_format", CHOICE(settings, output_format, output_format_names), .standard = {OUTPUT_DEQUANTISED},
    .help = "for a quantised model: write dequantised weights, or keep the source's codes and scales, which works only for variants that mask and change no other weights")

KEY(COMPUTE, "compute", CHOICE(settings, compute, compute_names), .standard = {COMPUTE_FLOAT32},
    .help = "how the products of the model's linears are computed: bf16 rounds both operands to bfloat16 and takes the processor's instructions for it (AVX512-BF16, AMX); bf16_emulated gives the same results but for the order of sums, anywhere, and is no faster than float32")

KEY(CORPUS, "calibration.corpus", TEXT(corpus, "a file, a folder or a pattern"),
    .flags = KEY_PATH | KEY_REQUIRED | KEY_ON_RECORD | KEY_MAY_CHANGE,
    .example = "/data/c4-train.00000-of-01024.json.gz",
    .help = "text (.txt, .raw), JSON with a document in each object (.jsonl, .ndjson, .json), either of them perhaps compressed (.gz, .zst), or token ids (.h5)")
KEY(FIELD, "calibration.field", TEXT(field, "a field's name"), .example = "text", .otherwise = "text",
    .help = "for a JSON corpus: the field of each object that holds the document")
KEY(SEQUENCES, "calibration.sequences", WHOLE(settings, sequences, 1, 1e9), .standard = {128},
    .flags = KEY_ON_RECORD, .help = "how many sequences are drawn from the corpus")
KEY(LENGTH, "calibration.length", WHOLE(settings, length, 2, 1e7), .standard = {2048},
    .flags = KEY_ON_RECORD, .help = "tokens in each sequence")
KEY(SEED, "calibration.seed", WHOLE(settings, seed, 0, 0x1p63), .standard = {0},
    .flags = KEY_ON_RECORD, .help = "seed of the random draw")
KEY(PACK, "calibration.pack", CHOICE(settings, pack, pack_names), .standard = {PACK_AUTO},
    .help = "join the documents and cut sequences anywhere; auto does so if no document is longer than length")
KEY(KEEP_ACTIVATIONS, "calibration.keep_activations", FLAG(settings, keep_activations), .standard = {false},
    .flags = KEY_ON_RECORD | KEY_MAY_CHANGE,
    .help = "keep the hidden states of all layers instead of only the last two")
KEY(STATES_EVERY, "calibration.states_every", WHOLE(settings, states_every, 0, 1e6), .standard = {0},
    .flags = KEY_MAY_CHANGE,
    .help = "for a slow file system: seconds between two writings of the hidden states, which stay in memory meanwhile; what lies between is computed again after a crash, so take much less than the time limit of a Slurm job; those of the dense model that several variants read are written all the same; 0: after every layer")

KEY(METHOD, "prune.method", CHOICE(variant, method, method_names), .standard = {METHOD_ALPS},
    .flags = KEY_ON_RECORD | KEY_IN_NAME, .tag = "", .meaning = method_meaning, .help = "how the weights to prune are chosen")
KEY(ALPHA, "prune.alpha", NUMBER(variant, parameters.alpha, 0, 8), .own_standard = own_alpha,
    .flags = KEY_IN_NAME, .applies = has_alpha, .tag = "alpha", .otherwise = "the method's own",
    .help = "exponent of the weight variance, by which the score is divided")
KEY(EPSILON, "prune.epsilon", NUMBER(variant, parameters.epsilon, 0, 1), .own_standard = own_epsilon,
    .flags = KEY_ABOVE_LOW, .applies = has_alpha, .tag = "epsilon", .help = "added to the weight variance")
KEY(EXPONENT, "prune.activation_exponent", NUMBER(variant, parameters.exponent, 0, 8),
    .own_standard = own_exponent, .tag = "exponent", .otherwise = "the method's own",
    .help = "exponent of the inputs' second moment (for cvr, of their variance)")
KEY(BUDGET, "prune.budget", BUDGET(variant, budget, 1, 1000), .example = "{perplexity: 1.05}",
    .flags = KEY_ABOVE_LOW | KEY_IN_NAME, .applies = has_budget, .tag = "budget", .otherwise = "none",
    .help = "instead of sparsity: the sparsest model whose perplexity on held-out text of the corpus stays within this factor of the dense model's")
KEY(SPARSITY, "prune.sparsity", NUMBER(variant, sparsity, 0, 1), .example = "0.5",
    .flags = KEY_ON_RECORD | KEY_IN_NAME, .applies = has_sparsity, .tag = "", .otherwise = "none; required unless pattern or budget is given",
    .help = "share of the weights to prune; sparsity and pattern may both be given, and each makes variants of its own")
KEY(PATTERN, "prune.pattern", PATTERN(variant, keep), .example = "2:4",
    .flags = KEY_ON_RECORD | KEY_IN_NAME, .applies = has_pattern, .tag = "", .otherwise = "none",
    .help = "semi-structured sparsity: how many of neighbouring weights are kept")
KEY(PERMUTE, "prune.permute", FLAG(variant, permute), .standard = {false}, .tag = "permuted",
    .help = "with a pattern: first reorder the channels of MLPs and values so that more is kept; the export has the new order")
KEY(GROUP, "prune.group", CHOICE(variant, group, group_names), .standard = {GROUP_ROW},
    .flags = KEY_ON_RECORD, .tag = "", .help = "where scores are compared: within each row, or over a whole linear (layer)")
KEY(ALLOCATION, "prune.allocation", CHOICE(variant, allocation, allocation_names),
    .own_standard = own_allocation, .tag = "", .otherwise = "uniform; with budget, measured", .help = "how sparsity is spread: owl prunes layers with more outliers less, dlp layers with lower scores, measured the linears that cost most")
KEY(OWL_THRESHOLD, "prune.owl_threshold", NUMBER(variant, owl_threshold, 0, 1e6), .standard = {5},
    .flags = KEY_ABOVE_LOW, .applies = has_owl, .tag = "threshold",
    .help = "owl: a score is an outlier if it is above this many times its layer's mean")
KEY(OWL_RANGE, "prune.owl_range", NUMBER(variant, owl_range, 0, 1), .standard = {0.08},
    .applies = has_owl, .tag = "range", .help = "owl: how far the sparsity of a layer may be from the mean, which is sparsity")
KEY(DLP_ALPHA, "prune.dlp_alpha", NUMBER(variant, dlp_alpha, 0, 0.5), .standard = {0.15},
    .applies = has_dlp, .tag = "spread", .help = "dlp: half the largest difference between the sparsities of two layers")
KEY(MEASURED_SEQUENCES, "prune.measured_sequences", WHOLE(variant, measured_sequences, 1, 1e9), .standard = {16},
    .applies = has_measured, .tag = "sequences",
    .help = "measured: how many calibration sequences, the last ones, measure what pruning each linear costs")
KEY(DRIFT, "prune.drift", CHOICE(variant, drift, drift_names), .own_standard = own_drift,
    .applies = has_drift, .tag = "drift-", .otherwise = "corrected",
    .help = "least_squares: whether weights are scored after they were corrected for the error of the pruned layers before them")
KEY(RATIOS, "prune.ratios", RATIOS(ratios, num_ratios, 0, 1),
    .help = "sparsity of single linears, by pattern: {layers.0.*: 0.3}; if several patterns match, the last one counts")
KEY(PROPAGATION, "prune.propagation", CHOICE(settings, propagation, propagation_names),
    .standard = {PROPAGATION_PRUNED}, .flags = KEY_ON_RECORD,
    .help = "which model's hidden states calibrate the next layer")
KEY(SKIP, "prune.skip", SKIP(skip, num_skip, "a pattern of linear names"),
    .flags = KEY_ON_RECORD, .help = "linears that stay dense, such as [mlp.down_proj, layers.0.*]")

KEY(ENERGY, "compensate.energy", DIRECTIONS(variant, energy_columns), .flags = KEY_ON_RECORD,
    .help = "rescale the weights that are left so that each column or row has the energy it had before")
KEY(OUTPUT_MATCHING, "compensate.output", CHOICE(variant, output, matching_names), .standard = {MATCHING_OFF},
    .tag = "output-", .meaning = matching_meaning,
    .help = "match the dense model's outputs: with one factor for each row, or by solving for all weights that are left (least_squares)")
KEY(BIAS, "compensate.bias", FLAG(variant, bias), .standard = {false}, .tag = "bias",
    .help = "also match the means of the outputs, where the family has biases")
KEY(GUARD, "compensate.guard", FLAG(variant, guard), .standard = {true}, .applies = variant_can_be_guarded,
    .tag = "unguarded", .help = "keep a compensation only where it lowers the layer's output error on held-out sequences")
KEY(CLAMP, "compensate.clamp", PAIR(variant, clamp.low, 0, 1e6), .standard = {0.1, 10},
    .flags = KEY_ABOVE_LOW, .applies = has_factors, .tag = "clamp", .help = "[low, high]: the limits of every factor")
KEY(KEEP_WEIGHTS, "compensate.keep_weights", FLAG(settings, keep_weights), .standard = {true},
    .flags = KEY_ON_RECORD | KEY_CAME_LATER | KEY_MAY_CHANGE, .json = "keep_weights",
    .otherwise = "true; false for a sweep that is measured and not exported",
    .help = "keep weights/VARIANT after its results are there")

KEY(PERPLEXITY, "evaluate.perplexity", TEXTS(texts, num_texts), .flags = KEY_PATH | KEY_ON_RECORD | KEY_MAY_CHANGE,
    .otherwise = "none: no perplexity", .example = "/data/wikitext-2-raw/wiki.test.raw",
    .help = "the text or texts whose perplexity is measured: what calibration.corpus takes, except token ids; field is what calibration.field is for the corpus")
KEY(EVALUATE_LENGTH, "evaluate.length", WHOLE(settings, evaluate_length, 2, 1e7), .standard = {2048},
    .flags = KEY_ON_RECORD | KEY_MAY_CHANGE, .otherwise = "calibration.length", .help = "tokens in each window")
KEY(TASKS, "evaluate.tasks", TASKS(tasks, num_tasks), .flags = KEY_MAY_CHANGE,
    .example = "[/data/ARC-Easy-Test.jsonl]", .otherwise = "[]",
    .help = "tasks whose accuracy is measured; io/tasks/format.h lists their formats")

KEY(EXPECTED, "expected", EXPECTED(expected, num_expected), .flags = KEY_MAY_CHANGE,
    .example = "{dense: {perplexity: 5.47, length: 2048, source: a paper}}", .otherwise = "{}",
    .help = "published perplexities; compare and report show them beside the measured ones")
