/* SPDX-License-Identifier: MIT
 * See load_text.h, and writers/meta.c, which writes what is read here. */
#define _XOPEN_SOURCE 700
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inject/command/command.h"
#include "inject/command/load_text.h"
#include "writers/view.h"

cJSON *sp_fact_tree(const struct sp_scan *value, size_t most)
{
    size_t n = (size_t)(value->end - value->at);
    return value->bad || n > most ? NULL : cJSON_ParseWithLength(value->at, n);
}

double sp_fact(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

uint64_t sp_fact_u64(const cJSON *object, const char *key)
{
    double v = sp_fact(object, key), most = (double)(1ull << 53);
    return !(v > 0) ? 0 : (uint64_t)(v < most ? v : most);
}

const char *sp_fact_text(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return s ? s : "";
}

static uint64_t started_ns(const cJSON *block)
{
    struct tm tm = {0};
    const char *s = sp_fact_text(block, "started"), *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t seconds = rest ? timegm(&tm) : 0;
    if (seconds <= 0)
        return 0;
    uint64_t milliseconds = *rest == '.' ? strtoul(rest + 1, NULL, 10) % 1000 : 0;
    return (uint64_t)seconds * SP_NS_PER_S + milliseconds * 1000000;
}

static void put_text(char *to, size_t cap, const char *from)
{
    snprintf(to, cap, "%s", from);
}

/* NUL-separated; an empty word would end the list. */
static void put_argv(struct sp_region *r, const cJSON *argv)
{
    const cJSON *word;
    size_t at = 0;
    cJSON_ArrayForEach(word, argv)
    {
        const char *s = cJSON_IsString(word) && *word->valuestring ? word->valuestring : "''";
        if (at + strlen(s) + 2 > sizeof r->argv)
            return;
        memcpy(r->argv + at, s, strlen(s) + 1);
        at += strlen(s) + 1;
    }
}

static void put_losses(struct sp_region *r, const cJSON *losses)
{
    const cJSON *walks = cJSON_GetObjectItemCaseSensitive(losses, "unwalkable");
    for (int i = SP_LOSS_NONE + 1; i < SP_LOSS_N; i++)
        r->loss[i] = sp_fact_u64(i < SP_LOSS_WALK_N ? walks : losses, sp_store_loss_name((enum sp_loss)i));
}

/* A share in thousandths, of CPU in samples: what writes it rounds down. */
static uint64_t prompt_ns(const struct sp_told *told, double share)
{
    uint64_t sampled = sp_view_sampled_ns(told->cpu_ns), mille = share > 0 && share <= 1 ? (uint64_t)(share * 1000 + 0.5) : 0;
    return (uint64_t)(((unsigned __int128)sampled * mille + 999) / 1000);
}

static void put_told(struct sp_loaded *l, const cJSON *block)
{
    const cJSON *cpu = cJSON_GetObjectItemCaseSensitive(block, "cpu");
    const cJSON *bounded = cJSON_GetObjectItemCaseSensitive(block, "bounded");
    for (int c = 0; c < SP_CATEGORY_N; c++)
        l->told.cpu_ns[c] = sp_fact_u64(cpu, sp_store_category_name((enum sp_category)c));
    l->told.samples = sp_fact_u64(block, "samples");
    l->told.prompt_ns = prompt_ns(&l->told, sp_fact(block, "prompt"));
    l->profile = sp_writer_profile(l->region);
    l->profile.told = &l->told;
    l->profile.process_cpu_ns = sp_fact_u64(cpu, "used");
    l->profile.wall_ns = sp_fact_u64(block, "wall_ns");
    l->profile.complete = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(block, "complete"));
    l->window_ms = sp_fact(bounded, "window_ms");
    l->folded_ns = sp_fact(bounded, "folded_ns");
    l->region->time_order_until_ns = sp_fact_u64(bounded, "time_order_until_ns");
}

void sp_load_facts(struct sp_loaded *l, const cJSON *block)
{
    struct sp_region *r = l->region;
    struct sp_store_options o = {
        .interval_ns = sp_fact_u64(block, "interval_ns"),
        .depth = 65536,
        .imports = 1, /* what a file shows is shown */
        .now_wall_ns = started_ns(block),
        .tick_ns = 1,
        .before_start_ns = sp_fact_u64(cJSON_GetObjectItemCaseSensitive(block, "cpu"), "before_start"),
        .profile = 1,
        .pid = (uint32_t)sp_fact_u64(block, "pid"),
        .ppid = (uint32_t)sp_fact_u64(block, "ppid"),
    };
    sp_store_init(r, l->bytes, &o);
    r->run_ns = strtoull(sp_fact_text(block, "run"), NULL, 10);
    put_text(r->host, sizeof r->host, sp_fact_text(block, "host"));
    put_text(r->python, sizeof r->python, sp_fact_text(block, "python"));
    put_text(r->build, sizeof r->build, sp_fact_text(block, "build"));
    put_text(r->engine, sizeof r->engine, sp_fact_text(block, "engine"));
    put_argv(r, cJSON_GetObjectItemCaseSensitive(block, "argv"));
    put_losses(r, cJSON_GetObjectItemCaseSensitive(block, "losses"));
    put_told(l, block);
    r->last_ns = l->profile.wall_ns;
    if (sp_fact(block, "layout") > SP_REGION_LAYOUT)
        sp_cli_fail(l->name, "is of a newer spprof; what this one does not know of it is left out");
}

int sp_load_refuse(const struct sp_loaded *l, const char *text, size_t n)
{
    const char *head = sp_writer_speedscope.head;
    bool starts = n && strncmp(text, head, n < strlen(head) ? n : strlen(head)) == 0;
    bool other = sp_writer_is_ours(text, n < SP_WRITER_HEAD_BYTES ? n : SP_WRITER_HEAD_BYTES);
    return sp_cli_fail(l->name, n == 0   ? "is empty"
                                : starts ? "is cut off or damaged: the JSON text does not end"
                                : other  ? "is a profile, but not in Speedscope's format, which alone can be read"
                                         : "is not a profile: no JSON text");
}
