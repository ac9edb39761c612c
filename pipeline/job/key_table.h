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
    .help = "a Hugging Face folder (config.json, *.safetensors, tokenizer.json), or, where there is no folder of that name, a Hub id in the local cache: Qwen/Qwen3-0.6B[@revision]")
KEY(IGNORE_CONFIG_KEYS, "ignore_config_keys", SKIP(ignored_keys, num_ignored_keys, "a key of config.json"),
    .flags = KEY_MAY_CHANGE, .help = "keys of the model's config.json that coppice does not know and is to ignore")
KEY(RUN, "run", TEXT(run, "a directory"),
    .flags = KEY_PATH | KEY_REQUIRED | KEY_ON_RECORD | KEY_MAY_CHANGE, .example = "/scratch/runs/llama-2-7b",
    .help = "the run directory: a later start goes on from it")
KEY(OUTPUT, "output", TEXT(output, "a directory"),
    .flags = KEY_PATH | KEY_ON_RECORD | KEY_MAY_CHANGE, .example = "/models/Llama-2-7b-pruned", .otherwise = "none, nothing is exported",
    .help = "the pruned model; with several variants, a folder for each in it")
KEY(OUTPUT_FORMAT, "output_format", CHOICE(settings, output_format, output_format_names), .standard = {OUTPUT_DEQUANTISED},
    .help = "of a quantised model: the weights that its codes stand for, or the codes and scales themselves, where masks alone change them")

KEY(CORPUS, "calibration.corpus", TEXT(corpus, "a file, a folder or a pattern"),
    .flags = KEY_PATH | KEY_REQUIRED | KEY_ON_RECORD | KEY_MAY_CHANGE,
    .example = "/data/c4-train.00000-of-01024.json.gz",
    .help = "a file, a folder or a pattern of files: text (.txt, .raw), JSON with a document in a field of each object (.jsonl, .ndjson, .json), perhaps .gz or .zst; or token ids (.h5)")
KEY(FIELD, "calibration.field", TEXT(field, "a field's name"), .example = "text", .otherwise = "text",
    .help = "of a JSON corpus, the field of each object that is a document")
KEY(SEQUENCES, "calibration.sequences", WHOLE(settings, sequences, 1, 1e9), .standard = {128},
    .flags = KEY_ON_RECORD, .help = "how many are drawn from the corpus")
KEY(LENGTH, "calibration.length", WHOLE(settings, length, 2, 1e7), .standard = {2048},
    .flags = KEY_ON_RECORD, .help = "tokens of each")
KEY(SEED, "calibration.seed", WHOLE(settings, seed, 0, 0x1p63), .standard = {0},
    .flags = KEY_ON_RECORD, .help = "of the draw")
KEY(PACK, "calibration.pack", CHOICE(settings, pack, pack_names), .standard = {PACK_AUTO},
    .help = "join the documents and cut sequences anywhere; auto: where no document is longer than length")
KEY(KEEP_ACTIVATIONS, "calibration.keep_activations", FLAG(settings, keep_activations), .standard = {false},
    .flags = KEY_ON_RECORD | KEY_MAY_CHANGE,
    .help = "keep the hidden states of all layers, not only of the last two")

KEY(METHOD, "prune.method", CHOICE(variant, method, method_names), .standard = {METHOD_ALPS},
    .flags = KEY_ON_RECORD | KEY_IN_NAME, .tag = "", .meaning = method_meaning, .help = "how weights are scored")
KEY(ALPHA, "prune.alpha", NUMBER(variant, parameters.alpha, 0, 8), .own_standard = own_alpha,
    .flags = KEY_IN_NAME, .applies = has_alpha, .tag = "alpha", .otherwise = "the method's own",
    .help = "exponent of the weight variance, which divides the score")
KEY(EPSILON, "prune.epsilon", NUMBER(variant, parameters.epsilon, 0, 1), .own_standard = own_epsilon,
    .flags = KEY_ABOVE_LOW, .applies = has_alpha, .tag = "epsilon", .help = "added to the weight variance")
KEY(EXPONENT, "prune.activation_exponent", NUMBER(variant, parameters.exponent, 0, 8),
    .own_standard = own_exponent, .tag = "exponent", .otherwise = "the method's own",
    .help = "exponent of the inputs' second moment (cvr: of their variance)")
KEY(BUDGET, "prune.budget", BUDGET(variant, budget, 1, 1000), .example = "{perplexity: 1.05}",
    .flags = KEY_ABOVE_LOW | KEY_IN_NAME, .applies = has_budget, .tag = "budget", .otherwise = "none",
    .help = "instead of sparsity: as sparse as held-out text of the corpus allows")
KEY(SPARSITY, "prune.sparsity", NUMBER(variant, sparsity, 0, 1), .example = "0.5",
    .flags = KEY_ON_RECORD | KEY_IN_NAME, .applies = has_sparsity, .tag = "", .otherwise = "none, needed where neither pattern nor budget is given",
    .help = "share of the weights that is pruned; a pattern can be given as well, or instead")
KEY(PATTERN, "prune.pattern", PATTERN(variant, keep), .example = "2:4",
    .flags = KEY_ON_RECORD | KEY_IN_NAME, .applies = has_pattern, .tag = "", .otherwise = "none",
    .help = "a sparsity for neighbours")
KEY(PERMUTE, "prune.permute", FLAG(variant, permute), .standard = {false}, .tag = "permuted",
    .help = "pattern: order the channels of MLPs and values so that it keeps more; the export has that order")
KEY(GROUP, "prune.group", CHOICE(variant, group, group_names), .standard = {GROUP_ROW},
    .flags = KEY_ON_RECORD, .tag = "", .help = "where the smallest scores are looked for")
KEY(ALLOCATION, "prune.allocation", CHOICE(variant, allocation, allocation_names),
    .own_standard = own_allocation, .tag = "", .otherwise = "uniform, measured with budget", .help = "what is pruned less. owl: layers with more outliers; dlp: layers with lower scores; measured: linears that cost more")
KEY(OWL_THRESHOLD, "prune.owl_threshold", NUMBER(variant, owl_threshold, 0, 1e6), .standard = {5},
    .flags = KEY_ABOVE_LOW, .applies = has_owl, .tag = "threshold",
    .help = "owl: a score above this many times its layer's mean is an outlier")
KEY(OWL_RANGE, "prune.owl_range", NUMBER(variant, owl_range, 0, 1), .standard = {0.08},
    .applies = has_owl, .tag = "range", .help = "owl: how far a layer's sparsity may be from `sparsity`, the mean")
KEY(DLP_ALPHA, "prune.dlp_alpha", NUMBER(variant, dlp_alpha, 0, 0.5), .standard = {0.15},
    .applies = has_dlp, .tag = "spread", .help = "dlp: half of what the layers' sparsities differ by at most")
KEY(MEASURED_SEQUENCES, "prune.measured_sequences", WHOLE(variant, measured_sequences, 1, 1e9), .standard = {16},
    .applies = has_measured, .tag = "sequences",
    .help = "measured: calibration sequences, the last ones, that say what pruning each linear costs")
KEY(DRIFT, "prune.drift", CHOICE(variant, drift, drift_names), .own_standard = own_drift,
    .applies = has_drift, .tag = "drift-", .otherwise = "corrected",
    .help = "least_squares: whether the weights that are scored make good what the pruned layers before lost")
KEY(RATIOS, "prune.ratios", RATIOS(ratios, num_ratios, 0, 1),
    .help = "sparsity of some linears: {layers.0.*: 0.3}; of several that fit, the last one counts")
KEY(PROPAGATION, "prune.propagation", CHOICE(settings, propagation, propagation_names),
    .standard = {PROPAGATION_PRUNED}, .flags = KEY_ON_RECORD,
    .help = "whose hidden states calibrate the next layer")
KEY(SKIP, "prune.skip", SKIP(skip, num_skip, "a pattern of linear names"),
    .flags = KEY_ON_RECORD, .help = "linears that stay dense, such as [mlp.down_proj, layers.0.*]")

KEY(ENERGY, "compensate.energy", DIRECTIONS(variant, energy_columns), .flags = KEY_ON_RECORD,
    .help = "rescale what is left so that it has the energy of the whole")
KEY(OUTPUT_MATCHING, "compensate.output", CHOICE(variant, output, matching_names), .standard = {MATCHING_OFF},
    .tag = "output-", .meaning = matching_meaning,
    .help = "match the dense model's outputs: a factor for each row, or every weight by least_squares")
KEY(BIAS, "compensate.bias", FLAG(variant, bias), .standard = {false}, .tag = "bias",
    .help = "match their means as well, where the family has biases")
KEY(GUARD, "compensate.guard", FLAG(variant, guard), .standard = {true}, .applies = variant_can_be_guarded,
    .tag = "unguarded", .help = "keep only what lowers the layer's output error on held-out sequences")
KEY(CLAMP, "compensate.clamp", PAIR(variant, clamp.low, 0, 1e6), .standard = {0.1, 10},
    .flags = KEY_ABOVE_LOW, .applies = has_factors, .tag = "clamp", .help = "[low, high], the limits of every factor")
KEY(KEEP_WEIGHTS, "compensate.keep_weights", FLAG(settings, keep_weights), .standard = {true},
    .flags = KEY_ON_RECORD | KEY_CAME_LATER | KEY_MAY_CHANGE, .json = "keep_weights",
    .otherwise = "false for a sweep that is measured and not exported",
    .help = "keep weights/VARIANT when its results are there")

KEY(PERPLEXITY, "evaluate.perplexity", TEXTS(texts, num_texts), .flags = KEY_PATH | KEY_ON_RECORD | KEY_MAY_CHANGE,
    .otherwise = "none, no perplexity", .example = "/data/wikitext-2-raw/wiki.test.raw",
    .help = "the text, or the texts by name, whose perplexity is measured: the same kinds of file as calibration.corpus, except token ids")
KEY(EVALUATE_LENGTH, "evaluate.length", WHOLE(settings, evaluate_length, 2, 1e7), .standard = {2048},
    .flags = KEY_ON_RECORD | KEY_MAY_CHANGE, .otherwise = "calibration.length", .help = "tokens of a window")
KEY(TASKS, "evaluate.tasks", TASKS(tasks, num_tasks), .flags = KEY_MAY_CHANGE,
    .example = "[/data/ARC-Easy-Test.jsonl]", .otherwise = "[]",
    .help = "tasks to measure accuracy on, in the formats of io/tasks/format.h")

KEY(EXPECTED, "expected", EXPECTED(expected, num_expected), .flags = KEY_MAY_CHANGE,
    .example = "{dense: {perplexity: 5.47, length: 2048, source: a paper}}", .otherwise = "{}",
    .help = "published perplexities, which compare and report show beside the measured ones")
