# Compiles for Linux on EDGEFORMER_ARCH (x86_64 or aarch64) with Zig's Clang (`pip install ziglang`), against the C
# library of 2012 (manylinux_2_17), so that the result loads on every board's system. ZIG may name another zig.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR "$ENV{EDGEFORMER_ARCH}")
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$")
  message(FATAL_ERROR "EDGEFORMER_ARCH: expected x86_64 or aarch64, got '${CMAKE_SYSTEM_PROCESSOR}'")
endif()
if(DEFINED ENV{ZIG})
  set(zig "$ENV{ZIG}")
else()
  execute_process(
    COMMAND python3 -c "import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), 'zig'))"
    OUTPUT_VARIABLE zig OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing)
  if(missing)
    message(FATAL_ERROR "no zig: pip install ziglang, or set ZIG to the path of one")
  endif()
endif()
set(CMAKE_CXX_COMPILER "${zig}" c++)
set(CMAKE_CXX_COMPILER_TARGET "${CMAKE_SYSTEM_PROCESSOR}-linux-gnu.2.17")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_AR /usr/bin/ar CACHE FILEPATH "never used: nothing is archived")
set(CMAKE_RANLIB /usr/bin/ranlib CACHE FILEPATH "never used: nothing is archived")
