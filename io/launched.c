#include "io/launched.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// The variables of each launcher; this process has that of the first row whose `rank` is set.
static const struct launcher {
    const char *rank, *ranks, *ranks_on_node;
} launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"}, // Open MPI's mpirun
    {"PMIX_RANK", "SLURM_STEP_NUM_TASKS", NULL},                                    // srun --mpi=pmix
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"},                                    // Hydra, srun --mpi=pmi2
};
static const struct launcher *const mpirun = &launchers[0];
// Of a step of srun that has no MPI, which numbers its programs and does not make them ranks.
static const struct launcher bare_step = {.ranks = "SLURM_STEP_NUM_TASKS"};

// Set by Open MPI's mpirun from 5 on.
static const char prte[] = "PRTE_LAUNCHED";
// The socket of a launcher that speaks PMI.
static const char pmi[] = "PMI_FD";

// What says that mpirun changes what ranks write. 4: variables that it hands on; 5: only its own command
// line.
static const char *const output_variables[] = {"OMPI_MCA_orte_tag_output", "OMPI_MCA_orte_timestamp_output",
                                               "OMPI_MCA_orte_xml_output", "OMPI_MCA_orte_output_filename"};
static const char *const output_options[] = {"--output", "--output-filename", "--tag-output",
                                             "--timestamp-output", "--xml"};

static const struct launcher *find(void)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (getenv(launchers[i].rank) != NULL)
            return &launchers[i];
    return &bare_step;
}

// A number in a variable; 0 when it has none.
static size_t number_in(const char *variable)
{
    const char *text = variable != NULL ? getenv(variable) : NULL;
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    const unsigned long number = strtoul(text, &end, 10);
    return *end == '\0' && errno == 0 && number <= INT_MAX ? (size_t)number : 0;
}

static size_t at_least_one(size_t number)
{
    return number > 0 ? number : 1;
}

bool launched_as_first(void)
{
    const struct launcher *launcher = find();
    return launcher->rank == NULL || strcmp(getenv(launcher->rank), "0") == 0;
}

size_t launched_ranks(void)
{
    return at_least_one(number_in(find()->ranks));
}

size_t launched_world(void)
{
    return find()->rank != NULL ? launched_ranks() : 1;
}

size_t launched_ranks_on_node(void)
{
    return at_least_one(number_in(find()->ranks_on_node));
}

const char *launched_in_job(void)
{
    return getenv("SLURM_JOB_ID");
}

bool launched_by_mpirun(void)
{
    return find() == mpirun;
}

bool launched_is_cut_off(void)
{
    return launched_by_mpirun() && getenv(prte) != NULL;
}

// Whether a word of mpirun's command line is one of the options; they may have one dash, and a value after =.
static bool changes_output(const char *word)
{
    for (size_t i = 0; i < sizeof output_options / sizeof *output_options; i++) {
        const char *option = output_options[i] + (word[0] == '-' && word[1] != '-');
        const size_t length = strlen(option);
        if (strncmp(word, option, length) == 0 && (word[length] == '\0' || word[length] == '='))
            return true;
    }
    return false;
}

bool launched_with_changed_output(void)
{
    char path[64], words[4096];
    bool found = false;

    for (size_t i = 0; i < sizeof output_variables / sizeof *output_variables; i++)
        found = found || getenv(output_variables[i]) != NULL;
    if (found || !launched_is_cut_off())
        return found;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)getppid());
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const size_t size = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    words[size] = '\0';
    for (size_t i = 0; i < size && !found; i += strlen(words + i) + 1)
        found = changes_output(words + i);
    return found;
}

int launched_error_stream(void)
{
    char path[64];
    struct stat info;

    if (!launched_by_mpirun())
        return -1;
    snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)getppid());
    if (stat(path, &info) != 0 || !(S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode)))
        return -1;
    return open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
}

// The socket of PMI; -1: there is none.
static int pmi_socket(void)
{
    const size_t number = number_in(pmi);
    struct stat info;

    return number > 2 && fstat((int)number, &info) == 0 && S_ISSOCK(info.st_mode) ? (int)number : -1;
}

bool launched_to_end_together(void)
{
    return launched_by_mpirun() || pmi_socket() >= 0;
}

void launched_await_reader(void)
{
    const struct timespec pause = {0, 1000000};
    int unread;

    for (int i = 0; i < 2000 && ioctl(STDERR_FILENO, FIONREAD, &unread) == 0 && unread > 0; i++)
        (void)nanosleep(&pause, NULL);
}

void launched_abort(int exit_code)
{
    static const char hello[] = "cmd=init pmi_version=1 pmi_subversion=1\n";
    struct pollfd answer = {.fd = pmi_socket(), .events = POLLIN};
    char text[256];

    if (answer.fd < 0 || launched_ranks() == 1)
        return;
    launched_await_reader();
    // PMI-1, whose abort counts from a process that has said hello; launchers of PMI-2 take it, too.
    if (write(answer.fd, hello, sizeof hello - 1) < 0 || poll(&answer, 1, 2000) != 1 ||
        read(answer.fd, text, sizeof text) <= 0)
        return;
    const int length = snprintf(text, sizeof text, "cmd=abort exitcode=%d\n", exit_code);
    const ssize_t ignored = write(answer.fd, text, (size_t)length);
    (void)ignored;
}
