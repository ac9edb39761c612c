// standard_descriptors.h - descriptors 0 to 2 are never those of a file or a pipe of ours.
#pragma once

// Call it before anything is opened. Of standard input, output and error, those that whoever started us has
// closed (`2>&-`) become ones that cannot be used: reading or writing still fails with EBADF, as if closed.
// Otherwise the next open would get such a number, and messages would go into the file.
void standard_descriptors_hold(void);
