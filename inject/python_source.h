/* SPDX-License-Identifier: MIT
 * The text of python/spprof.py, put here by the build. */
#ifndef SP_INJECT_PYTHON_SOURCE_H
#define SP_INJECT_PYTHON_SOURCE_H

extern const char sp_python_source[];

#endif
