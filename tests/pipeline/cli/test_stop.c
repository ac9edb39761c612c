// Being told to stop: by real signals to this process and to a child, and by a clock of the test's.
#include "pipeline/cli/stop.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static double fake_now;

static double fake_clock(void)
{
    return fake_now;
}

static struct stop install(int stop_signal, double max_time, double margin)
{
    struct stop stop = {0};
    struct error err = {0};
    assert_int_equal(stop_install(&stop, stop_signal, 1000, max_time, margin, &err), STATUS_OK);
    stop.clock = fake_clock;
    fake_now = 1000;
    return stop;
}

static void assert_level(const struct stop *stop, int level, const char *reason)
{
    char text[64];
    assert_int_equal(stop_level(stop), level);
    assert_string_equal(stop_reason(stop, text, sizeof text), reason);
}

static void nothing_happens_by_itself(void **state)
{
    struct stop stop = install(SIGUSR1, 0, 0);
    (void)state;
    fake_now = 1e12;
    assert_level(&stop, 0, "");
    stop_uninstall(&stop);
}

static void the_first_signal_asks_and_the_second_presses(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    static const char *const reasons[] = {"signal SIGTERM", "signal SIGINT", "signal SIGUSR1"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stop stop = install(SIGUSR1, 0, 0);
        raise(signals[i]);
        assert_level(&stop, 1, reasons[i]);
        raise(signals[i]);
        assert_level(&stop, 2, reasons[i]);
        raise(signals[i]);
        assert_level(&stop, 2, reasons[i]);
        stop_uninstall(&stop);
    }
}

static void different_signals_count_together(void **state)
{
    struct stop stop = install(SIGUSR2, 0, 0);
    (void)state;
    kill(getpid(), SIGUSR2);
    assert_level(&stop, 1, "signal SIGUSR2");
    kill(getpid(), SIGTERM);
    assert_level(&stop, 2, "signal SIGTERM");
    stop_uninstall(&stop);
}

static void a_signal_on_the_way_out_has_no_effect(void **state)
{
    struct stop stop = install(SIGUSR2, 0, 0);
    (void)state;
    raise(SIGUSR2);
    stop_uninstall(&stop);
    raise(SIGUSR2); // would end the process
    raise(SIGTERM);
}

static void the_stop_signal_may_be_one_of_the_usual(void **state)
{
    struct stop stop = install(SIGTERM, 0, 0);
    (void)state;
    raise(SIGTERM);
    assert_level(&stop, 1, "signal SIGTERM");
    stop_uninstall(&stop);
}

static void the_time_limit_stops_at_the_margin_and_presses_at_half_of_it(void **state)
{
    struct stop stop = install(SIGUSR1, 100, 20);
    (void)state;
    fake_now = 1079.9;
    assert_level(&stop, 0, "");
    fake_now = 1080;
    assert_level(&stop, 1, "the time limit (--max-time)");
    fake_now = 1089.9;
    assert_level(&stop, 1, "the time limit (--max-time)");
    fake_now = 1090;
    assert_level(&stop, 2, "the time limit (--max-time)");
    stop_uninstall(&stop);
}

static void the_higher_of_signal_and_time_counts(void **state)
{
    struct stop stop = install(SIGUSR1, 100, 20);
    (void)state;
    raise(SIGTERM);
    assert_level(&stop, 1, "signal SIGTERM");
    fake_now = 1095;
    assert_level(&stop, 2, "signal SIGTERM");
    stop_uninstall(&stop);
}

static volatile sig_atomic_t other_handler_calls;

static void other_handler(int signal_number)
{
    (void)signal_number;
    other_handler_calls++;
}

static void uninstalling_restores_what_was_before(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action = {.sa_handler = other_handler}, before[3];
    (void)state;
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &action, &before[i]);
    struct stop stop = install(SIGTERM, 0, 0); // the stop signal is SIGTERM twice over
    stop_uninstall(&stop);
    struct stop again = install(SIGUSR1, 0, 0);
    stop_uninstall(&again);
    stop_uninstall(&again);
    other_handler_calls = 0;
    for (size_t i = 0; i < 3; i++) {
        raise(signals[i]);
        sigaction(signals[i], &before[i], NULL);
    }
    assert_int_equal(other_handler_calls, 3);
}

static void installing_again_forgets(void **state)
{
    signal(SIGUSR1, SIG_DFL);
    struct stop stop = install(SIGUSR1, 0, 0);
    struct error err = {0};
    (void)state;
    raise(SIGUSR1);
    assert_int_equal(stop_level(&stop), 1);
    assert_int_equal(stop_install(&stop, SIGUSR2, 0, 0, 0, &err), STATUS_OK);
    assert_int_equal(stop_level(&stop), 0);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_DFL); // no longer the stop signal
    stop_uninstall(&stop);
}

static void a_signal_that_must_keep_its_meaning_is_refused(void **state)
{
    static const int signals[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGCHLD, 0, -1, 1000};
    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct stop stop = {0};
        struct error err = {0};
        assert_int_equal(stop_install(&stop, signals[i], 0, 0, 0, &err), STATUS_USAGE);
        assert_non_null(strstr(err.message, "cannot be the stop signal"));
    }
}

static void a_program_in_a_hurry_speaks_at_once_and_once(void **state)
{
    struct stop stop = install(SIGUSR1, 0, 0);
    char text[64] = "";
    int ends[2];
    const int before = dup(STDERR_FILENO);
    (void)state;

    assert_int_equal(pipe(ends), 0);
    stop_hurry("it ends\n", STDERR_FILENO);
    stop_note_bar(true);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    raise(SIGUSR1);
    const int level = stop_level(&stop);
    const bool early = stop_was_announced();
    raise(SIGTERM);
    raise(SIGTERM);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    assert_int_equal(level, 1);
    assert_false(early);
    assert_level(&stop, 2, "signal SIGTERM");
    assert_true(stop_was_announced());
    assert_in_range(read(ends[0], text, sizeof text - 1), 1, sizeof text - 1);
    assert_string_equal(text, "\r\033[Kit ends\n");
    close(ends[0]);
    stop_uninstall(&stop);
    stop_note_bar(false);

    struct stop silent = install(SIGUSR1, 0, 0);
    stop_hurry(NULL, STDERR_FILENO);
    raise(SIGTERM);
    assert_level(&silent, 2, "signal SIGTERM");
    assert_false(stop_was_announced());
    stop_uninstall(&silent);
}

static void an_ignored_interrupt_stays_ignored(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    (void)state;
    sigaction(SIGINT, &ignore, &before);
    struct stop stop = install(SIGUSR1, 0, 0);
    raise(SIGINT);
    assert_level(&stop, 0, "");
    stop_uninstall(&stop);

    struct stop chosen = install(SIGINT, 0, 0); // unless it was asked for
    raise(SIGINT);
    assert_level(&chosen, 1, "signal SIGINT");
    stop_uninstall(&chosen);
    sigaction(SIGINT, &before, NULL);
}

// A child waits for a byte and tells the level that it saw by then.
static void a_signal_makes_no_system_call_fail(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    struct stop stop = install(SIGUSR1, 0, 0);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sigaction now;
        sigaction(signals[i], NULL, &now);
        assert_true((now.sa_flags & SA_RESTART) != 0);
    }
    stop_uninstall(&stop);
}

static void a_signal_from_another_process_is_seen(void **state)
{
    int to_child[2], from_child[2];
    char byte = 'r';
    int status;
    (void)state;
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct stop stop = {0};
        char got;
        if (stop_install(&stop, SIGUSR1, stop_clock(), 0, 0, NULL) != STATUS_OK ||
            write(from_child[1], &byte, 1) != 1 || read(to_child[0], &got, 1) != 1)
            _exit(100);
        _exit(stop_level(&stop));
    }
    assert_true(child > 0);
    assert_int_equal(read(from_child[0], &byte, 1), 1); // the handlers are there
    kill(child, SIGUSR1);
    kill(child, SIGTERM);
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(from_child[i]);
    }
}

// A child that never asks whether it shall stop. watched: 1 it is, 2 it was.
static pid_t start_deaf(double max_time, int watched, int ready)
{
    const pid_t child = fork();
    if (child != 0)
        return child;
    const struct timespec while_it_works = {0, 900000000};
    struct timespec left = while_it_works;
    struct stop stop = {0};
    if (stop_install(&stop, SIGUSR1, stop_clock(), max_time, 0, NULL) != STATUS_OK)
        _exit(100);
    stop_watch(&stop, false);
    if (watched == 2)
        stop_unwatch();
    if (write(ready, "r", 1) != 1)
        _exit(101);
    for (int i = 0; i < (max_time > 0 ? 9 : 2); i++, left = while_it_works)
        while (nanosleep(&left, &left) != 0)
            ;
    _exit(stop_level(&stop) > 0 ? 42 : 43);
}

static int code_of(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// While it is watched: a second after a signal, five after the time limit.
static void who_does_not_ask_is_ended(void **state)
{
    int ready[2];
    char byte;
    (void)state;

    assert_int_equal(pipe(ready), 0);
    const pid_t told = start_deaf(0, 1, ready[1]), timed = start_deaf(0.1, 1, ready[1]);
    const pid_t untold = start_deaf(0, 1, ready[1]), over = start_deaf(0, 2, ready[1]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    const double begun = stop_clock();
    kill(told, SIGINT);
    kill(over, SIGTERM);
    assert_int_equal(code_of(told), 75);
    assert_true(stop_clock() - begun >= 0.99); // there was time to end in order
    assert_int_equal(code_of(untold), 43);
    assert_int_equal(code_of(over), 42);
    assert_int_equal(code_of(timed), 75);
    close(ready[0]);
    close(ready[1]);
}

static void the_clock_runs_forward(void **state)
{
    const double first = stop_clock(), second = stop_clock();
    (void)state;
    assert_true(first > 0 && second >= first);
}

static void every_listed_signal_has_a_name_and_can_be_found(void **state)
{
    char list[128];
    size_t count = 0;
    (void)state;
    snprintf(list, sizeof list, "%s", stop_signal_list());
    for (const char *word = strtok(list, ", "); word != NULL; word = strtok(NULL, ", "), count++) {
        int number = 0;
        assert_true(stop_signal_from_name(word, &number));
        assert_string_equal(stop_signal_name(number) + 3, word);
    }
    assert_int_equal(count, 9);
    int number = 0;
    assert_false(stop_signal_from_name("", &number));
    assert_false(stop_signal_from_name("SIG", &number));
    assert_false(stop_signal_from_name("KILL", &number));
    assert_false(stop_signal_from_name("19", &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_by_itself),
        cmocka_unit_test(the_first_signal_asks_and_the_second_presses),
        cmocka_unit_test(different_signals_count_together),
        cmocka_unit_test(a_signal_on_the_way_out_has_no_effect),
        cmocka_unit_test(the_stop_signal_may_be_one_of_the_usual),
        cmocka_unit_test(the_time_limit_stops_at_the_margin_and_presses_at_half_of_it),
        cmocka_unit_test(the_higher_of_signal_and_time_counts),
        cmocka_unit_test(uninstalling_restores_what_was_before),
        cmocka_unit_test(installing_again_forgets),
        cmocka_unit_test(a_signal_that_must_keep_its_meaning_is_refused),
        cmocka_unit_test(a_program_in_a_hurry_speaks_at_once_and_once),
        cmocka_unit_test(an_ignored_interrupt_stays_ignored),
        cmocka_unit_test(a_signal_makes_no_system_call_fail),
        cmocka_unit_test(a_signal_from_another_process_is_seen),
        cmocka_unit_test(who_does_not_ask_is_ended),
        cmocka_unit_test(the_clock_runs_forward),
        cmocka_unit_test(every_listed_signal_has_a_name_and_can_be_found),
    };
    signal(SIGINT, SIG_DFL); // a shell's background job would have it ignored
    return cmocka_run_group_tests(tests, NULL, NULL);
}
