/* Which instruction sets this processor has, and their tables of kernels. */
#include <string.h>

#include "cell_kernels.h"
#include "kernels.h"

#define HAS(feature) __builtin_cpu_supports(feature)

#define FL_ISA(name, flags, condition) extern const FL(fl_kernels) FL_TABLE(name);
#include "isa.def"
#undef FL_ISA

const FL(fl_kernels) *FL(fl_kernels_for)(const char *isa)
{
#define FL_ISA(name, flags, condition) \
    if ((!isa || strcmp(isa, #name) == 0) && (condition)) return &FL_TABLE(name);
#include "isa.def"
#undef FL_ISA
    return NULL;
}

#if FL_REAL_BITS == 64
#define FL_ISA(name, flags, condition) extern const fl_cell_kernels FL_CELL_TABLE(name);
#include "isa.def"
#undef FL_ISA

const fl_cell_kernels *fl_cell_kernels_for(const char *isa)
{
#define FL_ISA(name, flags, condition) \
    if ((!isa || strcmp(isa, #name) == 0) && (condition)) return &FL_CELL_TABLE(name);
#include "isa.def"
#undef FL_ISA
    return NULL;
}
#endif

#if FL_REAL_BITS == 32
size_t fl_isa_available(const char **names, size_t most)
{
    size_t n = 0;
#define FL_ISA(name, flags, condition) \
    if ((condition) && n < most) names[n++] = #name;
#include "isa.def"
#undef FL_ISA
    return n;
}

const char *fl_isa_of(const char *isa)
{
    const FL(fl_kernels) *kernels = FL(fl_kernels_for)(isa);
    return kernels ? kernels->isa : NULL;
}
#endif
