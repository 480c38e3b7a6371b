/* main() of a trainer; apart from the rest, so that tests can call trainer_main with models of their own. */
#include "trainer.h"
int main(int argc, char **argv) { return trainer_main(&svi_model, argc, argv); }
