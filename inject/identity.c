/* SPDX-License-Identifier: MIT
 * See identity.h. */
#include "inject/identity.h"

#include <string.h>

#include "compat/buf.h"
#include "compat/os.h"
#include "compat/py.h"
#include "sampler/handler.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void set_script(struct sp_identity *i, const char *path)
{
    struct sp_buf b = sp_buf_at(i->script, sizeof i->script);
    const char *base = base_name(path);
    size_t n = strlen(base);
    if (n > 3 && strcmp(base + n - 3, ".py") == 0)
        n -= 3;
    sp_buf_mem(&b, base, n);
}

/* Options of python that take the next argument. */
static bool takes_argument(const char *option)
{
    return strcmp(option, "-X") == 0 || strcmp(option, "-W") == 0 || strcmp(option, "--check-hash-based-pycs") == 0;
}

void sp_identity_cut_command(struct sp_identity *i, const char *line, size_t n)
{
    struct sp_buf b = sp_buf_at(i->argv, sizeof i->argv - 1);
    memset(i->argv, 0, sizeof i->argv);
    i->script[0] = '\0';
    bool python = n && strncmp(base_name(line), "python", 6) == 0;
    bool argument = false, module = false, done = false;
    for (size_t at = 0, len; at < n && !done; at += len + 1) {
        len = strnlen(line + at, n - at);
        if (len == n - at) /* cut off: not all of it is known */
            break;
        const char *word = line + at;
        sp_buf_mem(&b, word, len);
        sp_buf_char(&b, '\0');
        if (at == 0) {
            set_script(i, word);
            done = !python;
        } else if (module || (!argument && word[0] != '-')) {
            set_script(i, word);
            done = true;
        } else {
            size_t flags = strspn(word + 1, "bBdEhiIOPqRsSuvVx?");
            bool last = !argument && word[0] == '-' && word[1] != '-';
            module = last && word[1 + flags] == 'm' && word[2 + flags] == '\0';
            if (last && (word[1 + flags] == 'c' || (word[1 + flags] == 'm' && word[2 + flags]))) {
                if (word[1 + flags] == 'c') {
                    b.len -= len + 1; /* -c'code': not the code */
                    sp_buf_mem(&b, "-c", 3);
                    memset(i->argv + b.len, 0, sizeof i->argv - b.len);
                    set_script(i, "-c");
                } else {
                    set_script(i, word + 2 + flags);
                }
                done = true;
            }
            argument = !argument && takes_argument(word);
        }
    }
}

void sp_identity_read(struct sp_identity *i)
{
    static char line[4096];
    long n = sp_os_command_line(line, sizeof line);
    sp_identity_cut_command(i, line, n > 0 ? (size_t)n : 0);
    sp_os_hostname(i->host, sizeof i->host);
}

void sp_identity_copy(struct sp_region *r, const struct sp_identity *i)
{
    memcpy(r->argv, i->argv, sizeof r->argv);
    memcpy(r->host, i->host, sizeof r->host);
    memcpy(r->python, sp_py.version, sizeof r->python);
    memcpy(r->build, sp_py.build, sizeof r->build);
    size_t k = 0;
    for (; sp_engine->name[k] && k + 1 < sizeof r->engine; k++)
        r->engine[k] = sp_engine->name[k];
    r->engine[k] = '\0';
}

void sp_identity_os_thread_name(struct sp_thread *t)
{
    char name[16], process[16] = "";
    sp_os_thread_name(name);
    int fd = sp_os_open_read("/proc/self/comm");
    long n = fd < 0 ? 0 : sp_os_read(fd, process, sizeof process - 1);
    if (fd >= 0)
        sp_os_close(fd);
    if (n > 0 && process[n - 1] == '\n')
        n--;
    process[n > 0 ? n : 0] = '\0';
    if (name[0] && strcmp(name, process) != 0)
        memcpy(t->name, name, strlen(name) + 1);
}
