// What a job file is refused for, and with which line.
#include "pipeline/job/variant.h"
#include "tests/support/parsed_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// expanded[size] <- message, with the names of all methods in place of "{methods}".
static void expand_methods(char *expanded, size_t size, const char *message)
{
    static const char word[] = "{methods}";
    const char *found = strstr(message, word);
    size_t count, used;
    const char *const *names = method_names(&count);

    used = (size_t)snprintf(expanded, size, "%.*s", found != NULL ? (int)(found - message) : 1024, message);
    for (size_t i = 0; i < count && found != NULL; i++)
        used += (size_t)snprintf(expanded + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
    if (found != NULL)
        snprintf(expanded + used, size - used, "%s", found + strlen(word));
}

static void assert_refused(const char *text, size_t size, const char *message)
{
    char expected[2048];
    struct settings *settings = (void *)"not touched";
    struct error err = {0};
    const enum status status = job_parse(&settings, text, size, "job.yaml", &err);
    if (status == STATUS_OK)
        fail_msg("taken, but should be refused with '%s':\n%s", message, text);
    expand_methods(expected, sizeof expected, message);
    assert_string_equal(err.message, expected);
    assert_int_equal(status, STATUS_USAGE);
    assert_int_equal(err.status, STATUS_USAGE);
    assert_null(settings);
    assert_null(strchr(err.message, '\n'));
}

static void bad_jobs_are_refused_with_one_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        // the file as a whole
        {"", "job.yaml: the file is empty"},
        {"# nothing\n\n", "job.yaml: the file is empty"},
        {"- model\n", "job.yaml:1: the job: must be keys and values, got a list"},
        {"model", "job.yaml:1: the job: must be keys and values, got 'model'"},
        {MINIMAL "---\nmodel: /n\n", "job.yaml:8: a second YAML document begins here, a job is only one"},
        {"model: [/m\nrun: /r\n",
         "job.yaml:2: not valid YAML: did not find expected ',' or ']' while parsing a flow "
         "sequence"},
        {"model: /m\n run: /r\n",
         "job.yaml:2: not valid YAML: mapping values are not allowed in this context"},
        {"model: /m\nevaluate:\n  perplexity: *.jsonl\nrun: /r\n",
         "job.yaml:3: a text that begins with * needs quotes: '*...'"},
        {"model: */m\n", "job.yaml:1: a text that begins with * needs quotes: '*...'"},
        {"model: *nobody\n", "job.yaml:1: a text that begins with * needs quotes: '*...'"},
        {"model: /m\nrun: &*\n", "job.yaml:2: a text that begins with & needs quotes: '&...'"},
        {"model: /m\nrun: &r\n", "job.yaml:2: a text that begins with & needs quotes: '&...'"},
        {"model: /m\nrun: @r\n", "job.yaml:2: a text that begins with @ needs quotes: '@...'"},
        {"model: /m\nrun: [`r`]\n", "job.yaml:2: a text that begins with ` needs quotes: '`...'"},
        {"model: /m\nrun: %r\n", "job.yaml:2: a text that begins with % needs quotes: '%...'"},
        {"%run: /r\nmodel: /m\n", "job.yaml:1: a text that begins with % needs quotes: '%...'"},
        {"model: /m\nrun: !r\n", "job.yaml:2: a text that begins with ! needs quotes: '!...'"},
        {"model: /m\nrun: !r s\n", "job.yaml:2: a text that begins with ! needs quotes: '!...'"},
        {"model: /m\nrun: !a!b s\n", "job.yaml:2: a text that begins with ! needs quotes: '!...'"},
        {"model: /m\nrun: !<r s\n", "job.yaml:2: a text that begins with ! needs quotes: '!...'"},
        {"model: /m\nrun: !r [s]\n", "job.yaml:2: a text that begins with ! needs quotes: '!...'"},
        {"model: /m\nrun: !r {s: t}\n", "job.yaml:2: a text that begins with ! needs quotes: '!...'"},
        {HEAD "  length: !!str 64\n",
         "job.yaml:5: the tag !!str does not fit 64: no value needs a tag, and quotes make a text"},
        {HEAD "  length: !!bool 64\n",
         "job.yaml:5: the tag !!bool does not fit 64: no value needs a tag, and quotes make a text"},
        {HEAD "  length: !!float 64\n",
         "job.yaml:5: the tag !!float does not fit 64: no value needs a tag, and quotes make a text"},
        {HEAD "  length: !!null 64\n",
         "job.yaml:5: the tag !!null does not fit 64: no value needs a tag, and quotes make a text"},
        {HEAD "  length: !!binary 64\n",
         "job.yaml:5: the tag !!binary does not fit 64: no value needs a tag, and quotes make a text"},
        {HEAD "  seed: !!int '1'\n",
         "job.yaml:5: the tag !!int does not fit 1: no value needs a tag, and quotes make a text"},
        {HEAD "  keep_activations: !!str true\n",
         "job.yaml:5: the tag !!str does not fit true: no value needs a tag, and quotes make a text"},
        {MINIMAL "  skip: !!map [a]\n",
         "job.yaml:8: the tag !!map does not fit a list: no value needs a tag, and quotes make a text"},
        {"model: /m\nrun: >r\n", "job.yaml:2: a text that begins with | or > needs quotes: '|...'"},
        {"model: /m\nprune:\n\tmethod: wanda\n",
         "job.yaml:3: a tab stands where YAML wants blanks; indent with these"},
        {"model: \xff\n", "job.yaml: not valid YAML: invalid leading UTF-8 octet at byte 7"},
        {"model: \"a\\0b\"\n", "job.yaml:1: a text must not contain a NUL character"},
        {"model: \"a\\e[31mb\"\n",
         "job.yaml:1: a text must not contain control characters, such as the end of a line"},
        {"model: /m\nrun: \"a\\nb\"\n",
         "job.yaml:2: a text must not contain control characters, such as the end of a line"},
        {"model: /m\nprune: {skip: [a, \"\\u202E\"]}\n",
         "job.yaml:2: a text must not contain control characters, such as the end of a line"},
        {"model: /m\n\"\\x9b\": 1\n",
         "job.yaml:2: a text must not contain control characters, such as the end of a line"},
        // allocation
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  allocation: owl\n",
         "job.yaml:8: prune.allocation: a pattern N:M has the same sparsity in every layer: owl needs "
         "prune.sparsity, or uniform as well, for the patterns"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  ratios: {'*': 0.5}\n",
         "job.yaml:8: prune.ratios: a pattern N:M has the same sparsity everywhere: ratios need "
         "prune.sparsity instead of prune.pattern"},
        {MINIMAL "  permute: [false, true]\n", "job.yaml:8: prune.permute: is used with prune.pattern only"},
        {MINIMAL "  owl_range: 0.1\n",
         "job.yaml:8: prune.owl_range: is used with prune.allocation: owl only"},
        {MINIMAL "  allocation: [uniform]\n  owl_threshold: 7\n",
         "job.yaml:9: prune.owl_threshold: is used with prune.allocation: owl only"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  allocation: dlp\n",
         "job.yaml:8: prune.allocation: a pattern N:M has the same sparsity in every layer: dlp needs "
         "prune.sparsity, or uniform as well, for the patterns"},
        {MINIMAL "  allocation: owl\n  dlp_alpha: 0.1\n",
         "job.yaml:9: prune.dlp_alpha: is used with prune.allocation: dlp only"},
        {HEAD "prune:\n  method: [alps, sparsegpt]\n  sparsity: 0.5\n  drift: ignored\n"
              "compensate: {output: least_squares}\n",
         "job.yaml:8: prune.drift: is for methods that score each weight by a factor (wanda and the like), "
         "and "
         "the job has none of them"},
        {HEAD "prune:\n  method: [alps, auto]\n  sparsity: 0.5\n  alpha: [0.25, 0.5]\n",
         "job.yaml:8: prune.alpha: is for methods that score each weight by a factor (wanda and the like), "
         "and "
         "the job has none of them"},
        {HEAD "prune:\n  method: auto\n  sparsity: 0.5\n  alpha: [0, 1]\n",
         "job.yaml:8: prune.alpha: is for methods that score each weight by a factor (wanda and the like), "
         "and the job has none of them"},
        {HEAD "prune:\n  method: sparsegpt\n  sparsity: 0.5\n  group: [row, layer]\n",
         "job.yaml:8: prune.group: is for prune.sparsity, with methods other than sparsegpt, and the job has "
         "none of them"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  group: layer\n",
         "job.yaml:8: prune.group: is for prune.sparsity, with methods other than sparsegpt, and the job has "
         "none of them"},
        {HEAD "prune:\n  method: sparsegpt\n  sparsity: 0.5\n  activation_exponent: 0.5\n",
         "job.yaml:8: prune.activation_exponent: is for methods that score each weight by a factor (wanda "
         "and the "
         "like), and the job has none of them"},
        {HEAD "prune:\n  method: wanda\n  sparsity: 0.5\n  epsilon: 0.5\n",
         "job.yaml:8: prune.epsilon: is for methods whose prune.alpha is not 0, and the job has none of "
         "them"},
        {MINIMAL "  allocation: measured\n  measured_sequences: [1, 129]\n",
         "job.yaml:9: prune.measured_sequences: must not be above calibration.sequences, which is 128, got "
         "129"},
        {MINIMAL "  allocation: owl\n  measured_sequences: 8\n",
         "job.yaml:9: prune.measured_sequences: is used with prune.allocation: measured only"},
        {HEAD "prune:\n  method: wanda\n  sparsity: [0.5, 0.95]\n  allocation: measured\n",
         "job.yaml:7: prune.sparsity: must not be above 0.9 with prune.allocation: measured, which measures "
         "no "
         "linear beyond that"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  allocation: measured\n",
         "job.yaml:8: prune.allocation: a pattern N:M has the same sparsity in every layer: measured needs "
         "prune.sparsity, or uniform as well, for the patterns"},
        {MINIMAL "  budget: {perplexity: 1.05}\n",
         "job.yaml:8: prune.budget: stands instead of prune.sparsity: leave one of them out"},
        {HEAD "prune:\n  pattern: 2:4\n  budget: {perplexity: 1.05}\n",
         "job.yaml:7: prune.budget: stands instead of prune.pattern: leave one of them out"},
        {HEAD "prune:\n  budget: {perplexity: 0.9}\n", "job.yaml:6: prune.budget: must be {perplexity: times "
                                                       "the dense model's}, a number above 1, to 1000, "
                                                       "got 0.9"},
        {HEAD "prune: {budget: {perplexity: 1.05}, owl_range: 0.1}\n",
         "job.yaml:5: prune.owl_range: is used with prune.allocation: owl only"},
        {MINIMAL "  allocation: owls\n", "job.yaml:8: prune.allocation: must be one of uniform, owl, dlp, "
                                         "measured, got 'owls', did you mean owl?"},
        {MINIMAL "  ratios: 0.5\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear names "
                                    "to numbers from 0 to 1, got 0.5"},
        {MINIMAL "  ratios: [0.5]\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear "
                                      "names to numbers from 0 to 1, got a list"},
        {MINIMAL "  ratios:\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear names to "
                                "numbers from 0 to 1, got "
                                "nothing"},
        {MINIMAL "  ratios:\n    a: 0.5\n    b: 1.5\n",
         "job.yaml:10: prune.ratios: the sparsity of a pattern must be a number from 0 to 1, got 1.5"},
        {MINIMAL "  ratios: {a: [0.5]}\n",
         "job.yaml:8: prune.ratios: the sparsity of a pattern must be a number from 0 to 1, got a list"},
        {MINIMAL "  ratios:\n    a: 0.5\n    b: 0.5\n    a: 0.6\n",
         "job.yaml:11: prune.ratios: 'a' is given twice, first on line 9"},
        {MINIMAL "  ratios: {'': 0.5}\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear "
                                          "names to numbers from 0 to 1, got "
                                          "the text ''"},
        {MINIMAL "output_format: source\n", "job.yaml:8: output_format: means nothing without output"},
        {MINIMAL "output: /o\ncompensate:\n  keep_weights: false\n",
         "job.yaml:10: compensate.keep_weights: must be true where there is output, which is made from them"},
        // keys
        {MINIMAL "  sparcity: 0.5\n",
         "job.yaml:8: prune.sparcity: unknown key, did you mean prune.sparsity?"},
        {MINIMAL "  output: off\n", "job.yaml:8: prune.output: unknown key, did you mean compensate.output?"},
        {MINIMAL "sparsity: 0.5\n", "job.yaml:8: sparsity: unknown key, did you mean prune.sparsity?"},
        {MINIMAL "calibation: {}\n", "job.yaml:8: calibation: unknown key, did you mean calibration?"},
        {MINIMAL "prune.alpha: 1\n",
         "job.yaml:8: prune.alpha: unknown key, write alpha inside the section prune"},
        {MINIMAL "modle: /m\n", "job.yaml:8: modle: unknown key, did you mean model?"},
        {MINIMAL "zebra: 1\n", "job.yaml:8: zebra: unknown key"},
        {MINIMAL "\"\": 1\n", "job.yaml:8: the job: an empty key stands here"},
        {MINIMAL "  \"\": 1\n", "job.yaml:8: prune: an empty key stands here"},
        {MINIMAL "  ?\n  : 1\n", "job.yaml:8: prune: an empty key stands here"},
        {MINIMAL "evaluate: {perplexity: {data: /d, '': 8}}\n",
         "job.yaml:8: evaluate.perplexity: unknown key ''; known are data, name, field"},
        {MINIMAL "evaluate: {tasks: [{data: /d, '': 8}]}\n",
         "job.yaml:8: evaluate.tasks: unknown key ''; known are data, name, format, limit, delimiter, shots, "
         "shots_from"},
        {MINIMAL "\"a\\nb\": 1\n",
         "job.yaml:8: a text must not contain control characters, such as the end of a line"},
        {MINIMAL "[a, b]: 1\n", "job.yaml:8: the job: a key must be a word, got a list"},
        {MINIMAL "  ? {a: 1}\n  : 2\n", "job.yaml:8: prune: a key must be a word, got a section"},
        {MINIMAL "model: /n\n", "job.yaml:8: model: given twice, first on line 1"},
        {MINIMAL "  method: ria\n", "job.yaml:8: prune.method: given twice, first on line 6"},
        {MINIMAL "prune: {}\n", "job.yaml:8: prune: given twice, first on line 5"},
        {HEAD "prune: wanda\n", "job.yaml:5: prune: must be a section of keys, got 'wanda'"},
        {HEAD "prune: [wanda]\n", "job.yaml:5: prune: must be a section of keys, got a list"},
        // missing
        {"run: /r\ncalibration: {corpus: /c}\nprune: {method: ria, sparsity: 0.5}\n",
         "job.yaml: model: is missing"},
        {"model: /m\n", "job.yaml: run: is missing"},
        {"model: /m\nrun: /r\n", "job.yaml: calibration.corpus: is missing"},
        {"model: /m\nrun: /r\ncalibration:\n  seed: 1\n", "job.yaml:3: calibration.corpus: is missing"},
        {HEAD, "job.yaml: prune.sparsity: is missing, and so are prune.pattern and prune.budget"},
        {HEAD "prune:\n",
         "job.yaml:5: prune.sparsity: is missing, and so are prune.pattern and prune.budget"},
        {HEAD "prune: {method: ria}\n",
         "job.yaml:5: prune.sparsity: is missing, and so are prune.pattern and prune.budget"},
        // texts
        {"model:\nrun: /r\n", "job.yaml:1: model: must be a directory, got nothing"},
        {"model: ~\n", "job.yaml:1: model: must be a directory, got nothing"},
        {"model: ''\n", "job.yaml:1: model: must be a directory, got the text ''"},
        {"model: [a]\n", "job.yaml:1: model: must be a directory, got a list"},
        {"model: {a: b}\n", "job.yaml:1: model: must be a directory, got a section"},
        {MINIMAL "evaluate: {perplexity: []}\n", "job.yaml:8: evaluate.perplexity: must be a file, a folder "
                                                 "or a pattern, {data: such, name, field} or a list "
                                                 "of these, got an empty list"},
        {MINIMAL "evaluate: {perplexity: [/a/c.txt, {name: c, data: /b}]}\n",
         "job.yaml:8: evaluate.perplexity: two texts are called c: give one another name, {name: ..., data: "
         "...}"},
        {MINIMAL "evaluate: {perplexity: [/a/c.txt, /b/d e.txt]}\n",
         "job.yaml:8: evaluate.perplexity: 'd e.txt' gives no name of letters, digits, -, _ and .: write "
         "{name: ..., data: ...}"},
        {MINIMAL "evaluate: {perplexity: {name: c}}\n", "job.yaml:8: evaluate.perplexity.data: is missing"},
        {MINIMAL "evaluate: {perplexity: {name: c, data: /d, length: 8}}\n",
         "job.yaml:8: evaluate.perplexity: unknown key length; known are data, name, field"},
        {MINIMAL "  skip: mlp.*\n", "job.yaml:8: prune.skip: must be a list, got 'mlp.*'"},
        {MINIMAL "  skip: [a, [b]]\n",
         "job.yaml:8: prune.skip: must be a pattern of linear names, got a list"},
        // whole numbers
        {HEAD "  sequences: 0\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got 0"},
        {HEAD "  sequences: 1.5\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got 1.5"},
        {HEAD "  sequences: '8'\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got the "
         "text '8'"},
        {HEAD "  sequences: many\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got "
         "'many'"},
        {HEAD "  sequences: [1, 2]\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got a "
         "list"},
        {HEAD "  length: 1\n",
         "job.yaml:5: calibration.length: must be a whole number from 2 to 10000000, got 1"},
        {HEAD "  length: 064\n", "job.yaml:5: calibration.length: must be a whole number from 2 to 10000000, "
                                 "got 064, octal in YAML 1.1: leave out the zero in front"},
        {HEAD "prune:\n  sparsity: [0.5, 00.6]\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got 00.6, octal in YAML 1.1: leave out "
         "the zero in front"},
        {HEAD "  seed: -1\n",
         "job.yaml:5: calibration.seed: must be a whole number from 0 to 9223372036854775807, got -1"},
        {HEAD "  seed: 9223372036854775808\n",
         "job.yaml:5: calibration.seed: must be a whole number from 0 to "
         "9223372036854775807, got 9223372036854775808"},
        {HEAD "  seed: 0x10\n",
         "job.yaml:5: calibration.seed: must be a whole number from 0 to 9223372036854775807, got "
         "'0x10'"},
        {MINIMAL "evaluate: {length: 1}\n",
         "job.yaml:8: evaluate.length: must be a whole number from 2 to 10000000, got 1"},
        // truth
        {HEAD "  keep_activations: yes\n",
         "job.yaml:5: calibration.keep_activations: must be true or false, got 'yes'"},
        {HEAD "  keep_activations: 'true'\n",
         "job.yaml:5: calibration.keep_activations: must be true or false, got the text "
         "'true'"},
        {HEAD "  keep_activations:\n",
         "job.yaml:5: calibration.keep_activations: must be true or false, got nothing"},
        // numbers
        {HEAD "prune:\n  method: ria\n  sparsity: 1.5\n",
         "job.yaml:7: prune.sparsity: must be a number from 0 to 1, got 1.5"},
        {HEAD "prune:\n  sparsity: -0.1\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got -0.1"},
        {HEAD "prune:\n  sparsity: 50%\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '50%'"},
        {HEAD "prune:\n  sparsity: .nan\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '.nan'"},
        {HEAD "prune:\n  sparsity: 0.5x\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '0.5x'"},
        {HEAD "prune:\n  sparsity: 2:4\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '2:4'"},
        {HEAD "prune:\n  sparsity: []\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, or a list of such, got an "
         "empty list"},
        {HEAD "prune:\n  sparsity: {a: 1}\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got a section"},
        {HEAD "prune:\n  sparsity:\n    - 0.5\n    - 7\n",
         "job.yaml:8: prune.sparsity: must be a number from 0 to 1, got 7"},
        {HEAD "prune:\n  sparsity: [[0.5]]\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got a list"},
        {HEAD "prune:\n  alpha: 8.5\n", "job.yaml:6: prune.alpha: must be a number from 0 to 8, got 8.5"},
        {HEAD "prune:\n  epsilon: 0\n", "job.yaml:6: prune.epsilon: must be a number above 0, to 1, got 0"},
        // choices
        {HEAD "prune:\n  method: wand\n",
         "job.yaml:6: prune.method: must be one of {methods}, got 'wand', did you mean wanda?"},
        {HEAD "prune:\n  method: best\n", "job.yaml:6: prune.method: must be one of {methods}, got 'best'"},
        {HEAD "prune:\n  method: Wanda\n", "job.yaml:6: prune.method: must be one of {methods}, got 'Wanda', "
                                           "did you mean wanda?"},
        {HEAD "prune:\n  method: []\n", "job.yaml:6: prune.method: must be one of {methods}, or a list of "
                                        "such, got an empty list"},
        {HEAD "prune:\n  group: column\n",
         "job.yaml:6: prune.group: must be one of row, layer, got 'column'"},
        {HEAD "prune:\n  propagation: [pruned, dense]\n",
         "job.yaml:6: prune.propagation: must be one of pruned, dense, got a "
         "list"},
        // patterns
        {HEAD "prune:\n  pattern: 5:4\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got '5:4'"},
        {HEAD "prune:\n  pattern: 0:4\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got '0:4'"},
        {HEAD "prune:\n  pattern: 2:64\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got '2:64'"},
        {HEAD "prune:\n  pattern: 2:4:8\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= "
         "M <= 32, got '2:4:8'"},
        {HEAD "prune:\n  pattern: 0.5\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got 0.5"},
        // compensation
        {MINIMAL "compensate: {energy: rows}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or [columns, "
         "rows], or a list of such lists, got 'rows'"},
        {MINIMAL "compensate: {energy: [columns, [rows]]}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or "
         "[columns, rows], or a list of such lists, got a list"},
        {MINIMAL "compensate: {energy: [[columns], rows]}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or "
         "[columns, rows], or a list of such lists, got 'rows'"},
        {MINIMAL "compensate: {energy: [cols]}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or [columns, "
         "rows], or a list of such lists, got 'cols'"},
        {MINIMAL "compensate: {energy: [rows, columns]}\n",
         "job.yaml:8: compensate.energy: columns come before rows, each at "
         "most once"},
        {MINIMAL "compensate: {energy: [rows, rows]}\n",
         "job.yaml:8: compensate.energy: columns come before rows, each at most "
         "once"},
        {MINIMAL "compensate: {clamp: 2}\n",
         "job.yaml:8: compensate.clamp: must be a list of two numbers, [low, high], got 2"},
        {MINIMAL "compensate: {clamp: [1, 2, 3]}\n",
         "job.yaml:8: compensate.clamp: must be a list of two numbers, [low, high], "
         "got a list"},
        {MINIMAL "compensate: {clamp: [0, 2]}\n",
         "job.yaml:8: compensate.clamp: must be a number above 0, to 1e6, got 0"},
        {MINIMAL "compensate: {clamp: [3, 2]}\n", "job.yaml:8: compensate.clamp: low must not be above high"},
        {MINIMAL "compensate: {output: on}\n", "job.yaml:8: compensate.output: must be one of off, moment, "
                                               "regression, mixed, least_squares, got 'on'"},
        {MINIMAL "compensate: {output: [mixed, moments]}\n",
         "job.yaml:8: compensate.output: must be one of off, moment, regression, mixed, least_squares, got "
         "'moments', did "
         "you "
         "mean moment?"},
        {MINIMAL "compensate: {output: true}\n", "job.yaml:8: compensate.output: must be one of off, moment, "
                                                 "regression, mixed, least_squares, got 'true'"},
        {MINIMAL "compensate: {output: least_squares, energy: [rows]}\n",
         "job.yaml:8: compensate.energy: output: least_squares sets every weight that is kept: leave energy "
         "out"},
        {MINIMAL "  drift: ignored\n",
         "job.yaml:8: prune.drift: is used with compensate.output: least_squares only"},
        {MINIMAL "compensate: {bias: off}\n",
         "job.yaml:8: compensate.bias: must be true or false, got 'off'"},
        {MINIMAL "compensate: {guard: []}\n",
         "job.yaml:8: compensate.guard: must be true or false, or a list of such, got an empty list"},
        // tasks
        {MINIMAL "evaluate: {tasks: boolq.jsonl}\n",
         "job.yaml:8: evaluate.tasks: must be a list, got 'boolq.jsonl'"},
        {MINIMAL "evaluate:\n  tasks:\n    - a.jsonl\n    - [b.jsonl]\n",
         "job.yaml:11: evaluate.tasks: must be a file, or {data: a file, name, format, limit, delimiter, "
         "shots, shots_from}, "
         "got "
         "a list"},
        {MINIMAL "evaluate:\n  tasks:\n    - a.jsonl\n    - {data: b.jsonl, lmit: 3}\n",
         "job.yaml:11: evaluate.tasks: unknown key lmit, did you mean limit?"},
        {MINIMAL "evaluate: {tasks: [{data: b, fewshot: 5}]}\n",
         "job.yaml:8: evaluate.tasks: unknown key fewshot; known are data, name, format, limit, delimiter, "
         "shots, shots_from"},
        {MINIMAL "evaluate: {tasks: [{data: b, shots: 101}]}\n",
         "job.yaml:8: evaluate.tasks.shots: must be a whole number from 0 to 100, got 101"},
        {MINIMAL "evaluate: {tasks: [{data: b, shots_from: c}]}\n",
         "job.yaml:8: evaluate.tasks.shots_from: means nothing without shots"},
        {MINIMAL "evaluate: {tasks: [{name: b}]}\n", "job.yaml:8: evaluate.tasks.data: is missing"},
        {MINIMAL "evaluate: {tasks: [{data: b, data: c}]}\n",
         "job.yaml:8: evaluate.tasks.data: given twice, first on line 8"},
        {MINIMAL "evaluate: {tasks: [{data: []}]}\n",
         "job.yaml:8: evaluate.tasks.data: must be a file, got an empty list"},
        {MINIMAL "evaluate: {tasks: [{data: b, limit: 0}]}\n",
         "job.yaml:8: evaluate.tasks.limit: must be a whole number from 1 to 1000000000, got 0"},
        {MINIMAL "evaluate: {tasks: [{data: b, name: a/b}]}\n",
         "job.yaml:8: evaluate.tasks.name: must be of letters, digits, -, _ and ., not beginning with ., 64 "
         "at "
         "most, got 'a/b'"},
        {MINIMAL "evaluate: {tasks: [{data: b, format: arc_easy}]}\n",
         "job.yaml:8: evaluate.tasks.format: must be one of boolq, rte, hellaswag, winogrande, arc, "
         "openbookqa, piqa, mmlu, lambada, multiple-choice, context-options, continuation, got 'arc_easy'"},
        {MINIMAL "evaluate: {tasks: [{data: b, delimiter: ~}]}\n",
         "job.yaml:8: evaluate.tasks.delimiter: must be a text, in quotes, got nothing"},
        {MINIMAL "evaluate: {tasks: [a/val.jsonl, b/val.jsonl.gz]}\n",
         "job.yaml:8: evaluate.tasks: two tasks are called val: give one another name, {name: ..., data: "
         "...}"},
        {MINIMAL "evaluate: {tasks: [a/b c.jsonl]}\n",
         "job.yaml:8: evaluate.tasks: 'b c.jsonl' gives no name of letters, digits, -, _ and .: write {name: "
         "..., data: ...}"},
    // published perplexities
#define EXPECTED MINIMAL "evaluate: {perplexity: /p}\nexpected:\n"
        {EXPECTED "  wanda-0.6: {perplexity: 6, length: 8, source: a}\n",
         "job.yaml:10: expected: 'wanda-0.6' is no variant of this job, did you mean wanda-0.5?"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a}\n"
                  "  a\tb: {perplexity: 6, length: 8, source: a}\n",
         "job.yaml:11: a text must not contain control characters, such as the end of a line"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a}\n  wanda-0.5: 6.42\n",
         "job.yaml:11: expected.wanda-0.5: must be {perplexity, length, source}, got 6.42"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a}\n"
                  "  dense: {perplexity: 7, length: 8, source: a}\n",
         "job.yaml:11: expected: 'dense' is given twice, first on line 10"},
        {EXPECTED "  dense: {perplexity: 6, source: a}\n", "job.yaml:10: expected.dense: length is missing"},
        {EXPECTED "  dense: {length: 8, source: a}\n", "job.yaml:10: expected.dense: perplexity is missing"},
        {EXPECTED "  dense: {perplexity: 6, length: 8}\n", "job.yaml:10: expected.dense: source is missing"},
        {EXPECTED "  dense:\n    perplexity: 0.9\n    length: 8\n    source: a\n",
         "job.yaml:11: expected.dense: perplexity must be a number, 1 or more, got 0.9"},
        {EXPECTED "  dense: {perplexity: .inf, length: 8, source: a}\n",
         "job.yaml:10: expected.dense: perplexity must be a number, 1 or more, got '.inf'"},
        {EXPECTED "  dense: {perplexity: 6, length: 1, source: a}\n",
         "job.yaml:10: expected.dense: length must be a whole number from 2 to 10000000, got 1"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: [a]}\n",
         "job.yaml:10: expected.dense: source must be a text, got a list"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a, year: 2023}\n",
         "job.yaml:10: expected.dense: has perplexity, length and source only, got 'year'"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a, length: 9}\n",
         "job.yaml:10: expected.dense: has each member once, got 'length'"},
        {EXPECTED "  [dense]: {perplexity: 6, length: 8, source: a}\n",
         "job.yaml:10: expected: a variant must be given by its name, got a list"},
        {MINIMAL "expected: {dense: {perplexity: 6, length: 8, source: a}}\n",
         "job.yaml:8: expected: is shown beside what is measured, and evaluate.perplexity is not given"},
#undef EXPECTED
        // directories that must differ
        {"model: /m\nrun: /r\ncalibration:\n  corpus: /c.h5\n  pack: true\nprune: {method: ria, sparsity: "
         "0.5}\n",
         "job.yaml:5: calibration.pack: must not be true where calibration.corpus holds token ids (.h5): "
         "they are sequences already, and are taken as they are"},
        {"model: /m\nrun: /r\ncalibration:\n  corpus: /c\n  pack: yes\nprune: {method: ria, sparsity: 0.5}\n",
         "job.yaml:5: calibration.pack: must be one of auto, true, false, got 'yes'"},
        {"model: /m\nrun: /m/\ncalibration: {corpus: /c}\nprune: {method: ria, sparsity: 0.5}\n",
         "job.yaml:2: run: must not be the same directory as model"},
        {MINIMAL "output: /m\n", "job.yaml:8: output: must not be the same directory as model"},
        {MINIMAL "output: /r//\n", "job.yaml:8: output: must not be the same directory as run"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].message);
}

static void long_values_are_cut_in_messages_between_characters(void **state)
{
    static const char *const begins[] = {"", "a"}; // so that the cut falls on either byte of an "é"
    char text[4096], message[4096], value[256];
    (void)state;
    for (size_t i = 0; i < COUNT(begins); i++) {
        snprintf(value, sizeof value, "%s%s", begins[i],
                 "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé");
        const size_t kept = i == 0 ? 44 : 43;
        snprintf(text, sizeof text, "%sprune:\n  method: %s\n", HEAD, value);
        snprintf(message, sizeof message,
                 "job.yaml:6: prune.method: must be one of {methods}, got "
                 "'%.*s...'",
                 (int)kept, value);
        assert_refused(text, strlen(text), message);
    }
}

static void too_many_variants_are_refused(void **state)
{
    char text[16384];
    (void)state;
    size_t used = (size_t)snprintf(text, sizeof text, "%sprune:\n  method: cvr\n  sparsity: [0.5", HEAD);
    for (int i = 1; i < 100; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", 0.%02d", i);
    used += (size_t)snprintf(text + used, sizeof text - used, "]\n  alpha: [1");
    for (int i = 1; i < 100; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", 0.%02d", i);
    used += (size_t)snprintf(text + used, sizeof text - used, "]\n");
    assert_refused(text, used, "job.yaml: prune: the lists make more than 4096 variants, split the job");
}

// Names are compared pair by pair, and LibYAML's time grows with the square of the depth: both are bounded.
static void what_is_larger_than_any_job_is_refused(void **state)
{
    enum { ITEMS = 60000, DEPTH = 100000 };
    const size_t room = 20 * ITEMS;
    char *text = malloc(room);
    size_t used = (size_t)snprintf(text, room, "prune:\n  ratios: {");
    (void)state;

    assert_non_null(text);
    for (size_t i = 0; i < ITEMS; i++)
        used += (size_t)snprintf(text + used, room - used, "%sp%zu: 0.5", i > 0 ? "," : "", i);
    used += (size_t)snprintf(text + used, room - used, "}\n");
    assert_refused(text, used,
                   "job.yaml:2: a section of 60000 entries begins here, and at most 4096 are taken");

    memset(text, '[', DEPTH);
    assert_refused(text, DEPTH,
                   "job.yaml:1: lists and sections are 33 deep in one another here, deeper than any key's");
    for (size_t i = 0; i < 100; i++)
        memcpy(text + 2 * i, "- ", 2);
    assert_refused(text, 200,
                   "job.yaml:1: lists and sections are 33 deep in one another here, deeper than any key's");
    free(text);

    text = calloc(1, ((size_t)1 << 20) + 1);
    assert_non_null(text);
    memset(text, '#', ((size_t)1 << 20) + 1);
    assert_refused(text, ((size_t)1 << 20) + 1,
                   "job.yaml: has 1048577 bytes, and a job has at most 1048576: is it one?");
    free(text);
}

// Cut anywhere, a job is refused in one line or taken; it never brings the parser down.
static void every_beginning_of_a_job_is_handled(void **state)
{
    static const char text[] =
        "model: &m /m\nrun: '/r'\ncalibration: {corpus: \"/c\", seed: 1}\nprune:\n"
        "  method: [wanda, cvr]\n  sparsity: [0.5]\n  ratios: {a: 0.5, \"b\": 1}\n  skip: [a, b]\n"
        "  allocation: owl\n  owl_range: 0.1\ncompensate:\n"
        "  energy: [[], [columns, rows]]\n  clamp: [0.5, 2]\nevaluate: {perplexity: *m}\n";
    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        struct settings *settings;
        struct error err = {0};
        char *copy = malloc(size != 0 ? size : 1); // of this very size, so that reading past it is noticed
        memcpy(copy, text, size);
        if (job_parse(&settings, copy, size, "job.yaml", &err) != STATUS_OK) {
            assert_int_equal(err.status, STATUS_USAGE);
            assert_memory_equal(err.message, "job.yaml", 8);
        }
        settings_free(settings);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_jobs_are_refused_with_one_line),
        cmocka_unit_test(long_values_are_cut_in_messages_between_characters),
        cmocka_unit_test(too_many_variants_are_refused),
        cmocka_unit_test(what_is_larger_than_any_job_is_refused),
        cmocka_unit_test(every_beginning_of_a_job_is_handled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
