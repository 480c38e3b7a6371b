#define LANES 16
#include "settle_body.h"
