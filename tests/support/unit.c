/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int failed = 0, run = 0;
    for (const struct unit_case *c = unit_cases; c->name; c++) {
        if (argc > 1 && strcmp(argv[1], c->name) != 0)
            continue;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            c->run();
            fflush(stdout);
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        printf("%s %s\n", status == 0 ? "ok  " : "FAIL", c->name);
        failed += status != 0;
        run++;
    }
    printf("%d passed, %d failed\n", run - failed, failed);
    return failed || !run;
}
