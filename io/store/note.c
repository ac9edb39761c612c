// Declarations and attributes: noted by all ranks here, written by rank 0 later.
#include "io/store/writer.h"

#include "io/agree.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct store_dataset *store_find_dataset(struct store_writer *writer, const char *name)
{
    // Thousands, and mostly asked for in the order in which they were declared: from the last one on.
    for (size_t k = 0; k < writer->num_datasets; k++) {
        const size_t i = (writer->last_found + k) % writer->num_datasets;
        if (strcmp(writer->datasets[i].name, name) != 0)
            continue;
        writer->last_found = i;
        return &writer->datasets[i];
    }
    return NULL;
}

// True when `above` is a group on the way to `name`.
static bool is_above(const char *above, const char *name)
{
    const size_t length = strlen(above);
    return strncmp(above, name, length) == 0 && name[length] == '/';
}

static enum status check_name(const struct store_writer *writer, const char *name, struct error *err)
{
    const size_t length = strlen(name);
    RETURN_ERROR_IF(length < 2 || name[0] != '/' || name[length - 1] == '/' || strstr(name, "//") != NULL ||
                        strstr(name, "/./") != NULL,
                    err, STATUS_FAILED, "%s: '%s' is not a dataset's name: /GROUP/NAME", writer->path, name);
    for (size_t i = 0; i < writer->num_datasets; i++) {
        const char *other = writer->datasets[i].name;
        RETURN_ERROR_IF(strcmp(other, name) == 0 || is_above(other, name) || is_above(name, other), err,
                        STATUS_FAILED, "%s: dataset %s is in the way of %s", writer->path, other, name);
    }
    return STATUS_OK;
}

static enum status set_shape(const struct store_writer *writer, struct store_dataset *dataset,
                             const struct store_shape *shape, struct error *err)
{
    const uint64_t most = INT64_MAX / 2; // of a file's size
    uint64_t bytes = store_type_size(shape->type);
    bool empty = false;

    RETURN_ERROR_IF(shape->rank < 1 || shape->rank > STORE_MAX_RANK, err, STATUS_FAILED,
                    "%s: %s has %zu dimensions, not 1 to %d", writer->path, dataset->name, shape->rank,
                    STORE_MAX_RANK);
    dataset->type = shape->type;
    dataset->rank = shape->rank;
    for (size_t axis = 0; axis < shape->rank; axis++) {
        const uint64_t extent = dataset->dims[axis] = shape->dims[axis];
        empty = empty || extent == 0;
        RETURN_ERROR_IF(extent != 0 && bytes > most / extent, err, STATUS_FAILED, "%s: %s is too large",
                        writer->path, dataset->name);
        if (extent != 0)
            bytes *= extent;
    }
    dataset->rows = shape->rank == 1 ? 1 : shape->dims[0];
    dataset->row_bytes = empty ? 0 : bytes / dataset->rows;
    return STATUS_OK;
}

static enum status note_dataset(struct store_writer *writer, const char *name,
                                const struct store_shape *shape, struct error *err)
{
    struct store_dataset *larger =
        realloc(writer->datasets, (writer->num_datasets + 1) * sizeof *writer->datasets);

    RETURN_ERROR_IF(larger == NULL, err, STATUS_MEMORY, "out of memory: the datasets of %s", writer->path);
    writer->datasets = larger;
    FORWARD_IF_ERROR(check_name(writer, name, err));
    struct store_dataset *dataset = &writer->datasets[writer->num_datasets];
    *dataset = (struct store_dataset){0};
    writer->num_datasets++; // what it owns is freed with the writer from here on
    FORWARD_IF_ERROR(store_copy_string(&dataset->name, name, err));
    FORWARD_IF_ERROR(store_copy_string(&dataset->unit, shape->unit, err));
    FORWARD_IF_ERROR(store_copy_string(&dataset->meaning, shape->meaning, err));
    FORWARD_IF_ERROR(set_shape(writer, dataset, shape, err));
    FORWARD_IF_ERROR(
        allocate(&dataset->row_hashes, dataset->rows, sizeof(uint64_t), "the hashes of rows", err));
    FORWARD_IF_ERROR(allocate(&dataset->row_filled, dataset->rows, 1, "the rows that were written", err));
    // Rows without bytes need no writer; as far as hashes go, rank 0 is theirs.
    for (uint64_t row = 0; writer->rank == 0 && dataset->row_bytes == 0 && row < dataset->rows; row++) {
        dataset->row_hashes[row] = XXH3_64bits(NULL, 0);
        dataset->row_filled[row] = 1;
    }
    return STATUS_OK;
}

enum status store_declare(struct store_writer *writer, const char *name, const struct store_shape *shape,
                          struct error *err)
{
    if (writer->failure != STATUS_OK)
        return store_refuse(writer, err);
    return store_note(writer, agree(writer->comm, note_dataset(writer, name, shape, err), err));
}

// An object is there if it is "/", a dataset, or a group above one.
static bool object_exists(struct store_writer *writer, const char *object)
{
    if (strcmp(object, "/") == 0 || store_find_dataset(writer, object) != NULL)
        return true;
    for (size_t i = 0; i < writer->num_datasets; i++)
        if (is_above(object, writer->datasets[i].name))
            return true;
    return false;
}

// Takes value over, but not its strings.
static enum status note_attribute(struct store_writer *writer, const char *object, const char *name,
                                  const struct store_attribute *value, struct error *err)
{
    struct store_attribute *larger =
        realloc(writer->attributes, (writer->num_attributes + 1) * sizeof *writer->attributes);

    RETURN_ERROR_IF(larger == NULL, err, STATUS_MEMORY, "out of memory: the attributes of %s", writer->path);
    writer->attributes = larger;
    RETURN_ERROR_IF(!object_exists(writer, object), err, STATUS_FAILED,
                    "%s: attribute %s of %s, which was not declared", writer->path, name, object);
    struct store_attribute *attribute = &writer->attributes[writer->num_attributes++];
    *attribute = *value;
    attribute->object = attribute->name = attribute->string = NULL;
    FORWARD_IF_ERROR(store_copy_string(&attribute->object, object, err));
    FORWARD_IF_ERROR(store_copy_string(&attribute->name, name, err));
    return store_copy_string(&attribute->string, value->string, err);
}

static enum status add_attribute(struct store_writer *writer, const char *object, const char *name,
                                 const struct store_attribute *value, struct error *err)
{
    if (writer->failure != STATUS_OK)
        return store_refuse(writer, err);
    return store_note(writer, agree(writer->comm, note_attribute(writer, object, name, value, err), err));
}

enum status store_attribute_string(struct store_writer *writer, const char *object, const char *attribute,
                                   const char *value, struct error *err)
{
    char *copy; // struct store_attribute owns what it points to, and so does not take a const pointer
    enum status status = store_copy_string(&copy, value, err);
    const struct store_attribute noted = {.type = ATTRIBUTE_STRING, .string = copy};

    status = status != STATUS_OK ? store_note(writer, agree(writer->comm, status, err))
                                 : add_attribute(writer, object, attribute, &noted, err);
    free(copy);
    return status;
}

enum status store_attribute_f64(struct store_writer *writer, const char *object, const char *attribute,
                                double value, struct error *err)
{
    return add_attribute(writer, object, attribute,
                         &(struct store_attribute){.type = ATTRIBUTE_F64, .f64 = value}, err);
}

enum status store_attribute_u64(struct store_writer *writer, const char *object, const char *attribute,
                                uint64_t value, struct error *err)
{
    return add_attribute(writer, object, attribute,
                         &(struct store_attribute){.type = ATTRIBUTE_U64, .u64 = value}, err);
}
