/* SPDX-License-Identifier: MIT
 * See check.h: what the commands that look into a process will get of it. */
#include <stdio.h>
#include <unistd.h>

#include "inject/command/check.h"
#include "inject/command/ring.h"

#define READERS "report, snapshot and top "
#define ASKERS "dump, start, stop and reset"

void sp_check_control(struct sp_check *c, pid_t pid, enum sp_check_place place)
{
    static const char *const reads[] = {
        [SP_CHECK_MEMORY] = "read its memory, without a signal", [SP_CHECK_SPOOL] = "read its spool file, without a signal"};
    const char *why = sp_ring_speaks_against(pid);
    enum sp_check_level level = why ? SP_CHECK_BUT : SP_CHECK_OK;
    if (place == SP_CHECK_NOWHERE)
        sp_check_say(c, level, "control", why ? "dump and start get no answer: %s" : "dump and start ask it by SIGURG", why);
    else if (place == SP_CHECK_CLOSED)
        sp_check_say(c, level, "control",
                     why ? READERS "cannot read it, and get no answer, nor do " ASKERS ": %s"
                         : READERS "cannot read it and ask it by SIGURG, as do " ASKERS,
                     why);
    else
        sp_check_say(c, level, "control", READERS "%s; " ASKERS " %s%s", reads[place],
                     why ? "get no answer: " : "ask it by SIGURG", why ? why : "");
}

void sp_check_ask(struct sp_check_answer *a, pid_t pid)
{
    struct sp_ring_answer answer;
    int fd = sp_ring_file();
    const char *deaf = sp_ring_is_deaf(pid), *why = deaf     ? deaf
                                                    : fd < 0 ? "there can be no file for the answer"
                                                             : sp_ring(pid, SP_RING_STACKS, fd, &answer);
    if (fd >= 0)
        close(fd);
    a->level = deaf ? SP_CHECK_NOTE : why || answer.is_in_place ? SP_CHECK_BUT : SP_CHECK_OK;
    if (why)
        snprintf(a->text, sizeof a->text, ASKERS " %s: %s", deaf ? "were not tried" : "get no answer here", why);
    else
        snprintf(a->text, sizeof a->text, ASKERS " are answered, by a %s",
                 answer.is_in_place
                     ? "thread of the program, and dump without the stacks of others: there can be no process beside it (Linux "
                       "before 5.9, a filter of system calls, a limit on processes)"
                     : "process beside the program");
}
