#include "pipeline/run/process/kernel_choice.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "pipeline/record/run_json/run_record.h"

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
    char name[BLAS_KERNEL_NAME_SIZE];
    struct blas_kernel_rate rate;
};

static void run_trial(int out, const char *name)
{
    struct trial trial = {0};

    alarm(CHILD_SECONDS);
    // BLIS ends the process with a message when it lacks the kernels: that is an answer, too.
    if (freopen("/dev/null", "w", stderr) == NULL ||
        (name != NULL && blas_kernel_set(name, NULL) != STATUS_OK))
        _exit(EXIT_FAILURE);
    snprintf(trial.name, sizeof trial.name, "%s", blas_kernel_name());
    if (blas_kernel_measure(&trial.rate, NULL) != STATUS_OK ||
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
    const size_t count = blas_kernel_rivals(rivals, sizeof rivals / sizeof rivals[0], own.name);
    for (size_t i = 0; i < count; i++) {
        if (!try_kernel(&rival, rivals[i]) || strcmp(rival.name, rivals[i]) != 0)
            continue;
        const double gain = blas_kernel_gain(&rival.rate, &own.rate);
        if (gain < BLAS_KERNEL_WORTHWHILE || gain < survey->gain * BLAS_KERNEL_WORTHWHILE)
            continue;
        snprintf(survey->best, sizeof survey->best, "%s", rival.name);
        survey->gain = gain;
    }
}

// ---- what was measured before --------------------------------------------------------------------------

// Hash of what makes processors and libraries alike: the first processor's lines of /proc/cpuinfo that are
// always the same, and the BLAS's version. 0: not known.
static uint64_t processor_hash(void)
{
    static const char *const constant[] = {"vendor_id", "cpu family", "model", "stepping",
                                           "flags",     "Features",   "CPU "};
    char line[4096], library[BLAS_NAME_SIZE];
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
        blas_name(library, sizeof library);
        XXH3_64bits_update(state, library, strlen(library));
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

void kernel_recorded(char *name, size_t size, char *library, const char *run, const char *own)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    name[0] = library[0] = '\0';
    run_file_path(path, run, RUN_RECORD);
    if (sealed_json_read(&json, path, NULL) != STATUS_OK)
        return; // whoever needs it says what is wrong with it
    const json_t *versions = json_object_get(json, "versions");
    const char *blas = json_string_value(json_object_get(versions, RECORD_BLAS));
    const char *blis = json_string_value(json_object_get(versions, "blis"));
    const char *kernel =
        json_string_value(json_object_get(versions, blas != NULL ? RECORD_BLAS_KERNEL : "blis_kernel"));
    snprintf(name, size, "%s", kernel != NULL ? kernel : own);
    if (blas != NULL)
        snprintf(library, BLAS_NAME_SIZE, "%s", blas);
    else if (blis != NULL)
        snprintf(library, BLAS_NAME_SIZE, "BLIS %s", blis);
    json_decref(json);
}

// The widest kernels that every rank's processor has.
static const char *common_kernel(const struct team *world)
{
    const char *name = BLAS_KERNEL_PORTABLE;
    bool found = false;
    for (size_t i = 0; blas_kernel_known(i) != NULL && !found; i++) {
        found = !team_any(world, !blas_kernel_fits(blas_kernel_known(i)));
        if (found)
            name = blas_kernel_known(i);
    }
    return name;
}

// The kernels that somebody asked for, and how firmly.
struct wish {
    char name[BLAS_KERNEL_NAME_SIZE]; // "": what the library takes
    bool is_order;                    // not to be replaced by another
    // What the run began with; "" at its begin.
    char library[BLAS_NAME_SIZE], began[BLAS_KERNEL_NAME_SIZE];
};

// Rank 0's.
static struct wish find_wish(const struct kernel_survey *survey, const char *asked, const char *run)
{
    struct wish wish = {.name = ""};

    if (run != NULL)
        kernel_recorded(wish.began, sizeof wish.began, wish.library, run, survey->own);
    if (asked == NULL)
        asked = asked_by_environment();
    wish.is_order = asked != NULL || getenv("BLIS_ARCH_TYPE") != NULL;
    if (wish.is_order)
        snprintf(wish.name, sizeof wish.name, "%s", asked != NULL ? asked : "");
    else
        snprintf(wish.name, sizeof wish.name, "%s", wish.began[0] != '\0' ? wish.began : survey->best);
    return wish;
}

// What BLIS takes by itself is good, also where it is none of those that can be asked for: that of another
// processor than x86, or of an old one.
static bool can_take(const struct kernel_survey *survey, const char *name)
{
    return blas_kernel_fits(name) || strcmp(name, survey->own) == 0;
}

// Only BLIS can be told which kernels to take.
static bool can_be_told(void)
{
    return blas_kernel_known(0) != NULL;
}

// Another library than the run's, another version of it, or other kernels of one that takes what it likes.
static bool began_otherwise(const struct wish *wish, const char *library)
{
    return wish->library[0] != '\0' && (strcmp(wish->library, library) != 0 ||
                                        (!can_be_told() && strcmp(wish->began, blas_kernel_name()) != 0));
}

enum status kernel_agree(char *notice, size_t size, const struct kernel_survey *survey, const char *asked,
                         const char *run, const struct team *world, struct error *err)
{
    struct wish wish = find_wish(survey, asked, run);
    enum status status = STATUS_OK;
    char first[BLAS_KERNEL_NAME_SIZE], library[BLAS_NAME_SIZE];

    notice[0] = '\0';
    blas_name(library, sizeof library);
    FORWARD_IF_ERROR(team_broadcast(world, &wish, sizeof wish, 0, err));
    const bool is_mixed = team_any(world, began_otherwise(&wish, library));
    if (is_mixed)
        snprintf(notice, size,
                 "the run began with %s, kernels %s, and goes on with %s: the last bits of its results may "
                 "differ from those of one library",
                 wish.library, wish.began, library);
    if (!wish.is_order && !can_be_told()) {
        wish.name[0] = '\0';
    } else if (!wish.is_order && wish.name[0] != '\0' && team_any(world, !can_take(survey, wish.name))) {
        const char *common = common_kernel(world);
        if (!is_mixed)
            snprintf(notice, size,
                     "not every processor here has the instructions of BLIS's kernels %s: all ranks use %s, "
                     "which may change the last bits of results",
                     wish.name, common);
        snprintf(wish.name, sizeof wish.name, "%s", common);
    }
    if (wish.name[0] != '\0' && strcmp(wish.name, survey->own) != 0)
        status = blas_kernel_set(wish.name, err);
    FORWARD_IF_ERROR(team_agree(world, status, err));
    snprintf(first, sizeof first, "%s", blas_kernel_name());
    FORWARD_IF_ERROR(team_broadcast(world, first, sizeof first, 0, err));
    if (team_any(world, strcmp(first, blas_kernel_name()) != 0))
        snprintf(notice, size,
                 "the ranks use different kernels of %s (the first one %s): results may differ in the last "
                 "bits from those of another number of ranks%s",
                 library, first, can_be_told() ? "; --kernel makes them alike" : "");
    else if (!is_mixed && strcmp(first, BLAS_KERNEL_PORTABLE) == 0 &&
             strcmp(common_kernel(world), first) != 0)
        snprintf(notice, size,
                 "matrix products use BLIS's portable kernels, although this processor has better ones: "
                 "--kernel %s is several times as fast",
                 common_kernel(world));
    return STATUS_OK;
}
