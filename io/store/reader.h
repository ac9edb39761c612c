// reader.h - the reader's state, shared by read.c and read_attributes.c.
#pragma once
#include "io/store/format.h"

struct store_reader {
    char *path;
    MPI_Comm comm; // of store_open; not ours
    hid_t file;
};
