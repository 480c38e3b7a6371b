/* The table of ops, in the order of ops.def.  A name there without its `const Op op_NAME` does not link. */
#include "op.h"

#define OP(name, class) extern const Op op_##name;
#include "ops.def"
#undef OP

static const Op *const ops[OP_COUNT] = {
#define OP(name, class) [OP_##name] = &op_##name,
#include "ops.def"
#undef OP
};

static const OpClass classes[OP_COUNT] = {
#define OP(name, class) [OP_##name] = CLASS_##class,
#include "ops.def"
#undef OP
};

const char op_constant[] = "";

const Op   *op_of(OpKind op)        { return ops[op]; }
const char *op_name(OpKind op)      { return ops[op]->name; }
OpClass     op_class(OpKind op)     { return classes[op]; }
bool        op_is_random(OpKind op) { return classes[op] == CLASS_RANDOM; }
