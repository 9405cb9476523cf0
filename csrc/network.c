/* Networks: weights packed once for everything that will be asked of them. */
#include "network.h"

#include <math.h>
#include <string.h>

/* gamma_n = n u / (1 - n u), the relative error of n roundings, rounded up; infinite where the theory
   ends. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, lemma 3.1. */
static real gamma_up(size_t n)
{
    const double nu = (double)n * REAL_UNIT_ROUNDOFF;
    return nu < 0.5 ? (real)(nu / (1 - nu) * (1 + 1e-6)) : (real)INFINITY;
}

static void pack_tiles(const real *weights, size_t n_out, size_t n_in, size_t tile_rows, real *packed)
{
    size_t n_tiles = fl_tile_count(n_out, tile_rows);
    for (size_t j = 0; j < n_out; n_tiles--) {
        const size_t rows = fl_tile_rows(n_out - j, n_tiles);
        for (size_t k = 0; k < n_in; k++)
            for (size_t r = 0; r < rows; r++) *packed++ = weights[(j + r) * n_in + k];
        j += rows;
    }
}

/* [W | b] in panels of `step` columns, each [n_out][step]. */
static void pack_panels(const real *weights, const real *bias, size_t n_out, size_t n_in, size_t step, real *panels)
{
    for (size_t first = 0; first <= n_in; first += step)
        for (size_t j = 0; j < n_out; j++, panels += step)
            for (size_t k = first; k < first + step && k <= n_in; k++)
                panels[k - first] = k < n_in ? weights[j * n_in + k] : bias[j];
}

/* The arrays of one layer, in the arena; filled when the arena has memory. */
static void build_layer(FL(fl_layer) *layer, fl_arena *arena, const FL(fl_kernels) *kernels, int is_first,
                        size_t n_in, size_t n_out, const real *weights, const real *bias, const real *slopes,
                        uint32_t *next_row, uint32_t spare_row)
{
    const size_t n_weights = n_in * n_out, row_stride = fl_round_up(n_in + 1, kernels->lanes);
    const size_t n_padded = is_first ? fl_round_up(n_in + 1, kernels->map_columns) : row_stride;
    real *packed = fl_take(arena, n_weights, sizeof(real));
    real *magnitudes = fl_take(arena, n_weights, sizeof(real));
    /* the last row's window may begin at its bias */
    real *rows = fl_take(arena, n_out * n_padded + kernels->span, sizeof(real));
    real *biases = fl_take(arena, n_out, sizeof(real));
    real *zeros = fl_take(arena, n_out, sizeof(real));
    real *all_slopes = fl_take(arena, n_out, sizeof(real));
    uint32_t *mask_rows = fl_take(arena, n_out, sizeof(uint32_t));
    real *bias_error = fl_take(arena, n_out, sizeof(real));
    real *slope_error = fl_take(arena, n_out, sizeof(real));
    if (!arena->base) return;

    pack_tiles(weights, n_out, n_in, kernels->tile_rows, packed);
    for (size_t i = 0; i < n_weights; i++) magnitudes[i] = packed[i] < 0 ? -packed[i] : packed[i];
    pack_panels(weights, bias, n_out, n_in, is_first ? kernels->map_columns : row_stride, rows);
    memcpy(biases, bias, n_out * sizeof(real));
    const real relative_error = gamma_up(n_in + 1);
    int all_relu = slopes != NULL;
    for (size_t j = 0; j < n_out; j++) {
        const real slope = slopes ? slopes[j] : 1;
        all_slopes[j] = slope;
        all_relu &= slope == 0;
        mask_rows[j] = slope == 1 ? spare_row : (*next_row)++;
        /* an inexact result below the normal range is off by at most REAL_SMALLEST / 2 */
        bias_error[j] = relative_error * (bias[j] < 0 ? -bias[j] : bias[j]) * (1 + 8 * REAL_UNIT_ROUNDOFF)
                        + (real)(2 * n_in + 4) * REAL_SMALLEST;
        const real exact_slope = slope == 0 || slope == 1 || slope == -1;
        slope_error[j] = exact_slope ? 0 : 4 * REAL_UNIT_ROUNDOFF * (slope < 0 ? -slope : slope) + REAL_SMALLEST;
    }
    layer->affine = (FL(fl_affine)){n_in, n_out, packed, biases, all_slopes, mask_rows};
    layer->linear = (FL(fl_affine)){n_in, n_out, packed, zeros, all_slopes, mask_rows};
    layer->magnitude = (FL(fl_affine)){n_in, n_out, magnitudes, zeros, all_slopes, mask_rows};
    layer->fold = !slopes ? FL_AFFINE : all_relu ? FL_RELU_MASKS : FL_SLOPES_MASKS;
    layer->rounding = (FL(fl_rounding)){bias_error, slope_error, relative_error};
    layer->rows = rows;
    layer->row_stride = row_stride;
}

static void build(struct FL(fl_network) *network, fl_arena *arena, const size_t *widths,
                  const real *const *weights, const real *const *biases, const real *const *slopes)
{
    const uint32_t spare_row = (uint32_t)network->n_mask_rows - 1;
    uint32_t next_row = 0;
    FL(fl_layer) *layers = fl_take(arena, network->n_layers, sizeof(FL(fl_layer)));
    for (size_t i = 0; i < network->n_layers; i++)
        build_layer(layers ? layers + i : NULL, arena, network->kernels, i == 0, widths[i], widths[i + 1],
                    weights[i], biases[i], i + 1 < network->n_layers ? slopes[i] : NULL, &next_row, spare_row);
    network->layers = layers;
}

fl_status FL(fl_network_new)(size_t n_layers, const size_t *widths, const real *const *weights,
                             const real *const *biases, const real *const *slopes, const char *isa,
                             struct FL(fl_network) **out)
{
    const FL(fl_kernels) *kernels = FL(fl_kernels_for)(isa);
    if (!kernels) return FL_UNKNOWN_ISA;
    struct FL(fl_network) *network = calloc(1, sizeof *network);
    if (!network) return FL_NO_MEMORY;
    network->kernels = kernels;
    network->n_layers = n_layers;
    network->n_in = widths[0];
    network->n_out = widths[n_layers];
    for (size_t i = 0; i <= n_layers; i++)
        if (widths[i] > network->widest) network->widest = widths[i];
    for (size_t i = 0; i + 1 < n_layers; i++)
        for (size_t j = 0; j < widths[i + 1]; j++) network->n_neurons += slopes[i][j] != 1;
    network->n_mask_rows = fl_round_up(network->n_neurons, 64) + 1;

    fl_arena arena = {NULL, 0};
    build(network, &arena, widths, weights, biases, slopes);
    network->memory = fl_arena_allocate(&arena);
    if (!network->memory) {
        free(network);
        return FL_NO_MEMORY;
    }
    build(network, &arena, widths, weights, biases, slopes);
    *out = network;
    return FL_OK;
}

void FL(fl_network_free)(struct FL(fl_network) *network)
{
    if (!network) return;
    free(network->memory);
    free(network);
}

size_t FL(fl_network_neurons)(const struct FL(fl_network) *network) { return network->n_neurons; }

const char *FL(fl_network_isa)(const struct FL(fl_network) *network) { return network->kernels->isa; }

double FL(fl_multiply_add)(const struct FL(fl_network) *network, size_t n_steps)
{
    return network->kernels->multiply_add(n_steps);
}
