#include "pipeline/cli/stop.h"
#include "pipeline/cli/exit_code.h"
#include "pipeline/text/number.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

// The signals that may mean "stop". KILL and STOP cannot be caught, the faults (SEGV, ABRT, ...) must end the
// program, and CHLD, PIPE and the signals of the terminal have other uses.
static const struct {
    int number;
    const char *name;
} stop_signals[] = {
    {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},
    {SIGTERM, "SIGTERM"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"},
    {SIGALRM, "SIGALRM"}, {SIGXCPU, "SIGXCPU"}, {SIGCONT, "SIGCONT"},
};
enum { NUM_STOP_SIGNALS = sizeof stop_signals / sizeof stop_signals[0] };

// The number of stop signals so far (at most 2) times SIGNAL_STRIDE, plus the number of the last one. A
// signal handler can reach nothing else, so this has to be global.
enum { SIGNAL_STRIDE = 256 };
static volatile sig_atomic_t signals_seen;

// Of stop_hurry: what SIGTERM writes, where to, and whether it has.
static const char *volatile hurried_line;
static volatile sig_atomic_t hurried_stream = STDERR_FILENO;
static volatile sig_atomic_t is_hurried, is_announced, has_bar;

// Only what a signal handler may call.
static void announce(void)
{
    static const char clear[] = "\r\033[K";
    const char *line = hurried_line;
    const int before = errno;
    if (line != NULL && !is_announced && has_bar && write(hurried_stream, clear, sizeof clear - 1) < 0)
        line = NULL;
    if (line != NULL && !is_announced && write(hurried_stream, line, strlen(line)) > 0)
        is_announced = true;
    errno = before;
}

// ---- a program that does not ask
// ---------------------------------------------------------------------------

// After a signal, and after the time limit, which comes with a margin.
static const double longest_silence = 1, longest_overrun = 5;

// Of stop_watch. The signal of the timer is none that may be chosen to stop the program.
static volatile sig_atomic_t is_watched, is_told, watch_speaks;
static timer_t watch_timer;

// Only what a signal handler may call.
static void watch_for(double seconds)
{
    const time_t whole = seconds > 0 ? (time_t)seconds : 0;
    const struct itimerspec until = {.it_value = {whole, (long)(1e9 * fmax(seconds - (double)whole, 1e-9))}};
    (void)timer_settime(watch_timer, 0, &until, NULL);
}

static void end_at_once(int signal_number)
{
    static const char by_signal[] = "coppice: stopped by a signal; run the same command again to go on\n";
    static const char by_time[] =
        "coppice: stopped by the time limit (--max-time); run the same command again to go on\n";
    (void)signal_number;

    if (!is_watched)
        return;
    if (watch_speaks && !is_announced) {
        const bool signalled = signals_seen != 0;
        if (write(STDERR_FILENO, signalled ? by_signal : by_time,
                  signalled ? sizeof by_signal - 1 : sizeof by_time - 1) < 0)
            _exit(EXIT_STOPPED);
    }
    _exit(EXIT_STOPPED);
}

static void note_signal(int signal_number)
{
    const bool hurries = is_hurried && signal_number == SIGTERM;
    const int seen = signals_seen / SIGNAL_STRIDE + (hurries ? 2 : 1);
    signals_seen = (seen < 2 ? seen : 2) * SIGNAL_STRIDE + signal_number;
    if (hurries)
        announce();
    if (is_watched && !is_told) // a later signal does not move the time
        watch_for(longest_silence);
    is_told = true;
}

void stop_hurry(const char *line, int stream)
{
    hurried_line = line;
    hurried_stream = stream;
    is_announced = false;
    is_hurried = true;
}

void stop_note_bar(bool shown)
{
    has_bar = shown;
}

bool stop_was_announced(void)
{
    return is_announced;
}

void stop_watch(const struct stop *stop, bool speaks)
{
    struct sigaction action = {.sa_handler = end_at_once, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};

    sigemptyset(&action.sa_mask);
    if (is_watched || sigaction(event.sigev_signo, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &watch_timer) != 0)
        return; // it asks now and then, at least
    watch_speaks = speaks;
    is_told = false;
    is_watched = true;
    if (signals_seen != 0)
        watch_for(longest_silence);
    else if (!isinf(stop->first))
        watch_for(fmax(stop->first - stop->clock(), 0) + longest_overrun);
}

void stop_unwatch(void)
{
    if (!is_watched)
        return;
    is_watched = false;
    (void)timer_delete(watch_timer);
}

double stop_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fill_handled(const struct stop *stop, int handled[3])
{
    handled[0] = SIGTERM;
    handled[1] = SIGINT;
    handled[2] = stop->stop_signal;
}

enum status stop_install(struct stop *stop, int stop_signal, double started, double max_time, double margin,
                         struct error *err)
{
    RETURN_ERROR_IF(stop_signal_name(stop_signal) == NULL, err, STATUS_USAGE,
                    "signal %d cannot be the stop signal, choose one of %s", stop_signal, stop_signal_list());
    signals_seen = 0;
    stop_uninstall(stop);
    *stop =
        (struct stop){.clock = stop_clock, .first = INFINITY, .second = INFINITY, .stop_signal = stop_signal};
    if (max_time > 0) {
        stop->first = started + max_time - margin;
        stop->second = started + max_time - margin / 2;
    }

    int handled[3];
    // Without SA_RESTART a signal would make reads and writes inside MPI and HDF5 fail with EINTR.
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    fill_handled(stop, handled);
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < 3; i++)
        sigaddset(&action.sa_mask, handled[i]);
    for (int i = 0; i < 3; i++) {
        struct sigaction now;
        if (i == 1 && sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            continue; // a shell's background job: Ctrl-C is meant for somebody else
        if (sigaction(handled[i], &action, &stop->before[i]) != 0) {
            stop_uninstall(stop);
            RETURN_ERROR(err, STATUS_FAILED, "cannot handle %s: %s", stop_signal_name(handled[i]),
                         strerror(errno));
        }
        stop->replaced[i] = true;
    }
    return STATUS_OK;
}

void stop_uninstall(struct stop *stop)
{
    is_hurried = false;
    stop_unwatch();
    int handled[3];
    fill_handled(stop, handled);
    for (int i = 2; i >= 0; i--) // backwards: the stop signal may be one of the other two
        if (stop->replaced[i]) {
            // Once a signal has come the program is on its way out: another must not turn code 75 into a
            // death.
            if (signals_seen == 0)
                sigaction(handled[i], &stop->before[i], NULL);
            stop->replaced[i] = false;
        }
}

static int time_level(const struct stop *stop)
{
    if (isinf(stop->first))
        return 0;
    const double now = stop->clock();
    return (now >= stop->first) + (now >= stop->second);
}

int stop_level(const struct stop *stop)
{
    const int signals = signals_seen / SIGNAL_STRIDE, clock = time_level(stop);
    return signals > clock ? signals : clock;
}

bool stop_is_told(const void *stop)
{
    return stop_level(stop) > 0;
}

const char *stop_reason(const struct stop *stop, char *text, size_t size)
{
    const int seen = signals_seen;
    if (seen != 0)
        snprintf(text, size, "signal %s", stop_signal_name(seen % SIGNAL_STRIDE));
    else
        snprintf(text, size, "%s", time_level(stop) != 0 ? "the time limit (--max-time)" : "");
    return text;
}

bool stop_signal_from_name(const char *name, int *signal_number)
{
    uint64_t number = 0;
    const bool is_number = whole_parse(name, &number);

    for (size_t i = 0; i < NUM_STOP_SIGNALS; i++) {
        const char *known = stop_signals[i].name;
        if (is_number ? number == (uint64_t)stop_signals[i].number
                      : strcasecmp(name, known) == 0 || strcasecmp(name, known + strlen("SIG")) == 0) {
            *signal_number = stop_signals[i].number;
            return true;
        }
    }
    return false;
}

const char *stop_signal_name(int signal_number)
{
    for (size_t i = 0; i < NUM_STOP_SIGNALS; i++)
        if (stop_signals[i].number == signal_number)
            return stop_signals[i].name;
    return NULL;
}

const char *stop_signal_list(void)
{
    return "HUP, INT, QUIT, TERM, USR1, USR2, ALRM, XCPU, CONT";
}
