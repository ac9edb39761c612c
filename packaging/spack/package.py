# A recipe for Spack from 1.0 on. Its imports, and the names of packages and variants, were compared with spack-packages of
# 2026-07-01; it was neither concretised nor built. The source is a checkout: `spack develop --path /path/to/coppice coppice@main`.
from spack_repo.builtin.build_systems.cmake import CMakePackage

from spack.package import *


class Coppice(CMakePackage):
    """Gradient-free pruning of large language models on MPI clusters."""

    license("Apache-2.0", checked_by="coppice")

    version("main")
    version("0.1.0")
    # No archive is published: both versions are built from a checkout.
    manual_download = True

    variant("tests", default=False, description="Build the tests")
    variant(
        "blas",
        default="blis",
        values=("blis", "any"),
        multi=False,
        description="Matrix products by BLIS's own interface, or by the CBLAS of the provider of blas",
    )

    depends_on("c", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10.5:+mpi")
    depends_on("blis+cblas threads=pthreads", when="blas=blis")
    # With LAPACKE: netlib-lapack's is a library of its own, OpenBLAS has it inside.
    depends_on("openblas", when="blas=any")
    depends_on("netlib-lapack+lapacke", when="blas=blis")
    depends_on("jansson")
    depends_on("libyaml")
    depends_on("pcre2")
    depends_on("utf8proc")
    depends_on("xxhash")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("gnuplot", type="run")
    depends_on("cmocka", when="+tests", type=("build", "test"))

    def cmake_args(self):
        return [
            self.define_from_variant("COPPICE_TESTS", "tests"),
            self.define("COPPICE_BLAS", "BLIS" if self.spec.satisfies("blas=blis") else "OpenBLAS"),
            self.define("HDF5_ROOT", self.spec["hdf5"].prefix),
            self.define("MPI_C_COMPILER", self.spec["mpi"].mpicc),
        ]
