/* SPDX-License-Identifier: MIT
 * `import spprof` in the program: a builtin module without a file. */
#ifndef SP_INJECT_MODULE_H
#define SP_INJECT_MODULE_H

/* [start] From now on the CPython that was found can import it; it is not initialised yet. Where that cannot be had a line says so. */
void sp_module_offer(void);

#endif
