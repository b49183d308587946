# What the lists of tests are written with. Every test has a name that mirrors the tree, and a time limit; exit 77 means skipped.
set(TESTS ${CMAKE_CURRENT_LIST_DIR}/..)
get_filename_component(TESTS ${TESTS} ABSOLUTE)
set(LIBRARY $<TARGET_FILE:spprof_library>)

function(sp_test name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_BINARY_DIR} COMMAND_EXPAND_LISTS)
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77)
endfunction()

# A test that is a Python script of tests/.
function(sp_script_test name script)
  sp_test(${name} ${PY} ${TESTS}/${script} ${ARGN})
endfunction()

# A C program that links the modules.
function(sp_unit name)
  add_executable(${name} ${ARGN} ${TESTS}/support/unit.c)
  target_link_libraries(${name} PRIVATE unit_objects)
  string(REPLACE "_" "." test ${name})
  sp_test(${test} ${name})
endfunction()

# A library, lib<name>.so in the build's tests/, that test programs load; then what it links.
function(sp_helper name source)
  add_library(${name} SHARED ${source})
  target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
  set_target_properties(${name} PROPERTIES C_VISIBILITY_PRESET default LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARGN})
endfunction()

# tests/suites.py calls these.
function(sp_case folder tag script python name cpus jit)
  set(test ${folder}.${tag}.${name})
  sp_test(${test} ${PY} ${script} ${python} ${LIBRARY} ${CMAKE_BINARY_DIR} ${name})
  set_tests_properties(${test} PROPERTIES LABELS ${tag} PROCESSORS ${cpus})
  if(jit)
    set_tests_properties(${test} PROPERTIES ENVIRONMENT "SPPROF_TEST_JIT=1")
  endif()
endfunction()

function(sp_pod_suite tag suite script python)
  sp_test(pod.${tag}.${suite} ${CMAKE_SOURCE_DIR}/scripts/pod /usr/bin/python3 ${script} ${python} ${LIBRARY} ${CMAKE_BINARY_DIR})
  set_tests_properties(pod.${tag}.${suite} PROPERTIES LABELS ${tag} ENVIRONMENT "SPPROF_TEST_RECYCLE=1")
endfunction()

function(sp_reads) # configure again when one of these changes
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})
endfunction()

# The interpreters of scripts/pythons: `found`, a list of its lines; `known`, the paths of those whose frames are known, of which
# `oldest`, `newest` and `last` are some.
macro(sp_find_pythons)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/scripts/pythons OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REPLACE "\n" ";" found "${found}")
  set(known "")
  set(newest_version 0)
  foreach(line IN LISTS found)
    sp_python(${line})
    if(is_known)
      list(APPEND known ${python})
      if(version VERSION_GREATER newest_version)
        set(newest ${python})
        set(newest_version ${version})
      endif()
    endif()
  endforeach()
  list(GET known 0 oldest)
  list(GET known -1 last)
endmacro()

# A line of it: sets tag, version, python, is_known.
macro(sp_python line)
  string(REPLACE " " ";" fields ${line})
  list(GET fields 0 tag)
  list(GET fields 1 version)
  list(GET fields 3 python)
  set(is_known OFF)
  if(version VERSION_GREATER_EQUAL 3.9 AND NOT tag MATCHES "trace-refs")
    set(is_known ON)
  endif()
endmacro()

# Every case of suites.txt under the interpreters that want it.
macro(sp_suites)
  set(extent every)
  if(SPPROF_TEST_ALL)
    set(extent all)
  endif()
  set(has ${CMAKE_SYSTEM_PROCESSOR})
  if(SPPROF_COMMAND)
    list(APPEND has command)
  endif()
  set(chosen ${CMAKE_CURRENT_BINARY_DIR}/suites.cmake)
  execute_process(COMMAND ${PY} ${TESTS}/suites.py "${found}" ${extent} ${has} OUTPUT_FILE ${chosen} RESULT_VARIABLE rc)
  if(rc)
    message(FATAL_ERROR "tests/suites.py: ${rc}")
  endif()
  include(${chosen})
endmacro()

function(sp_suite)
  message(FATAL_ERROR "a suite is a row in tests/suites.txt, not a call of sp_suite(): ${ARGN}")
endfunction()
