#include "pipeline/cli/commands.h"

#include <string.h>

enum {
    TAKES_ALL = TAKES_RANKS | TAKES_THREADS | TAKES_KERNEL | TAKES_STOP | TAKES_STRICT | TAKES_PROGRESS |
                TAKES_MODEL | TAKES_SET
};

static const struct command table[] = {
    {COMMAND_PLAN, "plan", ARGUMENT_JOB,
     TAKES_MACHINE | TAKES_THREADS | TAKES_MODEL | TAKES_SET | TAKES_STRICT,
     "what would run: units, memory, disk, work, time",
     "Reads the job file and the headers of the model, and prints what a run would do: the variants, "
     "the units still to do, memory of a rank, disk, floating-point work, and an estimate of the time and "
     "traffic of each stage on the machine that --nodes, --ranks-per-node and --machine describe. Refuses "
     "what 'run' would refuse, with the same words. Reads the texts, but no weights, and writes nothing.",
     "coppice plan jobs/llama-2-7b.yaml\n"
     "coppice plan --nodes 8 --ranks-per-node 64 jobs/llama-2-7b.yaml\n"
     "coppice plan --json jobs/sweep.yaml | jq -r '.variants[].name'\n"},
    {COMMAND_RUN, "run", ARGUMENT_JOB, TAKES_ALL, "everything that the job asks for",
     "Calibrates, scores, compensates, exports and evaluates, as far as the job asks for it. What is in "
     "the run directory already is not done again: starting the same command once more is the way to "
     "resume. Paths in the job file count from its folder, those of --set too; ~ and $NAME in them are "
     "replaced.",
     "coppice run job.yaml\n"
     "mpirun -n 8 coppice run --threads 4 job.yaml\n"
     "coppice run --set prune.sparsity=0.6 --set run=runs/60 job.yaml\n"
     "srun coppice run --max-time \"$(squeue -h -j $SLURM_JOB_ID -O TimeLeft)\" job.yaml\n"},
    {COMMAND_CALIBRATE, "calibrate", ARGUMENT_JOB, TAKES_ALL, "statistics of the activations, layer by layer",
     "Draws the calibration sequences from the corpus and gathers, for every layer, the statistics of "
     "its linears' inputs. The first stage of a run with dense propagation; with pruned propagation "
     "calibration and pruning take turns, and 'run' does both.",
     "mpirun -n 8 coppice calibrate job.yaml\n"},
    {COMMAND_SCORE, "score", ARGUMENT_JOB, TAKES_ALL, "masks from weights and statistics",
     "Gives every weight its importance and selects those that stay, for every layer and variant whose "
     "statistics are there; with an allocation but uniform after looking at all layers for it.",
     "mpirun -n 8 coppice score --teams 8 job.yaml\n"},
    {COMMAND_COMPENSATE, "compensate", ARGUMENT_JOB, TAKES_ALL, "pruned, energy-compensated weights",
     "Applies the masks and rescales what they keep, as 'compensate' in the job says, for every layer "
     "and variant whose mask is there. Has nothing to do where a sweep keeps no weights and only the mask "
     "changes them.",
     "mpirun -n 8 coppice compensate --teams 8 job.yaml\n"},
    {COMMAND_EXPORT, "export", ARGUMENT_JOB, TAKES_ALL, "pruned models as Hugging Face directories",
     "Writes the pruned models to 'output' of the job, ready for any program that reads the Hugging "
     "Face format.",
     "coppice export job.yaml\n"},
    {COMMAND_EVALUATE, "evaluate", ARGUMENT_JOB, TAKES_ALL, "quality of the dense and the pruned models",
     "Measures the perplexity of the dense model and of every variant on the text, and their accuracy on the "
     "tasks, that 'evaluate' in the job names. A perplexity says something only together with its sequence "
     "length.",
     "mpirun -n 8 coppice evaluate --json job.yaml\n"},
    {COMMAND_STATUS, "status", ARGUMENT_RUN, 0, "units done and to do, time left",
     "Looks at a run directory, also while programs work in it and from another machine, and prints how "
     "much of every stage and variant is done and to do, which programs work on what, and how long the rest "
     "takes at the rates measured so far. Needs no model and no launcher; changes nothing.",
     "coppice status /scratch/runs/llama-2-7b\n"
     "watch coppice status /scratch/runs/llama-2-7b\n"},
    {COMMAND_RESULTS, "results", ARGUMENT_RUNS, 0,
     "one flat table of results, a row a variant, as CSV or JSON",
     "Prints a row for the dense model and every variant of every run: its settings, its sparsity, its "
     "perplexity and its accuracy on each task with their standard errors, and the time and memory that it "
     "took; as comma-separated values, or with --json as a list of objects with the same names. Works "
     "without "
     "a launcher, also while a run goes on.",
     "coppice results /scratch/runs/llama-2-7b >results.csv\n"
     "coppice results --json /scratch/runs/* | jq '.[] | {run, variant, perplexity, times_dense}'\n"},
    {COMMAND_REPORT, "report", ARGUMENT_RUN, TAKES_HTML, "one HTML page with a run's results and plots",
     "Gathers what a run directory holds: the best variant of each sparsity and what it costs, perplexity "
     "and "
     "accuracy against sparsity, sparsity and error of the layers, statistics of the channels, time, memory, "
     "settings and provenance. Writes it to RUN/report.html, which needs nothing else, the table of the "
     "command "
     "results to RUN/results.csv, and all numbers to RUN/report.json. With --html it writes the page alone, "
     "to that file. Plots are drawn by gnuplot, if it is installed. Works without a launcher, also while the "
     "run goes on.",
     "coppice report /scratch/runs/llama-2-7b\n"
     "coppice report --html /tmp/llama.html /scratch/runs/llama-2-7b\n"
     "coppice report --json /scratch/runs/llama-2-7b | jq '.models[] | {variant, perplexity}'\n"},
    {COMMAND_COMPARE, "compare", ARGUMENT_RUNS, TAKES_HTML, "results of several runs side by side",
     "Prints the perplexity of every variant of every run as one table, and their accuracy on each task, and "
     "says so when the runs are not of the same model, or were not measured on the same text at the same "
     "length, or on the same examples. Where a job has published perplexities, as those of jobs/recipes do "
     "(key expected), they stand beside the measured ones with the difference; then one run is enough. Works "
     "without a launcher.",
     "coppice compare /scratch/runs/seed-0 /scratch/runs/seed-1\n"
     "coppice compare --html comparison.html /scratch/runs/*\n"},
    {COMMAND_DIAGNOSE, "diagnose", ARGUMENT_JOB_OR_RUN, TAKES_KERNEL | TAKES_SET,
     "alignment between the weights, before and after pruning",
     "Measures, from the weights alone, how the linears of each layer are aligned with each other, for the "
     "dense model and every variant whose weights are complete: overlap of the leading singular subspaces of "
     "adjacent linears, the same of query and key and of value and output of every head, and the magnitude "
     "of commutators. Results go to RUN/results/VARIANT/diagnostics.json and into the report.",
     "mpirun -n 8 coppice diagnose job.yaml\n"},
    {COMMAND_VERIFY, "verify", ARGUMENT_RUN, 0, "every checksum of a run directory and its models",
     "Reads every file of a run directory, and of the models that it exported where they are still at their "
     "place, and compares the checksums. Names each damaged file; starting the job again redoes those units, "
     "and exports a model anew whose folder was removed. A model's README.md may be edited. Changes nothing. "
     "A file of another run, or in the place of another, is named too (--json: misplaced). So is an exported "
     "model that is no longer at its place (--json: absent), which is no damage: models may be moved away. "
     "Exit code 1 when a file is damaged, and 2 when none is but "
     "one is of another run or in the place of another.",
     "coppice verify /scratch/runs/llama-2-7b\n"},
    {COMMAND_DOCTOR, "doctor", ARGUMENT_FOLDER, TAKES_THREADS | TAKES_KERNEL,
     "what this installation is, and whether it works here",
     "Prints versions, processors and their speed, memory, limits, and what the file system of FOLDER (the "
     "current one) can do; prunes a tiny model there on the ranks it was started with, and compares the "
     "outcome with the known one. Takes some seconds and leaves nothing behind. Exit code 1 when something "
     "does not work. What a question about an installation should bring along.",
     "coppice doctor\n"
     "mpirun -n 8 coppice doctor /scratch/runs\n"},
};

_Static_assert(sizeof table / sizeof table[0] == NUM_COMMANDS, "a row for each command");

const char *const program_summary = "Prunes large language models after training, without gradients, on MPI "
                                    "clusters. Start it alone, with mpirun or with srun.";

const char *const program_examples = "coppice plan job.yaml\n"
                                     "mpirun -n 8 coppice run job.yaml\n"
                                     "coppice status /scratch/runs/llama-2-7b\n";

const char *const exit_codes_help =
    "Exit codes: 0 done, 1 failed, 2 wrong command line or job file, 3 bad input data,\n"
    "75 stopped early, what was committed is kept: run the same command again.\n";

const struct command *commands(size_t *count)
{
    *count = sizeof table / sizeof table[0];
    return table;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const char *command_argument_name(enum command_argument argument)
{
    static const char *const names[] = {"JOB", "RUN", "RUN...", "JOB|RUN",
                                        "[FOLDER]"}; // as enum command_argument
    return names[argument];
}
