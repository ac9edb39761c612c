// make_checkpoint - writes a LLaMA or Mixtral checkpoint with random weights, of any shape
// (tests/support/random_checkpoint.h). For tests, benchmarks and plans on models of real size.
#include "tests/support/random_checkpoint.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    struct random_checkpoint shape;
    const char *out;
};

static const struct argp_option argp_options[] = {
    {"hidden", 'h', "N", 0, "hidden size (64)", 0},
    {"intermediate", 'i', "N", 0, "intermediate size (172)", 0},
    {"layers", 'l', "N", 0, "layers (2)", 0},
    {"heads", 'a', "N", 0, "attention heads (4)", 0},
    {"kv-heads", 'k', "N", 0, "key-value heads (as many as heads)", 0},
    {"vocab", 'v', "N", 0, "vocabulary size, at least 258 (512)", 0},
    {"dtype", 'd', "F32|F16|BF16", 0, "dtype of all tensors (BF16)", 0},
    {"shards", 'n', "N", 0, "number of safetensors files (1)", 0},
    {"tied", 't', NULL, 0, "no lm_head: the embedding is used", 0},
    {"experts", 'e', "N", 0, "experts of each layer, as in Mixtral (none: LLaMA)", 0},
    {"seed", 's', "N", 0, "of the random weights (0)", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct options *options = state->input;
    struct random_checkpoint *shape = &options->shape;
    size_t *const numbers[128] = {
        ['h'] = &shape->hidden, ['i'] = &shape->intermediate, ['l'] = &shape->layers,
        ['a'] = &shape->heads,  ['k'] = &shape->kv_heads,     ['v'] = &shape->vocab,
        ['n'] = &shape->shards, ['s'] = &shape->seed,         ['e'] = &shape->experts,
    };

    if (key == 't') {
        shape->tied = true;
    } else if (key == 'd') {
        shape->dtype = DTYPE_F32;
        while (strcmp(argument, dtype_name(shape->dtype)) != 0)
            if (shape->dtype++ == DTYPE_BF16)
                argp_error(state, "unknown dtype %s", argument);
    } else if (key > 0 && key < 128 && numbers[key] != NULL) {
        char *end;
        errno = 0;
        *numbers[key] = (size_t)strtoumax(argument, &end, 10);
        if (errno != 0 || *end != '\0' || end == argument || argument[0] == '-' || *numbers[key] > INT32_MAX)
            argp_error(state, "not a number from 0 to %d: %s", INT32_MAX, argument);
    } else if (key == ARGP_KEY_ARG && state->arg_num == 0) {
        options->out = argument;
    } else if (key == ARGP_KEY_ARG || key == ARGP_KEY_NO_ARGS) {
        argp_usage(state);
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct argp argp = {
        argp_options, parse_option, "OUT", "Writes a LLaMA or Mixtral checkpoint with random weights.",
        NULL,         NULL,         NULL};
    struct options options = {.shape = random_checkpoint_defaults()};

    options.shape.kv_heads = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.shape.kv_heads == 0)
        options.shape.kv_heads = options.shape.heads;
    const char *problem = random_checkpoint_problem(&options.shape);
    if (problem != NULL) {
        fprintf(stderr, "make_checkpoint: %s: %s\n", options.out, problem);
        return 1;
    }
    random_checkpoint_write(&options.shape, options.out);
    return 0;
}
