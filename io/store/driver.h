// driver.h - an HDF5 file driver whose writes never fail for HDF5.
//
// HDF5 1.10 cannot be left in order after a failed write: H5Fclose leaves an id that points to freed memory,
// and with the mpio driver the ranks that did not fail wait for ever in the metadata cache's own barriers. So
// the structure of a file (superblock, groups, dataset headers, attributes; a few KiB) is written by one rank
// through this driver. It does plain pread and pwrite on an open file, remembers the first error and from
// then on drops what is written. HDF5 closes everything in peace; the caller then looks at `failure`.
#pragma once
#include <hdf5.h>

struct store_driver_file {
    int fd;      // open for reading and writing; stays open
    int failure; // errno of the first read, write or truncation that failed; 0: none
};

// Registers the driver; the id goes to H5FDunregister. Negative on failure.
hid_t store_driver_register(void);
// Lets files opened with the access list fapl go to `file`, which must outlive them. Negative on failure.
herr_t store_driver_use(hid_t fapl, hid_t driver, struct store_driver_file *file);
