/* Local affine maps, and distances to the folds. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "network.h"

/* Points with one pattern have one map, so each map is computed once and copied while its pattern is
   among the last seen: a table with one place for each value of a hash. The others are computed
   GROUP at a time, layer by layer, so that a layer's weights are read into the nearest cache once. */
enum { SEEN_PLACES = 4096, GROUP = 8 };

typedef struct {
    FL(fl_in_force) *in_force; /* [GROUP][n_layers - 1]: of the hidden layers */
    FL(fl_in_force) outputs;   /* the rows that are computed, and their coefficients */
    real *identity;
    real *coefficients[2];     /* [GROUP][group_stride] */
    size_t group_stride;
    uint8_t *pattern;          /* [n_bytes]: the one that is looked at */
    size_t n_places;           /* at most SEEN_PLACES */
    uint8_t *seen;             /* [n_places][n_bytes] */
    size_t *seen_at;           /* [n_places]: 1 + the point that has the map, or 0 */
    void *memory;
} scratch;

static FL(fl_in_force) take_lists(fl_arena *arena, size_t n_units, int with_slopes)
{
    const size_t n = n_units + 1 + FL_LIST_SLACK;
    FL(fl_in_force) lists = {.units = fl_take(arena, n, sizeof(uint32_t))};
    lists.windows = fl_take(arena, n, sizeof(uint32_t));
    lists.places = fl_take(arena, n, sizeof(uint32_t));
    if (with_slopes) lists.slopes = fl_take(arena, n, sizeof(real));
    return lists;
}

static fl_status scratch_new(const struct FL(fl_network) *network, size_t n_points, scratch *s)
{
    fl_arena arena = {NULL, 0};
    const FL(fl_kernels) *kernels = network->kernels;
    const size_t n_hidden = network->n_layers - 1, n_bytes = (network->n_neurons + 7) / 8;
    const size_t lanes = kernels->lanes, rows = kernels->map_rows;
    size_t widest = 0;
    for (size_t l = 0; l < n_hidden; l++)
        if (network->layers[l].affine.n_out > widest) widest = network->layers[l].affine.n_out;
    s->group_stride = (widest / lanes + 1) * rows * lanes;
    s->n_places = 64;
    while (s->n_places < SEEN_PLACES && s->n_places < n_points) s->n_places *= 2;
    for (int pass = 0; pass < 2; pass++) {
        s->in_force = fl_take(&arena, GROUP * n_hidden, sizeof(FL(fl_in_force)));
        for (size_t i = 0; i < GROUP * n_hidden; i++) {
            const FL(fl_layer) *layer = network->layers + i % n_hidden;
            const FL(fl_in_force) lists = take_lists(&arena, layer->affine.n_out, layer->fold == FL_SLOPES_MASKS);
            if (pass) s->in_force[i] = lists;
        }
        s->outputs = take_lists(&arena, rows, 0);
        s->identity = fl_take(&arena, rows * rows * lanes, sizeof(real));
        for (int i = 0; i < 2; i++) s->coefficients[i] = fl_take(&arena, GROUP * s->group_stride, sizeof(real));
        s->pattern = fl_take(&arena, n_bytes + FL_LIST_SLACK, 1);
        s->seen = fl_take(&arena, s->n_places, n_bytes);
        s->seen_at = fl_take(&arena, s->n_places, sizeof(size_t));
        if (pass == 0 && !(s->memory = fl_arena_allocate(&arena))) return FL_NO_MEMORY;
    }
    for (size_t r = 0; r < rows; r++) {   /* a place for each row, apart, holds its column of the identity */
        s->outputs.places[r] = (uint32_t)(r * rows * lanes);
        s->identity[r * rows * lanes + r * lanes] = 1;
    }
    return FL_OK;
}

/* Returns how many bits the layer has. */
static size_t list_layer(const FL(fl_kernels) *kernels, const FL(fl_layer) *layer, const uint8_t *pattern,
                         size_t first_bit, FL(fl_in_force) *in_force)
{
    const size_t n_units = layer->affine.n_out;
    size_t bit = first_bit;
    if (!in_force->slopes) bit += n_units;
    else {
        for (size_t j = 0; j < n_units; j++) {
            const real slope = layer->affine.slopes[j];
            in_force->slopes[j] = slope != 1 && fl_bit_of(pattern, bit++) ? 1 : slope;
        }
        in_force->slopes[n_units] = 1;
    }
    kernels->list_units(pattern, first_bit, n_units, in_force);
    return bit - first_bit;
}

/* From the outputs back to the inputs: rows of the identity are multiplied, layer by layer, by
   [W | b] and diag(slopes in force); what arrives in the bias's column is added up. Nothing is computed
   for units whose slope in force is 0. */
static void some_rows(const struct FL(fl_network) *network, scratch *s, size_t n_points, const size_t *points,
                      size_t first_row, size_t n_rows, real *maps, real *offsets)
{
    const FL(fl_kernels) *kernels = network->kernels;
    const FL(fl_layer) *layer = network->layers + network->n_layers - 1;
    const size_t n_in = network->n_in, n_out = network->n_out;
    const FL(fl_in_force) *above[GROUP];
    const real *from[GROUP];
    int turn = 0;
    s->outputs.n_units = n_rows;
    for (size_t r = 0; r < n_rows; r++) s->outputs.units[r] = (uint32_t)(first_row + r);
    for (size_t i = 0; i < n_points; i++) {
        above[i] = &s->outputs;
        from[i] = s->identity;
        memset(offsets + points[i] * n_out + first_row, 0, n_rows * sizeof(real));
    }
    for (; layer > network->layers; layer--, turn = !turn)
        for (size_t i = 0; i < n_points; i++) {
            const FL(fl_in_force) *below = s->in_force + i * (network->n_layers - 1) + (layer - network->layers) - 1;
            real *to = s->coefficients[turn] + i * s->group_stride;
            kernels->combine(n_rows, above[i], from[i], layer->rows, layer->row_stride, below, to,
                             offsets + points[i] * n_out + first_row);
            above[i] = below;
            from[i] = to;
        }
    const real *panel = layer->rows;
    for (size_t column = 0; column <= n_in; column += kernels->map_columns) {
        for (size_t i = 0; i < n_points; i++) {
            const size_t row = points[i] * n_out + first_row;
            kernels->combine_all(n_rows, above[i], from[i], panel, column, n_in, maps + row * n_in, offsets + row);
        }
        panel += layer->affine.n_out * kernels->map_columns;
    }
}

static void new_maps(const struct FL(fl_network) *network, scratch *s, const uint8_t *patterns, size_t n_points,
                     const size_t *points, real *maps, real *offsets, fl_patience *patience)
{
    const FL(fl_kernels) *kernels = network->kernels;
    const size_t n_bytes = (network->n_neurons + 7) / 8, n_hidden = network->n_layers - 1, n_out = network->n_out;
    size_t n_weights = 0;
    for (size_t l = 0; l < n_hidden; l++)
        n_weights += network->layers[l].affine.n_out * network->layers[l].affine.n_in;
    for (size_t i = 0; i < n_points; i++) {
        memcpy(s->pattern, patterns + points[i] * n_bytes, n_bytes);
        for (size_t l = 0, bit = 0; l < n_hidden; l++)
            bit += list_layer(kernels, network->layers + l, s->pattern, bit, s->in_force + i * n_hidden + l);
    }
    for (size_t i = 0; i < n_points * n_hidden; i++) kernels->list_windows(s->in_force + i);
    size_t n_tiles = fl_tile_count(n_out, kernels->map_rows);
    for (size_t row = 0; row < n_out; n_tiles--) {
        const size_t n_rows = fl_tile_rows(n_out - row, n_tiles);
        some_rows(network, s, n_points, points, row, n_rows, maps, offsets);
        if (fl_is_over(patience, n_points * n_rows * n_weights)) return;
        row += n_rows;
    }
}

fl_status FL(fl_patient_maps)(const struct FL(fl_network) *network, const uint8_t *patterns, size_t n_points,
                              real *maps, real *offsets, fl_patience *patience)
{
    const size_t n_bytes = (network->n_neurons + 7) / 8;
    const size_t n_out = network->n_out, map_size = n_out * network->n_in;
    scratch s = {0};
    if (scratch_new(network, n_points, &s)) return FL_NO_MEMORY;
    for (size_t start = 0; start < n_points && !patience->is_over; start += GROUP) {
        size_t points[GROUP], copies[GROUP], originals[GROUP], n_new = 0, n_copies = 0;
        for (size_t p = start; p < n_points && p < start + GROUP; p++) {
            const uint8_t *pattern = patterns + p * n_bytes;
            const size_t place = fl_hash_pattern(pattern, n_bytes) & (s.n_places - 1);
            uint8_t *seen = s.seen + place * n_bytes;
            if (s.seen_at[place] && memcmp(seen, pattern, n_bytes) == 0) {
                copies[n_copies] = p;
                originals[n_copies++] = s.seen_at[place] - 1;
                continue;
            }
            points[n_new++] = p;
            memcpy(seen, pattern, n_bytes);
            s.seen_at[place] = p + 1;
        }
        if (n_new) new_maps(network, &s, patterns, n_new, points, maps, offsets, patience);
        for (size_t i = 0; i < n_copies; i++) {
            memcpy(maps + copies[i] * map_size, maps + originals[i] * map_size, map_size * sizeof(real));
            memcpy(offsets + copies[i] * n_out, offsets + originals[i] * n_out, n_out * sizeof(real));
        }
    }
    free(s.memory);
    return FL_OK;
}

fl_status FL(fl_local_maps)(const struct FL(fl_network) *network, const uint8_t *patterns, size_t n_patterns,
                            real *maps, real *offsets)
{
    fl_patience endless = {.interrupted = NULL};
    return FL(fl_patient_maps)(network, patterns, n_patterns, maps, offsets, &endless);
}

static void add_to_length(fl_norm norm, const real *gradient, const real *error, real *length, size_t n)
{
    /* the dual of inf is 1, of 1 is inf, of 2 is 2 */
    switch (norm) {
    case FL_NORM_INF:
        for (size_t p = 0; p < n; p++) length[p] += real_size(gradient[p]) + error[p];
        break;
    case FL_NORM_1:
        for (size_t p = 0; p < n; p++) {
            const real size = real_size(gradient[p]) + error[p];
            length[p] = size <= length[p] ? length[p] : size;
        }
        break;
    case FL_NORM_2:
        for (size_t p = 0; p < n; p++) {
            const real size = real_size(gradient[p]) + error[p];
            length[p] += size * size;
        }
        break;
    }
}

/* One layer of the derivative in one direction, and, rounding upward, of its error bound (certain.c,
   without a bias); adds the neurons' part to their lengths. Returns how many neurons the layer has. */
static size_t push_tangent(const struct FL(fl_network) *network, const FL(fl_layer) *layer, fl_norm norm,
                           const real *preactivations, real *tangents, real *errors, real *next_tangents,
                           real *next_errors, real *lengths, size_t n_points)
{
    const FL(fl_kernels) *kernels = network->kernels;
    const size_t n_out = layer->affine.n_out, n_neurons = network->n_neurons;
    const size_t panel = kernels->panel, n_panels = (n_points + panel - 1) / panel;
    const real underflow = (real)(2 * layer->affine.n_in + 4) * REAL_SMALLEST;
    fl_mask_row no_masks[1];   /* FL_AFFINE writes none */
    size_t bit = 0;
    kernels->layer(&layer->linear, FL_AFFINE, tangents, next_tangents, no_masks, n_points);
    fesetround(FE_UPWARD);
    kernels->add_relative(errors, tangents, layer->rounding.relative_error, layer->affine.n_in * n_panels * panel);
    kernels->layer(&layer->magnitude, FL_AFFINE, errors, next_errors, no_masks, n_points);
    for (size_t q = 0; q < n_panels; q++) {
        bit = 0;
        for (size_t j = 0; j < n_out; j++) {
            real *tangent = next_tangents + (q * n_out + j) * panel, *error = next_errors + (q * n_out + j) * panel;
            for (size_t p = 0; p < panel; p++) error[p] = error[p] > 0 ? error[p] + underflow : 0;
            const real slope = layer->affine.slopes[j], relative = layer->rounding.slope_error[j];
            if (slope == 1) continue;
            const real *z = preactivations + (q * n_neurons + bit) * panel;
            add_to_length(norm, tangent, error, lengths + (q * n_neurons + bit) * panel, panel);
            for (size_t p = 0; p < panel; p++) {
                if (z[p] > 0) continue;
                const real size = real_size(tangent[p]);
                error[p] = slope == 0 ? 0 : real_size(slope) * error[p];
                if (relative > 0 && size > 0) error[p] += size * relative + REAL_SMALLEST;
                tangent[p] = slope == 0 ? 0 : slope * tangent[p];
            }
            bit++;
        }
    }
    fesetround(FE_TONEAREST);
    return bit;
}

/* min over neurons of |z| / ||grad z||_dual: inside its region a neuron's sum is affine, so that is the
   distance to its fold, and the nearest fold is met first. Gradients go forward, one input at a time.
   |z| is taken as small, and the length as large, as rounding allows: what comes out is a lower bound,
   0 where a sign is not sure. */
void FL(fl_block_radii)(const struct FL(fl_network) *network, const FL(fl_tracked_block) *block, fl_norm norm,
                        const FL(fl_radius_scratch) *scratch, real *radii, size_t n_points,
                        fl_patience *patience)
{
    const size_t panel = network->kernels->panel, n_panels = (n_points + panel - 1) / panel;
    const size_t n_neurons = network->n_neurons, n_tangents = n_panels * network->n_in * panel;
    memset(scratch->lengths, 0, n_panels * n_neurons * panel * sizeof(real));
    for (size_t input = 0; input < network->n_in; input++) {
        int turn = 0;
        size_t first = 0;
        memset(scratch->tangents[0], 0, n_tangents * sizeof(real));
        memset(scratch->errors[0], 0, n_tangents * sizeof(real));
        for (size_t q = 0; q < n_panels; q++)
            for (size_t p = 0; p < panel; p++)
                scratch->tangents[0][(q * network->n_in + input) * panel + p] = 1;
        for (size_t i = 0; i + 1 < network->n_layers; i++, turn = !turn) {
            const FL(fl_affine) *affine = &network->layers[i].affine;
            first += push_tangent(network, network->layers + i, norm, block->preactivations + first * panel,
                                  scratch->tangents[turn], scratch->errors[turn], scratch->tangents[!turn],
                                  scratch->errors[!turn], scratch->lengths + first * panel, n_points);
            if (fl_is_over(patience, 2 * affine->n_out * affine->n_in * n_panels * panel)) return;
        }
    }
    for (size_t p = 0; p < n_points; p++) {
        real nearest = (real)INFINITY;
        for (size_t j = 0; j < n_neurons; j++) {
            const size_t at = (p / panel * n_neurons + j) * panel + p % panel;
            if (scratch->lengths[at] == 0) continue;
            fesetround(FE_UPWARD);
            volatile const real length = norm == FL_NORM_2 ? (real)sqrt((double)scratch->lengths[at])
                                                           : scratch->lengths[at];
            fesetround(FE_DOWNWARD);
            volatile const real height = real_size(block->preactivations[at]) - block->sum_errors[at];
            volatile const real distance = height > 0 ? height / length : 0;
            if (!(distance >= nearest)) nearest = distance >= 0 ? distance : 0;
        }
        fesetround(FE_TONEAREST);
        radii[p] = nearest;
    }
}
