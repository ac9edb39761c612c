// source_path.h - files of the source tree, for tests.
#pragma once

// "<the source tree>/<relative>", from COPPICE_SOURCE; the caller frees. Skips the running test when it is
// not there.
char *source_path(const char *relative);
