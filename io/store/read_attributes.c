// Attributes of a committed file.
#include "io/store/reader.h"

#include <stdlib.h>

enum status store_find_attribute(const struct store_reader *reader, const char *object, const char *attribute,
                                 bool *is_there, struct error *err)
{
    const htri_t exists = H5Aexists_by_name(reader->file, object, attribute, H5P_DEFAULT);

    *is_there = exists > 0;
    return exists >= 0 ? STATUS_OK
                       : store_hdf5_failed(err, STATUS_FAILED, "%s: cannot look for attribute %s of %s",
                                           reader->path, attribute, object);
}

// Opens the attribute and its type, which must be one scalar of `class`.
static enum status open_attribute(const struct store_reader *reader, const char *object, const char *name,
                                  H5T_class_t class, hid_t *attribute, hid_t *type, struct error *err)
{
    bool right = false;

    *type = H5I_INVALID_HID;
    *attribute = H5Aopen_by_name(reader->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (*attribute < 0)
        return store_hdf5_failed(err, STATUS_FAILED, "%s: %s has no attribute %s", reader->path, object,
                                 name);
    *type = H5Aget_type(*attribute);
    const hid_t space = H5Aget_space(*attribute);
    if (*type >= 0 && space >= 0)
        right = H5Tget_class(*type) == class && H5Sget_simple_extent_npoints(space) == 1 &&
                (class != H5T_STRING || H5Tis_variable_str(*type) == 0);
    if (space >= 0)
        H5Sclose(space);
    if (!right) {
        if (*type >= 0)
            H5Tclose(*type);
        H5Aclose(*attribute);
        return error_set(err, STATUS_FAILED,
                         "%s: attribute %s of %s does not have the type that is asked for", reader->path,
                         name, object);
    }
    return STATUS_OK;
}

static enum status read_attribute(const struct store_reader *reader, const char *object, const char *name,
                                  H5T_class_t class, hid_t memory, void *value, struct error *err)
{
    hid_t attribute, type;

    FORWARD_IF_ERROR(open_attribute(reader, object, name, class, &attribute, &type, err));
    const herr_t result = H5Aread(attribute, memory, value);
    H5Tclose(type);
    H5Aclose(attribute);
    return result >= 0 ? STATUS_OK
                       : store_hdf5_failed(err, STATUS_FAILED, "%s: cannot read attribute %s of %s",
                                           reader->path, name, object);
}

enum status store_read_attribute_f64(const struct store_reader *reader, const char *object,
                                     const char *attribute, double *value, struct error *err)
{
    return read_attribute(reader, object, attribute, H5T_FLOAT, H5T_NATIVE_DOUBLE, value, err);
}

enum status store_read_attribute_u64(const struct store_reader *reader, const char *object,
                                     const char *attribute, uint64_t *value, struct error *err)
{
    return read_attribute(reader, object, attribute, H5T_INTEGER, H5T_NATIVE_UINT64, value, err);
}

enum status store_read_attribute_string(const struct store_reader *reader, const char *object,
                                        const char *attribute, char **value, struct error *err)
{
    hid_t id, type;
    enum status status;

    *value = NULL;
    FORWARD_IF_ERROR(open_attribute(reader, object, attribute, H5T_STRING, &id, &type, err));
    status = allocate(value, H5Tget_size(type) + 1, 1, "an attribute", err);
    if (status == STATUS_OK && H5Aread(id, type, *value) < 0) {
        status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot read attribute %s of %s", reader->path,
                                   attribute, object);
        free(*value);
        *value = NULL;
    }
    H5Tclose(type);
    H5Aclose(id);
    return status;
}
