/* The walk through cells in integers: that of src/foldline/cells.py, in fixed width. Where numbers outgrow
   it, the cells below the bits at hand are left open, as a tie. cones.c keeps the cells. */
#include <stdlib.h>
#include <string.h>

#include "cones.h"
#include "memory.h"
#include "walk.h"

enum { CUTS_A_CLOCK = 16 };    /* between two looks at the clock */

typedef struct {
    size_t n_in, n_units;
    const int64_t *columns;    /* [n_in][n_units]: W, column by column */
    const int64_t *bias;       /* [n_units] */
    const int64_t *slopes;     /* [n_units], in units of 1 / one; null after the last layer */
    int64_t one;
    const int64_t *bits;       /* [n_units]: which, or FL_NO_BIT */
    size_t first_bit;
    int fits;                  /* no sum on the way to a form can outgrow it, whatever the pattern */
} exact_layer;

struct fl_exact_cells {
    size_t d, n_hidden, n_neurons, n_bytes, n_out;
    exact_layer *layers;       /* [n_hidden + 1] */
    const int64_t *inputs;     /* [n_inputs][d + 1]: forms of the network's inputs */
    const int64_t *one;        /* [d + 1]: the form that biases multiply */
    fl_cone root;
    void *memory;
};

/* A layer's forms on the path that is walked, and what they were computed from. */
typedef struct {
    fl_integer_forms forms;
    uint64_t *active;          /* of this layer's units: bits, and 1 for those that pass through */
    uint64_t *active_above;    /* the layer above's `active` that `forms` is of */
    uint64_t version, version_above;   /* 0: there are no forms yet */
} layer_state;

typedef struct {
    const fl_exact_cells *cells;
    layer_state *layers;       /* [n_hidden + 1] */
    uint64_t n_versions;
    fl_cones cones;
    const uint8_t *prefix;     /* the walk stays below these bits */
    size_t n_prefix, n_cuts;   /* n_cuts: on the path */
    uint64_t n_steps;          /* cuts that were considered: a clock */
    uint64_t n_done;           /* cells and open prefixes found */
    const fl_cell_limits *limits;
    double stop_at;            /* seconds */
    int stopped;
    fl_exact_rows *rows;       /* null: leaves are only counted */
    fl_cell_opens *opens;
    uint64_t *n_cells;
} exact_walk;

/* Patterns ----------------------------------------------------------------------------------------- */

/* The pattern as it stands: bits that are not known yet have any value. */
static void write_bits(const exact_walk *w, uint8_t *bits)
{
    memset(bits, 0, w->cells->n_bytes);
    for (size_t l = 0; l < w->cells->n_hidden; l++)
        fl_add_bits(w->cells->layers[l].bits, w->cells->layers[l].n_units, w->layers[l].active, bits);
}

static int begins_with_prefix(const exact_walk *w, const uint8_t *bits)
{
    const size_t n_whole = w->n_prefix / 8, n_rest = w->n_prefix % 8;
    if (memcmp(bits, w->prefix, n_whole)) return 0;
    return !n_rest || !((bits[n_whole] ^ w->prefix[n_whole]) & ((1 << n_rest) - 1));
}

/* Leaves the cells below the first n bits, or below the prefix, to somebody else. Whether a walk that
   goes on where this one stopped meets a tie is not known: then there is none. */
static fl_status leave_open(exact_walk *w, size_t n, int tie)
{
    uint8_t *bits = fl_cell_opens_room(w->opens);
    if (!bits) return FL_NO_MEMORY;
    if (n > w->n_prefix) write_bits(w, bits);
    else {
        n = w->n_prefix;
        memcpy(bits, w->prefix, (n + 7) / 8);
    }
    w->n_done++;
    if (begins_with_prefix(w, bits)) fl_cell_opens_add(w->opens, n, tie && !w->stopped);
    return FL_OK;
}

/* Whether a layer's bits are the prefix's, as far as that goes. */
static int on_prefix(const exact_walk *w, size_t l)
{
    const exact_layer *layer = w->cells->layers + l;
    if (layer->first_bit >= w->n_prefix) return 1;
    for (size_t j = 0; j < layer->n_units; j++) {
        const int64_t bit = layer->bits[j];
        if (bit == FL_NO_BIT || (size_t)bit >= w->n_prefix) continue;
        if (fl_bit_of(w->prefix, (size_t)bit) != fl_bit(w->layers[l].active, j)) return 0;
    }
    return 1;
}

/* Forms -------------------------------------------------------------------------------------------- */

/* Adds factor * (the form of unit `unit` above) to the forms it goes into. 0: that does not fit. */
static int add_unit(exact_walk *w, size_t l, size_t unit, int64_t factor)
{
    const exact_layer *layer = w->cells->layers + l;
    const size_t d = w->cells->d, n = layer->n_units;
    const int64_t *column = layer->columns + unit * n;
    int outgrown = 0;
    for (size_t k = 0; k <= d; k++) {
        const int64_t below = l ? w->layers[l - 1].forms.rows[k * layer->n_in + unit]
                                : w->cells->inputs[unit * (d + 1) + k];
        int64_t *row = w->layers[l].forms.rows + k * n, m, product;
        if (layer->fits) {
            m = factor * below;
            for (size_t j = 0; j < n; j++) row[j] += m * column[j];
        } else {
            outgrown |= __builtin_mul_overflow(factor, below, &m);
            for (size_t j = 0; j < n; j++) {
                outgrown |= __builtin_mul_overflow(m, column[j], &product);
                outgrown |= __builtin_add_overflow(row[j], product, row + j);
            }
        }
    }
    return !outgrown;
}

static int add_units(exact_walk *w, size_t l)
{
    const exact_layer *layer = w->cells->layers + l;
    for (size_t unit = 0; unit < layer->n_in; unit++) {
        int64_t slope = 1;
        if (l) slope = fl_bit(w->layers[l - 1].active, unit) ? layer[-1].one : layer[-1].slopes[unit];
        if (slope && !add_unit(w, l, unit, slope)) return 0;
    }
    return 1;
}

static int add_changes(exact_walk *w, size_t l)
{
    const exact_layer *above = w->cells->layers + l - 1;
    const layer_state *state = w->layers + l, *state_above = state - 1;
    for (size_t i = 0; i < fl_words(above->n_units); i++)
        for (uint64_t changed = state_above->active[i] ^ state->active_above[i]; changed; changed &= changed - 1) {
            const size_t unit = i * 64 + (size_t)__builtin_ctzll(changed);
            const int64_t rise = above->one - above->slopes[unit];
            if (!add_unit(w, l, unit, fl_bit(state_above->active, unit) ? rise : -rise)) return 0;
        }
    return 1;
}

/* Brings a layer's forms up to date with the bits above it. Few of those differ from one cell to the
   next: then the columns of the units that do are added or taken away. */
static fl_status update_forms(exact_walk *w, size_t l)
{
    const exact_layer *layer = w->cells->layers + l;
    layer_state *state = w->layers + l;
    const layer_state *above = l ? state - 1 : NULL;
    const size_t n = layer->n_units, n_rows = w->cells->d + 1, n_words = l ? fl_words(layer->n_in) : 0;
    size_t n_changed = 0, n_active = 0;
    for (size_t i = 0; i < n_words; i++) {
        n_changed += fl_popcount(above->active[i] ^ state->active_above[i]);
        n_active += fl_popcount(above->active[i]);
    }
    const int same_forms_above = state->version && (!l || state->version_above == above->version);
    if (same_forms_above && n_changed == 0) return FL_OK;
    state->version = 0;
    if (same_forms_above && n_changed < n_active) {
        if (!add_changes(w, l)) return FL_UNDECIDED;
    } else {
        for (size_t k = 0; k < n_rows; k++)
            for (size_t j = 0; j < n; j++) state->forms.rows[k * n + j] = w->cells->one[k] * layer->bias[j];
        if (!add_units(w, l)) return FL_UNDECIDED;
    }
    state->forms.n_bits = fl_largest_bits(state->forms.rows, n_rows * n);
    if (state->forms.n_bits > FL_KEPT_BITS) return FL_UNDECIDED;
    state->version = ++w->n_versions;
    if (l) {
        memcpy(state->active_above, above->active, n_words * sizeof(uint64_t));
        state->version_above = above->version;
    }
    return FL_OK;
}

/* The walk ----------------------------------------------------------------------------------------- */

/* Not before there is something to show: a walk that goes on where others stopped gets somewhere. */
static int must_stop(exact_walk *w)
{
    w->stopped |= w->cones.patience.is_over;
    if (!w->stopped && ++w->n_steps % CUTS_A_CLOCK == 0 && w->n_done && fl_seconds_now() > w->stop_at)
        w->stopped = 1;
    return w->stopped;
}

static fl_status add_row(exact_walk *w, const fl_cone *cone)
{
    const size_t l = w->cells->n_hidden;
    const fl_stack_mark mark = fl_stack_here(&w->cones.scratch);
    size_t n_facets = 0;
    const uint64_t *members = NULL;
    uint8_t *bits = fl_stack_take(&w->cones.scratch, w->cells->n_bytes + 1);
    if (!bits) return FL_NO_MEMORY;
    fl_status status = FL_OK;
    if (!w->rows->only_patterns) {
        status = update_forms(w, l);
        if (status == FL_OK) status = fl_cone_facets(&w->cones, cone, &n_facets, &members);
    }
    write_bits(w, bits);
    if (status == FL_OK)
        status = fl_exact_rows_add(w->rows, bits, w->layers[l].forms.rows, cone->n_vertices,
                                   cone->points + cone->n_lines * (w->cells->d + 1), n_facets, members);
    fl_stack_back_to(&w->cones.scratch, mark);
    return status;
}

static fl_status leaf(exact_walk *w, const fl_cone *cone)
{
    if (w->stopped) return leave_open(w, w->cells->n_neurons, 0);
    const fl_status status = w->rows ? add_row(w, cone) : FL_OK;
    if (status == FL_UNDECIDED) return leave_open(w, w->cells->n_neurons, 1);
    w->n_done++;
    if (++*w->n_cells >= w->limits->most_cells) w->stopped = 1;
    return status;
}

static fl_status visit_layers(exact_walk *w, size_t l, const fl_cone *cone);

/* The units that are still to be looked at, in order: the first that crosses the cell cuts it. */
static fl_status visit_units(exact_walk *w, size_t l, const fl_cone *cone, const uint32_t *units, size_t n)
{
    const exact_layer *layer = w->cells->layers + l;
    const fl_stack_mark scratch = fl_stack_here(&w->cones.scratch), path = fl_stack_here(&w->cones.path);
    fl_form_values form;
    for (; n; n--, units++) {
        const fl_status status = fl_cone_values(&w->cones, cone, &w->layers[l].forms, *units, &form);
        if (status == FL_UNDECIDED) return leave_open(w, (size_t)layer->bits[*units], 1);
        if (status) return status;
        if (form.sides == (FL_BELOW | FL_ABOVE)) break;
        fl_set_bit(w->layers[l].active, *units, form.sides == FL_ABOVE);
        fl_stack_back_to(&w->cones.scratch, scratch);
    }
    if (!n) return on_prefix(w, l) ? visit_layers(w, l + 1, cone) : FL_OK;

    const size_t bit = (size_t)layer->bits[*units];
    const fl_cone *parts[2] = {NULL, NULL};
    int wanted = FL_BELOW | FL_ABOVE;
    if (bit < w->n_prefix) wanted = fl_bit_of(w->prefix, bit) ? FL_ABOVE : FL_BELOW;
    fl_status status = FL_OK;
    if (must_stop(w)) status = leave_open(w, bit, 0);
    else {
        status = w->n_cuts < FL_MOST_CUTS ? fl_cone_cut(&w->cones, cone, &form, wanted, parts) : FL_UNDECIDED;
        if (status == FL_UNDECIDED) {
            parts[0] = parts[1] = NULL;
            status = leave_open(w, bit, 1);
        }
    }
    fl_stack_back_to(&w->cones.scratch, scratch);
    w->n_cuts++;
    for (int above = 0; above < 2 && status == FL_OK; above++) {
        if (!parts[above]) continue;
        fl_set_bit(w->layers[l].active, *units, above);
        status = visit_units(w, l, parts[above], units + 1, n - 1);
    }
    w->n_cuts--;
    fl_stack_back_to(&w->cones.path, path);
    return status;
}

/* Sets the bits that a cell at a layer's entry decides, and lists the units that cross it. */
static fl_status enter(exact_walk *w, size_t l, const fl_cone *cone, uint32_t *units, size_t *n)
{
    const exact_layer *layer = w->cells->layers + l;
    fl_status status = update_forms(w, l);
    if (status) return status;
    const fl_stack_mark mark = fl_stack_here(&w->cones.scratch);
    uint8_t *sides = fl_stack_take(&w->cones.scratch, layer->n_units);
    if (!sides) return FL_NO_MEMORY;
    status = fl_cone_sides(&w->cones, cone, &w->layers[l].forms, sides);
    *n = 0;
    for (size_t j = 0; status == FL_OK && j < layer->n_units; j++) {
        const int folds = layer->bits[j] != FL_NO_BIT;
        fl_set_bit(w->layers[l].active, j, !folds || sides[j] == FL_ABOVE);
        if (folds && sides[j] == (FL_BELOW | FL_ABOVE)) units[(*n)++] = (uint32_t)j;
    }
    fl_stack_back_to(&w->cones.scratch, mark);
    return status;
}

static fl_status visit_layers(exact_walk *w, size_t l, const fl_cone *cone)
{
    const fl_stack_mark mark = fl_stack_here(&w->cones.path);
    fl_status status = FL_OK;
    for (;; l++) {
        if (l == w->cells->n_hidden) {
            status = leaf(w, cone);
            break;
        }
        const exact_layer *layer = w->cells->layers + l;
        size_t n;
        uint32_t *units = fl_stack_take(&w->cones.path, layer->n_units * sizeof(uint32_t));
        if (!units) return FL_NO_MEMORY;
        status = enter(w, l, cone, units, &n);
        if (status == FL_UNDECIDED) status = leave_open(w, layer->first_bit, 1);
        else if (status == FL_OK && n) status = visit_units(w, l, cone, units, n);
        else if (status == FL_OK && on_prefix(w, l)) continue;
        break;
    }
    fl_stack_back_to(&w->cones.path, mark);
    return status;
}

static void *allocate(exact_walk *w)
{
    const fl_exact_cells *cells = w->cells;
    void *memory = NULL;
    fl_arena arena = {NULL, 0};
    for (int pass = 0; pass < 2; pass++) {
        w->layers = fl_take(&arena, cells->n_hidden + 1, sizeof(layer_state));
        for (size_t l = 0; l <= cells->n_hidden; l++) {
            const exact_layer *layer = cells->layers + l;
            int64_t *rows = fl_take(&arena, (cells->d + 1) * layer->n_units, sizeof(int64_t));
            uint64_t *active = fl_take(&arena, fl_words(layer->n_units), sizeof(uint64_t));
            uint64_t *active_above = fl_take(&arena, fl_words(layer->n_in), sizeof(uint64_t));
            if (pass)
                w->layers[l] = (layer_state){.forms = {.n = layer->n_units, .rows = rows}, .active = active,
                                             .active_above = active_above};
        }
        if (pass == 0 && !(memory = fl_arena_allocate(&arena))) return NULL;
    }
    return memory;
}

fl_status fl_exact_cells_walk(const fl_exact_cells *cells, const uint8_t *prefix, size_t n_prefix,
                              const fl_cell_limits *limits, fl_exact_rows *rows, fl_cell_opens *opens,
                              uint64_t *n_cells)
{
    exact_walk w = {.cells = cells, .prefix = prefix, .n_prefix = n_prefix,
                    .limits = limits, .rows = rows, .opens = opens, .n_cells = n_cells};
    w.cones = (fl_cones){.d = cells->d, .patience = {.interrupted = limits->interrupted, .context = limits->context}};
    void *memory = allocate(&w);
    if (!memory) return FL_NO_MEMORY;
    opens->n_bytes = cells->n_bytes;
    if (rows) {
        rows->d = cells->d;
        rows->n_out = cells->n_out;
        rows->n_bytes = cells->n_bytes;
    }
    w.stop_at = fl_seconds_now() + limits->seconds;
    const fl_status status = visit_layers(&w, 0, &cells->root);
    fl_stack_free(&w.cones.path);
    fl_stack_free(&w.cones.scratch);
    free(memory);
    return status;
}

/* Packing ------------------------------------------------------------------------------------------ */

/* Sizes that saturate: what is too large stays too large. */
#define TOO_LARGE (UINT64_C(1) << FL_KEPT_BITS)

static uint64_t size_of(int64_t x) { return x < 0 ? -(uint64_t)x : (uint64_t)x; }

static uint64_t product_size(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return product < TOO_LARGE ? (uint64_t)product : TOO_LARGE;
}

static uint64_t sum_size(uint64_t a, uint64_t b) { return a + b < TOO_LARGE ? a + b : TOO_LARGE; }

/* sizes, of what comes into a layer, become those of what goes out. A change of bits adds up to twice what
   a unit passes on: hence the factor of 2 below what is too large. */
static int bound_layer(const exact_layer *layer, uint64_t *sizes, uint64_t *next)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < layer->n_in; i++) largest = sizes[i] > largest ? sizes[i] : largest;
    for (size_t j = 0; j < layer->n_units; j++) {
        uint64_t size = size_of(layer->bias[j]);
        for (size_t i = 0; i < layer->n_in; i++)
            size = sum_size(size, product_size(size_of(layer->columns[i * layer->n_units + j]), sizes[i]));
        largest = size > largest ? size : largest;
        const uint64_t slope = layer->slopes ? size_of(layer->slopes[j]) : 1, one = size_of(layer->one);
        next[j] = product_size(size, slope > one ? slope : one);
    }
    memcpy(sizes, next, layer->n_units * sizeof *sizes);
    return largest < TOO_LARGE / 2;
}

static fl_status bound_layers(fl_exact_cells *cells, size_t n_inputs, size_t widest)
{
    uint64_t *sizes = calloc(2 * widest + 1, sizeof *sizes);
    if (!sizes) return FL_NO_MEMORY;
    for (size_t i = 0; i < n_inputs; i++)
        for (size_t k = 0; k <= cells->d; k++) {
            const uint64_t size = size_of(cells->inputs[i * (cells->d + 1) + k]);
            sizes[i] = size > sizes[i] ? size : sizes[i];
        }
    for (size_t l = 0; l <= cells->n_hidden; l++)
        cells->layers[l].fits = bound_layer(cells->layers + l, sizes, sizes + widest);
    free(sizes);
    return FL_OK;
}

static size_t pack_layer(fl_arena *arena, exact_layer *layer, size_t n_in, size_t n_units,
                         const int64_t *weights, const int64_t *bias, const int64_t *slopes, int64_t one,
                         size_t first_bit)
{
    int64_t *columns = fl_take(arena, n_in * n_units, sizeof(int64_t));
    int64_t *bits = fl_take(arena, n_units, sizeof(int64_t));
    int64_t *own_bias = fl_take_copy(arena, bias, n_units, sizeof(int64_t));
    int64_t *own_slopes = fl_take(arena, n_units, sizeof(int64_t));
    if (!columns) return first_bit;
    size_t bit = first_bit;
    for (size_t j = 0; j < n_units; j++) {
        for (size_t i = 0; i < n_in; i++) columns[i * n_units + j] = weights[j * n_in + i];
        if (slopes) own_slopes[j] = slopes[j];
        bits[j] = slopes && slopes[j] != one ? (int64_t)bit++ : FL_NO_BIT;
    }
    *layer = (exact_layer){.n_in = n_in, .n_units = n_units, .columns = columns, .bias = own_bias,
                           .slopes = slopes ? own_slopes : NULL, .one = one, .bits = bits,
                           .first_bit = first_bit};
    return bit;
}

static fl_cone pack_root(fl_arena *arena, const fl_exact_domain *domain)
{
    const size_t n_points = domain->n_lines + domain->n_vertices, n_words = fl_words(domain->n_facets);
    const size_t n_coordinates = n_points * (domain->d + 1);
    fl_cone root = {.n_vertices = domain->n_vertices, .n_lines = domain->n_lines, .n_words = n_words};
    root.points = fl_take_copy(arena, domain->points, n_coordinates, sizeof(int64_t));
    root.facets = fl_take_copy(arena, domain->facets, domain->n_vertices * n_words, sizeof(uint64_t));
    root.slots = fl_take(arena, n_words, sizeof(uint64_t));
    if (!root.points) return root;
    for (size_t i = 0; i < domain->n_facets; i++) root.slots[i / 64] |= UINT64_C(1) << i % 64;
    root.n_bits = fl_largest_bits(root.points, n_coordinates);
    return root;
}

fl_status fl_exact_cells_new(size_t n_layers, const size_t *widths, const int64_t *const *weights,
                             const int64_t *const *biases, const int64_t *const *slopes, const int64_t *ones,
                             const fl_exact_domain *domain, fl_exact_cells **out)
{
    fl_exact_cells *cells = calloc(1, sizeof *cells);
    if (!cells) return FL_NO_MEMORY;
    const size_t n_hidden = n_layers - 1, n_inputs = widths[0] * (domain->d + 1);
    size_t widest = 0;
    fl_arena arena = {NULL, 0};
    for (size_t l = 0; l <= n_layers; l++) widest = widths[l] > widest ? widths[l] : widest;
    for (int pass = 0; pass < 2; pass++) {
        size_t bit = 0;
        cells->layers = fl_take(&arena, n_layers, sizeof(exact_layer));
        for (size_t l = 0; l < n_layers; l++) {
            exact_layer layer;
            bit = pack_layer(&arena, &layer, widths[l], widths[l + 1], weights[l], biases[l],
                             l < n_hidden ? slopes[l] : NULL, l < n_hidden ? ones[l] : 1, bit);
            if (pass) cells->layers[l] = layer;
        }
        cells->inputs = fl_take_copy(&arena, domain->inputs, n_inputs, sizeof(int64_t));
        cells->one = fl_take_copy(&arena, domain->one, domain->d + 1, sizeof(int64_t));
        cells->root = pack_root(&arena, domain);
        cells->n_neurons = bit;
        if (pass == 0 && !(cells->memory = fl_arena_allocate(&arena))) {
            free(cells);
            return FL_NO_MEMORY;
        }
    }
    cells->d = domain->d;
    cells->n_hidden = n_hidden;
    cells->n_bytes = (cells->n_neurons + 7) / 8;
    cells->n_out = widths[n_layers];
    if (bound_layers(cells, widths[0], widest)) {
        fl_exact_cells_free(cells);
        return FL_NO_MEMORY;
    }
    *out = cells;
    return FL_OK;
}

void fl_exact_cells_free(fl_exact_cells *cells)
{
    if (!cells) return;
    free(cells->memory);
    free(cells);
}
