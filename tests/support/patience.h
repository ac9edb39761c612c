// patience.h - how long a test waits before it says that something hangs.
#ifndef COPPICE_TEST_PATIENCE_H
#define COPPICE_TEST_PATIENCE_H

// How many times longer things may take now than on a quiet machine, as in tests/patience.sh:
// COPPICE_TEST_PATIENCE where that is set, else the programs that wait for a core, for each core; from 1
// to 30. Eight times that with the sanitizers.
unsigned test_patience(void);

#endif
