// power.h - the account that power.c keeps and tools/power_cut.c settles: what a disk need not have yet.
//
// FOLDER/journal is a sequence of records, each followed by `payload` bytes; any number of programs append to
// it, one write for each record. A file that loses a name stays as FOLDER/INODE, so that the name can be
// given back.
#pragma once
#include <stdint.h>

enum power_kind {
    POWER_DATA,          // a file is written: payload is what was in its place
    POWER_SYNCED,        // fsync of a file or a folder: what stands before `offset` of the journal is on disk
    POWER_NAMED,         // a file has got a name
    POWER_RENAMED,       // and lost another, in the same folder; payload has both
    POWER_UNNAMED,       // a file has lost a name
    POWER_FOLDER_MADE,   // a folder has got a name
    POWER_FOLDER_REMOVED // and lost it
};

struct power_record {
    uint64_t mark;    // POWER_MARK: where a record begins
    uint32_t kind;    // enum power_kind
    uint32_t payload; // bytes; of names: "NAME\0" or "NAME\0OLD NAME\0"
    uint64_t inode;   // of the file; of names: of the folder that they are in
    uint64_t other;   // of names: of the file; RENAMED: of the one that was replaced, 0 for none
    uint64_t size;    // DATA: of the file, before
    uint64_t offset;  // DATA: where it is written
    uint64_t length;  // DATA: how much; 0 when only the size changes
};
#define POWER_MARK UINT64_C(0x0a7265776f703a0a)
