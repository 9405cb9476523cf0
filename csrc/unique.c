/* A multiset of patterns: an open-addressing hash table, keyed by 128 bits of the row. It knows whether a key
   came once or again, two bits a place, so that of a large table the nearer caches hold what tells whether a
   place is free. How often keys came again is in a second table, of these keys only. */
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "keys.h"

enum { FEWEST_PLACES_LOG2 = 12, FAMILIAR_LOG2 = 12, USED = 1, AGAIN = 2, HUGE_PAGE = 1 << 21 };

static const uint64_t ALL_USED = 0x5555555555555555;

typedef struct {
    fl_key key;
    uint64_t further;          /* how often it came after the first time; 0: a free place */
} repeated;

typedef struct {
    fl_key key;
    uint64_t since, unused;    /* half a cache line */
} familiar;

struct fl_pattern_set {
    fl_key *keys;              /* [n_places] */
    uint64_t *states;          /* [n_places / 32]: USED and AGAIN, two bits a place */
    size_t n_places;           /* a power of two */
    int shift;                 /* 64 - log2(n_places): a key's place is its hash's highest bits */
    size_t distinct;
    repeated *again;           /* [1 << (64 - again_shift)] */
    int again_shift;
    size_t n_again;
    /* [1 << FAMILIAR_LOG2]: a key that came again, and how often since it is
       here; before any came, a key that belongs elsewhere. */
    familiar *familiar;
};

/* Keys need no zeros; in huge pages, where the system has them, one is reached without a page walk. */
static fl_key *new_keys(size_t n_places)
{
    const size_t size = n_places * sizeof(fl_key);
    if (size < 2 * HUGE_PAGE) return malloc(size);
    fl_key *keys = aligned_alloc(HUGE_PAGE, size);
#if defined(__linux__)
    if (keys) madvise(keys, size, MADV_HUGEPAGE);
#endif
    return keys;
}

static int table_new(fl_pattern_set *set, int log2_places)
{
    const size_t n_places = (size_t)1 << log2_places;
    set->keys = new_keys(n_places);
    set->states = calloc(n_places / 32, sizeof(uint64_t));
    set->n_places = n_places;
    set->shift = 64 - log2_places;
    set->distinct = 0;
    if (set->keys && set->states) return 1;
    free(set->keys);
    free(set->states);
    return 0;
}

/* For every row that comes: one multiplication, which a key that is found there does with. */
static inline familiar *familiar_of(const fl_pattern_set *set, fl_key key)
{
    const uint64_t place = (key.low + key.high * 0xc2b2ae3d27d4eb4f) * 0x9e3779b97f4a7c15;
    return set->familiar + (place >> (64 - FAMILIAR_LOG2));
}

fl_pattern_set *fl_pattern_set_new(void)
{
    fl_pattern_set *set = calloc(1, sizeof *set);
    if (!set) return NULL;
    set->familiar = calloc((size_t)1 << FAMILIAR_LOG2, sizeof(familiar));
    set->again = calloc((size_t)1 << FEWEST_PLACES_LOG2, sizeof(repeated));
    set->again_shift = 64 - FEWEST_PLACES_LOG2;
    if (!set->familiar || !set->again || !table_new(set, FEWEST_PLACES_LOG2)) {
        free(set->familiar);
        free(set->again);
        free(set);
        return NULL;
    }
    familiar_of(set, (fl_key){0, 0})->key.low = 1;
    return set;
}

void fl_pattern_set_free(fl_pattern_set *set)
{
    if (!set) return;
    free(set->keys);
    free(set->states);
    free(set->again);
    free(set->familiar);
    free(set);
}

/* Adds a key that came once, or again: `state` is USED, or USED | AGAIN. Returns whether it was there. */
static inline int add(fl_pattern_set *set, fl_key key, uint64_t hash, uint64_t state)
{
    for (size_t place = hash >> set->shift;; place = (place + 1) & (set->n_places - 1)) {
        uint64_t *states = set->states + place / 32;
        const int at = place % 32 * 2;
        const uint64_t here = *states >> at;
        if (!(here & USED)) {
            set->keys[place] = key;
            *states |= state << at;
            set->distinct++;
            return 0;
        }
        if (fl_same(set->keys[place], key)) {
            if (!(here & AGAIN)) *states |= (uint64_t)AGAIN << at;
            return 1;
        }
    }
}

static repeated *find_again(const fl_pattern_set *set, fl_key key, uint64_t hash)
{
    const size_t mask = ((size_t)1 << (64 - set->again_shift)) - 1;
    size_t place = hash >> set->again_shift;
    while (set->again[place].further && !fl_same(set->again[place].key, key)) place = (place + 1) & mask;
    return set->again + place;
}

/* A key in the table came so many further times. There is room. */
static inline void count(fl_pattern_set *set, fl_key key, uint64_t hash, uint64_t further)
{
    repeated *place = find_again(set, key, hash);
    if (!place->further) {
        place->key = key;
        set->n_again++;
    }
    place->further += further;
}

/* Room for n more keys that came again. */
static fl_status reserve_again(fl_pattern_set *set, size_t n)
{
    int log2_places = 64 - set->again_shift;
    while ((size_t)1 << log2_places < 2 * (set->n_again + n)) log2_places++;
    if (log2_places == 64 - set->again_shift) return FL_OK;
    fl_pattern_set larger = {.again = calloc((size_t)1 << log2_places, sizeof(repeated)),
                             .again_shift = 64 - log2_places};
    if (!larger.again) return FL_NO_MEMORY;
    for (size_t i = 0; i < (size_t)1 << (64 - set->again_shift); i++) {
        const repeated *old = set->again + i;
        if (old->further) count(&larger, old->key, fl_hash_of(old->key), old->further);
    }
    free(set->again);
    set->again = larger.again;
    set->again_shift = larger.again_shift;
    return FL_OK;
}

/* Counts what familiar keys came since they are there. */
static fl_status settle(fl_pattern_set *set)
{
    const fl_status status = reserve_again(set, (size_t)1 << FAMILIAR_LOG2);
    for (size_t i = 0; !status && i < (size_t)1 << FAMILIAR_LOG2; i++) {
        familiar *one = set->familiar + i;
        if (one->since) count(set, one->key, fl_hash_of(one->key), one->since);
        one->since = 0;
    }
    return status;
}

/* Room for n more keys with at least half of the places free. Places are in the order of the hashes, in
   every table: growing one reads and writes from front to back. */
static fl_status reserve(fl_pattern_set *set, size_t n)
{
    int log2_places = 64 - set->shift;
    while ((size_t)1 << log2_places < 2 * (set->distinct + n)) log2_places++;
    if (log2_places == 64 - set->shift) return FL_OK;
    fl_pattern_set larger;
    if (!table_new(&larger, log2_places)) return FL_NO_MEMORY;
    for (size_t i = 0; i < set->n_places / 32; i++) {
        for (uint64_t used = set->states[i] & ALL_USED; used; used &= used - 1) {
            const int at = __builtin_ctzll(used);
            const fl_key key = set->keys[32 * i + at / 2];
            add(&larger, key, fl_hash_of(key), set->states[i] >> at & (USED | AGAIN));
        }
    }
    free(set->keys);
    free(set->states);
    set->keys = larger.keys;
    set->states = larger.states;
    set->n_places = larger.n_places;
    set->shift = larger.shift;
    return FL_OK;
}

__attribute__((always_inline)) static inline size_t count_familiar(fl_pattern_set *set, const uint8_t *patterns,
                                                                  size_t n_rows, const size_t n_bytes,
                                                                  fl_key *others)
{
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++) {
        const fl_key key = fl_key_of(patterns + i * n_bytes, n_bytes);
        familiar *one = familiar_of(set, key);
        if (one->key.low == key.low && (n_bytes <= 8 || one->key.high == key.high))
            one->since++;
        else
            others[n++] = key;
    }
    return n;
}

size_t fl_pattern_set_count_familiar(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes,
                                     fl_key *others)
{
    switch (n_bytes) {         /* constants, so that a key is read without a branch */
#define BYTES(n) case n: return count_familiar(set, patterns, n_rows, n, others);
    BYTES(1) BYTES(2) BYTES(3) BYTES(4) BYTES(5) BYTES(6) BYTES(7) BYTES(8)
    BYTES(9) BYTES(10) BYTES(11) BYTES(12) BYTES(13) BYTES(14) BYTES(15) BYTES(16)
#undef BYTES
    default: return count_familiar(set, patterns, n_rows, n_bytes, others);
    }
}

fl_status fl_pattern_set_add_keys(fl_pattern_set *set, const fl_key *keys, size_t n)
{
    uint64_t hashes[FL_KEYS_AT_ONCE];
    fl_status status = reserve(set, n);
    if (!status) status = reserve_again(set, n);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        hashes[i] = fl_hash_of(keys[i]);
        __builtin_prefetch(set->keys + (hashes[i] >> set->shift), 1);
        __builtin_prefetch(set->states + (hashes[i] >> set->shift) / 32, 1);
    }
    for (size_t i = 0; i < n; i++) {
        if (!add(set, keys[i], hashes[i], USED)) continue;
        familiar *one = familiar_of(set, keys[i]);
        if (one->since) count(set, one->key, fl_hash_of(one->key), one->since);
        *one = (familiar){keys[i], 1, 0};
    }
    return FL_OK;
}

fl_status fl_pattern_set_add(fl_pattern_set *set, const uint8_t *patterns, size_t n_rows, size_t n_bytes)
{
    fl_key others[FL_KEYS_AT_ONCE];
    fl_status status = FL_OK;
    for (size_t start = 0; !status && start < n_rows; start += FL_KEYS_AT_ONCE) {
        const size_t n = n_rows - start < FL_KEYS_AT_ONCE ? n_rows - start : FL_KEYS_AT_ONCE;
        status = fl_pattern_set_add_keys(
            set, others, fl_pattern_set_count_familiar(set, patterns + start * n_bytes, n, n_bytes, others));
    }
    return status;
}

fl_status fl_pattern_set_add_counted(fl_pattern_set *set, const fl_key *keys, const uint64_t *counts, size_t n)
{
    fl_status status = reserve(set, n);
    if (!status) status = reserve_again(set, n);
    for (size_t i = 0; !status && i < n; i++) {
        const uint64_t hash = fl_hash_of(keys[i]);
        const uint64_t further = add(set, keys[i], hash, counts[i] > 1 ? USED | AGAIN : USED) ? counts[i]
                                                                                             : counts[i] - 1;
        if (further) count(set, keys[i], hash, further);
    }
    return status;
}

fl_status fl_pattern_set_list(fl_pattern_set *set, fl_key *keys, uint64_t *counts, uint8_t *parts)
{
    const fl_status status = settle(set);
    for (size_t i = 0, n = 0; !status && i < set->n_places / 32; i++) {
        for (uint64_t used = set->states[i] & ALL_USED; used; used &= used - 1) {
            const int at = __builtin_ctzll(used);
            const fl_key key = set->keys[32 * i + at / 2];
            const uint64_t hash = fl_hash_of(key);
            keys[n] = key;
            parts[n] = (uint8_t)(hash >> 56);
            counts[n++] = set->states[i] >> at & AGAIN ? 1 + find_again(set, key, hash)->further : 1;
        }
    }
    return status;
}

size_t fl_pattern_set_distinct(const fl_pattern_set *set) { return set->distinct; }

size_t fl_pattern_set_bytes(const fl_pattern_set *set)
{
    return set->n_places * sizeof(fl_key) + set->n_places / 4 + (sizeof(repeated) << (64 - set->again_shift))
           + (sizeof(familiar) << FAMILIAR_LOG2);
}

fl_status fl_pattern_set_frequencies(fl_pattern_set *set, fl_frequencies *found)
{
    const fl_status status = settle(set);
    unsigned __int128 pairs = 0;
    *found = (fl_frequencies){0};
    for (size_t i = 0; i < set->n_places / 32; i++) {
        const uint64_t once = set->states[i] & ~(set->states[i] >> 1) & ALL_USED;
        found->singletons += (uint64_t)__builtin_popcountll(once);
    }
    for (size_t i = 0; i < (size_t)1 << (64 - set->again_shift); i++) {
        const uint64_t further = set->again[i].further;
        found->doubletons += further == 1;
        pairs += (unsigned __int128)further * (further + 1);
    }
    found->pairs_low = (uint64_t)pairs;
    found->pairs_high = (uint64_t)(pairs >> 64);
    return status;
}
