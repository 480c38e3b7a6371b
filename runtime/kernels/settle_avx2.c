#define LANES 8
#include "settle_body.h"
