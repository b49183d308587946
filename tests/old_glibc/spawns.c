/* SPDX-License-Identifier: MIT
 * Starts a file that is no program: the older posix_spawn hands it to a shell. usage: spawns FILE */
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    pid_t pid;
    int status = 0, rc = posix_spawn(&pid, argv[1], NULL, NULL, argv + 1, environ);
    if (rc == 0)
        waitpid(pid, &status, 0);
    printf("%s, status %d\n", strerror(rc), WEXITSTATUS(status));
    rc = posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ);
    printf("%s\n", strerror(rc));
    return argc != 2;
}
