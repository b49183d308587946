/* SPDX-License-Identifier: MIT
 * What shells complete: the table of subcommands, and for `run` the options of the library. */
#include <ctype.h>
#include <string.h>

#include "compat/base.h"
#include "inject/command/command.h"

/* An option of a subcommand as it is typed: "--by" of "--by WHAT"; whether a value follows. */
struct word {
    char text[40];
    bool has_value;
    const char *does;
};

static struct word word_of(const struct sp_cli_pair *o)
{
    struct word w = {.does = o->meaning, .has_value = strchr(o->name, ' ') != NULL};
    snprintf(w.text, sizeof w.text, "%.*s", (int)strcspn(o->name, " "), o->name);
    return w;
}

/* SPPROF_INTERVAL as --interval, in a subcommand that takes the library's options. */
static bool is_library_option(const struct sp_cli_pair *o, struct word *w)
{
    static const char prefix[] = "SPPROF_";
    if (strncmp(o->name, prefix, sizeof prefix - 1) != 0 || strcmp(o->name, "SPPROF_RUN") == 0)
        return false;
    *w = (struct word){.text = "--", .has_value = true, .does = o->meaning};
    for (size_t i = sizeof prefix - 1, n = 2; o->name[i] && n + 1 < sizeof w->text; i++, n++)
        w->text[n] = (char)tolower((unsigned char)o->name[i]);
    return true;
}

typedef void each_fn(FILE *out, const struct sp_cli_subcommand *c, const struct word *w);

static void each_option(FILE *out, const struct sp_cli_subcommand *c, each_fn *f)
{
    struct word w;
    for (const struct sp_cli_pair *o = c->options; o->name; o++) {
        w = word_of(o);
        if (strcmp(w.text, "--NAME") != 0) {
            f(out, c, &w);
            continue;
        }
        for (const struct sp_cli_pair *l = sp_cli_options; l->name; l++)
            if (is_library_option(l, &w))
                f(out, c, &w);
    }
}

/* In single quotes; backslashes before what the shell's own descriptions give a meaning. */
static void quoted(FILE *out, const char *text, const char *special, const char *apostrophe)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs(apostrophe, out);
            continue;
        }
        if (strchr(special, *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

/* ---- bash */
static void bash_word(FILE *out, const struct sp_cli_subcommand *c, const struct word *w)
{
    (void)c;
    fprintf(out, " %s", w->text);
}

static void bash(FILE *out)
{
    fputs("# bash completion for spprof\n_spprof() {\n    local words= cur=${COMP_WORDS[COMP_CWORD]}\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='",
          out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++)
        fprintf(out, "%s%s", c == sp_cli_subcommands ? "" : " ", c->name);
    fputs("'\n    elif [[ $cur == -* ]]; then\n        case ${COMP_WORDS[1]} in\n", out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "        %s) words='", c->name);
        each_option(out, c, bash_word);
        fputs(" --help' ;;\n", out);
    }
    fputs("        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
          "complete -o default -F _spprof spprof\n",
          out);
}

/* ---- zsh */
#define ZSH_APOSTROPHE "'\\''"

static void zsh_word(FILE *out, const struct sp_cli_subcommand *c, const struct word *w)
{
    (void)c;
    fprintf(out, " \\\n        '%s[", w->text);
    quoted(out, w->does, "[]:\\", ZSH_APOSTROPHE);
    fprintf(out, "]%s'", w->has_value ? ":value:_files" : "");
}

static void zsh(FILE *out)
{
    fputs("#compdef spprof\n_spprof() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(", out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "\n            '%s:", c->name);
        quoted(out, c->does, ":\\", ZSH_APOSTROPHE);
        fputc('\'', out);
    }
    fputs(")\n        _describe command commands\n        return\n    fi\n    local name=$words[2]\n    shift words\n"
          "    (( CURRENT-- ))\n    case $name in\n",
          out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "    %s) _arguments", c->name);
        each_option(out, c, zsh_word);
        fputs(" '*:file:_files' ;;\n", out);
    }
    fputs("    esac\n}\n_spprof \"$@\"\n", out);
}

/* ---- fish */
static void fish_word(FILE *out, const struct sp_cli_subcommand *c, const struct word *w)
{
    bool is_long = strncmp(w->text, "--", 2) == 0;
    fprintf(out, "complete -c spprof -n '__fish_seen_subcommand_from %s' -%c %s%s -d '", c->name, is_long ? 'l' : 'o',
            w->text + (is_long ? 2 : 1), w->has_value ? " -r" : "");
    quoted(out, w->does, "\\", "\\'");
    fputs("'\n", out);
}

static void fish(FILE *out)
{
    fputs("# fish completion for spprof\n", out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "complete -c spprof -n __fish_use_subcommand -a %s -d '", c->name);
        quoted(out, c->does, "\\", "\\'");
        fputs("'\n", out);
        each_option(out, c, fish_word);
    }
}

bool sp_cli_completion(FILE *out, const char *shell)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < SP_ARRAY_LEN(shells); i++)
        if (strcmp(shells[i].shell, shell) == 0) {
            shells[i].print(out);
            return true;
        }
    return false;
}
