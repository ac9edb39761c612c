// A rank ends with its launcher. Each test starts a launcher that starts a rank; the rank's end of a pipe
// tells whether it still lives.
#include "pipeline/run/process/launcher.h"
#include "tests/support/patience.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ENDS_WITHIN_MS = 5000, LIVES_FOR_MS = 200, LOST_AFTER_S = 20 };

struct family {
    pid_t launcher, rank;
    int alive; // readable once the rank has ended
};

static _Noreturn void be_rank(int started, const char *environment)
{
    const pid_t self = getpid();
    alarm(LOST_AFTER_S * test_patience());
    if (environment != NULL)
        setenv(environment, "0", 1);
    else
        unsetenv("OMPI_COMM_WORLD_RANK");
    launcher_watch();
    if (write(started, &self, sizeof self) != (ssize_t)sizeof self)
        _exit(2);
    for (;;)
        pause(); // as in an MPI_Init that nobody answers
}

struct start {
    int started;
    const char *environment;
};

static void *start_rank(void *context)
{
    const struct start *start = context;
    if (fork() == 0)
        be_rank(start->started, start->environment);
    return NULL;
}

// The launcher starts the rank from a thread of its own, which then ends, or from its only one.
static struct family start_family(const char *environment, int by_thread)
{
    struct family family;
    int started[2];

    assert_int_equal(pipe(started), 0);
    family.launcher = fork();
    if (family.launcher == 0) {
        struct start start = {started[1], environment};
        pthread_t thread;
        alarm(LOST_AFTER_S * test_patience());
        close(started[0]);
        if (by_thread && pthread_create(&thread, NULL, start_rank, &start) == 0)
            pthread_join(thread, NULL);
        else
            start_rank(&start);
        close(started[1]);
        for (;;)
            pause();
    }
    close(started[1]);
    assert_int_equal(read(started[0], &family.rank, sizeof family.rank), sizeof family.rank);
    family.alive = started[0];
    return family;
}

static int ends_within(const struct family *family, int milliseconds)
{
    struct pollfd end = {.fd = family->alive, .events = POLLIN};
    return poll(&end, 1, milliseconds);
}

static void end_family(const struct family *family)
{
    kill(family->rank, SIGKILL);
    kill(family->launcher, SIGKILL);
    waitpid(family->launcher, NULL, 0);
    close(family->alive);
}

static void a_rank_ends_with_its_launcher(void **state)
{
    const struct family family = start_family("OMPI_COMM_WORLD_RANK", 0);
    (void)state;
    kill(family.launcher, SIGKILL);
    assert_int_equal(ends_within(&family, ENDS_WITHIN_MS * (int)test_patience()), 1);
    end_family(&family);
}

static void it_outlives_the_thread_that_started_it(void **state)
{
    const struct family family = start_family("OMPI_COMM_WORLD_RANK", 1);
    (void)state;
    assert_int_equal(ends_within(&family, LIVES_FOR_MS), 0);
    kill(family.launcher, SIGKILL);
    assert_int_equal(ends_within(&family, ENDS_WITHIN_MS * (int)test_patience()), 1);
    end_family(&family);
}

static void a_program_without_mpirun_lives_on(void **state)
{
    const struct family family = start_family(NULL, 0);
    (void)state;
    kill(family.launcher, SIGKILL);
    assert_int_equal(ends_within(&family, LIVES_FOR_MS), 0);
    end_family(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_ends_with_its_launcher),
        cmocka_unit_test(it_outlives_the_thread_that_started_it),
        cmocka_unit_test(a_program_without_mpirun_lives_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
