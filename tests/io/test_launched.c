// What launchers say in the environment, and the few words of PMI that end a job.
#include "io/launched.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const variables[] = {"OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "PRTE_LAUNCHED",
                                        "PMIX_RANK",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "PMI_FD",
                                        "MPI_LOCALNRANKS",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_JOB_ID",
                                        "OMPI_MCA_orte_tag_output",
                                        "OMPI_MCA_orte_timestamp_output",
                                        "OMPI_MCA_orte_xml_output",
                                        "OMPI_MCA_orte_output_filename"};

static int forget(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    return 0;
}

// "NAME=VALUE NAME=VALUE ..."
static void set(const char *words)
{
    char text[512], *rest = text, *word;
    snprintf(text, sizeof text, "%s", words);
    forget(NULL);
    while ((word = strtok_r(rest, " ", &rest)) != NULL) {
        char *value = strchr(word, '=');
        *value = '\0';
        setenv(word, value + 1, 1);
    }
}

static void every_launcher_is_understood(void **state)
{
    static const struct {
        const char *words;
        bool first;
        size_t ranks, on_node, world;
        bool by_mpirun, cut_off;
    } cases[] = {
        {"", true, 1, 1, 1, false, false},
        {"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_SIZE=4 PMIX_RANK=0", true, 8, 4,
         8, true, false},
        {"OMPI_COMM_WORLD_RANK=7 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_SIZE=4 PRTE_LAUNCHED=1", false,
         8, 4, 8, true, true},
        // mpirun inside a step of srun: the step has one task on each node
        {"OMPI_COMM_WORLD_RANK=10 OMPI_COMM_WORLD_SIZE=16 SLURM_STEP_NUM_TASKS=2", false, 16, 1, 16, true,
         false},
        {"PMIX_RANK=0 SLURM_STEP_NUM_TASKS=6", true, 6, 1, 6, false, false},
        {"PMIX_RANK=5 SLURM_STEP_NUM_TASKS=6", false, 6, 1, 6, false, false},
        {"PMI_RANK=0 PMI_SIZE=3 MPI_LOCALNRANKS=3", true, 3, 3, 3, false, false},
        {"PMI_RANK=2 PMI_SIZE=3", false, 3, 1, 3, false, false},
        {"SLURM_STEP_NUM_TASKS=4", true, 4, 1, 1, false, false},
        {"OMPI_COMM_WORLD_SIZE=8", true, 1, 1, 1, false, false}, // of a rank that is no more
        {"PMI_RANK=0 PMI_SIZE=", true, 1, 1, 1, false, false},
        {"PMI_RANK=0 PMI_SIZE=-3", true, 1, 1, 1, false, false},
        {"PMI_RANK=0 PMI_SIZE=3x", true, 1, 1, 1, false, false},
        {"PMI_RANK=0 PMI_SIZE=99999999999999999999", true, 1, 1, 1, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set(cases[i].words);
        assert_int_equal(launched_as_first(), cases[i].first);
        assert_int_equal(launched_ranks(), cases[i].ranks);
        assert_int_equal(launched_ranks_on_node(), cases[i].on_node);
        assert_int_equal(launched_world(), cases[i].world);
        assert_int_equal(launched_by_mpirun(), cases[i].by_mpirun);
        assert_int_equal(launched_is_cut_off(), cases[i].cut_off);
        assert_int_equal(launched_to_end_together(), cases[i].by_mpirun);
    }
}

static void a_job_of_the_scheduler(void **state)
{
    (void)state;
    assert_null(launched_in_job());
    set("SLURM_JOB_ID=4711");
    assert_string_equal(launched_in_job(), "4711");
}

static void changed_output(void **state)
{
    (void)state;
    set("OMPI_COMM_WORLD_RANK=0");
    assert_false(launched_with_changed_output());
    set("OMPI_COMM_WORLD_RANK=0 OMPI_MCA_orte_tag_output=1");
    assert_true(launched_with_changed_output());
}

// ---- PMI -----------------------------------------------------------------------------------------------

static char heard[512];

// The launcher's end: answers the greeting, then takes what comes.
static void *be_launcher(void *context)
{
    static const char welcome[] = "cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1\n";
    const int socket = *(int *)context;
    size_t used = 0;
    ssize_t length;

    while ((length = read(socket, heard + used, sizeof heard - 1 - used)) > 0) {
        used += (size_t)length;
        heard[used] = '\0';
        if (strchr(heard, '\n') == heard + used - 1 && write(socket, welcome, sizeof welcome - 1) < 0)
            break;
    }
    return NULL;
}

// What a launcher hears when the environment is `words` and the socket's number is in PMI_FD.
static const char *abort_with(const char *words, int exit_code)
{
    int ends[2];
    char number[16];
    pthread_t launcher;

    heard[0] = '\0';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(pthread_create(&launcher, NULL, be_launcher, &ends[1]), 0);
    set(words);
    snprintf(number, sizeof number, "%d", ends[0]);
    setenv("PMI_FD", number, 1);
    assert_true(launched_to_end_together());
    launched_abort(exit_code);
    close(ends[0]);
    pthread_join(launcher, NULL);
    close(ends[1]);
    return heard;
}

static void pmi_is_told_to_end_the_others(void **state)
{
    (void)state;
    assert_string_equal(abort_with("PMI_RANK=1 PMI_SIZE=2", 2),
                        "cmd=init pmi_version=1 pmi_subversion=1\ncmd=abort exitcode=2\n");
    assert_string_equal(abort_with("PMI_RANK=0 PMI_SIZE=1", 2), ""); // nobody waits
}

static void a_descriptor_that_is_no_socket_is_left_alone(void **state)
{
    int ends[2], unread = -1;
    char number[16];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    set("PMI_RANK=1 PMI_SIZE=2");
    snprintf(number, sizeof number, "%d", ends[1]);
    setenv("PMI_FD", number, 1);
    assert_false(launched_to_end_together());
    launched_abort(2);
    assert_int_equal(ioctl(ends[0], FIONREAD, &unread), 0);
    assert_int_equal(unread, 0);
    close(ends[0]);
    close(ends[1]);
    setenv("PMI_FD", "1234567", 1); // closed long ago
    assert_false(launched_to_end_together());
}

// ---- what is written is read --------------------------------------------------------------------------

static void *read_late(void *context)
{
    const struct timespec late = {0, 20000000};
    char text[16];
    nanosleep(&late, NULL);
    assert_int_equal(read(*(int *)context, text, sizeof text), 5);
    return NULL;
}

static void a_line_is_read_before_the_end(void **state)
{
    const int before = dup(STDERR_FILENO);
    int ends[2], unread = -1;
    pthread_t reader;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    assert_int_equal(write(STDERR_FILENO, "line\n", 5), 5);
    pthread_create(&reader, NULL, read_late, &ends[0]);
    launched_await_reader();
    assert_int_equal(ioctl(ends[0], FIONREAD, &unread), 0);
    dup2(before, STDERR_FILENO);
    assert_int_equal(unread, 0);
    pthread_join(reader, NULL);
    close(before);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_launcher_is_understood, forget),
        cmocka_unit_test_setup(a_job_of_the_scheduler, forget),
        cmocka_unit_test_setup(changed_output, forget),
        cmocka_unit_test_setup(pmi_is_told_to_end_the_others, forget),
        cmocka_unit_test_setup(a_descriptor_that_is_no_socket_is_left_alone, forget),
        cmocka_unit_test_setup(a_line_is_read_before_the_end, forget),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
