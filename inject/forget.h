/* SPDX-License-Identifier: MIT
 * What a region knows by address is forgotten when something else may come to lie there. */
#ifndef SP_INJECT_FORGET_H
#define SP_INJECT_FORGET_H

/* [start] From now on code objects that die are forgotten. */
void sp_forget_start(void);

/* [any] Libraries went: native code is no longer known by address. */
void sp_forget_native(void);

#endif
