// hdf5_file.h - HDF5 files that are read, made by others or changed since they were written.
//
// HDF5's own way of opening follows a file wherever it points: to other files (external links, external
// storage, virtual datasets, which may also name themselves), to FIFOs, and to filters that are loaded as
// code from a folder. Nothing of that is followed here.
#pragma once
#include "kernels/error.h"
#include <hdf5.h>
#include <stdbool.h>

// None of HDF5's variables has it load code from then on (HDF5_PLUGIN_PATH, _PLUGIN_PRELOAD, _VOL_CONNECTOR,
// _DRIVER), and it takes no locks, which many parallel file systems do not have, unless the user's
// HDF5_USE_FILE_LOCKING says so. Before the first call of HDF5, which reads them as it begins.
void hdf5_set_variables(void);

// Opens a regular file for reading. A lock that the user wants and does not get is STATUS_FAILED. is_link:
// path itself may be a symbolic link. A file that cannot be opened, or is not HDF5's, has the status
// `refusal`. The caller closes *file with H5Fclose; it is invalid after a failure.
enum status hdf5_file_open(hid_t *file, const char *path, bool is_link, enum status refusal,
                           struct error *err);

// Opens a dataset whose values are in this very file. Refused by one line, with the status `refusal`: a name
// that is not there, a part of it that is a soft or external link, what is no dataset, external storage, a
// virtual layout, chunks of more than LIMIT_HDF5_CHUNK_BYTES, filters that are not HDF5's own, and less data
// in the file than its dimensions say.
// file_path opens messages. The caller closes *dataset with H5Dclose; it is invalid after a failure.
enum status hdf5_dataset_open(hid_t *dataset, hid_t file, const char *name, const char *file_path,
                              enum status refusal, struct error *err);
