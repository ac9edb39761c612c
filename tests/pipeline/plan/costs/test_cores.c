// Processes that keep cores busy: they work side by side, and none is left.
#include "pipeline/plan/costs/cores.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { COUNT = 3 };

// The steps that each process has made, in memory that all share.
struct steps {
    _Atomic pid_t processes[COUNT];
    _Atomic uint64_t made[COUNT];
};

static void step(void *context)
{
    struct steps *steps = context;
    const pid_t self = getpid();

    for (size_t i = 0; i < COUNT; i++) {
        pid_t free_place = 0;
        if (steps->processes[i] == self ||
            atomic_compare_exchange_strong(&steps->processes[i], &free_place, self)) {
            steps->made[i]++;
            return;
        }
    }
}

static struct steps *new_steps(void)
{
    void *steps = mmap(NULL, sizeof(struct steps), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(steps != MAP_FAILED);
    return steps;
}

static void neighbours_work_until_they_are_stopped(void **state)
{
    struct steps *steps = new_steps();
    struct neighbours neighbours;
    struct error err = {0};
    (void)state;

    assert_int_equal(neighbours_start(&neighbours, COUNT, step, steps, &err), STATUS_OK);
    assert_int_equal(neighbours.count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        while (steps->made[i] < 2)
            sched_yield();
    pid_t processes[COUNT];
    memcpy(processes, neighbours.processes, sizeof processes);
    neighbours_stop(&neighbours);
    assert_int_equal(neighbours.count, 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(waitpid(processes[i], NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
    }
    neighbours_stop(&neighbours);
    munmap(steps, sizeof *steps);
}

static void a_parent_that_is_killed_leaves_none(void **state)
{
    struct steps *steps = new_steps();
    int ends[2];
    char byte;
    (void)state;

    assert_int_equal(pipe(ends), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        struct neighbours neighbours;
        if (neighbours_start(&neighbours, 1, step, steps, NULL) != STATUS_OK)
            _exit(EXIT_FAILURE);
        for (;;)
            pause();
    }
    close(ends[1]);
    while (steps->made[0] == 0)
        sched_yield();
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(read(ends[0], &byte, 1), 0); // the last of them has closed its end
    close(ends[0]);
    munmap(steps, sizeof *steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_work_until_they_are_stopped),
        cmocka_unit_test(a_parent_that_is_killed_leaves_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
