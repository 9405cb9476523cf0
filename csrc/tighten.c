/* What to try where the bound that holds for all cells (cells.c) does not decide.

   Forms computed again from nothing have a bound that counts only the units in force on the path, and takes
   the size of the forms below as it is:

       |f - F| <= |W| (s error_below) + gamma_n (|W| (s size_below) + |b|)   over the units in force,

   and at a single point, with values in the place of forms, the same bound is that of certain.c. Terms that are
   not 0 add to the sizes what they do in cells.c. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "walk.h"

/* Layer l's forms and errors from those of the layer above it. */
static void next_layer(const fl_walk *w, size_t l, const fl_forms *above_forms, const double *above_error,
                       fl_forms *forms, double *error)
{
    const fl_cells *cells = w->cells;
    const fl_cell_layer *above = cells->layers + l - 1, *layer = cells->layers + l;
    const size_t d = cells->d, stride = layer->stride;
    const double least = fl_least_size(cells->reach, d);
    double *sums = forms->size;   /* of magnitudes, first */
    size_t n = 0;
    memcpy(forms->rows, layer->start, (d + 1) * stride * sizeof(double));
    for (size_t j = 0; j < stride; j++) {
        sums[j] = fl_form_size(forms->rows + j, stride, cells->reach, d);
        error[j] = 0;
    }
    for (size_t i = 0; i < above->n_units; i++) {
        const double slope = fl_bit(w->layers[l - 1].active, i) ? 1 : above->slopes[i];
        if (slope == 0 || above_forms->size[i] == 0) continue;
        const double *column = layer->columns + i * stride;
        const double size = fabs(slope) * above_forms->size[i] + least, off = fabs(slope) * above_error[i];
        for (size_t k = 0; k <= d; k++) {
            const double factor = slope * above_forms->rows[k * above_forms->stride + i];
            for (size_t j = 0; j < stride; j++) forms->rows[k * stride + j] += factor * column[j];
        }
        for (size_t j = 0; j < stride; j++) {
            sums[j] += fabs(column[j]) * size + (column[j] == 0 ? 0 : least);
            error[j] += fabs(column[j]) * off;
        }
        n++;
    }
    for (size_t j = 0; j < layer->n_units; j++) {
        error[j] += (double)(2 * n + 8) * FL_ROUNDOFF * sums[j];
        error[j] *= FL_FOR_ROUNDED_BOUNDS;
        forms->size[j] = (fl_form_size(forms->rows + j, stride, cells->reach, d) + error[j]) * FL_FOR_ROUNDED_BOUNDS;
        forms->slack[j] = (error[j] + fl_evaluation_error(forms->size[j], d)) * FL_FOR_ROUNDED_BOUNDS;
    }
    for (size_t j = layer->n_units; j < stride; j++) forms->size[j] = forms->slack[j] = 0;
}

fl_status fl_tight_forms(fl_walk *w, size_t l, fl_forms *forms)
{
    const fl_cells *cells = w->cells;
    const size_t d = cells->d;
    const double *above_error = cells->layers[0].error;
    forms[0] = w->layers[0].forms;
    for (size_t i = 1; i <= l; i++) {
        const size_t stride = cells->layers[i].stride;
        double *memory = fl_stack_take(&w->stack, (d + 4) * stride * sizeof(double));
        if (!memory) return FL_NO_MEMORY;
        double *slack = memory + (d + 1) * stride, *size = slack + stride, *error = size + stride;
        forms[i] = (fl_forms){cells->layers[i].n_units, stride, memory, slack, size};
        next_layer(w, i, forms + i - 1, above_error, forms + i, error);
        above_error = error;
    }
    return FL_OK;
}

/* The layer's activations at a point and what they are off by; 0 where a sign is not surely that of the path. */
static int pass_layer(const fl_walk *w, size_t l, const double *point, const double *value, const double *error,
                      double *next_value, double *next_error)
{
    const fl_cell_layer *layer = w->cells->layers + l;
    const size_t d = w->cells->d;
    const double n_operations = (double)(2 * (layer->n_in + d) + 8);
    for (size_t j = 0; j < layer->n_units; j++) {
        double z = layer->start[d * layer->stride + j], size = fabs(z), off = 0;
        for (size_t k = 0; k < d; k++) {
            const double start = layer->start[k * layer->stride + j];
            if (start == 0) continue;
            z += start * point[k];
            size += fabs(start * point[k]) + FL_LEAST_SIZE;
        }
        for (size_t i = 0; i < layer->n_in; i++) {
            const double weight = layer->columns[i * layer->stride + j];
            if (weight == 0 || (value[i] == 0 && error[i] == 0)) continue;
            z += weight * value[i];
            size += fabs(weight * value[i]) + FL_LEAST_SIZE;
            off += fabs(weight) * error[i];
        }
        off += n_operations * FL_ROUNDOFF * size;
        off *= FL_FOR_ROUNDED_BOUNDS;
        const int active = fl_bit(w->layers[l].active, j);
        if (layer->bits[j] != FL_NO_BIT && !(active ? z > off : z < -off)) return 0;
        const double slope = active ? 1 : layer->slopes[j];
        next_value[j] = slope * z;
        next_error[j] = fabs(slope) * off;
        if (slope != 1 && slope != 0) next_error[j] += FL_ROUNDOFF * (fabs(slope * z) + FL_LEAST_SIZE);
    }
    return 1;
}

static fl_status prove_at(fl_walk *w, const double *point, int *is_proved)
{
    const fl_cells *cells = w->cells;
    const size_t d = cells->d;
    const fl_stack_mark mark = fl_stack_here(&w->stack);
    double *memory = fl_stack_take(&w->stack, 4 * cells->widest * sizeof(double));
    if (!memory) return FL_NO_MEMORY;
    double *value = memory, *error = value + cells->widest;
    double *next_value = error + cells->widest, *next_error = next_value + cells->widest;
    for (size_t i = 0; i < cells->n_inputs; i++) {
        const double *form = cells->inputs + i * (d + 1);
        double size = fabs(form[d]);
        value[i] = form[d];
        for (size_t k = 0; k < d; k++) {
            value[i] += form[k] * point[k];
            size += fabs(form[k] * point[k]);
        }
        error[i] = cells->input_errors[i] + (double)(2 * d + 2) * FL_ROUNDOFF * (size + FL_LEAST_SIZE);
    }
    *is_proved = cells->kernels->all_positive(d, &cells->half_spaces, point);
    for (size_t l = 0; l < cells->n_hidden && *is_proved; l++) {
        *is_proved = pass_layer(w, l, point, value, error, next_value, next_error);
        double *swap = value;
        value = next_value;
        next_value = swap;
        swap = error;
        error = next_error;
        next_error = swap;
    }
    fl_stack_back_to(&w->stack, mark);
    return FL_OK;
}

static fl_status sides_of_one(fl_walk *w, const fl_cell *cell, const fl_forms *forms, size_t at, int *inactive,
                              int *active, int *crossing)
{
    const size_t n_words = fl_words(forms->n);
    uint64_t *masks = fl_stack_take(&w->stack, 4 * n_words * sizeof(uint64_t));
    if (!masks) return FL_NO_MEMORY;
    memset(masks, 0, n_words * sizeof(uint64_t));
    masks[at / 64] = UINT64_C(1) << at % 64;
    fl_sides sides = {masks + n_words, masks + 2 * n_words, masks + 3 * n_words};
    const fl_status status = w->geometry->sides(w, cell, forms, masks, &sides);
    *inactive = fl_bit(sides.inactive, at);
    *active = fl_bit(sides.active, at);
    *crossing = fl_bit(sides.crossing, at);
    return status;
}

static void find_unit(const fl_cells *cells, int64_t bit, size_t *l, size_t *unit)
{
    for (*l = 0; bit >= (int64_t)(cells->layers[*l].first_bit + cells->layers[*l].n_bits);) ++*l;
    for (*unit = 0; cells->layers[*l].bits[*unit] != bit;) ++*unit;
}

fl_status fl_leaf_again(fl_walk *w, double *point, int *exists)
{
    const fl_cells *cells = w->cells;
    const size_t n_cuts = w->cuts.n;
    if (cells->n_hidden == 0) return FL_UNDECIDED;
    fl_forms *forms = fl_stack_take(&w->stack, cells->n_hidden * sizeof *forms);
    if (!forms) return FL_NO_MEMORY;
    const fl_cell *cell;
    fl_status status = fl_tight_forms(w, cells->n_hidden - 1, forms);
    if (status == FL_OK) status = w->geometry->root(w, &cell);
    for (size_t i = cells->half_spaces.n; i < n_cuts && status == FL_OK; i++) {
        size_t l, unit;
        int inactive, active, crossing;
        find_unit(cells, w->cut_bits[i], &l, &unit);
        const int above = fl_bit(w->layers[l].active, unit);
        w->cuts.n = i;
        status = sides_of_one(w, cell, forms + l, unit, &inactive, &active, &crossing);
        if (status == FL_OK && (above ? inactive : active)) {
            *exists = 0;
            w->cuts.n = n_cuts;
            return FL_OK;
        }
        if (status == FL_OK && !crossing && !inactive && !active) status = FL_UNDECIDED;
        if (status == FL_OK && crossing)
            status = w->geometry->split(w, cell, forms + l, unit, above ? NULL : &cell, above ? &cell : NULL);
        fl_push_cut(w, forms + l, unit, above ? 1 : -1, w->cut_bits[i]);
    }
    w->cuts.n = n_cuts;
    if (status) return status;
    w->geometry->point(w, cell, point);
    status = prove_at(w, point, exists);
    return status || *exists ? status : FL_UNDECIDED;
}
