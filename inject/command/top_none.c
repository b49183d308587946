/* SPDX-License-Identifier: MIT
 * spprof top where the command was built without ncurses. */
#include "inject/command/command.h"
#include "inject/command/top.h"

const bool sp_top_can = false;

int sp_top_run(struct sp_top_source *sources, int n_sources)
{
    (void)sources;
    (void)n_sources;
    return sp_cli_fail("top",
                       "this command was built without ncurses (Debian: libncurses-dev); spprof report prints the same once");
}
