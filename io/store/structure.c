// The structure of a file: groups, dataset headers, attributes. Rank 0 alone, with plain serial HDF5.
#include "io/store/writer.h"

#include "io/store/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The v1.8 file format: all of its metadata is checksummed, as that of 1.10, but a file opened for writing is
// not marked in its superblock. So opening it with the mpio driver has nothing to write.
herr_t store_set_format(hid_t fapl)
{
    // Strong: closing the file also closes objects that a failure in between left open.
    return H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0
               ? -1
               : H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
}

static hid_t no_times(hid_t class)
{
    hid_t list = H5Pcreate(class);
    // A time would make two files with the same contents differ.
    if (list >= 0 && H5Pset_obj_track_times(list, 0) < 0) {
        H5Pclose(list);
        return H5I_INVALID_HID;
    }
    return list;
}

static hid_t create_file(const char *name, hid_t fapl)
{
    hid_t file = H5I_INVALID_HID, fcpl = no_times(H5P_FILE_CREATE);

    if (fcpl >= 0 && H5Pset_userblock(fcpl, STORE_USER_BLOCK) >= 0)
        file = H5Fcreate(name, H5F_ACC_TRUNC, fcpl, fapl);
    if (fcpl >= 0)
        H5Pclose(fcpl);
    return file;
}

// Makes the groups above dataset `name`.
static herr_t create_groups(hid_t file, const char *name)
{
    herr_t result = 0;
    char *path = strdup(name);
    hid_t gcpl = no_times(H5P_GROUP_CREATE);

    if (path == NULL || gcpl < 0)
        result = -1;
    for (char *slash = path; result >= 0 && (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        const htri_t exists = H5Lexists(file, path, H5P_DEFAULT);
        if (exists > 0)
            continue;
        const hid_t group =
            exists < 0 ? H5I_INVALID_HID : H5Gcreate2(file, path, H5P_DEFAULT, gcpl, H5P_DEFAULT);
        if (group < 0 || H5Gclose(group) < 0)
            result = -1;
    }
    if (gcpl >= 0)
        H5Pclose(gcpl);
    free(path);
    return result;
}

static herr_t set_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    herr_t result = -1;
    const htri_t exists = H5Aexists(object, name);
    hid_t space = H5I_INVALID_HID, attribute = H5I_INVALID_HID;

    if (exists > 0 && H5Adelete(object, name) < 0)
        return -1;
    if (exists >= 0 && (space = H5Screate(H5S_SCALAR)) >= 0)
        attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        result = H5Awrite(attribute, type, value);
        H5Aclose(attribute);
    }
    if (space >= 0)
        H5Sclose(space);
    return result;
}

static herr_t set_string(hid_t object, const char *name, const char *value)
{
    herr_t result = -1;
    hid_t type = H5Tcopy(H5T_C_S1);

    // With its final NUL, so that the empty string has a size, too.
    if (type >= 0 && H5Tset_size(type, strlen(value) + 1) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        result = set_attribute(object, name, type, value);
    if (type >= 0)
        H5Tclose(type);
    return result;
}

static herr_t create_dataset(hid_t file, struct store_dataset *dataset)
{
    const uint64_t no_hash_yet = 0; // takes the place of the hash, so that the commit only fills in a value
    hsize_t dims[STORE_MAX_RANK];
    herr_t result = -1;
    hid_t space, dcpl = no_times(H5P_DATASET_CREATE), id = H5I_INVALID_HID;

    for (size_t axis = 0; axis < dataset->rank; axis++)
        dims[axis] = dataset->dims[axis];
    space = H5Screate_simple((int)dataset->rank, dims, NULL);
    if (space >= 0 && dcpl >= 0 && H5Pset_layout(dcpl, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(dcpl, H5D_FILL_TIME_NEVER) >= 0 && create_groups(file, dataset->name) >= 0)
        id = H5Dcreate2(file, dataset->name, store_type_file(dataset->type), space, H5P_DEFAULT, dcpl,
                        H5P_DEFAULT);
    if (id >= 0) {
        result = set_attribute(id, "xxh3", H5T_STD_U64LE, &no_hash_yet);
        if (result >= 0 && dataset->unit != NULL)
            result = set_string(id, "unit", dataset->unit);
        if (result >= 0 && dataset->meaning != NULL)
            result = set_string(id, "meaning", dataset->meaning);
        if (H5Dclose(id) < 0)
            result = -1;
    }
    if (space >= 0)
        H5Sclose(space);
    if (dcpl >= 0)
        H5Pclose(dcpl);
    return result;
}

static herr_t apply_attribute(hid_t file, const struct store_attribute *attribute)
{
    herr_t result = -1;
    hid_t object = H5Oopen(file, attribute->object, H5P_DEFAULT);

    if (object < 0)
        return -1;
    switch (attribute->type) {
    case ATTRIBUTE_STRING:
        result = set_string(object, attribute->name, attribute->string);
        break;
    case ATTRIBUTE_F64:
        result = set_attribute(object, attribute->name, H5T_IEEE_F64LE, &attribute->f64);
        break;
    case ATTRIBUTE_U64:
        result = set_attribute(object, attribute->name, H5T_STD_U64LE, &attribute->u64);
        break;
    }
    return H5Oclose(object) < 0 ? -1 : result;
}

static enum status apply_noted(struct store_writer *writer, hid_t file, struct error *err)
{
    for (size_t i = 0; i < writer->num_datasets; i++) {
        struct store_dataset *dataset = &writer->datasets[i];
        if (!dataset->exists && create_dataset(file, dataset) < 0)
            return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot create dataset %s", writer->path,
                                     dataset->name);
    }
    for (size_t i = 0; i < writer->num_attributes; i++)
        if (apply_attribute(file, &writer->attributes[i]) < 0)
            return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot set attribute %s of %s", writer->path,
                                     writer->attributes[i].name, writer->attributes[i].object);
    return STATUS_OK;
}

static enum status apply_hashes(struct store_writer *writer, hid_t file, const uint64_t *hashes,
                                struct error *err)
{
    for (size_t i = 0; i < writer->num_datasets; i++) {
        const char *name = writer->datasets[i].name;
        // Not H5Aopen_by_name: HDF5 1.10 cannot write to an attribute that was opened so.
        const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
        const hid_t attribute = dataset >= 0 ? H5Aopen(dataset, "xxh3", H5P_DEFAULT) : H5I_INVALID_HID;
        if (attribute < 0 || H5Awrite(attribute, H5T_NATIVE_UINT64, &hashes[i]) < 0)
            return store_hdf5_failed(err, STATUS_FAILED, "%s: cannot set attribute xxh3 of %s", writer->path,
                                     name);
        H5Aclose(attribute);
        H5Dclose(dataset);
    }
    return STATUS_OK;
}

// Applies what was noted and, if given, the hashes, to the file that target writes to.
static enum status apply_to(struct store_writer *writer, struct store_driver_file *target,
                            const uint64_t *hashes, struct error *err)
{
    enum status status = STATUS_OK;
    const hid_t driver = store_driver_register(), fapl = H5Pcreate(H5P_FILE_ACCESS);
    hid_t file = H5I_INVALID_HID;

    if (driver >= 0 && fapl >= 0 && store_set_format(fapl) >= 0 &&
        store_driver_use(fapl, driver, target) >= 0)
        file = writer->structure_exists ? H5Fopen(writer->temporary, H5F_ACC_RDWR, fapl)
                                        : create_file(writer->temporary, fapl);
    if (file < 0) {
        status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot start the file", writer->path);
    } else {
        status = apply_noted(writer, file, err);
        if (status == STATUS_OK && hashes != NULL)
            status = apply_hashes(writer, file, hashes, err);
        if (H5Fclose(file) < 0 && status == STATUS_OK)
            status = store_hdf5_failed(err, STATUS_FAILED, "%s: cannot close the file", writer->path);
    }
    if (fapl >= 0)
        H5Pclose(fapl);
    if (driver >= 0)
        H5FDunregister(driver);
    return status;
}

// The descriptor is one of its own because closing it is what lets the other nodes of a network file system
// see what was written.
static enum status with_serial_file(struct store_writer *writer, const uint64_t *hashes, struct error *err)
{
    struct store_driver_file target = {.fd = open(writer->temporary, O_RDWR | O_CLOEXEC | O_NOFOLLOW)};

    RETURN_ERROR_IF(target.fd < 0, err, STATUS_FAILED, "%s: cannot open its temporary file: %s", writer->path,
                    strerror(errno));
    const enum status status = apply_to(writer, &target, hashes, err);
    if (close(target.fd) != 0 && target.failure == 0 && errno != EINTR)
        target.failure = errno;
    // The system's reason says more than HDF5's.
    RETURN_ERROR_IF(target.failure != 0, err, STATUS_FAILED, "%s: cannot write its structure: %s",
                    writer->path, strerror(target.failure));
    return status;
}

enum status store_structure_write(struct store_writer *writer, struct error *err)
{
    return with_serial_file(writer, NULL, err);
}

enum status store_structure_set_hashes(struct store_writer *writer, const uint64_t *hashes, struct error *err)
{
    return with_serial_file(writer, hashes, err);
}
