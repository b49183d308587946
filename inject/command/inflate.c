/* SPDX-License-Identifier: MIT
 * See inflate.h. A code is looked up by as many bits as the longest has, in a table in which each stands as often as the bits behind
 * it differ. */
#include "inject/command/inflate.h"

#include <stdbool.h>
#include <string.h>

#include "inject/command/command.h"

#define CODE_BITS 15 /* the longest code */
#define LITERALS 288
#define DISTANCES 32
#define END 256 /* of a block */

struct code { /* by the bits that come next: symbol << 4 | bits of its code; 0: of none */
    uint16_t at[1 << CODE_BITS];
};

static struct code literals, distances;

/* At least 56 bits, unless there are no more. */
static void fill(struct sp_inflate *z)
{
    for (; z->n_bits <= 56 && z->in < z->end; z->n_bits += 8)
        z->bits |= (uint64_t)*z->in++ << z->n_bits;
}

/* The next bits, 16 at most; -1: there are fewer. */
static int take(struct sp_inflate *z, unsigned n)
{
    fill(z);
    if (z->n_bits < n)
        return -1;
    int v = (int)(z->bits & ((1u << n) - 1));
    z->bits >>= n;
    z->n_bits -= n;
    return v;
}

/* ---- codes */
static unsigned reversed(unsigned code, unsigned n_bits)
{
    unsigned r = 0;
    for (unsigned i = 0; i < n_bits; i++)
        r |= (code >> i & 1) << (n_bits - 1 - i);
    return r;
}

/* Of each symbol's number of bits: codes of one length follow each other. False: there are more than these bits tell apart. */
static bool make_code(struct code *c, const uint8_t *n_bits, unsigned n)
{
    unsigned of_length[CODE_BITS + 1] = {0}, next[CODE_BITS + 1] = {0};
    for (unsigned i = 0; i < n; i++)
        of_length[n_bits[i]] += n_bits[i] > 0;
    for (unsigned b = 1; b <= CODE_BITS; b++) {
        next[b] = (next[b - 1] + of_length[b - 1]) << 1;
        if (next[b] + of_length[b] > 1u << b)
            return false;
    }
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < n; i++)
        for (unsigned at = n_bits[i] ? reversed(next[n_bits[i]]++, n_bits[i]) : 1u << CODE_BITS; at < 1u << CODE_BITS;
             at += 1u << n_bits[i])
            c->at[at] = (uint16_t)(i << 4 | n_bits[i]);
    return true;
}

/* -1: there is none. */
static int symbol(struct sp_inflate *z, const struct code *c)
{
    fill(z);
    unsigned found = c->at[z->bits & ((1u << CODE_BITS) - 1)];
    return found && take(z, found & 15) >= 0 ? (int)(found >> 4) : -1;
}

static bool make_fixed(void)
{
    uint8_t n_bits[LITERALS];
    for (unsigned i = 0; i < LITERALS; i++)
        n_bits[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    bool good = make_code(&literals, n_bits, LITERALS);
    memset(n_bits, 5, DISTANCES);
    return good && make_code(&distances, n_bits, DISTANCES);
}

/* How often what length is repeated: 16 the one before, 17 and 18 none. */
static bool read_lengths(struct sp_inflate *z, uint8_t *n_bits, unsigned n)
{
    for (unsigned i = 0; i < n;) {
        int s = symbol(z, &literals), more = s == 16 ? take(z, 2) : s == 17 ? take(z, 3) : s == 18 ? take(z, 7) : 0;
        unsigned times = s < 16 ? 1 : (s == 18 ? 11u : 3u) + (unsigned)more;
        if (s < 0 || more < 0 || times > n - i || (s == 16 && i == 0))
            return false;
        memset(n_bits + i, s < 16 ? s : s == 16 ? n_bits[i - 1] : 0, times);
        i += times;
    }
    return true;
}

/* The codes of a block stand before it, themselves in a code. */
static bool read_codes(struct sp_inflate *z)
{
    static const uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t n_bits[LITERALS + DISTANCES] = {0};
    int counts = take(z, 14);
    unsigned n_literals = 257 + ((unsigned)counts & 31), n_distances = 1 + ((unsigned)counts >> 5 & 31),
             n_lengths = 4 + ((unsigned)counts >> 10 & 15);
    if (counts < 0 || n_literals > LITERALS)
        return false;
    for (unsigned i = 0; i < n_lengths; i++) {
        int n = take(z, 3);
        if (n < 0)
            return false;
        n_bits[order[i]] = (uint8_t)n;
    }
    if (!make_code(&literals, n_bits, sizeof order))
        return false;
    memset(n_bits, 0, sizeof n_bits);
    return read_lengths(z, n_bits, n_literals + n_distances) && make_code(&literals, n_bits, n_literals) &&
           make_code(&distances, n_bits + n_literals, n_distances);
}

/* ---- blocks */
static bool has_room(struct sp_inflate *z, size_t more)
{
    if (more > z->most - z->n)
        return false;
    size_t cap = z->cap;
    while (cap < z->n + more)
        cap = cap < z->most / 2 ? 2 * cap + 4096 : z->most;
    if (cap > z->cap)
        z->out = sp_cli_alloc(z->out, z->cap = cap);
    return true;
}

static enum sp_inflated stored(struct sp_inflate *z)
{
    take(z, z->n_bits % 8);
    int n = take(z, 16), check = take(z, 16);
    if (n < 0 || check < 0 || n != (~check & 0xffff))
        return SP_INFLATED_DAMAGED;
    z->in -= z->n_bits / 8;
    z->bits = z->n_bits = 0;
    size_t bytes = (size_t)n;
    bool is_whole = bytes <= (size_t)(z->end - z->in);
    bytes = is_whole ? bytes : (size_t)(z->end - z->in);
    bool fits = has_room(z, bytes);
    bytes = fits ? bytes : z->most - z->n;
    if (bytes)
        memcpy(z->out + z->n, z->in, bytes);
    z->in += bytes;
    z->n += bytes;
    return !fits ? SP_INFLATED_FULL : is_whole ? SP_INFLATED_WHOLE : SP_INFLATED_DAMAGED;
}

/* What symbols from 257 on stand for: bytes that stood there before. */
static enum sp_inflated copy(struct sp_inflate *z, unsigned of_length)
{
    unsigned length_bits = of_length < 8 || of_length == 28 ? 0 : of_length / 4 - 1;
    int more = take(z, length_bits), of_distance = symbol(z, &distances);
    unsigned distance_bits = of_distance < 2 ? 0 : (unsigned)of_distance / 2 - 1;
    int further = take(z, of_distance >= 0 && of_distance < 30 ? distance_bits : 0);
    if (of_length > 28 || more < 0 || of_distance < 0 || of_distance >= 30 || further < 0)
        return SP_INFLATED_DAMAGED;
    size_t n = of_length < 8     ? 3 + of_length
               : of_length == 28 ? 258
                                 : 3 + ((4 + of_length % 4) << length_bits) + (unsigned)more;
    size_t distance = of_distance < 2 ? 1 + (unsigned)of_distance
                                      : 1 + ((2 + (unsigned)of_distance % 2) << distance_bits) + (unsigned)further;
    if (distance > z->n)
        return SP_INFLATED_DAMAGED;
    bool fits = has_room(z, n);
    n = fits ? n : z->most - z->n;
    for (; n; n--, z->n++) /* they may overlap */
        z->out[z->n] = z->out[z->n - distance];
    return fits ? SP_INFLATED_WHOLE : SP_INFLATED_FULL;
}

static enum sp_inflated compressed(struct sp_inflate *z)
{
    enum sp_inflated rc = SP_INFLATED_WHOLE;
    while (rc == SP_INFLATED_WHOLE) {
        int s = symbol(z, &literals);
        if (s == END)
            break;
        if (s < 0)
            return SP_INFLATED_DAMAGED;
        if (s > END)
            rc = copy(z, (unsigned)s - END - 1);
        else if (has_room(z, 1))
            z->out[z->n++] = (char)s;
        else
            rc = SP_INFLATED_FULL;
    }
    return rc;
}

enum sp_inflated sp_inflate(struct sp_inflate *z)
{
    enum sp_inflated rc = SP_INFLATED_WHOLE;
    for (bool is_last = false; !is_last && rc == SP_INFLATED_WHOLE;) {
        int head = take(z, 3);
        is_last = head & 1;
        if (head < 0 || head >> 1 == 3)
            rc = SP_INFLATED_DAMAGED;
        else if (head >> 1 == 0)
            rc = stored(z);
        else
            rc = (head >> 1 == 1 ? make_fixed() : read_codes(z)) ? compressed(z) : SP_INFLATED_DAMAGED;
    }
    z->in -= z->n_bits / 8;
    z->bits = z->n_bits = 0;
    return rc;
}
