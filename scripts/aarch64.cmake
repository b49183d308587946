# SPDX-License-Identifier: MIT
# Debian's cross compiler, libraries of an unpacked arm64 system, programs under emulation: see scripts/aarch64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_C_FLAGS_INIT -mbranch-protection=standard) # return addresses are signed: the emulated processor does that
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(SPPROF_AARCH64_ROOT "" CACHE PATH "the unpacked system")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SPPROF_AARCH64_ROOT)
set(CMAKE_FIND_ROOT_PATH ${SPPROF_AARCH64_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L ${SPPROF_AARCH64_ROOT})
