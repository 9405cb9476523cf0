/* Local affine maps, and distances to the folds. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "network.h"

/* Points with one pattern have one map, so each map is computed once and copied while its pattern is
   among the last seen: a table with one place for each value of a hash. */
enum { SEEN_PLACES = 4096 };

typedef struct {
    real *rows[2];             /* [n_out][stride] */
    real *coefficients;        /* [widest][tile_rows] */
    uint32_t *index;           /* [widest]: units whose slope in force is not 0 */
    real *slopes;              /* [widest]: that slope */
    uint8_t *seen;             /* [SEEN_PLACES][n_bytes] */
    size_t *seen_at;           /* [SEEN_PLACES]: 1 + the point that has the map, or 0 */
    size_t stride;
    void *memory;
} scratch;

static fl_status scratch_new(const struct FL(fl_network) *network, scratch *s)
{
    fl_arena arena = {NULL, 0};
    const size_t lanes = network->kernels->lanes, n_bytes = (network->n_neurons + 7) / 8;
    s->stride = (network->widest + lanes) / lanes * lanes;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 2; i++) s->rows[i] = fl_take(&arena, network->n_out * s->stride, sizeof(real));
        s->coefficients = fl_take(&arena, network->widest * network->kernels->tile_rows, sizeof(real));
        s->index = fl_take(&arena, network->widest, sizeof(uint32_t));
        s->slopes = fl_take(&arena, network->widest, sizeof(real));
        s->seen = fl_take(&arena, SEEN_PLACES, n_bytes);
        s->seen_at = fl_take(&arena, SEEN_PLACES, sizeof(size_t));
        if (pass == 0 && !(s->memory = fl_arena_allocate(&arena))) return FL_NO_MEMORY;
    }
    return FL_OK;
}

/* n <= 56 bits of a pattern from bit `first` on. */
static uint64_t bits_at(const uint8_t *pattern, size_t n_bytes, size_t first, size_t n)
{
    uint64_t word = 0;
    memcpy(&word, pattern + first / 8, n_bytes - first / 8 < 8 ? n_bytes - first / 8 : 8);
    return word >> first % 8 & ((UINT64_C(1) << n) - 1);
}

/* Lists the units of a layer whose slope in force is not 0; returns how many. */
static size_t slopes_in_force(const FL(fl_layer) *layer, const uint8_t *pattern, size_t first_bit, size_t n_bytes,
                              scratch *s)
{
    const size_t n_units = layer->affine.n_out;
    size_t n_terms = 0;
    if (layer->fold == FL_RELU_MASKS) {   /* the active ones: bits are taken as they come, without a branch each */
        for (size_t j = 0; j < n_units; j += 56) {
            uint64_t active = bits_at(pattern, n_bytes, first_bit + j, n_units - j < 56 ? n_units - j : 56);
            for (; active; active &= active - 1) {
                s->index[n_terms] = (uint32_t)(j + (size_t)__builtin_ctzll(active));
                s->slopes[n_terms++] = 1;
            }
        }
        return n_terms;
    }
    for (size_t j = 0, bit = first_bit; j < n_units; j++) {
        real slope = layer->affine.slopes[j];
        if (slope != 1) {
            if (bits_at(pattern, n_bytes, bit, 1)) slope = 1;
            bit++;
        }
        s->index[n_terms] = (uint32_t)j;
        s->slopes[n_terms] = slope;
        n_terms += slope != 0;
    }
    return n_terms;
}

/* From the outputs back to the inputs: the last layer's rows [W | b] are multiplied, layer by layer, by
   diag(slopes in force) [W | b]; what arrives in the bias column is added up. Rows of units whose slope
   in force is 0 are left out. */
static void one_map(const struct FL(fl_network) *network, const uint8_t *pattern, scratch *s, real *map,
                    real *offset)
{
    const FL(fl_kernels) *kernels = network->kernels;
    const FL(fl_layer) *layer = network->layers + network->n_layers - 1;
    const real *rows = layer->rows;
    const size_t n_bytes = (network->n_neurons + 7) / 8;
    size_t stride = layer->row_stride, n_bits = network->n_neurons;
    int turn = 0;
    for (size_t r = 0; r < network->n_out; r++) offset[r] = rows[r * stride + layer->affine.n_in];

    while (layer-- > network->layers) {
        for (size_t j = 0; j < layer->affine.n_out; j++) n_bits -= layer->affine.slopes[j] != 1;
        const size_t n_terms = slopes_in_force(layer, pattern, n_bits, n_bytes, s);
        size_t n_tiles = fl_tile_count(network->n_out, kernels->tile_rows);
        for (size_t r = 0; r < network->n_out; n_tiles--) {
            const size_t n_rows = fl_tile_rows(network->n_out - r, n_tiles);
            for (size_t i = 0; i < n_rows; i++) {
                const real *row = rows + (r + i) * stride;
                for (size_t k = 0; k < n_terms; k++)
                    s->coefficients[k * n_rows + i] = row[s->index[k]] * s->slopes[k];
            }
            kernels->combine(n_rows, n_terms, s->coefficients, s->index, layer->rows, layer->row_stride,
                             s->rows[turn] + r * s->stride, s->stride, layer->row_stride);
            r += n_rows;
        }
        rows = s->rows[turn];
        stride = s->stride;
        turn = !turn;
        for (size_t r = 0; r < network->n_out; r++) offset[r] += rows[r * stride + layer->affine.n_in];
    }
    for (size_t r = 0; r < network->n_out; r++)
        memcpy(map + r * network->n_in, rows + r * stride, network->n_in * sizeof(real));
}

static size_t place_of(const uint8_t *pattern, size_t n_bytes)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < n_bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, pattern + i, n_bytes - i < 8 ? n_bytes - i : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    return hash % SEEN_PLACES;
}

fl_status FL(fl_local_maps)(const struct FL(fl_network) *network, const uint8_t *patterns, size_t n_points,
                            real *maps, real *offsets)
{
    const size_t n_bytes = (network->n_neurons + 7) / 8;
    const size_t n_out = network->n_out, map_size = n_out * network->n_in;
    scratch s = {0};
    if (scratch_new(network, &s)) return FL_NO_MEMORY;
    for (size_t p = 0; p < n_points; p++) {
        const uint8_t *pattern = patterns + p * n_bytes;
        const size_t place = place_of(pattern, n_bytes);
        uint8_t *seen = s.seen + place * n_bytes;
        real *map = maps + p * map_size, *offset = offsets + p * n_out;
        if (s.seen_at[place] && memcmp(seen, pattern, n_bytes) == 0) {
            memcpy(map, maps + (s.seen_at[place] - 1) * map_size, map_size * sizeof(real));
            memcpy(offset, offsets + (s.seen_at[place] - 1) * n_out, n_out * sizeof(real));
            continue;
        }
        one_map(network, pattern, &s, map, offset);
        memcpy(seen, pattern, n_bytes);
        s.seen_at[place] = p + 1;
    }
    free(s.memory);
    return FL_OK;
}

static real magnitude(real a) { return a < 0 ? -a : a; }

static void add_to_length(fl_norm norm, const real *gradient, const real *error, real *length, size_t n)
{
    /* the dual of inf is 1, of 1 is inf, of 2 is 2 */
    switch (norm) {
    case FL_NORM_INF:
        for (size_t p = 0; p < n; p++) length[p] += magnitude(gradient[p]) + error[p];
        break;
    case FL_NORM_1:
        for (size_t p = 0; p < n; p++) {
            const real size = magnitude(gradient[p]) + error[p];
            length[p] = size <= length[p] ? length[p] : size;
        }
        break;
    case FL_NORM_2:
        for (size_t p = 0; p < n; p++) {
            const real size = magnitude(gradient[p]) + error[p];
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
                const real size = magnitude(tangent[p]);
                error[p] = slope == 0 ? 0 : magnitude(slope) * error[p];
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
                        const FL(fl_radius_scratch) *scratch, real *radii, size_t n_points)
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
        for (size_t i = 0; i + 1 < network->n_layers; i++, turn = !turn)
            first += push_tangent(network, network->layers + i, norm, block->preactivations + first * panel,
                                  scratch->tangents[turn], scratch->errors[turn], scratch->tangents[!turn],
                                  scratch->errors[!turn], scratch->lengths + first * panel, n_points);
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
            volatile const real height = magnitude(block->preactivations[at]) - block->sum_errors[at];
            volatile const real distance = height > 0 ? height / length : 0;
            if (!(distance >= nearest)) nearest = distance >= 0 ? distance : 0;
        }
        fesetround(FE_TONEAREST);
        radii[p] = nearest;
    }
}
