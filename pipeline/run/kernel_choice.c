#include "pipeline/run/kernel_choice.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"

#include <blis.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

enum { CHILD_SECONDS = 20 }; // no machine takes that long; a child that hangs is ended by the kernel

// ---- one set of kernels in a process of its own --------------------------------------------------------

struct trial {
    char name[BLIS_KERNEL_NAME_SIZE];
    struct blis_kernel_rate rate;
};

static void run_trial(int out, const char *name)
{
    struct trial trial = {0};

    alarm(CHILD_SECONDS);
    // BLIS ends the process with a message when it lacks the kernels: that is an answer, too.
    if (freopen("/dev/null", "w", stderr) == NULL ||
        (name != NULL && blis_kernel_set(name, NULL) != STATUS_OK))
        _exit(EXIT_FAILURE);
    snprintf(trial.name, sizeof trial.name, "%s", blis_kernel_name());
    if (blis_kernel_measure(&trial.rate, NULL) != STATUS_OK ||
        write(out, &trial, sizeof trial) != (ssize_t)sizeof trial)
        _exit(EXIT_FAILURE);
    _exit(EXIT_SUCCESS);
}

// name NULL: BLIS chooses. False when the kernels cannot be had, or no process to try them in.
static bool try_kernel(struct trial *trial, const char *name)
{
    int ends[2], status = 0;
    bool heard = false;

    if (pipe(ends) != 0)
        return false;
    const pid_t child = fork();
    if (child == 0)
        run_trial(ends[1], name);
    close(ends[1]);
    if (child > 0) {
        heard = read(ends[0], trial, sizeof *trial) == (ssize_t)sizeof *trial;
        (void)waitpid(child, &status, 0);
    }
    close(ends[0]);
    return heard && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS && trial->rate.f32 > 0 &&
           trial->rate.f64 > 0;
}

static void measure(struct kernel_survey *survey)
{
    const char *rivals[4];
    struct trial own, rival;

    if (!try_kernel(&own, NULL))
        return;
    snprintf(survey->own, sizeof survey->own, "%s", own.name);
    snprintf(survey->best, sizeof survey->best, "%s", own.name);
    survey->gain = 1;
    const size_t count = blis_kernel_rivals(rivals, sizeof rivals / sizeof rivals[0], own.name);
    for (size_t i = 0; i < count; i++) {
        if (!try_kernel(&rival, rivals[i]) || strcmp(rival.name, rivals[i]) != 0)
            continue;
        const double gain = blis_kernel_gain(&rival.rate, &own.rate);
        if (gain < BLIS_KERNEL_WORTHWHILE || gain < survey->gain * BLIS_KERNEL_WORTHWHILE)
            continue;
        snprintf(survey->best, sizeof survey->best, "%s", rival.name);
        survey->gain = gain;
    }
}

// ---- what was measured before --------------------------------------------------------------------------

// Hash of what makes processors and libraries alike: the first processor's lines of /proc/cpuinfo that are
// always the same, and BLIS's version. 0: not known.
static uint64_t processor_hash(void)
{
    static const char *const constant[] = {"vendor_id", "cpu family", "model", "stepping",
                                           "flags",     "Features",   "CPU "};
    char line[4096];
    XXH3_state_t *state = XXH3_createState();
    uint64_t hash = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");

    if (file != NULL && state != NULL) {
        XXH3_64bits_reset(state);
        while (fgets(line, sizeof line, file) != NULL && line[0] != '\n')
            for (size_t i = 0; i < sizeof constant / sizeof constant[0]; i++)
                if (strncmp(line, constant[i], strlen(constant[i])) == 0) {
                    XXH3_64bits_update(state, line, strlen(line));
                    hash = 1;
                    break;
                }
        XXH3_64bits_update(state, bli_info_get_version_str(), strlen(bli_info_get_version_str()));
        hash = hash != 0 ? XXH3_64bits_digest(state) : 0;
    }
    if (file != NULL)
        fclose(file);
    XXH3_freeState(state);
    return hash;
}

// False when there is no place for it.
static bool cache_path(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const uint64_t hash = processor_hash();
    int length;

    if (hash == 0)
        return false;
    if (cache != NULL && cache[0] == '/')
        length = snprintf(path, size, "%s/coppice/kernel-%016llx.json", cache, (unsigned long long)hash);
    else if (home != NULL && home[0] == '/')
        length =
            snprintf(path, size, "%s/.cache/coppice/kernel-%016llx.json", home, (unsigned long long)hash);
    else
        return false;
    return length > 0 && (size_t)length < size;
}

static bool recall(struct kernel_survey *survey, const char *path)
{
    json_t *json = NULL;
    const char *own, *best;
    double gain;

    if (sealed_json_read(&json, path, NULL) != STATUS_OK)
        return false;
    const bool good = json_unpack(json, "{s:s, s:s, s:F}", "own", &own, "best", &best, "gain", &gain) == 0 &&
                      strlen(own) < sizeof survey->own && strlen(best) < sizeof survey->best;
    if (good) {
        snprintf(survey->own, sizeof survey->own, "%s", own);
        snprintf(survey->best, sizeof survey->best, "%s", best);
        survey->gain = gain;
    }
    json_decref(json);
    return good;
}

// A cache that cannot be written costs the next start a tenth of a second.
static void remember(const struct kernel_survey *survey, const char *path)
{
    json_t *json =
        json_pack("{s:s, s:s, s:f}", "own", survey->own, "best", survey->best, "gain", survey->gain);
    if (json != NULL)
        (void)sealed_json_write(path, json, NULL);
    json_decref(json);
}

// COPPICE_KERNEL; NULL when it is not set, or empty.
static const char *asked_by_environment(void)
{
    const char *name = getenv("COPPICE_KERNEL");
    return name != NULL && name[0] != '\0' ? name : NULL;
}

void kernel_survey(struct kernel_survey *survey, const char *asked)
{
    char path[PATH_SIZE];

    *survey = (struct kernel_survey){.gain = 1};
    if (asked != NULL || asked_by_environment() != NULL || getenv("BLIS_ARCH_TYPE") != NULL)
        return;
    const bool cached = cache_path(path, sizeof path);
    if (cached && recall(survey, path))
        return;
    measure(survey);
    if (cached && survey->own[0] != '\0')
        remember(survey, path);
}

// ---- the run's -----------------------------------------------------------------------------------------

void kernel_recorded(char *name, size_t size, const char *run, const char *own)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    name[0] = '\0';
    run_file_path(path, run, RUN_RECORD);
    if (sealed_json_read(&json, path, NULL) != STATUS_OK)
        return; // whoever needs it says what is wrong with it
    const char *kernel = json_string_value(json_object_get(json_object_get(json, "versions"), "blis_kernel"));
    snprintf(name, size, "%s", kernel != NULL ? kernel : own);
    json_decref(json);
}

// The widest kernels that every rank's processor has.
static const char *common_kernel(const struct team *world)
{
    const char *name = BLIS_KERNEL_PORTABLE;
    bool found = false;
    for (size_t i = 0; blis_kernel_known(i) != NULL && !found; i++) {
        found = !team_any(world, !blis_kernel_fits(blis_kernel_known(i)));
        if (found)
            name = blis_kernel_known(i);
    }
    return name;
}

// The kernels that somebody asked for, and how firmly.
struct wish {
    char name[BLIS_KERNEL_NAME_SIZE]; // "": BLIS
    bool is_order;                    // not to be replaced by another
};

// Rank 0's.
static struct wish find_wish(const struct kernel_survey *survey, const char *asked, const char *run)
{
    struct wish wish = {.name = ""};

    if (asked == NULL)
        asked = asked_by_environment();
    wish.is_order = asked != NULL || getenv("BLIS_ARCH_TYPE") != NULL;
    if (asked != NULL)
        snprintf(wish.name, sizeof wish.name, "%s", asked);
    if (wish.is_order)
        return wish;
    if (run != NULL)
        kernel_recorded(wish.name, sizeof wish.name, run, survey->own);
    if (wish.name[0] == '\0')
        snprintf(wish.name, sizeof wish.name, "%s", survey->best);
    return wish;
}

// What BLIS takes by itself is good, also where it is none of those that can be asked for: that of another
// processor than x86, or of an old one.
static bool can_take(const struct kernel_survey *survey, const char *name)
{
    return blis_kernel_fits(name) || strcmp(name, survey->own) == 0;
}

enum status kernel_agree(char *notice, size_t size, const struct kernel_survey *survey, const char *asked,
                         const char *run, const struct team *world, struct error *err)
{
    struct wish wish = find_wish(survey, asked, run);
    enum status status = STATUS_OK;
    char first[BLIS_KERNEL_NAME_SIZE];

    notice[0] = '\0';
    FORWARD_IF_ERROR(team_broadcast(world, &wish, sizeof wish, 0, err));
    if (!wish.is_order && wish.name[0] != '\0' && team_any(world, !can_take(survey, wish.name))) {
        const char *common = common_kernel(world);
        snprintf(
            notice, size,
            "not every processor here has the instructions of BLIS's kernels %s: all ranks use %s, which "
            "may change the last bits of results",
            wish.name, common);
        snprintf(wish.name, sizeof wish.name, "%s", common);
    }
    if (wish.name[0] != '\0' && strcmp(wish.name, survey->own) != 0)
        status = blis_kernel_set(wish.name, err);
    FORWARD_IF_ERROR(team_agree(world, status, err));
    snprintf(first, sizeof first, "%s", blis_kernel_name());
    FORWARD_IF_ERROR(team_broadcast(world, first, sizeof first, 0, err));
    if (team_any(world, strcmp(first, blis_kernel_name()) != 0))
        snprintf(notice, size,
                 "the ranks use different kernels of BLIS (the first one %s): results may differ in the last "
                 "bits from those of another number of ranks; --kernel makes them alike",
                 first);
    else if (strcmp(first, BLIS_KERNEL_PORTABLE) == 0 && strcmp(common_kernel(world), first) != 0)
        snprintf(notice, size,
                 "matrix products use BLIS's portable kernels, although this processor has better ones: "
                 "--kernel %s is several times as fast",
                 common_kernel(world));
    return STATUS_OK;
}
