/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): a socket of another process's, and words that processes beside each other wait for. */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "compat/os_linux_call.h"

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / SP_NS_PER_S), (long)(ns % SP_NS_PER_S)};
}

int sp_os_connect(const char *name)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    if (n >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path + 1, name, n); /* behind a NUL: abstract (man 7 unix) */
    int fd = (int)SYS(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0);
    if (fd < 0)
        return fd;
    int rc = (int)SYS(SYS_connect, fd, &to, offsetof(struct sockaddr_un, sun_path) + 1 + n, 0);
    if (rc == 0)
        return fd;
    sp_os_close(fd);
    return rc;
}

bool sp_os_peer_uid(int fd, uint32_t *uid)
{
    struct ucred peer = {0};
    socklen_t n = sizeof peer;
    bool is_known = SYS6(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &n, 0) == 0 && n == sizeof peer;
    *uid = peer.uid;
    return is_known;
}

long sp_os_receive(int fd, void *p, size_t n, int *passed, uint64_t wait_ns)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    struct timespec most = to_timespec(wait_ns);
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {p, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *passed = -1;
    long rc = SYS6(SYS_ppoll, &wait, 1, &most, NULL, 0, 0);
    if (rc <= 0)
        return rc < 0 ? rc : -ETIMEDOUT;
    rc = SYS(SYS_recvmsg, fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0);
    const struct cmsghdr *c = rc > 0 && m.msg_controllen >= sizeof control.head ? &control.head : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof(int)))
        memcpy(passed, CMSG_DATA(c), sizeof *passed);
    return rc;
}

int sp_os_send(int fd, const void *p, size_t n)
{
    long rc = SYS6(SYS_sendto, fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
    return rc < 0 ? (int)rc : 0;
}

void sp_os_await_change(const uint32_t *word, uint32_t value, uint64_t ns)
{
    struct timespec most = to_timespec(ns);
    sp_syscall6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, (long)&most, 0, 0);
}

void sp_os_changed(const uint32_t *word)
{
    sp_syscall6(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
}
