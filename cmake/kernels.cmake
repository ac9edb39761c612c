# The room kernels/, which needs no more than a BLAS, and oneDNN where it is to be used. Gives the target coppice_kernels.
file(GLOB_RECURSE kernels_sources CONFIGURE_DEPENDS ${source_folder}/kernels/*.c)
list(FILTER kernels_sources EXCLUDE REGEX "kernels/(blas_(blis|cblas)|bf16_unit_(onednn|none))\\.c$")
list(APPEND kernels_sources ${source_folder}/${blas_source} ${source_folder}/${bf16_source})

find_package(Threads REQUIRED)
add_library(coppice_kernels STATIC ${kernels_sources})
target_link_libraries(coppice_kernels PUBLIC coppice_flags PRIVATE BLAS::chosen oneDNN::chosen Threads::Threads m)
# Nobody reads the flags of floating-point exceptions, and for their sake GCC leaves a loop over `x < a ? a : x` scalar on
# AVX2. No result changes.
target_compile_options(coppice_kernels PRIVATE -fno-trapping-math)
