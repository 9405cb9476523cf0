/* Blocks of points through all layers: a block's activations stay in cache from its points to its
   outputs. */
#include <fenv.h>
#include <string.h>

#include "network.h"

/* Storage for one block on its way. */
typedef struct {
    real *activations[2];
    fl_mask_row *masks;
    uint8_t *patterns;         /* for maps, when the caller does not want the patterns themselves */
    FL(fl_tracked_block) tracked;
    FL(fl_radius_scratch) radius;
    void *memory;
} workspace;

static int needs_tracking(const fl_request *r) { return r->certain || r->preactivations || r->radii; }

static fl_status workspace_new(const struct FL(fl_network) *network, const fl_request *r, workspace *w)
{
    const size_t panels = network->widest * FL_BLOCK, all = network->n_neurons * FL_BLOCK;
    const int track = needs_tracking(r);
    fl_arena arena = {NULL, 0};
    for (int pass = 0; pass < 2; pass++) {
        *w = (workspace){.memory = w->memory};
        for (int i = 0; i < 2; i++) {
            w->activations[i] = fl_take(&arena, panels, sizeof(real));
            w->tracked.errors[i] = fl_take(&arena, r->certain || r->radii ? panels : 0, sizeof(real));
            w->radius.tangents[i] = fl_take(&arena, r->radii ? panels : 0, sizeof(real));
            w->radius.errors[i] = fl_take(&arena, r->radii ? panels : 0, sizeof(real));
        }
        w->masks = fl_take(&arena, network->n_mask_rows, sizeof(fl_mask_row));
        w->patterns = fl_take(&arena, r->maps ? r->n_points : 0, (network->n_neurons + 7) / 8);
        w->tracked.preactivations = fl_take(&arena, track ? all : 0, sizeof(real));
        w->tracked.sum_errors = fl_take(&arena, r->radii ? all : 0, sizeof(real));
        w->radius.lengths = fl_take(&arena, r->radii ? all : 0, sizeof(real));
        if (pass == 0 && !(w->memory = fl_arena_allocate(&arena))) return FL_NO_MEMORY;
    }
    w->tracked.masks = w->masks;
    if (!r->preactivations && !r->radii) w->tracked.preactivations = NULL;
    if (!r->radii) w->tracked.sum_errors = NULL;
    return FL_OK;
}

/* Layer by layer, between two buffers; returns the one with the outputs. */
static real *plain_block(const struct FL(fl_network) *network, workspace *w, int want_masks, size_t n_points)
{
    real *in = w->activations[0], *out = w->activations[1];
    for (size_t i = 0; i < network->n_layers; i++) {
        const FL(fl_layer) *layer = network->layers + i;
        const fl_fold fold = layer->fold == FL_RELU_MASKS && !want_masks ? FL_RELU : layer->fold;
        network->kernels->layer(&layer->affine, fold, in, out, w->masks, n_points);
        real *swap = in;
        in = out;
        out = swap;
    }
    return in;
}

static real *tracked_block(const struct FL(fl_network) *network, workspace *w, int want_certain, size_t n_points)
{
    w->tracked.inputs = w->activations[0];
    w->tracked.sums = w->activations[1];
    FL(fl_track_block)(network, &w->tracked, n_points, want_certain);
    return w->tracked.sums;
}

/* NaN and infinity in single rows of a block whose points hold some: those rows are never sure. */
static void doubt_nonfinite(const struct FL(fl_network) *network, const real *inputs, uint8_t *certain,
                            size_t n_points)
{
    const size_t panel = network->kernels->panel;
    for (size_t p = 0; p < n_points; p++) {
        const real *x = inputs + p / panel * network->n_in * panel + p % panel;
        for (size_t k = 0; k < network->n_in; k++)
            if (x[k * panel] - x[k * panel] != 0) certain[p] = 0;
    }
}

static fl_status run_blocks(const struct FL(fl_network) *network, const fl_request *r, workspace *w)
{
    const FL(fl_kernels) *kernels = network->kernels;
    const size_t n_bytes = (network->n_neurons + 7) / 8;
    const int want_masks = r->patterns || r->maps, track = needs_tracking(r);
    uint8_t *patterns = r->patterns ? r->patterns : w->patterns;
    fl_patience patience = {.interrupted = r->interrupted, .context = r->context};

    for (size_t start = 0; start < r->n_points; start += FL_BLOCK) {
        const size_t n = r->n_points - start < FL_BLOCK ? r->n_points - start : FL_BLOCK;
        const char *points = (const char *)r->points + (ptrdiff_t)start * r->point_stride;
        uint8_t finite_rows[FL_BLOCK];
        memset(finite_rows, 1, sizeof finite_rows);
        if (!kernels->read_points(points, r->point_stride, r->input_stride, n, network->n_in, w->activations[0])) {
            if (!r->allow_nonfinite) return FL_NONFINITE;
            doubt_nonfinite(network, w->activations[0], finite_rows, n);
        }
        const real *outputs = track ? tracked_block(network, w, r->certain || r->radii, n)
                                    : plain_block(network, w, want_masks, n);
        if (want_masks) FL(fl_write_patterns)(network, w->masks, patterns + start * n_bytes, n);
        if (r->outputs)
            kernels->write_rows(outputs, network->n_out, (char *)r->outputs + (ptrdiff_t)start * r->output_stride,
                                r->output_stride, r->output_column_stride, n);
        if (r->certain)
            for (size_t p = 0; p < n; p++) r->certain[start + p] = w->tracked.certain[p] & finite_rows[p];
        if (r->preactivations && network->n_neurons)
            kernels->write_rows(w->tracked.preactivations, network->n_neurons,
                                (char *)r->preactivations + start * network->n_neurons * sizeof(real),
                                (ptrdiff_t)(network->n_neurons * sizeof(real)), sizeof(real), n);
        if (r->radii)
            FL(fl_block_radii)(network, &w->tracked, r->radius_norm, &w->radius, (real *)r->radii + start, n,
                               &patience);
        if (patience.is_over) return FL_OK;
    }
    return r->maps ? FL(fl_patient_maps)(network, patterns, r->n_points, r->maps, r->offsets, &patience) : FL_OK;
}

fl_status FL(fl_evaluate)(const struct FL(fl_network) *network, const fl_request *request)
{
    workspace w = {0};
    fl_status status = workspace_new(network, request, &w);
    if (status) return status;
    /* Another library may have left rounding or flushing of subnormals changed in this thread. */
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    status = run_blocks(network, request, &w);
    fesetenv(&callers);
    free(w.memory);
    return status;
}

fl_status FL(fl_patterns_if_exact)(const struct FL(fl_network) *network, const fl_request *request, uint8_t *exact)
{
    fl_request row = {.input_stride = request->input_stride, .n_points = 1};
    workspace w = {0};
    fl_status status = workspace_new(network, &row, &w);
    if (status) return status;
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    for (size_t i = 0; i < request->n_points; i++) {
        const char *point = (const char *)request->points + (ptrdiff_t)i * request->point_stride;
        const int finite = network->kernels->read_points(point, 0, row.input_stride, 1, network->n_in,
                                                         w.activations[0]);
        feclearexcept(FE_ALL_EXCEPT);
        plain_block(network, &w, 1, 1);
        exact[i] = finite && !fetestexcept(FE_INEXACT | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID);
        FL(fl_write_patterns)(network, w.masks, request->patterns + i * ((network->n_neurons + 7) / 8), 1);
    }
    fesetenv(&callers);
    free(w.memory);
    return FL_OK;
}
