/* SPDX-License-Identifier: MIT
 * See report.h: a Speedscope file of ours is read and checked; nothing in it is believed before. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inject/command/command.h"
#include "inject/command/report.h"
#include "writers/writer.h"

#define LARGEST_FILE (1ull << 30)

int sp_report_fail(const char *name, const char *what)
{
    fprintf(stderr, "spprof: ");
    sp_cli_print(stderr, name);
    fprintf(stderr, ": %s\n", what);
    return 1;
}

void *sp_report_alloc(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) {
        fprintf(stderr, "spprof: out of memory\n");
        exit(1);
    }
    return p;
}

double sp_report_number(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

const char *sp_report_string(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return s ? s : "";
}

/* With white space, or an editor's byte order mark. */
static bool begins_as_json(char c)
{
    return c && strchr("{ \t\r\n\xef", c);
}

/* A FIFO that nobody writes to is waited for, and that is said. */
static FILE *open_whole(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
        struct pollfd waits = {.fd = fd, .events = POLLIN};
        if (poll(&waits, 1, 2000) == 0) {
            sp_report_fail(path, "is a pipe; waiting for somebody to write to it");
            poll(&waits, 1, -1);
        }
    }
    fcntl(fd, F_SETFL, 0);
    return fdopen(fd, "rb");
}

static char *read_whole(const char *path, size_t *n)
{
    struct stat st;
    FILE *f = open_whole(path);
    if (!f || fstat(fileno(f), &st) != 0) {
        sp_report_fail(path, strerror(errno));
        if (f)
            fclose(f);
        return NULL;
    }
    char *text = NULL;
    size_t cap = 0;
    *n = 0;
    if (S_ISDIR(st.st_mode)) {
        sp_report_fail(path, "is a directory");
    } else if ((uint64_t)st.st_size > LARGEST_FILE) {
        sp_report_fail(path, "is larger than 1 GB; no profile of spprof is");
    } else {
        for (size_t got = 1; got;) {
            if (*n + 65537 > cap)
                text = sp_report_alloc(text, cap = cap ? cap * 2 : 1 << 20);
            got = fread(text + *n, 1, cap - *n - 1, f);
            *n += got;
            if (*n && (!begins_as_json(*text) || *n > LARGEST_FILE)) /* a device may have no end */
                break;
        }
        text[*n] = '\0';
    }
    fclose(f);
    return text;
}

static int check_profile(const struct sp_report_file *f, const cJSON *profile)
{
    const cJSON *samples = cJSON_GetObjectItemCaseSensitive(profile, "samples"), *stack, *i;
    const cJSON *weights = cJSON_GetObjectItemCaseSensitive(profile, "weights");
    bool arrays = cJSON_IsArray(samples) && cJSON_IsArray(weights);
    if (!arrays || cJSON_GetArraySize(samples) != cJSON_GetArraySize(weights))
        return sp_report_fail(f->path, "is damaged: samples and weights do not match");
    cJSON_ArrayForEach(stack, samples)
    {
        cJSON_ArrayForEach(i, stack)
        {
            if (!cJSON_IsNumber(i) || i->valuedouble < 0 || i->valuedouble >= f->n_frames)
                return sp_report_fail(f->path, "is damaged: a stack names a frame that is not there");
        }
    }
    return 0;
}

static int check(struct sp_report_file *f)
{
    const cJSON *frames = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(f->root, "shared"), "frames");
    f->profiles = cJSON_GetObjectItemCaseSensitive(f->root, "profiles");
    f->block = cJSON_GetObjectItemCaseSensitive(f->root, "spprof");
    if (!cJSON_IsArray(f->profiles) || !cJSON_IsArray(frames) || cJSON_GetArraySize(f->profiles) == 0)
        return sp_report_fail(f->path, "is not a Speedscope profile");
    if (!cJSON_IsObject(f->block))
        return sp_report_fail(f->path, "is a Speedscope profile, but not one that spprof wrote");
    f->n_frames = cJSON_GetArraySize(frames);
    f->frame = sp_report_alloc(NULL, sizeof *f->frame * (size_t)f->n_frames);
    const cJSON *frame, *p;
    int i = 0;
    cJSON_ArrayForEach(frame, frames) f->frame[i++] = frame;
    cJSON_ArrayForEach(p, f->profiles)
    {
        if (check_profile(f, p))
            return 1;
    }
    return 0;
}

int sp_report_open(struct sp_report_file *f, const char *path)
{
    size_t n;
    *f = (struct sp_report_file){.path = path};
    char *text = read_whole(path, &n);
    if (!text)
        return 1;
    const char *end = NULL;
    f->root = cJSON_ParseWithLengthOpts(text, n + 1, &end, 1);
    bool starts = strncmp(text, "{\"$schema\":\"https://www.speedscope.app", 38) == 0;
    bool other = sp_writer_is_ours(text, n < SP_WRITER_HEAD_BYTES ? n : SP_WRITER_HEAD_BYTES);
    free(text);
    int rc;
    if (!f->root)
        rc = sp_report_fail(path, n == 0   ? "is empty"
                                  : starts ? "is cut off or damaged: the JSON text does not end"
                                  : other  ? "is a profile, but not in Speedscope's format; report reads only that"
                                           : "is not a profile: no JSON text");
    else
        rc = check(f);
    if (rc)
        sp_report_close(f);
    return rc;
}

void sp_report_close(struct sp_report_file *f)
{
    cJSON_Delete(f->root);
    free((void *)f->frame);
}
