/* Depth first over the neurons: a node is the cell of a prefix of bits, and the next neuron that may cross
   it splits it. A layer's neurons are looked at together where a cell enters the layer; those that cross
   it make a short list, and only the list goes down the tree. */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "twins.h"

enum {
    NODES_A_CLOCK = 64,        /* between two looks at the clock, */
    SLOW_DIMENSIONS = 16       /* but from there on one node may take longer */
};

/* The neurons of a layer that cross a cell, in order. */
typedef struct {
    fl_forms forms;
    uint32_t *units;
    int is_tight;              /* the forms have the bounds of tighten.c */
} crossing_list;

/* Gives the twins in a layer their bits, once those of the others are known: 0 for multiples of 0. */
static void follow_twins(const fl_walk *w, size_t l)
{
    const int64_t *twins = w->cells->layers[l].twins;
    uint64_t *active = w->layers[l].active;
    for (size_t j = 0; twins && j < w->cells->layers[l].n_units; j++) {
        if (!twins[j]) continue;
        const size_t first = fl_first_twin(twins, j);
        fl_set_bit(active, j, !fl_bit(w->layers[l].is_zero, first) && fl_bit(active, first) == (twins[j] > 0));
    }
}

/* The pattern as it stands: bits that are not known yet have any value. */
static void write_bits(const fl_walk *w, uint8_t *bits)
{
    memset(bits, 0, w->cells->n_bytes);
    for (size_t l = 0; l < w->cells->n_hidden; l++) {
        follow_twins(w, l);
        fl_add_bits(w->cells->layers[l].bits, w->cells->layers[l].n_units, w->layers[l].active, bits);
    }
}

/* Leaves the cells below the first n bits to somebody else. */
static fl_status leave_open(fl_walk *w, size_t n, int tie)
{
    uint8_t *bits = fl_cell_opens_room(w->opens);
    if (!bits) return FL_NO_MEMORY;
    if (n > w->n_prefix) write_bits(w, bits);
    else {
        n = w->n_prefix;
        memcpy(bits, w->prefix, (n + 7) / 8);
    }
    fl_cell_opens_add(w->opens, n, tie && !w->is_over);
    return FL_OK;
}

static fl_status add_row(fl_walk *w, const fl_cell *cell, const double *point)
{
    fl_cell_facts facts = {0};
    uint8_t *bits = fl_stack_take(&w->stack, w->cells->n_bytes + 1);
    if (!bits) return FL_NO_MEMORY;
    write_bits(w, bits);
    const fl_status status = w->rows->only_patterns ? FL_OK : w->geometry->describe(w, cell, &facts);
    return status ? status : fl_cell_rows_add(w->rows, bits, point, &facts, w->cut_bits);
}

static fl_status found(fl_walk *w, const fl_cell *cell, const double *point)
{
    const fl_status status = w->rows ? add_row(w, cell, point) : FL_OK;
    if (!status && ++w->stats->n_cells >= w->limits->most_cells) w->stopped = 1;
    return status;
}

static fl_status leaf(fl_walk *w, const fl_cell *cell)
{
    const fl_cells *cells = w->cells;
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    double *point = fl_stack_take(&w->stack, cells->d * sizeof(double));
    if (!point) return FL_NO_MEMORY;
    fl_status status = FL_OK;
    w->geometry->point(w, cell, point);
    int exists = 1;
    if (cells->certify && !cells->kernels->all_positive(cells->d, &w->cuts, point))
        status = fl_leaf_again(w, point, &exists);
    if (status == FL_OK && exists) status = found(w, cell, point);
    if (status == FL_UNDECIDED) status = leave_open(w, cells->n_neurons, 1);
    fl_stack_back_to(&w->stack, mark);
    return status;
}

/* Units whose forms are added to those of the layer above them, each times a factor. */
typedef struct {
    size_t n;
    uint32_t *units;
    double *factors;           /* [n][d + 1] */
} unit_list;

static void add_unit(const fl_forms *forms, size_t d, size_t unit, double factor, unit_list *list)
{
    list->units[list->n] = (uint32_t)unit;
    for (size_t k = 0; k <= d; k++)
        list->factors[list->n * (d + 1) + k] = factor * forms->rows[k * forms->stride + unit];
    list->n++;
}

/* Brings a layer's forms up to date with the bits above it. Few of those differ from one cell to the next:
   then the columns of the units that do are added or taken away. */
static fl_status update_forms(fl_walk *w, size_t l)
{
    const fl_cells *cells = w->cells;
    const fl_cell_layer *above = cells->layers + l - 1, *layer = cells->layers + l;
    fl_walk_layer *state = w->layers + l, *state_above = w->layers + l - 1;
    const size_t d = cells->d, n_words = fl_words(above->n_units);
    const int same_forms_above = state->version && state->version_above == state_above->version;
    size_t n_changed = 0, n_in_force = 0;
    for (size_t i = 0; i < n_words; i++) {
        n_changed += fl_popcount(state_above->active[i] ^ state->active_above[i]);
        n_in_force += fl_popcount(state_above->active[i] | above->leaking[i]);
    }
    if (same_forms_above && n_changed == 0) return FL_OK;
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    unit_list list = {0, fl_stack_take(&w->stack, above->n_units * sizeof(uint32_t)),
                      fl_stack_take(&w->stack, above->n_units * (d + 1) * sizeof(double))};
    if (!list.units || !list.factors) return FL_NO_MEMORY;
    const double *start = layer->start;
    if (same_forms_above && n_changed < n_in_force && state->n_updates + n_changed <= FL_MOST_UPDATES) {
        start = state->forms.rows;
        state->n_updates += n_changed;
        for (size_t i = 0; i < n_words; i++)
            for (uint64_t rest = state_above->active[i] ^ state->active_above[i]; rest; rest &= rest - 1) {
                const size_t unit = i * 64 + (size_t)__builtin_ctzll(rest);
                const double rise = 1 - above->slopes[unit];
                add_unit(&state_above->forms, d, unit, fl_bit(state_above->active, unit) ? rise : -rise, &list);
            }
    } else {
        state->n_updates = 0;
        for (size_t i = 0; i < n_words; i++)
            for (uint64_t rest = state_above->active[i] | above->leaking[i]; rest; rest &= rest - 1) {
                const size_t unit = i * 64 + (size_t)__builtin_ctzll(rest);
                add_unit(&state_above->forms, d, unit, fl_bit(state_above->active, unit) ? 1 : above->slopes[unit],
                         &list);
            }
    }
    cells->kernels->add(d, layer->stride, start, list.n, list.units, list.factors, layer->columns,
                        state->forms.rows);
    memcpy(state->active_above, state_above->active, n_words * sizeof(uint64_t));
    state->version_above = state_above->version;
    state->version++;
    fl_stack_back_to(&w->stack, mark);
    return FL_OK;
}

static int take_masks(fl_walk *w, size_t n_words, fl_sides *sides)
{
    uint64_t *masks = fl_stack_take(&w->stack, 3 * n_words * sizeof(uint64_t));
    if (!masks) return 0;
    *sides = (fl_sides){masks, masks + n_words, masks + 2 * n_words};
    return 1;
}

/* FL_UNDECIDED where one of the forms in `todo` is. */
static inline fl_status find_sides(fl_walk *w, const fl_cell *cell, const fl_forms *forms, const uint64_t *todo,
                                   fl_sides *sides)
{
    const fl_status status = w->geometry->sides(w, cell, forms, todo, sides);
    if (status) return status;
    size_t n = 0;
    for (size_t i = 0; i < fl_words(forms->n); i++) {
        if (todo[i] & ~(sides->inactive[i] | sides->active[i] | sides->crossing[i])) return FL_UNDECIDED;
        n += fl_popcount(todo[i]);
    }
    w->stats->n_decisions += n;
    w->stats->n_decided += n;
    return FL_OK;
}

/* Leaves the cells below the first n bits to somebody else, since of the n_forms in `todo` some are undecided. */
static fl_status leave_undecided(fl_walk *w, size_t n, size_t n_forms, const uint64_t *todo, const fl_sides *sides)
{
    for (size_t i = 0; i < fl_words(n_forms) && !w->is_over; i++) {
        w->stats->n_decisions += fl_popcount(todo[i]);
        w->stats->n_decided += fl_popcount(sides->inactive[i] | sides->active[i] | sides->crossing[i]);
    }
    return leave_open(w, n, 1);
}

static void fill_list(const fl_walk *w, const fl_forms *forms, crossing_list *list)
{
    const size_t d = w->cells->d, stride = list->forms.stride;
    for (size_t k = 0; k < d + 3; k++) {
        const double *from = k <= d ? forms->rows + k * forms->stride : k == d + 1 ? forms->slack : forms->size;
        double *to = list->forms.rows + k * stride;
        size_t at = 0;
        for (; at < list->forms.n; at++) to[at] = from[list->units[at]];
        for (; at < stride; at++) to[at] = k == d ? -1 : 0;
    }
}

static int list_crossing(fl_walk *w, const fl_forms *forms, const uint64_t *crossing, crossing_list *list)
{
    const size_t d = w->cells->d;
    size_t n = 0, at = 0;
    for (size_t i = 0; i < fl_words(forms->n); i++) n += fl_popcount(crossing[i]);
    const size_t stride = fl_padded(n);
    list->units = fl_stack_take(&w->stack, n * sizeof(uint32_t));
    double *rows = fl_stack_take(&w->stack, (d + 3) * stride * sizeof(double));
    if (!list->units || !rows) return 0;
    list->forms = (fl_forms){n, stride, rows, rows + (d + 1) * stride, rows + (d + 2) * stride};
    for (size_t i = 0; i < fl_words(forms->n); i++)
        for (uint64_t bits = crossing[i]; bits; bits &= bits - 1)
            list->units[at++] = (uint32_t)(i * 64 + (size_t)__builtin_ctzll(bits));
    fill_list(w, forms, list);
    return 1;
}

/* FL_UNDECIDED where the list has tight forms already. */
static fl_status tighten_list(fl_walk *w, size_t l, crossing_list *list)
{
    if (l == 0 || list->is_tight || !w->cells->certify) return FL_UNDECIDED;
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    fl_forms *tight = fl_stack_take(&w->stack, (l + 1) * sizeof *tight);
    if (!tight) return FL_NO_MEMORY;
    const fl_status status = fl_tight_forms(w, l, tight);
    if (status) return status;
    fill_list(w, tight + l, list);
    list->is_tight = 1;
    fl_stack_back_to(&w->stack, mark);
    return FL_OK;
}

void fl_push_cut(fl_walk *w, const fl_forms *forms, size_t at, double sign, int64_t bit)
{
    fl_forms *cuts = &w->cuts;
    for (size_t k = 0; k <= w->cells->d; k++)
        cuts->rows[k * cuts->stride + cuts->n] = sign * forms->rows[k * forms->stride + at];
    cuts->slack[cuts->n] = forms->slack[at];
    cuts->size[cuts->n] = forms->size[at];
    w->cut_bits[cuts->n++] = bit;
}

/* Whether both parts of a cell are proved to be there by points that are had without splitting it. */
static int both_parts_exist(fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at, double *points)
{
    const size_t d = w->cells->d;
    int sure = 1;
    w->geometry->points_of_parts(w, cell, forms, at, points, points + d);
    for (int side = 0; side < 2 && sure; side++) {
        fl_push_cut(w, forms, at, side ? 1 : -1, 0);
        sure = w->cells->kernels->all_positive(d, &w->cuts, points + side * d);
        w->cuts.n--;
    }
    return sure;
}

/* The parts of a cell by form `at`, of a unit of the last layer, where nobody asks for more than patterns. */
static fl_status find_two_leaves(fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at, size_t unit,
                                 int *exist)
{
    const size_t d = w->cells->d;
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    double *points = fl_stack_take(&w->stack, 2 * d * sizeof(double));
    if (!points) return FL_NO_MEMORY;
    *exist = !w->cells->certify || both_parts_exist(w, cell, forms, at, points);
    fl_status status = FL_OK;
    if (*exist) {
        for (int side = 0; side < 2 && status == FL_OK; side++) {
            fl_set_bit(w->layers[w->cells->n_hidden - 1].active, unit, side);
            status = found(w, NULL, points + (size_t)side * d);
        }
    }
    fl_stack_back_to(&w->stack, mark);
    return status;
}

/* Not before a step beyond the prefix, or the next walk would be at the same place. */
static int must_stop(fl_walk *w)
{
    const size_t n_nodes_a_clock = w->cells->d < SLOW_DIMENSIONS ? NODES_A_CLOCK : 1;
    if (w->stopped || w->is_over) return 1;
    if (++w->n_nodes % n_nodes_a_clock || w->n_nodes <= w->n_prefix + w->cells->n_hidden + 1) return 0;
    return w->stopped = fl_seconds_now() > w->stop_at;
}

/* Splits a cell by form `at`, with tight forms where others do not suffice. Of a part that the prefix does not
   have nothing is made: its address is null. */
static fl_status split(fl_walk *w, size_t l, crossing_list *list, size_t at, size_t bit, const fl_cell *cell,
                       const fl_cell **parts)
{
    const int given = bit < w->n_prefix ? fl_bit_of(w->prefix, bit) : -1;
    const fl_cell **below = given == 1 ? NULL : parts, **above = given == 0 ? NULL : parts + 1;
    fl_status status = w->geometry->split(w, cell, &list->forms, at, below, above);
    if (status != FL_UNDECIDED) return status;
    status = tighten_list(w, l, list);
    return status ? status : w->geometry->split(w, cell, &list->forms, at, below, above);
}

static fl_status find_sides_of_list(fl_walk *w, size_t l, crossing_list *list, const fl_cell *cell,
                                    const uint64_t *todo, fl_sides *sides)
{
    fl_status status = find_sides(w, cell, &list->forms, todo, sides);
    if (status != FL_UNDECIDED) return status;
    status = tighten_list(w, l, list);
    return status ? status : find_sides(w, cell, &list->forms, todo, sides);
}

static fl_status visit_layer(fl_walk *w, size_t l, const fl_cell *cell);
static fl_status visit_list(fl_walk *w, size_t l, crossing_list *list, const fl_cell *cell, const uint64_t *todo);

/* The cells of a part that was just cut from one, where form `at` now has a side and those in `todo` may have. */
static fl_status visit_part(fl_walk *w, size_t l, crossing_list *list, size_t at, const fl_cell *part,
                            const uint64_t *todo, fl_sides *sides)
{
    uint64_t *active = w->layers[l].active;
    const fl_status status = find_sides_of_list(w, l, list, part, todo, sides);
    if (status == FL_UNDECIDED)
        return leave_undecided(w, (size_t)w->cells->layers[l].bits[list->units[at]] + 1, list->forms.n, todo, sides);
    if (status) return status;
    for (size_t i = 0; i < fl_words(list->forms.n); i++)
        for (uint64_t known = sides->inactive[i] | sides->active[i]; known; known &= known - 1) {
            const int bit_at = __builtin_ctzll(known);
            fl_set_bit(active, list->units[i * 64 + (size_t)bit_at], sides->active[i] >> bit_at & 1);
        }
    return visit_list(w, l, list, part, sides->crossing);
}

/* Whether what is below a layer are leaves of which nobody wants more than the patterns. */
static int are_brief_leaves(const fl_walk *w, size_t l)
{
    return l + 1 == w->cells->n_hidden && (!w->rows || w->rows->only_patterns) && w->geometry->points_of_parts;
}

/* The cells of one at whose forms in `todo` nobody looked yet: the first of them splits it. */
static fl_status visit_list(fl_walk *w, size_t l, crossing_list *list, const fl_cell *cell, const uint64_t *todo)
{
    const size_t n_words = fl_words(list->forms.n);
    size_t word = 0;
    while (word < n_words && !todo[word]) word++;
    if (word == n_words) return visit_layer(w, l + 1, cell);
    const size_t at = word * 64 + (size_t)__builtin_ctzll(todo[word]);
    const uint32_t unit = list->units[at];
    const size_t bit = (size_t)w->cells->layers[l].bits[unit];
    if (must_stop(w)) return leave_open(w, bit, 0);
    if (w->cuts.n - w->cells->half_spaces.n == FL_MOST_CUTS) return leave_open(w, bit, 1);

    const fl_stack_mark mark = fl_stack_here(&w->stack);
    uint64_t *rest = fl_stack_take(&w->stack, n_words * sizeof(uint64_t)), any_left = 0;
    if (!rest) return FL_NO_MEMORY;
    for (size_t i = 0; i < n_words; i++) any_left |= rest[i] = i == word ? todo[i] & (todo[i] - 1) : todo[i];
    if (!any_left && bit >= w->n_prefix && are_brief_leaves(w, l)) {
        int exist;
        const fl_status status = find_two_leaves(w, cell, &list->forms, at, unit, &exist);
        if (status || exist) {
            fl_stack_back_to(&w->stack, mark);
            return status;
        }
    }

    const fl_cell *parts[2] = {NULL, NULL};
    fl_status status = split(w, l, list, at, bit, cell, parts);
    if (status == FL_UNDECIDED) status = leave_open(w, bit, 1);
    fl_sides sides;
    if (!take_masks(w, n_words, &sides)) return FL_NO_MEMORY;
    for (int side = 0; side < 2 && status == FL_OK; side++) {
        if (!parts[side]) continue;
        fl_set_bit(w->layers[l].active, unit, side);
        fl_push_cut(w, &list->forms, at, side ? 1 : -1, (int64_t)bit);
        status = any_left ? visit_part(w, l, list, at, parts[side], rest, &sides) : visit_layer(w, l + 1, parts[side]);
        w->cuts.n--;
    }
    fl_stack_back_to(&w->stack, mark);
    return status;
}

/* Where a cell that enters a layer lies. The layer's forms, tight where others do not suffice, are `forms`. */
static fl_status find_sides_of_layer(fl_walk *w, size_t l, const fl_cell *cell, fl_forms *forms, int *is_tight,
                                     fl_sides *sides)
{
    const uint64_t *leading = w->cells->layers[l].leading;
    *forms = w->layers[l].forms;
    *is_tight = 0;
    fl_status status = find_sides(w, cell, forms, leading, sides);
    if (status != FL_UNDECIDED || l == 0 || !w->cells->certify) return status;
    fl_forms *tight = fl_stack_take(&w->stack, (l + 1) * sizeof *tight);
    if (!tight) return FL_NO_MEMORY;
    if ((status = fl_tight_forms(w, l, tight))) return status;
    *forms = tight[l];
    *is_tight = 1;
    return find_sides(w, cell, forms, leading, sides);
}

/* Sets the layer's bits that a cell decides, and looks at the forms that cross it. */
static fl_status visit_crossing(fl_walk *w, size_t l, const fl_cell *cell, const fl_forms *forms, int is_tight,
                                const fl_sides *sides)
{
    const fl_cell_layer *layer = w->cells->layers + l;
    uint64_t *active = w->layers[l].active, crossing = 0;
    const size_t n_words = fl_words(layer->n_units);
    for (size_t i = 0; i < n_words; i++) {
        active[i] = sides->active[i] | ~layer->folding[i];
        crossing |= sides->crossing[i];
    }
    if (layer->n_units % 64) active[n_words - 1] &= (UINT64_C(1) << layer->n_units % 64) - 1;
    for (size_t j = 0; layer->twins && j < layer->n_units; j++)
        fl_set_bit(w->layers[l].is_zero, j, w->cells->certify && forms->size[j] == 0);
    if (!crossing) return visit_layer(w, l + 1, cell);
    crossing_list list = {.is_tight = is_tight};
    if (!list_crossing(w, forms, sides->crossing, &list)) return FL_NO_MEMORY;
    uint64_t *todo = fl_stack_take(&w->stack, fl_words(list.forms.n) * sizeof(uint64_t));
    if (!todo) return FL_NO_MEMORY;
    for (size_t i = 0; i < list.forms.n; i += 64)
        todo[i / 64] = list.forms.n - i >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (list.forms.n - i)) - 1;
    return visit_list(w, l, &list, cell, todo);
}

static fl_status visit_layer(fl_walk *w, size_t l, const fl_cell *cell)
{
    const int is_leaf = l == w->cells->n_hidden;
    const fl_cell_layer *layer = w->cells->layers + l;
    if (must_stop(w)) return leave_open(w, is_leaf ? w->cells->n_neurons : layer->first_bit, 0);
    if (l) follow_twins(w, l - 1);
    if (is_leaf) return leaf(w, cell);
    fl_status status = l ? update_forms(w, l) : FL_OK;
    if (status) return status;
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    fl_sides sides;
    if (!take_masks(w, fl_words(layer->n_units), &sides)) return FL_NO_MEMORY;
    fl_forms forms;
    int is_tight;
    status = find_sides_of_layer(w, l, cell, &forms, &is_tight, &sides);
    if (status == FL_UNDECIDED) status = leave_undecided(w, layer->first_bit, forms.n, layer->leading, &sides);
    else if (status == FL_OK) status = visit_crossing(w, l, cell, &forms, is_tight, &sides);
    fl_stack_back_to(&w->stack, mark);
    return status;
}

/* The first layer's forms never change. */
static void first_forms(fl_walk *w)
{
    const fl_cells *cells = w->cells;
    const fl_cell_layer *layer = cells->layers;
    const size_t d = cells->d;
    double *rows = w->layers[0].forms.rows;
    memcpy(rows, layer->start, (d + 1) * layer->stride * sizeof(double));
    for (size_t k = 0; k <= d; k++)
        for (size_t i = 0; i < layer->n_in; i++) {
            const double factor = cells->inputs[i * (d + 1) + k];
            for (size_t j = 0; j < layer->stride && factor != 0; j++)   /* mostly 0: inputs of a box are its own */
                rows[k * layer->stride + j] += layer->columns[i * layer->stride + j] * factor;
        }
    w->layers[0].version = 1;
}

static void *walk_allocate(fl_walk *w)
{
    const fl_cells *cells = w->cells;
    const size_t d = cells->d;
    void *memory = NULL;
    fl_arena arena = {NULL, 0};
    for (int pass = 0; pass < 2; pass++) {
        w->layers = fl_take(&arena, cells->n_hidden, sizeof(fl_walk_layer));
        for (size_t l = 0; l < cells->n_hidden; l++) {
            const fl_cell_layer *layer = cells->layers + l;
            double *rows = fl_take(&arena, (d + 1) * layer->stride, sizeof(double));
            uint64_t *active = fl_take(&arena, fl_words(layer->n_units), sizeof(uint64_t));
            uint64_t *is_zero = fl_take(&arena, fl_words(layer->n_units), sizeof(uint64_t));
            uint64_t *active_above = fl_take(&arena, fl_words(layer->n_in), sizeof(uint64_t));
            if (!pass) continue;
            w->layers[l].forms = (fl_forms){layer->n_units, layer->stride, rows, (double *)layer->slack,
                                            (double *)layer->size};
            w->layers[l].active = active;
            w->layers[l].is_zero = is_zero;
            w->layers[l].active_above = active_above;
        }
        const fl_forms *domain = &cells->half_spaces;
        const size_t n = domain->n + cells->n_neurons, stride = fl_padded(n + 1);
        double *rows = fl_take(&arena, (d + 3) * stride, sizeof(double));
        w->cut_bits = fl_take(&arena, n, sizeof(int64_t));
        if (pass == 0 && !(memory = fl_arena_allocate(&arena))) return NULL;
        if (pass == 0) continue;
        w->cuts = (fl_forms){domain->n, stride, rows, rows + (d + 1) * stride, rows + (d + 2) * stride};
        for (size_t i = 0; i < domain->n; i++) {
            for (size_t k = 0; k <= d; k++) rows[k * stride + i] = domain->rows[k * domain->stride + i];
            w->cuts.slack[i] = domain->slack[i];
            w->cuts.size[i] = domain->size[i];
            w->cut_bits[i] = -1 - (int64_t)i;
        }
    }
    return memory;
}

static const fl_geometry *geometry_named(const char *name)
{
    static const fl_geometry *const geometries[] = {&fl_line_geometry, &fl_plane_geometry,
                                                    &fl_vertices_geometry, &fl_lp_geometry};
    for (size_t i = 0; i < sizeof geometries / sizeof *geometries; i++)
        if (strcmp(geometries[i]->name, name) == 0) return geometries[i];
    return NULL;
}

fl_status fl_cells_walk(const fl_cells *cells, const char *engine, const uint8_t *prefix, size_t n_prefix,
                        const fl_cell_limits *limits, fl_cell_rows *rows, fl_cell_opens *opens,
                        fl_cell_stats *stats)
{
    fl_walk w = {.cells = cells, .geometry = geometry_named(engine), .prefix = prefix, .n_prefix = n_prefix,
                 .limits = limits, .rows = rows, .opens = opens, .stats = stats};
    if (!w.geometry) return FL_UNKNOWN_ENGINE;
    void *memory = walk_allocate(&w);
    if (!memory) return FL_NO_MEMORY;
    opens->n_bytes = cells->n_bytes;
    if (rows) {
        rows->d = cells->d;
        rows->n_bytes = cells->n_bytes;
    }
    w.stop_at = fl_seconds_now() + limits->seconds;
    w.end_at = fl_seconds_now() + limits->longest;
    for (int i = 0; i < FL_CELL_LANES; i++) w.margins[i] = stats->smallest_margin;
    if (cells->n_hidden) first_forms(&w);
    const fl_cell *root;
    fl_status status = w.geometry->root(&w, &root);
    if (status == FL_OK) status = visit_layer(&w, 0, root);
    else if (status == FL_UNDECIDED && w.is_over) status = leave_open(&w, 0, 0);
    for (int i = 0; i < FL_CELL_LANES; i++) stats->smallest_margin = fmin(stats->smallest_margin, w.margins[i]);
    fl_stack_free(&w.stack);
    free(memory);
    return status;
}
