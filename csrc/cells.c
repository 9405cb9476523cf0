/* A network on a domain, packed for the walk, with what its forms can be off by.

   Let F be a layer's computed forms, f the true ones, and let size bound sum_k |m_k| reach_k + |c| of the
   forms below, their errors not counted. Slopes in force are at most s = max(1, |slope|), so with u the unit
   roundoff and n operations on the way to a coefficient

       size = |W| (s size_below) + |b|
       |f - F| <= |W| (s error_below) + gamma_n size        anywhere in the domain

   whatever the signs are: one bound a unit, for all cells (Higham, Accuracy and Stability of Numerical
   Algorithms, 2nd edition, section 3.1). Updates of forms add to n. Every term of a size that is not 0 adds
   FL_LEAST_SIZE for each coefficient, and reach_k is at least that, so this holds where products underflow. */
#include "cells.h"

#include "memory.h"
#include "walk.h"

/* Beyond this nothing is computed, so that no infinity meets another. */
#define LARGEST 1e280

typedef struct {
    double *columns, *start, *slopes, *slack, *size, *error;
    uint64_t *folding, *leading, *leaking;
    int64_t *bits, *twins;
} layer_arrays;

static layer_arrays take_layer(fl_arena *arena, size_t d, size_t n_in, size_t n_units)
{
    const size_t stride = fl_padded(n_units);
    layer_arrays a = {.columns = fl_take(arena, n_in * stride, sizeof(double))};
    a.start = fl_take(arena, (d + 1) * stride, sizeof(double));
    a.slopes = fl_take(arena, n_units, sizeof(double));
    a.slack = fl_take(arena, stride, sizeof(double));
    a.size = fl_take(arena, stride, sizeof(double));
    a.error = fl_take(arena, stride, sizeof(double));
    a.folding = fl_take(arena, fl_words(n_units), sizeof(uint64_t));
    a.leading = fl_take(arena, fl_words(n_units), sizeof(uint64_t));
    a.leaking = fl_take(arena, fl_words(n_units), sizeof(uint64_t));
    a.bits = fl_take(arena, n_units, sizeof(int64_t));
    a.twins = fl_take(arena, n_units, sizeof(int64_t));
    return a;
}

static void fill_layer(fl_cell_layer *layer, const layer_arrays *a, size_t n_in, size_t n_units,
                       const double *weights, const double *bias, const double *slopes, const int64_t *twins,
                       const double *one, size_t d, size_t first_bit)
{
    const size_t stride = fl_padded(n_units);
    size_t bit = first_bit;
    int has_twins = 0;
    for (size_t j = 0; j < n_units; j++) {
        for (size_t i = 0; i < n_in; i++) a->columns[i * stride + j] = weights[j * n_in + i];
        for (size_t k = 0; k <= d; k++) a->start[k * stride + j] = bias[j] * one[k];
        a->slopes[j] = slopes[j];
        a->leaking[j / 64] |= (uint64_t)(slopes[j] != 0) << j % 64;
        a->bits[j] = FL_NO_BIT;
        if (slopes[j] == 1) continue;
        a->bits[j] = (int64_t)bit++;
        a->folding[j / 64] |= UINT64_C(1) << j % 64;
        a->leading[j / 64] |= (uint64_t)(twins[j] == 0) << j % 64;
        a->twins[j] = twins[j];
        has_twins |= twins[j] != 0;
    }
    for (size_t j = n_units; j < stride; j++) a->start[d * stride + j] = -1;
    *layer = (fl_cell_layer){.n_in = n_in, .n_units = n_units, .stride = stride, .columns = a->columns,
                             .start = a->start, .slopes = a->slopes, .slack = a->slack, .size = a->size,
                             .error = a->error, .folding = a->folding, .leading = a->leading,
                             .twins = has_twins ? a->twins : NULL, .leaking = a->leaking, .bits = a->bits,
                             .first_bit = first_bit, .n_bits = bit - first_bit};
}

/* What an update of a layer's forms by a unit above adds to their error, in unit roundoffs of their size: one for the
   sum and one for the product; where |1 - slope| is not 1, but at most twice the steepest slope, two for each of
   1 - slope, its product with the unit, and that with the weight. */
static int update_roundings(const fl_cell_layer *above)
{
    for (size_t j = 0; above && j < above->n_units; j++)
        if (above->slopes[j] != 0 && above->slopes[j] != 1) return 7;
    return 2;
}

/* From size and error of what comes in, [n_in], those of what goes out. Returns the largest number. */
static double bound_layer(const fl_cell_layer *layer, const layer_arrays *a, int update, const double *reach, size_t d,
                          int certify, const double *size, const double *error, double *next_size,
                          double *next_error)
{
    const double n_operations = (double)(layer->n_in + (size_t)update * FL_MOST_UPDATES + 8);
    const double least = fl_least_size(reach, d);
    double largest = 0;
    for (size_t j = 0; j < layer->n_units; j++) {
        double s = fl_form_size(a->start + j, layer->stride, reach, d), e = 0;
        for (size_t i = 0; i < layer->n_in; i++) {
            const double w = fabs(layer->columns[i * layer->stride + j]);
            if (w == 0 || size[i] == 0) continue;
            s += w * size[i] + least;
            e += w * error[i];
        }
        e += n_operations * FL_ROUNDOFF * s;
        const double steepest = fmax(1, fabs(layer->slopes[j]));
        next_size[j] = s * FL_FOR_ROUNDED_BOUNDS * steepest;
        next_error[j] = e * FL_FOR_ROUNDED_BOUNDS * steepest;
        a->error[j] = certify ? e * FL_FOR_ROUNDED_BOUNDS : 0;
        a->size[j] = certify ? s * FL_FOR_ROUNDED_BOUNDS : 0;
        a->slack[j] = certify ? (e + fl_evaluation_error(s, d)) * FL_FOR_ROUNDED_BOUNDS : 0;
        largest = fmax(largest, fmax(next_size[j], next_error[j]));
        if (!(largest <= LARGEST)) return INFINITY;
    }
    for (size_t j = layer->n_units; j < layer->stride; j++) a->slack[j] = a->size[j] = 0;
    return largest;
}

static fl_status bound_layers(fl_cells *cells, const layer_arrays *arrays, const fl_cell_domain *domain)
{
    const size_t d = cells->d, n_inputs = domain->n_inputs;
    double *memory = malloc(4 * cells->widest * sizeof(double));
    if (!memory) return FL_NO_MEMORY;
    double *size = memory, *error = memory + cells->widest;
    double *next_size = error + cells->widest, *next_error = next_size + cells->widest;
    fl_status status = FL_OK;
    for (size_t i = 0; i < n_inputs; i++) {
        size[i] = fl_form_size(cells->inputs + i * (d + 1), 1, cells->reach, d);
        error[i] = domain->input_errors[i];
    }
    for (size_t l = 0; l < cells->n_hidden && status == FL_OK; l++) {
        const int update = update_roundings(l ? cells->layers + l - 1 : NULL);
        if (!(bound_layer(cells->layers + l, arrays + l, update, cells->reach, d, domain->certify, size, error,
                          next_size, next_error) <= LARGEST))
            status = FL_UNDECIDED;
        double *swap = size;
        size = next_size;
        next_size = swap;
        swap = error;
        error = next_error;
        next_error = swap;
    }
    free(memory);
    return status;
}

static void fill_half_spaces(fl_forms *forms, const fl_cell_domain *domain, const double *reach)
{
    const size_t d = domain->d;
    for (size_t i = 0; i < forms->n; i++) {
        const double *form = domain->half_spaces + i * (d + 1), size = fl_form_size(form, 1, reach, d);
        for (size_t k = 0; k <= d; k++) forms->rows[k * forms->stride + i] = form[k];
        forms->size[i] = size * FL_FOR_ROUNDED_BOUNDS;
        forms->slack[i] = fl_evaluation_error(size, d) * FL_FOR_ROUNDED_BOUNDS;
    }
}

fl_status fl_cells_new(size_t n_layers, const size_t *widths, const double *const *weights,
                       const double *const *biases, const double *const *slopes, const int64_t *twins,
                       const fl_cell_domain *domain, const char *isa, fl_cells **out)
{
    const size_t d = domain->d, n_hidden = n_layers - 1;
    const fl_cell_kernels *kernels = fl_cell_kernels_for(isa);
    if (!kernels) return FL_UNKNOWN_ISA;
    fl_cells *cells = calloc(1, sizeof *cells);
    layer_arrays *arrays = calloc(n_hidden + 1, sizeof *arrays);
    fl_status status = cells && arrays ? FL_OK : FL_NO_MEMORY;
    fl_arena arena = {NULL, 0};
    for (int pass = 0; pass < 2 && status == FL_OK; pass++) {
        cells->layers = fl_take(&arena, n_hidden, sizeof(fl_cell_layer));
        for (size_t l = 0; l < n_hidden; l++) arrays[l] = take_layer(&arena, d, widths[l], widths[l + 1]);
        cells->inputs = fl_take_copy(&arena, domain->inputs, domain->n_inputs * (d + 1), sizeof(double));
        cells->input_errors = fl_take_copy(&arena, domain->input_errors, domain->n_inputs, sizeof(double));
        double *reach = fl_take(&arena, d, sizeof(double));
        for (size_t k = 0; pass && k < d; k++) reach[k] = fmax(domain->reach[k], FL_LEAST_SIZE);
        cells->reach = reach;
        cells->vertices = fl_take_copy(&arena, domain->vertices, domain->n_vertices * d, sizeof(double));
        cells->facets = fl_take_copy(&arena, domain->facets, domain->n_vertices * d, sizeof(uint32_t));
        fl_forms *forms = &cells->half_spaces;
        forms->n = domain->n_half_spaces;
        forms->stride = fl_padded(forms->n);
        forms->rows = fl_take(&arena, (d + 1) * forms->stride, sizeof(double));
        forms->slack = fl_take(&arena, forms->stride, sizeof(double));
        forms->size = fl_take(&arena, forms->stride, sizeof(double));
        if (pass == 0 && !(cells->memory = fl_arena_allocate(&arena))) status = FL_NO_MEMORY;
    }
    if (status == FL_OK) {
        cells->kernels = kernels;
        cells->d = d;
        cells->n_hidden = n_hidden;
        cells->n_inputs = domain->n_inputs;
        cells->n_vertices = domain->n_vertices;
        cells->certify = domain->certify;
        for (size_t l = 0; l < n_hidden; twins += widths[++l]) {
            fill_layer(cells->layers + l, arrays + l, widths[l], widths[l + 1], weights[l], biases[l], slopes[l],
                       twins, domain->one, d, cells->n_neurons);
            cells->n_neurons += cells->layers[l].n_bits;
        }
        for (size_t l = 0; l < n_layers; l++)
            if (widths[l] > cells->widest) cells->widest = widths[l];
        cells->n_bytes = (cells->n_neurons + 7) / 8;
        fill_half_spaces(&cells->half_spaces, domain, cells->reach);
        status = bound_layers(cells, arrays, domain);
    }
    free(arrays);
    if (status != FL_OK) {
        fl_cells_free(cells);
        return status;
    }
    *out = cells;
    return FL_OK;
}

void fl_cells_free(fl_cells *cells)
{
    if (!cells) return;
    free(cells->memory);
    free(cells);
}

const char *fl_cells_isa(const fl_cells *cells) { return cells->kernels->isa; }
