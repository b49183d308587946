/* SPDX-License-Identifier: MIT
 * What shells complete: the table of subcommands, the values of options, and behind `run` what any command line has. */
#include <string.h>

#include "compat/base.h"
#include "inject/command/command.h"

static const char apart[] = "--lib --version --help"; /* in place of a subcommand */

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

static void names(FILE *out)
{
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++)
        fprintf(out, "%s%s", c == sp_cli_subcommands ? "" : " ", c->name);
}

/* The words that an option takes; false: it takes others, or has none. */
static bool choices(FILE *out, const struct sp_cli_typed *o)
{
    char word[32];
    size_t i = 0;
    for (; o->takes && sp_cli_choice(o->row->values, i, word, sizeof word); i++)
        fprintf(out, "%s%s", i ? " " : "", word);
    return i > 0;
}

static bool has_choices(const struct sp_cli_typed *o)
{
    char word[32];
    return o->takes && sp_cli_choice(o->row->values, 0, word, sizeof word);
}

/* Whether other arguments are subcommands. */
static bool is_help(const struct sp_cli_subcommand *c)
{
    return strcmp(c->name, "help") == 0;
}

/* ---- bash, which takes "--by=line" for three words */
static const char bash_begins[] = "# bash completion for spprof\n"
                                  "_spprof() {\n"
                                  "    local cur=${COMP_WORDS[COMP_CWORD]} name=${COMP_WORDS[1]} "
                                  "option=${COMP_WORDS[COMP_CWORD-1]} at=2 words= options= values=\n"
                                  "    [[ $option == = ]] && option=${COMP_WORDS[COMP_CWORD-2]}\n"
                                  "    [[ $cur == = ]] && cur=\n"
                                  "    case $name in\n";
static const char bash_wrapper[] =
    "        while (( at < COMP_CWORD )) && [[ ${COMP_WORDS[at]} == -* ]]; do\n"
    "            case \" $values \" in\n"
    "            *\" ${COMP_WORDS[at]} \"*) [[ ${COMP_WORDS[at+1]} == = ]] && (( at += 3 )) || (( at += 2 )) ;;\n"
    "            *) (( at++ )) ;;\n"
    "            esac\n"
    "            [[ ${COMP_WORDS[at-1]} == -- ]] && break\n"
    "        done\n"
    "        if (( at < COMP_CWORD )); then\n" /* an argument of the other command */
    "            declare -F _command_offset >/dev/null && _command_offset $at\n"
    "            return\n"
    "        elif (( at == COMP_CWORD )) && [[ $cur != -* || $option == -- ]]; then\n"
    "            COMPREPLY=($(compgen -c -- \"$cur\"))\n"
    "            return\n"
    "        fi\n";
static const char bash_ends[] = "    esac\n"
                                "    [[ -z $words && $cur == -* ]] && words=\"$options --help\"\n"
                                "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                                "}\n"
                                "complete -o default -F _spprof spprof\n";

static void bash_options(FILE *out, const struct sp_cli_subcommand *c, const char *variable, bool with_value)
{
    struct sp_cli_typed o;
    fprintf(out, "        %s='", variable);
    for (size_t i = 0; sp_cli_option_at(c, i, &o); i++)
        if (!with_value || o.takes)
            fprintf(out, " %s", o.name);
    fputs("'\n", out);
}

static void bash(FILE *out)
{
    struct sp_cli_typed o;
    fputs(bash_begins, out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "    %s)\n", c->name);
        bash_options(out, c, "options", false);
        bash_options(out, c, "values", true);
        if (c->is_wrapper)
            fputs(bash_wrapper, out);
        fputs("        case $option in\n", out);
        for (size_t i = 0; sp_cli_option_at(c, i, &o); i++)
            if (has_choices(&o)) {
                fprintf(out, "        %s) words='", o.name);
                choices(out, &o);
                fputs("' ;;\n", out);
            }
        if (is_help(c)) {
            fputs("        *) [[ $cur != -* ]] && words='", out);
            names(out);
            fputs("' ;;\n", out);
        }
        fputs("        esac ;;\n", out);
    }
    fputs("    esac\n    case $COMP_CWORD in\n    1) words='", out);
    names(out);
    fprintf(out, " %s' ;;\n%s", apart, bash_ends);
}

/* ---- zsh */
#define ZSH_APOSTROPHE "'\\''"

static void zsh_option(FILE *out, const struct sp_cli_typed *o)
{
    fprintf(out, " \\\n        '%s%s[", o->name, o->takes && o->name[1] == '-' ? "=" : "");
    quoted(out, o->row->meaning, "[]:\\", ZSH_APOSTROPHE);
    fputc(']', out);
    if (o->takes) {
        fprintf(out, ":%s:", o->takes);
        fputs(has_choices(o) ? "(" : "_files", out);
        fputs(choices(out, o) ? ")" : "", out);
    }
    fputc('\'', out);
}

static void zsh(FILE *out)
{
    struct sp_cli_typed o;
    fputs("#compdef spprof\n_spprof() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(", out);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "\n            '%s:", c->name);
        quoted(out, c->does, ":\\", ZSH_APOSTROPHE);
        fputc('\'', out);
    }
    fprintf(out,
            ")\n        _describe command commands\n        [[ $PREFIX == -* ]] && compadd -- %s\n        return\n    fi\n"
            "    local name=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $name in\n",
            apart);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "    %s) _arguments", c->name);
        for (size_t i = 0; sp_cli_option_at(c, i, &o); i++)
            zsh_option(out, &o);
        if (is_help(c)) {
            fputs(" '1:command:(", out);
            names(out);
            fputs(")'", out);
        }
        fputs(c->is_wrapper ? " '(-)1:command:_command_names -e' '*::arguments:_normal'" : "", out);
        fputs(!c->is_wrapper && !is_help(c) && c->most ? " '*:file:_files'" : "", out);
        fputs(" ;;\n", out);
    }
    fputs("    esac\n}\n_spprof \"$@\"\n", out);
}

/* ---- fish */
static void fish_option(FILE *out, const struct sp_cli_subcommand *c, const struct sp_cli_typed *o)
{
    bool is_long = o->name[1] == '-';
    fprintf(out, "complete -c spprof -n '__fish_seen_subcommand_from %s' -%c %s%s -d '", c->name, is_long ? 'l' : 'o',
            o->name + (is_long ? 2 : 1),
            has_choices(o) ? " -x"
            : o->takes     ? " -r"
                           : "");
    quoted(out, o->row->meaning, "\\", "\\'");
    fputs(has_choices(o) ? "' -a '" : "", out);
    choices(out, o);
    fputs("'\n", out);
}

/* What its arguments are, where they are not files. */
static void fish_arguments(FILE *out, const struct sp_cli_subcommand *c)
{
    struct sp_cli_typed o;
    if (!is_help(c) && !c->is_wrapper)
        return;
    fprintf(out, "complete -c spprof -x -n '__fish_seen_subcommand_from %s' -a '", c->name);
    if (c->is_wrapper) {
        fputs("(__fish_complete_subcommand --fcs-skip=2", out);
        for (size_t i = 0; sp_cli_option_at(c, i, &o); i++)
            if (o.takes)
                fprintf(out, " %s", o.name);
        fputc(')', out);
    } else
        names(out);
    fputs("'\n", out);
}

static void fish(FILE *out)
{
    struct sp_cli_typed o;
    fputs("# fish completion for spprof\n", out);
    for (const char *s = apart; *s; s += strcspn(s, " "), s += strspn(s, " "))
        fprintf(out, "complete -c spprof -n __fish_use_subcommand -l %.*s\n", (int)strcspn(s, " ") - 2, s + 2);
    for (const struct sp_cli_subcommand *c = sp_cli_subcommands; c->name; c++) {
        fprintf(out, "complete -c spprof -n __fish_use_subcommand -x -a %s -d '", c->name);
        quoted(out, c->does, "\\", "\\'");
        fputs("'\n", out);
        for (size_t i = 0; sp_cli_option_at(c, i, &o); i++)
            fish_option(out, c, &o);
        fish_arguments(out, c);
    }
}

void sp_cli_completion(FILE *out, const char *shell)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < SP_ARRAY_LEN(shells); i++)
        if (strcmp(shells[i].shell, shell) == 0)
            shells[i].print(out);
}
