/* SPDX-License-Identifier: MIT */
#ifndef SP_COMPAT_VERSION_H
#define SP_COMPAT_VERSION_H

#define SPPROF_VERSION "0.1.0"

#endif
