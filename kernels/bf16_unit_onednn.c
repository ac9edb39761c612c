// oneDNN, 2.6 and later.
#include "kernels/bf16_unit.h"

#include <dlfcn.h>
#include <dnnl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR < 3
typedef dnnl_memory_desc_t *memory_description; // a struct that the caller holds
#else
typedef dnnl_memory_desc_t memory_description;
#endif

// What one thread uses. The library's own scratch memory is for the thread that made a primitive.
struct slot {
    dnnl_stream_t stream;
    dnnl_memory_t a, b, c, scratch;
};

// One primitive serves all products: what is summed in which order depends on no size. It lives as long as
// the program, as the BLAS's own memory does.
static struct {
    dnnl_engine_t engine;
    dnnl_primitive_t product;
    dnnl_memory_desc_t operands[4]; // a, b, c, scratch memory
    struct slot *slots;
    size_t num_slots;
} unit;

// ---- one thread ----------------------------------------------------------------------------------------

// oneDNN may split a sum among its threads. It takes as many as OpenMP would: one, while this holds. ISO C
// has no conversion from dlsym's pointer to one of a function; POSIX promises that they are alike.
static int hold_threads(int threads)
{
    int (*get)(void);
    void (*set)(int);

    *(void **)&get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    *(void **)&set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (get == NULL || set == NULL)
        return threads;
    const int before = get();
    if (before != threads)
        set(threads);
    return before;
}

// ---- making it -----------------------------------------------------------------------------------------

// Bits of dnnl_cpu_isa_t: each set of instructions has those of the sets that it contains.
static bool processor_has(dnnl_cpu_isa_t isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)isa) == (unsigned)isa;
}

// Of a row-major matrix; of its transpose where it is transposed.
static dnnl_status_t describe(dnnl_memory_desc_t *description, const dnnl_dim_t sizes[2], bool transposed,
                              dnnl_data_type_t type)
{
    const dnnl_dims_t dims = {sizes[0], sizes[1]};
    const dnnl_dims_t strides = {transposed ? 1 : sizes[1], transposed ? sizes[0] : 1};
#if DNNL_VERSION_MAJOR < 3
    return dnnl_memory_desc_init_by_strides(description, 2, dims, type, strides);
#else
    return dnnl_memory_desc_create_with_strides(description, 2, dims, type, strides);
#endif
}

static dnnl_status_t describe_product(dnnl_primitive_desc_t *product, const dnnl_memory_desc_t operands[3],
                                      dnnl_primitive_attr_t attributes)
{
#if DNNL_VERSION_MAJOR < 3
    dnnl_matmul_desc_t matmul;
    const dnnl_status_t status =
        dnnl_matmul_desc_init(&matmul, &operands[0], &operands[1], NULL, &operands[2]);
    return status != dnnl_success
               ? status
               : dnnl_primitive_desc_create(product, &matmul, attributes, unit.engine, NULL);
#else
    return dnnl_matmul_primitive_desc_create(product, unit.engine, operands[0], operands[1], NULL,
                                             operands[2], attributes);
#endif
}

static memory_description handle_of(dnnl_memory_desc_t *description)
{
#if DNNL_VERSION_MAJOR < 3
    return description;
#else
    return *description;
#endif
}

// c += a b
static dnnl_status_t add_to_result(dnnl_primitive_attr_t *attributes)
{
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);

    if (status == dnnl_success)
        status = dnnl_post_ops_create(&after);
    if (status == dnnl_success)
#if DNNL_VERSION_MAJOR < 3
        status = dnnl_post_ops_append_sum(after, 1.0F);
#else
        status = dnnl_post_ops_append_sum(after, 1.0F, 0, dnnl_data_type_undef);
#endif
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(*attributes, after);
    if (after != NULL)
        dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t describe_operands(void)
{
    static const dnnl_dim_t a[2] = {BF16_ROWS, BF16_DEPTH}, b[2] = {BF16_DEPTH, BF16_COLUMNS},
                            c[2] = {BF16_ROWS, BF16_COLUMNS};
    dnnl_status_t status = describe(&unit.operands[0], a, false, dnnl_bf16);

    if (status == dnnl_success)
        status = describe(&unit.operands[1], b, true, dnnl_bf16);
    return status == dnnl_success ? describe(&unit.operands[2], c, false, dnnl_f32) : status;
}

// Keeps what the product needs besides a, b and c.
static dnnl_status_t describe_scratch(const_dnnl_primitive_desc_t product)
{
#if DNNL_VERSION_MAJOR < 3
    unit.operands[3] = *dnnl_primitive_desc_query_md(product, dnnl_query_scratchpad_md, 0);
    return dnnl_success;
#else
    return dnnl_memory_desc_clone(&unit.operands[3],
                                  dnnl_primitive_desc_query_md(product, dnnl_query_scratchpad_md, 0));
#endif
}

static dnnl_status_t make_product(void)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = dnnl_engine_create(&unit.engine, dnnl_cpu, 0);

    if (status == dnnl_success)
        status = add_to_result(&attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = describe_operands();
    if (status == dnnl_success)
        status = describe_product(&description, unit.operands, attributes);
    if (status == dnnl_success)
        status = describe_scratch(description);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&unit.product, description);
    if (description != NULL)
        dnnl_primitive_desc_destroy(description);
    if (attributes != NULL)
        dnnl_primitive_attr_destroy(attributes);
    return status;
}

static dnnl_status_t make_slot(struct slot *slot)
{
    dnnl_memory_t *memories[] = {&slot->a, &slot->b, &slot->c, &slot->scratch};
    dnnl_status_t status = dnnl_stream_create(&slot->stream, unit.engine, dnnl_stream_default_flags);

    for (size_t i = 0; i < 4 && status == dnnl_success; i++)
        status = dnnl_memory_create(memories[i], handle_of(&unit.operands[i]), unit.engine,
                                    i < 3 ? DNNL_MEMORY_NONE : DNNL_MEMORY_ALLOCATE);
    return status;
}

static dnnl_status_t make_slots(size_t threads)
{
    struct slot *slots = realloc(unit.slots, threads * sizeof *slots);
    dnnl_status_t status = slots != NULL ? dnnl_success : dnnl_out_of_memory;

    unit.slots = slots != NULL ? slots : unit.slots;
    for (; unit.num_slots < threads && status == dnnl_success; unit.num_slots += status == dnnl_success)
        status = make_slot(&unit.slots[unit.num_slots]);
    return status;
}

enum status bf16_unit_prepare(size_t threads, struct error *err)
{
    RETURN_ERROR_IF(!processor_has(dnnl_cpu_isa_avx512_core_bf16), err, STATUS_USAGE,
                    "this processor has no AVX512-BF16, as far as oneDNN knows");
    const int before = hold_threads(1);
    dnnl_status_t status = unit.product == NULL ? make_product() : dnnl_success;
    if (status == dnnl_success && threads > unit.num_slots)
        status = make_slots(threads);
    hold_threads(before);
    RETURN_ERROR_IF(status == dnnl_out_of_memory, err, STATUS_MEMORY, "out of memory for oneDNN's products");
    RETURN_ERROR_IF(status != dnnl_success, err, STATUS_USAGE,
                    "oneDNN has no product of bfloat16 for this processor");
    return STATUS_OK;
}

void bf16_unit_name(char *name, size_t size)
{
    const dnnl_version_t *version = dnnl_version();

    snprintf(name, size, "oneDNN %d.%d.%d, %s", version->major, version->minor, version->patch,
             processor_has(dnnl_cpu_isa_avx512_core_amx)    ? "AMX"
             : processor_has(dnnl_cpu_isa_avx512_core_bf16) ? "AVX512-BF16"
                                                            : "no bfloat16");
}

// ---- products ------------------------------------------------------------------------------------------

static dnnl_status_t multiply_step(const struct slot *slot, const uint16_t *a, const uint16_t *b)
{
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, slot->a},
                                         {DNNL_ARG_WEIGHTS, slot->b},
                                         {DNNL_ARG_DST, slot->c},
                                         {DNNL_ARG_SCRATCHPAD, slot->scratch}};
    dnnl_status_t status = dnnl_memory_set_data_handle(slot->a, (void *)a); // only read

    if (status == dnnl_success)
        status = dnnl_memory_set_data_handle(slot->b, (void *)b);
    if (status == dnnl_success)
        status = dnnl_primitive_execute(unit.product, slot->stream, 4, arguments);
    return status == dnnl_success ? dnnl_stream_wait(slot->stream) : status;
}

void bf16_unit_multiply(float *c, const uint16_t *a, const uint16_t *b, size_t steps, size_t thread)
{
    const struct slot *slot = thread < unit.num_slots ? &unit.slots[thread] : NULL;
    const int before = hold_threads(1);
    dnnl_status_t status = slot != NULL ? dnnl_memory_set_data_handle(slot->c, c) : dnnl_invalid_arguments;

    for (size_t step = 0; step < steps && status == dnnl_success; step++)
        status = multiply_step(slot, a + step * BF16_ROWS * BF16_DEPTH, b + step * BF16_COLUMNS * BF16_DEPTH);
    hold_threads(before);
    for (size_t i = 0; i < (size_t)BF16_ROWS * BF16_COLUMNS && status != dnnl_success; i++)
        c[i] = NAN;
}
