/* SPDX-License-Identifier: MIT
 * See ring.h. Each time it rings with another number, so that a late answer finds nobody. */
#include "inject/command/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "compat/os.h"
#include "inject/command/ring_thread.h"
#include "inject/command/source.h"

#define WAIT_MS 150        /* for a process that can answer, before it is rung again */
#define ANSWER_MS 60000    /* ... and for its work: a file may be written to a slow disk */
#define PAUSE_NS 20000000u /* after LATER */
#define TRIES 30

static char reason[256];
static bool is_forbidden;

/* ---- what /proc tells of it */
struct process {
    pid_t pid;
    uint64_t caught, ignored, blocked; /* the last: by its main thread */
    uid_t euid;
    unsigned threads;
    bool is_there;
};

static struct process look_at(pid_t pid)
{
    struct process p = {.pid = pid};
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        unsigned real, effective;
        if (strncmp(line, "SigCgt:", 7) == 0)
            p.caught = strtoull(line + 7, NULL, 16);
        else if (strncmp(line, "SigIgn:", 7) == 0)
            p.ignored = strtoull(line + 7, NULL, 16);
        else if (strncmp(line, "SigBlk:", 7) == 0)
            p.blocked = strtoull(line + 7, NULL, 16);
        else if (sscanf(line, "Threads: %u", &p.threads) == 1)
            continue;
        else if (sscanf(line, "Uid: %u %u", &real, &effective) == 2)
            p.euid = effective;
    }
    if (f)
        fclose(f);
    p.is_there = sp_source_thread_of(pid);
    return p;
}

/* Whether the library is mapped there, if that may be known. */
static bool lacks_library(pid_t pid)
{
    char path[64], *line = NULL;
    size_t cap = 0;
    bool has = false, has_any = false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)sp_source_thread_of(pid));
    FILE *f = fopen(path, "r");
    for (; f && !has && getline(&line, &cap, f) > 0; has_any = true)
        has = strstr(line, "libspprof") != NULL;
    free(line);
    if (f)
        fclose(f);
    return has_any && !has;
}

const char *sp_ring_is_deaf(pid_t pid)
{
    struct process p = look_at(pid);
    if (!p.is_there)
        return "there is no such process";
    if (lacks_library(pid))
        return "the library is not loaded there; start it with spprof run, or LD_PRELOAD";
    if (p.ignored & SP_OS_MASK(SP_RING_SIGNAL))
        return "it cannot be asked: it ignores SIGURG";
    if (!(p.caught & SP_OS_MASK(SP_RING_SIGNAL)))
        return "it cannot be asked: no Python of the library's runs there, or SPPROF=off, or its library is older";
    return NULL;
}

/* In a tick a thread of the program's takes none either, for a moment. */
bool sp_ring_is_helper(pid_t pid)
{
    const uint64_t all = SP_OS_MASK(SP_RING_SIGNAL) | SP_OS_MASK(SIGTERM) | SP_OS_MASK(SIGCHLD) | SP_OS_MASK(SIGTSTP);
    for (int i = 0; i < 5; i++) {
        struct process p = look_at(pid);
        if (p.threads > 1 || (p.blocked & all) != all)
            return false;
        sp_os_sleep_ns(PAUSE_NS);
    }
    return true;
}

/* ---- the socket */
#define OTHER_USER "it is another user's; that user and root may ask it"
#define OTHER_NETWORK "it is in another network namespace; run this there, or as root"

/* Abstract names belong to a network. */
static bool is_elsewhere(pid_t pid)
{
    char path[64];
    struct sp_os_stat here, there;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return sp_os_stat("/proc/self/ns/net", true, &here) == 0 && sp_os_stat(path, true, &there) == 0 &&
           here.inode != there.inode;
}

const char *sp_ring_speaks_against(pid_t pid)
{
    const char *why = sp_ring_is_deaf(pid);
    if (why)
        return why;
    if (kill(pid, 0) != 0 && errno == EPERM)
        return OTHER_USER;
    if (geteuid() != 0 && geteuid() != look_at(pid).euid)
        return "it answers the user that it is now, and root";
    if (is_elsewhere(pid) && geteuid() != 0)
        return OTHER_NETWORK;
    return sp_ring_thread(pid, &why) ? NULL : why;
}

static int listen_as(uint64_t value, uid_t euid)
{
    char name[32];
    SP_BUF(b, name);
    sp_ring_name(&b, value);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path + 1, name, b.len);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + b.len)) != 0)
        return fd < 0 ? fd : (close(fd), -1);
    /* Root of here may be nobody where the process is: there it is believed as the process's own user. */
    bool changes = geteuid() == 0 && euid != 0 && seteuid(euid) == 0;
    int rc = listen(fd, 4);
    if (changes && seteuid(0) != 0)
        rc = -1;
    return rc == 0 ? fd : (close(fd), -1);
}

static int listen_for(const struct process *p, uint64_t value)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)p->pid);
    if (!is_elsewhere(p->pid))
        return listen_as(value, p->euid);
    int there = open(path, O_RDONLY | O_CLOEXEC), here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;
    if (there >= 0 && here >= 0 && setns(there, CLONE_NEWNET) == 0) {
        fd = listen_as(value, p->euid);
        if (setns(here, CLONE_NEWNET) != 0 && fd >= 0)
            errno = EIO;
    } else {
        errno = EXDEV;
    }
    int saved = errno;
    if (there >= 0)
        close(there);
    if (here >= 0)
        close(here);
    errno = saved;
    return fd;
}

static bool comes_from(int fd, const struct process *p)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    char path[64], line[256];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 || (peer.uid != p->euid && peer.uid != 0))
        return false;
    int parent = (int)p->pid;
    snprintf(path, sizeof path, "/proc/%d/status", (int)peer.pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "PPid: %d", &parent);
    if (f)
        fclose(f);
    return peer.pid == p->pid || parent == (int)p->pid;
}

static bool send_message(int fd, enum sp_ring_wish wish, int file)
{
    struct sp_ring_message m = {SP_RING_VERSION, (uint32_t)wish};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {&m, sizeof m};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.head), &file, sizeof file);
    return sendmsg(fd, &h, MSG_NOSIGNAL) == sizeof m;
}

/* ---- ringing */
static const char *send_signal(const struct process *p, uint64_t value)
{
    const char *why;
    siginfo_t info;
    pid_t tid = sp_ring_thread(p->pid, &why);
    if (!tid)
        return why;
    memset(&info, 0, sizeof info);
    info.si_signo = SP_RING_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)value;
    if (syscall(SYS_rt_tgsigqueueinfo, p->pid, tid, SP_RING_SIGNAL, &info) == 0 || errno == ESRCH) /* that thread has ended */
        return NULL;
    return errno == EPERM ? OTHER_USER : strerror(errno);
}

static bool waits(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR)
        ;
    return n > 0;
}

/* answer->result: SP_RING_LATER if nobody answered. NULL, or why nobody will. */
static const char *take_answer(int listener, const struct process *p, enum sp_ring_wish wish, int file,
                               struct sp_ring_answer *answer)
{
    ssize_t n = -1;
    if (!waits(listener, WAIT_MS))
        return NULL;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (comes_from(fd, p) && (file < 0 || send_message(fd, wish, file)) && waits(fd, ANSWER_MS))
        n = recv(fd, answer, sizeof *answer, 0);
    close(fd);
    answer->path[sizeof answer->path - 1] = '\0';
    bool is_other = n >= (ssize_t)sizeof answer->version && answer->version != SP_RING_VERSION;
    if (n != sizeof *answer || is_other)
        answer->result = SP_RING_LATER;
    return is_other ? "its library is of another version than this command: ask with the command of that version" : NULL;
}

/* NULL, or why it is not to be tried again; answer->result: SP_RING_LATER if there was none. */
static const char *once(const struct process *p, enum sp_ring_wish wish, int file, struct sp_ring_answer *answer)
{
    uint64_t number = 0;
    if (getrandom(&number, SP_RING_NUMBER_BITS / 8, 0) < 0)
        return strerror(errno);
    uint64_t value = sp_ring_value(wish, number);
    answer->result = SP_RING_LATER;
    int listener = listen_for(p, value);
    if (listener < 0)
        return errno == EXDEV ? OTHER_NETWORK : strerror(errno);
    const char *why = send_signal(p, value);
    if (!why)
        why = take_answer(listener, p, wish, file, answer);
    close(listener);
    return why;
}

void sp_ring_forbid(void)
{
    is_forbidden = true;
}

bool sp_ring_is_forbidden(void)
{
    return is_forbidden;
}

static const char *text_of(const struct sp_ring_answer *answer, enum sp_ring_wish wish)
{
    switch (answer->result) {
    case SP_RING_DONE: return NULL;
    case SP_RING_REFUSED: return "it answers its own user and root alone";
    case SP_RING_ALREADY: return wish == SP_RING_BEGIN ? "it is being recorded already" : "nothing is recorded at the moment";
    case SP_RING_IN_USE: return "the program itself has a profile under way, by import spprof";
    case SP_RING_NO_MEMORY: return "there is no memory for a recording, or it lies in a spool file, which cannot be left";
    case SP_RING_FAILED:
        snprintf(reason, sizeof reason, "it could not write what was asked for: %s", strerror(-answer->error));
        return reason;
    default: return "it does not answer; it may be busy writing, starting or ending, or be kept from running";
    }
}

const char *sp_ring(pid_t pid, enum sp_ring_wish wish, int file, struct sp_ring_answer *answer)
{
    const char *why = is_forbidden
                          ? "was not asked, for --no-signal forbids it, and nobody else can do that: nothing was changed"
                          : sp_ring_is_deaf(pid);
    struct process p = look_at(pid);
    for (int i = 0; !why && i < TRIES; i++) {
        if (file >= 0 && (lseek(file, 0, SEEK_SET) != 0 || ftruncate(file, 0) != 0))
            return strerror(errno);
        why = once(&p, wish, file, answer);
        if (answer->result != SP_RING_LATER)
            break;
        sp_os_sleep_ns(PAUSE_NS);
    }
    return why ? why : text_of(answer, wish);
}

int sp_ring_file(void)
{
    const char *const places[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    for (size_t i = 0; i < SP_ARRAY_LEN(places); i++) {
        int fd = places[i] ? open(places[i], O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600) : -1;
        if (fd >= 0)
            return fd;
    }
    return memfd_create("spprof", MFD_CLOEXEC);
}
