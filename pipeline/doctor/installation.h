// installation.h - the program, and the libraries that are loaded.
#pragma once
#include "pipeline/doctor/findings.h"

// Not collective; after MPI_Init.
void installation_look(struct findings *findings);
