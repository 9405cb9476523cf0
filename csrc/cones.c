#include "cones.h"

#include <string.h>

#include "walk.h"

/* Numbers ------------------------------------------------------------------------------------------ */

typedef unsigned __int128 unsigned_wide;

static uint64_t magnitude(int64_t x) { return x < 0 ? -(uint64_t)x : (uint64_t)x; }
static unsigned_wide wide_magnitude(fl_wide x)
{
    return x < 0 ? -(unsigned_wide)x : (unsigned_wide)x;
}

int fl_bit_length(uint64_t x) { return x ? 64 - __builtin_clzll(x) : 0; }

static int wide_bit_length(unsigned_wide x)
{
    return x >> 64 ? 64 + fl_bit_length((uint64_t)(x >> 64)) : fl_bit_length((uint64_t)x);
}

int fl_largest_bits(const int64_t *x, size_t n)
{
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) all |= magnitude(x[i]);
    return fl_bit_length(all);
}

/* Of a form's value: a sum of d + 1 products. */
static int value_bits(const fl_cone *cone, const fl_integer_forms *forms, size_t d)
{
    return cone->n_bits + forms->n_bits + fl_bit_length(d);
}

static uint64_t narrow_gcd(uint64_t a, uint64_t b)
{
    if (!a || !b) return a | b;
    const int twos = __builtin_ctzll(a | b);
    a >>= __builtin_ctzll(a);
    while (b) {
        b >>= __builtin_ctzll(b);
        const uint64_t less = a < b ? a : b;
        b = a < b ? b - a : a - b;
        a = less;
    }
    return a << twos;
}

static unsigned_wide wide_gcd(unsigned_wide a, unsigned_wide b)
{
    while (b >> 64) {
        const unsigned_wide rest = a % b;
        a = b;
        b = rest;
    }
    return b ? narrow_gcd((uint64_t)b, (uint64_t)(a % b)) : a;
}

/* a v - b u in lowest terms, where |a|, |b| have at most n_bits and coordinates point_bits. */
static fl_status combine(size_t d, fl_wide a, const int64_t *v, fl_wide b, const int64_t *u, int n_bits,
                         int point_bits, int64_t *out)
{
    if (n_bits + point_bits + 1 > FL_COMPUTED_BITS) {
        const unsigned_wide common = wide_gcd(wide_magnitude(a), wide_magnitude(b));
        a /= (fl_wide)common;
        b /= (fl_wide)common;
        if (wide_bit_length(wide_magnitude(a) | wide_magnitude(b)) + point_bits + 1 > FL_COMPUTED_BITS)
            return FL_UNDECIDED;
    }
    fl_wide sums[FL_EXACT_MOST_INPUTS + 1];
    unsigned_wide all = 0;
    for (size_t k = 0; k <= d; k++) {
        sums[k] = a * v[k] - b * u[k];
        all |= wide_magnitude(sums[k]);
    }
    if (!(all >> FL_KEPT_BITS)) {
        uint64_t divisor = 0;
        for (size_t k = 0; k <= d && divisor != 1; k++)
            divisor = narrow_gcd(divisor, magnitude((int64_t)sums[k]));
        for (size_t k = 0; k <= d; k++)
            out[k] = divisor == 1 ? (int64_t)sums[k] : (int64_t)sums[k] / (int64_t)divisor;
        return FL_OK;
    }
    unsigned_wide divisor = 0;
    for (size_t k = 0; k <= d; k++) divisor = wide_gcd(divisor, wide_magnitude(sums[k]));
    if ((all / divisor) >> FL_KEPT_BITS) return FL_UNDECIDED;
    for (size_t k = 0; k <= d; k++) out[k] = (int64_t)(sums[k] / (fl_wide)divisor);
    return FL_OK;
}

/* Values ------------------------------------------------------------------------------------------- */

/* Where a form with this sign has points. */
static inline uint8_t sides_at(int is_line, int sign)
{
    return (uint8_t)((sign < 0 || (is_line && sign)) * FL_BELOW | (sign > 0 || (is_line && sign)) * FL_ABOVE);
}

#define DEFINE_SIDES(name, type)                                                                            \
    static void name(size_t d, const fl_cone *cone, const fl_integer_forms *forms, uint8_t *sides, type *z) \
    {                                                                                                       \
        const size_t n = forms->n;                                                                          \
        for (size_t i = 0; i < cone->n_lines + cone->n_vertices; i++) {                                     \
            const int64_t *point = cone->points + i * (d + 1);                                              \
            const int is_line = i < cone->n_lines;                                                          \
            for (size_t j = 0; j < n; j++) z[j] = (type)point[d] * forms->rows[d * n + j];                  \
            for (size_t k = 0; k < d; k++)                                                                  \
                for (size_t j = 0; j < n; j++) z[j] += (type)point[k] * forms->rows[k * n + j];             \
            for (size_t j = 0; j < n; j++) sides[j] |= sides_at(is_line, (z[j] > 0) - (z[j] < 0));          \
        }                                                                                                   \
    }
DEFINE_SIDES(narrow_sides, int64_t)
DEFINE_SIDES(wide_sides, fl_wide)

fl_status fl_cone_sides(fl_cones *cones, const fl_cone *cone, const fl_integer_forms *forms, uint8_t *sides)
{
    const int n_bits = value_bits(cone, forms, cones->d);
    if (n_bits > FL_COMPUTED_BITS) return FL_UNDECIDED;
    const fl_stack_mark mark = fl_stack_here(&cones->scratch);
    void *z = fl_stack_take(&cones->scratch, forms->n * sizeof(fl_wide));
    if (!z) return FL_NO_MEMORY;
    memset(sides, 0, forms->n);
    if (n_bits < 64) narrow_sides(cones->d, cone, forms, sides, z);
    else wide_sides(cones->d, cone, forms, sides, z);
    fl_stack_back_to(&cones->scratch, mark);
    return FL_OK;
}

fl_status fl_cone_values(fl_cones *cones, const fl_cone *cone, const fl_integer_forms *forms, size_t j,
                         fl_form_values *out)
{
    const size_t d = cones->d, n = cone->n_lines + cone->n_vertices;
    if (value_bits(cone, forms, d) > FL_COMPUTED_BITS) return FL_UNDECIDED;
    *out = (fl_form_values){.values = fl_stack_take(&cones->scratch, n * sizeof(fl_wide))};
    if (!out->values) return FL_NO_MEMORY;
    unsigned_wide all = 0;
    for (size_t i = 0; i < n; i++) {
        const int64_t *point = cone->points + i * (d + 1);
        fl_wide z = 0;
        for (size_t k = 0; k <= d; k++) z += (fl_wide)point[k] * forms->rows[k * forms->n + j];
        out->values[i] = z;
        all |= wide_magnitude(z);
        out->sides |= sides_at(i < cone->n_lines, (z > 0) - (z < 0));
    }
    out->n_bits = wide_bit_length(all);
    return FL_OK;
}

/* Cuts --------------------------------------------------------------------------------------------- */

/* The facets that meet in a vertex, at least. */
static size_t facets_a_vertex(const fl_cones *cones, const fl_cone *cone)
{
    return cones->d - cone->n_lines;
}

static fl_cone *new_cone(fl_cones *cones, size_t n_vertices, size_t n_lines, size_t n_words)
{
    fl_cone *cone = fl_stack_take(&cones->path, sizeof *cone);
    int64_t *points = fl_stack_take(&cones->path, (n_lines + n_vertices) * (cones->d + 1) * sizeof(int64_t));
    uint64_t *facets = fl_stack_take(&cones->path, (n_vertices + 1) * n_words * sizeof(uint64_t));
    if (!cone || !points || !facets) return NULL;
    *cone = (fl_cone){n_vertices, n_lines, n_words, 0, points, facets, facets + n_vertices * n_words};
    return cone;
}

/* The lowest slot that a cone does not use, and the words its parts need with that. */
static size_t free_slot(const fl_cone *cone, size_t *n_words)
{
    size_t slot = 64 * cone->n_words;
    *n_words = 0;
    for (size_t i = 0; i < cone->n_words; i++) {
        if (cone->slots[i]) *n_words = i + 1;
        if (~cone->slots[i] && slot == 64 * cone->n_words)
            slot = i * 64 + (size_t)__builtin_ctzll(~cone->slots[i]);
    }
    if (slot / 64 + 1 > *n_words) *n_words = slot / 64 + 1;
    return slot;
}

static void copy_facets(uint64_t *to, size_t n_to, const uint64_t *from, size_t n_from)
{
    for (size_t i = 0; i < n_to; i++) to[i] = i < n_from ? from[i] : 0;
}

/* Ends the making of a cone. A slot stays in use where as many vertices as a facet has lie on it; others
   bear no facet, here or further down. */
static void finish(const fl_cones *cones, fl_cone *cone)
{
    const size_t least = facets_a_vertex(cones, cone), n_words = cone->n_words;
    for (size_t i = 0; i < n_words; i++) {
        uint64_t with_at_least[FL_EXACT_MOST_INPUTS + 1] = {~UINT64_C(0)};
        for (size_t v = 0; v < cone->n_vertices; v++)
            for (size_t k = least; k > 0; k--)
                with_at_least[k] |= with_at_least[k - 1] & cone->facets[v * n_words + i];
        cone->slots[i] = with_at_least[least];
        for (size_t v = 0; v < cone->n_vertices; v++) cone->facets[v * n_words + i] &= cone->slots[i];
    }
    cone->n_bits = fl_largest_bits(cone->points, (cone->n_lines + cone->n_vertices) * (cones->d + 1));
}

/* Where the form is not 0 on some line: the first of these gives each part a vertex. */
static fl_status cut_line(fl_cones *cones, const fl_cone *cone, const fl_form_values *form, int wanted,
                          const fl_cone **parts)
{
    const size_t size = cones->d + 1, n = cone->n_vertices;
    size_t at = 0, n_words;
    while (!form->values[at]) at++;
    const int64_t *line = cone->points + at * size;
    const int turn = form->values[at] < 0 ? -1 : 1;
    const size_t slot = free_slot(cone, &n_words);
    for (int above = 0; above < 2; above++) {
        if (!(wanted & (above ? FL_ABOVE : FL_BELOW))) continue;
        fl_cone *part = new_cone(cones, n + 1, cone->n_lines - 1, n_words);
        if (!part) return FL_NO_MEMORY;
        int64_t *to = part->points;
        for (size_t i = 0; i < cone->n_lines + n; i++) {
            if (i == at) continue;
            const fl_status status = combine(cones->d, turn * form->values[at], cone->points + i * size,
                                             turn * form->values[i], line, form->n_bits, cone->n_bits, to);
            if (status) return status;
            to += size;
        }
        for (size_t k = 0; k < size; k++) to[k] = above ? turn * line[k] : -turn * line[k];
        for (size_t i = 0; i < n; i++) {
            uint64_t *facets = part->facets + i * n_words;
            copy_facets(facets, n_words, cone->facets + i * cone->n_words, cone->n_words);
            facets[slot / 64] |= UINT64_C(1) << slot % 64;
        }
        /* Lines lie on all facets. */
        copy_facets(part->facets + n * n_words, n_words, cone->slots, cone->n_words);
        finish(cones, part);
        parts[above] = part;
    }
    return FL_OK;
}

/* Vertices by where a form puts them, and the edges that it crosses. */
typedef struct {
    uint32_t *sides[2], *on, *edges;   /* edges: pairs, from below to above */
    size_t n_sides[2], n_on, n_edges;
} crossing;

/* To count the facets in common, a word. */
enum { WORK_A_PAIR = 8 };

/* Vertices span an edge where they share all but one of the facets that a vertex has at least, and no
   third vertex lies on all these. */
static int span_edge(fl_cones *cones, const fl_cone *cone, size_t least, size_t u, size_t v, const uint8_t *simple)
{
    const size_t n_words = cone->n_words;
    const uint64_t *a = cone->facets + u * n_words, *b = cone->facets + v * n_words;
    size_t n_common = 0;
    for (size_t i = 0; i < n_words; i++) n_common += fl_popcount(a[i] & b[i]);
    if (n_common + 1 < least) return 0;
    if (simple[u] || simple[v]) return 1; /* any such facets of a simple vertex make an edge */
    cones->patience.work += cone->n_vertices * n_words;
    for (size_t t = 0; t < cone->n_vertices; t++) {
        uint64_t lacks = 0;
        for (size_t i = 0; i < n_words; i++) lacks |= a[i] & b[i] & ~cone->facets[t * n_words + i];
        if (!lacks && t != u && t != v) return 0;
    }
    return 1;
}

static fl_status find_crossing(fl_cones *cones, const fl_cone *cone, const fl_wide *z, crossing *out)
{
    const size_t n = cone->n_vertices, least = facets_a_vertex(cones, cone);
    uint32_t *lists = fl_stack_take(&cones->scratch, 3 * n * sizeof(uint32_t));
    uint8_t *simple = fl_stack_take(&cones->scratch, n);
    if (!lists || !simple) return FL_NO_MEMORY;
    *out = (crossing){.sides = {lists, lists + n}, .on = lists + 2 * n};
    for (size_t i = 0; i < n; i++) {
        size_t n_facets = 0;
        for (size_t k = 0; k < cone->n_words; k++)
            n_facets += fl_popcount(cone->facets[i * cone->n_words + k]);
        simple[i] = n_facets == least;
        if (z[i] == 0) out->on[out->n_on++] = (uint32_t)i;
        else out->sides[z[i] > 0][out->n_sides[z[i] > 0]++] = (uint32_t)i;
    }
    out->edges = fl_stack_take(&cones->scratch, 2 * out->n_sides[0] * out->n_sides[1] * sizeof(uint32_t));
    if (!out->edges) return FL_NO_MEMORY;
    for (size_t i = 0; i < out->n_sides[0]; i++) {
        for (size_t k = 0; k < out->n_sides[1]; k++) {
            const uint32_t below = out->sides[0][i], above = out->sides[1][k];
            if (!span_edge(cones, cone, least, below, above, simple)) continue;
            out->edges[2 * out->n_edges] = below;
            out->edges[2 * out->n_edges++ + 1] = above;
        }
        if (fl_is_over(&cones->patience, out->n_sides[1] * cone->n_words * WORK_A_PAIR)) return FL_UNDECIDED;
    }
    return FL_OK;
}

/* The points where the form is 0 on an edge, [n_edges][d + 1]. */
static fl_status cross_edges(const fl_cones *cones, const fl_cone *cone, const fl_form_values *form,
                             const crossing *c, int64_t *points)
{
    const size_t size = cones->d + 1;
    const fl_wide *z = form->values + cone->n_lines;
    const int64_t *vertices = cone->points + cone->n_lines * size;
    for (size_t i = 0; i < c->n_edges; i++) {
        const uint32_t below = c->edges[2 * i], above = c->edges[2 * i + 1];
        const fl_status status = combine(cones->d, z[above], vertices + below * size, z[below],
                                         vertices + above * size, form->n_bits, cone->n_bits, points + i * size);
        if (status) return status;
    }
    return FL_OK;
}

static fl_cone *part_of(fl_cones *cones, const fl_cone *cone, const crossing *c, int above,
                        const int64_t *crossings)
{
    const size_t size = cones->d + 1, n_kept = c->n_on + c->n_sides[above];
    size_t n_words;
    const size_t slot = free_slot(cone, &n_words);
    const uint64_t new_facet = UINT64_C(1) << slot % 64;
    fl_cone *part = new_cone(cones, n_kept + c->n_edges, cone->n_lines, n_words);
    if (!part) return NULL;
    memcpy(part->points, cone->points, cone->n_lines * size * sizeof(int64_t));
    int64_t *points = part->points + cone->n_lines * size;
    const int64_t *vertices = cone->points + cone->n_lines * size;
    for (size_t i = 0; i < n_kept; i++) {
        const uint32_t v = i < c->n_on ? c->on[i] : c->sides[above][i - c->n_on];
        uint64_t *facets = part->facets + i * n_words;
        for (size_t k = 0; k < size; k++) points[i * size + k] = vertices[v * size + k];
        copy_facets(facets, n_words, cone->facets + v * cone->n_words, cone->n_words);
        if (i < c->n_on) facets[slot / 64] |= new_facet;
    }
    memcpy(points + n_kept * size, crossings, c->n_edges * size * sizeof(int64_t));
    for (size_t i = 0; i < c->n_edges; i++) {
        const uint64_t *u = cone->facets + c->edges[2 * i] * cone->n_words;
        const uint64_t *v = cone->facets + c->edges[2 * i + 1] * cone->n_words;
        uint64_t *facets = part->facets + (n_kept + i) * n_words;
        for (size_t k = 0; k < n_words; k++) facets[k] = k < cone->n_words ? u[k] & v[k] : 0;
        facets[slot / 64] |= new_facet;
    }
    finish(cones, part);
    return part;
}

static fl_status cut_edges(fl_cones *cones, const fl_cone *cone, const fl_form_values *form, int wanted,
                           const fl_cone **parts)
{
    crossing c;
    fl_status status = find_crossing(cones, cone, form->values + cone->n_lines, &c);
    if (status) return status;
    int64_t *points = fl_stack_take(&cones->scratch, c.n_edges * (cones->d + 1) * sizeof(int64_t));
    if (!points) return FL_NO_MEMORY;
    status = cross_edges(cones, cone, form, &c, points);
    if (status) return status;
    for (int above = 0; above < 2; above++)
        if (wanted & (above ? FL_ABOVE : FL_BELOW) && !(parts[above] = part_of(cones, cone, &c, above, points)))
            return FL_NO_MEMORY;
    return FL_OK;
}

fl_status fl_cone_cut(fl_cones *cones, const fl_cone *cone, const fl_form_values *form, int wanted,
                      const fl_cone **parts)
{
    const fl_stack_mark mark = fl_stack_here(&cones->scratch);
    size_t n_level = 0;
    while (n_level < cone->n_lines && !form->values[n_level]) n_level++;
    const fl_status status = (n_level < cone->n_lines ? cut_line : cut_edges)(cones, cone, form, wanted, parts);
    fl_stack_back_to(&cones->scratch, mark);
    return status;
}

/* Facets ------------------------------------------------------------------------------------------- */

static int is_within(const uint64_t *part, const uint64_t *whole, size_t n_words)
{
    uint64_t outside = 0;
    for (size_t i = 0; i < n_words; i++) outside |= part[i] & ~whole[i];
    return !outside;
}

fl_status fl_cone_facets(fl_cones *cones, const fl_cone *cone, size_t *n_facets, const uint64_t **members)
{
    const size_t n_slots = 64 * cone->n_words, n_words = fl_words(cone->n_vertices);
    uint64_t *sets = fl_stack_take(&cones->scratch, n_slots * n_words * sizeof(uint64_t));
    if (!sets) return FL_NO_MEMORY;
    *n_facets = 0;
    *members = sets;
    for (size_t slot = 0; slot < n_slots; slot++) {
        if (!fl_bit(cone->slots, slot)) continue;
        uint64_t *set = sets + *n_facets * n_words, any = 0;
        memset(set, 0, n_words * sizeof(uint64_t));
        for (size_t v = 0; v < cone->n_vertices; v++)
            set[v / 64] |= (uint64_t)fl_bit(cone->facets + v * cone->n_words, slot) << v % 64;
        for (size_t i = 0; i < n_words; i++) any |= set[i];
        if (any) ++*n_facets;
    }
    /* A fold that only touches the cell does so where a facet is. */
    for (size_t i = *n_facets; i-- > 0;)
        for (size_t k = 0; k < *n_facets; k++)
            if (k != i && is_within(sets + i * n_words, sets + k * n_words, n_words)) {
                memcpy(sets + i * n_words, sets + --*n_facets * n_words, n_words * sizeof(uint64_t));
                break;
            }
    return FL_OK;
}
